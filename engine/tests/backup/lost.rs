//! Stretches of a history that are lost: what was in them is not known, and no restore makes it up.

use crate::common::assert_clean;
use crate::common::model::{Account, read_out};
use crate::rows::KeptRows;
use crate::world::*;
use engine::backup::{Moment, show_time};
use engine::catalog::Catalog;
use engine::ops::{FlagChange, FlagOp, NewAccount};
use engine::sys::clock::{Clock, SimClock};
use engine::sys::sim::SimDisk;
use engine::types::{AccountId, UidSet};
use engine::{Error, Store};
use std::path::Path;
use std::sync::Arc;

fn open_over(disk: &SimDisk, clock: &SimClock, rows: &KeptRows) -> Store {
    let catalog = || Ok(Catalog::over(Box::new(rows.clone())));
    let (on, clock) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
    Store::open_over(on, clock, Path::new(STORE), options(), catalog).unwrap()
}

/// A moment, and what the account had then.
type Then = (u64, Account);

/// Mail for a while.
fn live(store: &Store, clock: &SimClock, id: AccountId, word: &str, count: usize) -> Vec<Then> {
    let mut history = Vec::new();
    for n in 0..count {
        clock.advance(60_000);
        append(store, id, &format!("Subject: {word} {n}\r\n\r\nx\r\n"));
        history.push((clock.now_ms() + 1_000, read_out(store, id)));
    }
    clock.advance(60_000);
    history
}

/// Refused, with the two moments around what is lost.
fn assert_refused(disk: &SimDisk, clock: &SimClock, at_ms: u64, nearest: [u64; 2]) {
    match try_restore(disk, clock, "/refused", Moment::At(at_ms), true) {
        Err(Error::NotPossible(why)) => {
            for near in nearest {
                assert!(why.contains(&show_time(near)), "{why}: not {}", show_time(near));
            }
        }
        other => panic!("{}: {other:?}", show_time(at_ms)),
    }
}

fn assert_reached(disk: &SimDisk, clock: &SimClock, id: AccountId, (at_ms, then): &Then) {
    let to = format!("/at{at_ms}");
    try_restore(disk, clock, &to, Moment::At(*at_ms), true).unwrap_or_else(|e| panic!("{to}: {e}"));
    let store = open(disk, clock, &to);
    let found = read_out(&store, id);
    for (name, mailbox) in &then.mailboxes {
        assert_eq!(found.mailboxes[name].messages, mailbox.messages, "{to}: {name}");
    }
    assert_clean(&store);
}

/// The log's end is lost, and the catalog tells so. The store goes on, and its groups are no continuation of those that
/// an earlier backup has.
#[test]
fn what_follows_a_lost_end_is_another_history() {
    let (dest, clock) = (SimDisk::new(2), SimClock::new(BEGIN_MS));
    let disk = SimDisk::new(1);
    let rows = KeptRows::default().on(&disk);
    let store = open_over(&disk, &clock, &rows);
    let id = store.create_account(&NewAccount { name: "ann", ..NewAccount::default() }).unwrap();
    let take = |store: &Store, disk: &SimDisk| {
        let (_held, pinned) = store.pin().unwrap();
        take_to(&dest, disk, &clock, STORE, &pinned)
    };
    live(&store, &clock, id, "early", 3);
    take(&store, &disk).unwrap();
    let early = live(&store, &clock, id, "kept", 3);
    let (kept, unnoticed) = (disk.kill(), disk.kill());
    live(&store, &clock, id, "lost", 6);
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Seen".into()], unchanged_since: None };
    store.change_flags(id, inbox, &UidSet::from_range(1, 4), change).unwrap();
    let told = facts(&store, id)["INBOX"].clone();
    store.checkpoint().unwrap();
    let lost_ms = take(&store, &disk).unwrap().as_of_ms;

    // Where nothing tells so, the backups do.
    let blind = open(&unnoticed, &clock, STORE);
    assert!(blind.recovery().lost_up_to.is_none());
    let refused = take(&blind, &unnoticed).map(|taken| taken.backup);
    assert!(refused.as_ref().is_err_and(|e| e.to_string().contains("newer")), "{refused:?}");

    clock.advance(3_600_000);
    let found_ms = clock.now_ms();
    let store = open_over(&kept, &clock, &rows.reopened(&kept, None));
    assert!(store.recovery().lost_up_to.is_some());
    let now = facts(&store, id)["INBOX"].clone();
    assert_eq!(now.0, told.0, "UIDVALIDITY stays");
    assert!(now.1 > told.1 && now.2 > told.2, "HIGHESTMODSEQ {} was told, now it is {}", told.2, now.2);
    let later = live(&store, &clock, id, "new", 12);
    take(&store, &kept).unwrap();

    early.iter().chain(&later).for_each(|then| assert_reached(&dest, &clock, id, then));
    assert_refused(&dest, &clock, lost_ms + 1_800_000, [lost_ms, found_ms]);
    let restored = try_restore(&dest, &clock, "/lost", Moment::At(lost_ms), true).unwrap();
    assert_eq!(restored.new_uid_validities, "all");
    let store = open(&dest, &clock, "/lost");
    assert_eq!(facts(&store, id)["INBOX"].3, told.3, "what was lost since is in the backup");
    assert_clean(&store);
}

/// The store is lost some time after a backup, and goes on as of it: between the two nothing is known.
#[test]
fn a_moment_in_a_lost_stretch_is_refused() {
    let mut world = World::new(4);
    world.work(20);
    let as_of_ms = world.backup().as_of_ms;
    let id = world.ids[0];
    world.work(10);
    world.clock.advance(6 * 3_600_000);
    let back_ms = world.clock.now_ms();
    try_restore(&world.disk, &world.clock, "/back", Moment::Newest, true).unwrap();
    let store = open(&world.disk, &world.clock, "/back");
    let later = live(&store, &world.clock, id, "new", 5);
    let (_held, pinned) = store.pin().unwrap();
    take_to(&world.disk, &world.disk, &world.clock, "/back", &pinned).unwrap();
    for at_ms in [as_of_ms + 3_000, as_of_ms + 2 * 3_600_000, back_ms - 1] {
        assert_refused(&world.disk, &world.clock, at_ms, [as_of_ms, back_ms]);
    }
    later.iter().for_each(|then| assert_reached(&world.disk, &world.clock, id, then));
    // Told in whole seconds.
    let shown_ms = as_of_ms / 1000 * 1000 + 999;
    let restored = try_restore(&world.disk, &world.clock, "/then", Moment::At(shown_ms), true).unwrap();
    assert_eq!(restored.new_uid_validities, "all");
}
