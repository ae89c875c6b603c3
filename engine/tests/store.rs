//! What a user of the store would notice, one behaviour a test.
#![allow(clippy::unwrap_used)]

mod common;

use common::assert_clean;
use common::work::stage;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount, Recipient};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{FaultKind, SimDisk};
use engine::types::{AccountId, MailboxId, ModSeq, Uid, UidSet};
use engine::{Error, Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::for_tests()).unwrap()
}

fn account(store: &Store, name: &str, quota_bytes: Option<u64>) -> AccountId {
    store.create_account(&NewAccount { name, password: Some("secret"), quota_bytes }).unwrap()
}

fn inbox(store: &Store, id: AccountId) -> MailboxId {
    store.account(id).unwrap().mailbox_named("inbox").unwrap().header.id
}

fn text(n: usize) -> String {
    format!("Message-ID: <{n}@test>\r\nSubject: number {n}\r\n\r\nbody {n}\r\n")
}

fn append(store: &Store, id: AccountId, n: usize) -> engine::Result<engine::ops::Appended> {
    let item = AppendItem { message: stage(store, &text(n))?, flags: vec![], internal_date: None };
    store.append(id, inbox(store, id), vec![item])
}

fn to(account: AccountId, address: &str) -> Recipient {
    Recipient { account, detail: None, address: address.into() }
}

fn uids(of: &[u32]) -> UidSet {
    let mut set = UidSet::new();
    of.iter().for_each(|uid| set.insert_uid(Uid(*uid)));
    set
}

#[test]
fn a_hundred_recipients_share_one_message_and_one_over_quota_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<AccountId> =
        (0..100).map(|n| account(&store, &format!("u{n}"), (n == 42).then_some(10))).collect();
    let before = store.stats().unwrap().counts.log_bytes;
    let message =
        stage(&store, &format!("Subject: big\r\n\r\n{}", "0123456789abcdef\r\n".repeat(2000))).unwrap();
    let recipients = ids.iter().enumerate().map(|(n, id)| to(*id, &format!("u{n}@x"))).collect();
    let verdicts = store.deliver(&message, "s@x", recipients);
    for (n, verdict) in verdicts.iter().enumerate() {
        match verdict {
            Err(Error::OverQuota) => assert_eq!(n, 42),
            Ok(delivered) => assert!(n != 42 && delivered.uid == Uid(1)),
            Err(error) => panic!("recipient {n}: {error}"),
        }
    }
    let written = store.stats().unwrap().counts.log_bytes - before;
    assert!(written < 2 * 34_000, "one message is written, not a hundred: {written} bytes");
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| *n != 42) {
        let mailbox = store.mailbox(*id, inbox(&store, *id)).unwrap();
        let row = mailbox.by_uid(Uid(1)).unwrap().unwrap();
        let served = String::from_utf8(store.email(&row).unwrap().read_all().unwrap()).unwrap();
        let begins = format!("Return-Path: <s@x>\r\nDelivered-To: u{n}@x\r\nSubject: big\r\n");
        assert!(served.starts_with(&begins), "{}", &served[..100]);
    }
    assert_clean(&store);
}

#[test]
fn the_same_delivery_again_is_answered_without_a_second_copy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = account(&store, "alice", None);
    let deliver = |store: &Store, sender: &str, body: usize| {
        let message = stage(store, &text(body)).unwrap();
        store.deliver(&message, sender, vec![to(id, "alice@x")]).remove(0).unwrap()
    };
    let first = deliver(&store, "s@x", 1);
    assert!(!first.is_duplicate);
    let again = deliver(&store, "s@x", 1);
    assert!(again.is_duplicate && again.uid == first.uid);
    assert!(!deliver(&store, "other@x", 1).is_duplicate, "another sender is another delivery");
    assert!(!deliver(&store, "s@x", 2).is_duplicate, "other bytes are another delivery");
    store.close().unwrap();
    drop(store);
    std::fs::remove_dir_all(dir.path().join("catalog")).unwrap();
    let store = open(dir.path());
    assert!(deliver(&store, "s@x", 1).is_duplicate, "it is known after the catalog is rebuilt");
    assert_eq!(store.account(id).unwrap().messages(), 3);
    assert_clean(&store);
}

#[test]
fn flags_changed_since_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = account(&store, "alice", None);
    let mailbox = inbox(&store, id);
    for n in 0..3 {
        append(&store, id, n).unwrap();
    }
    let change = |uids: &UidSet, flag: &str, since| {
        let flags = vec![flag.to_owned()];
        let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: since };
        store.change_flags(id, mailbox, uids, change).unwrap()
    };
    let first = change(&uids(&[2]), "\\Seen", None);
    let second = change(&uids(&[1, 2, 3]), "\\Flagged", Some(ModSeq(first.modseq.0 - 1)));
    assert_eq!(second.modified, uids(&[2]));
    assert_eq!(second.changed, uids(&[1, 3]));
    assert!(second.modseq > first.modseq);
    let nothing = change(&uids(&[1]), "\\Flagged", None);
    assert!(nothing.changed.is_empty(), "what does not change gets no new modseq");
    assert_clean(&store);
}

#[test]
fn uidvalidity_of_a_name_only_rises() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = account(&store, "alice", None);
    let validity =
        |name: &str| store.account(id).unwrap().mailbox_named(name).map(|m| m.header.uid_validity).unwrap();
    let mut last = engine::types::UidValidity(0);
    for _ in 0..3 {
        let mailbox = store.create_mailbox(id, "x", None).unwrap();
        assert!(validity("x") > last);
        last = validity("x");
        store.delete_mailbox(id, mailbox).unwrap();
    }
    let other = store.create_mailbox(id, "y", None).unwrap();
    let of_y = validity("y");
    store.create_mailbox(id, "z", None).unwrap();
    store.delete_mailbox(id, store.account(id).unwrap().mailbox_named("z").unwrap().header.id).unwrap();
    store.rename_mailbox(id, other, "z").unwrap();
    assert!(validity("z") > of_y, "the name had a higher one, so its mailbox gets a new one");
    assert_clean(&store);
}

#[test]
fn a_copy_of_a_message_that_is_gone_copies_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = account(&store, "alice", None);
    let from = inbox(&store, id);
    let target = store.account(id).unwrap().mailbox_named("Archive").unwrap().header.id;
    for n in 0..3 {
        append(&store, id, n).unwrap();
    }
    let flags = vec!["\\Deleted".to_owned()];
    let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
    store.change_flags(id, from, &uids(&[2]), change).unwrap();
    store.expunge(id, from, None).unwrap();
    assert!(matches!(store.copy(id, from, &uids(&[1, 2]), target), Err(Error::Expunged)));
    assert!(matches!(store.move_messages(id, from, &uids(&[1, 2]), target), Err(Error::Expunged)));
    assert_eq!(store.mailbox(id, target).unwrap().header.exists, 0);
    let moved = store.move_messages(id, from, &uids(&[1, 3]), target).unwrap();
    assert_eq!((moved.from, moved.to), (vec![Uid(1), Uid(3)], vec![Uid(1), Uid(2)]));
    assert_clean(&store);
}

#[test]
fn a_second_process_is_told_that_the_store_is_owned() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(matches!(Store::open(dir.path(), StoreOptions::for_tests()), Err(Error::Owned)));
    store.close().unwrap();
    drop(store);
    assert_clean(&open(dir.path()));
}

#[test]
fn passwords_open_their_own_account_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = account(&store, "Alice", None);
    assert_eq!(store.authenticate("alice", "secret").unwrap(), id);
    assert!(store.authenticate("alice", "Secret").is_err());
    assert!(store.authenticate("bob", "secret").is_err());
    store.set_password(id, None).unwrap();
    assert!(store.authenticate("alice", "secret").is_err());
    let again = NewAccount { name: "ALICE", ..NewAccount::default() };
    assert!(matches!(store.create_account(&again), Err(Error::AlreadyExists(_))));
    store.delete_account(id).unwrap();
    assert!(store.account_id("alice").is_none());
    let fresh = account(&store, "alice", None);
    assert!(fresh > id, "an account's number is not used twice");
    assert_eq!(store.account(fresh).unwrap().messages(), 0);
    assert_clean(&store);
}

fn on_sim(disk: &SimDisk) -> Store {
    on_sim_at(disk, &SimClock::new(1_700_000_000_000))
}

fn on_sim_at(disk: &SimDisk, clock: &SimClock) -> Store {
    Store::open_on(
        Arc::new(disk.clone()),
        Arc::new(clock.clone()),
        Path::new("/store"),
        StoreOptions::for_tests(),
    )
    .unwrap()
}

#[test]
fn a_failed_sync_poisons_the_store_and_nothing_acknowledged_is_lost() {
    let disk = SimDisk::new(7);
    let store = on_sim(&disk);
    let id = account(&store, "alice", None);
    append(&store, id, 1).unwrap();
    disk.fail_after(FaultKind::SyncEio, 0);
    // The failing sync may be that of an idle marker.
    assert!(matches!(append(&store, id, 2), Err(Error::OutcomeUnknown | Error::Poisoned)));
    assert!(matches!(append(&store, id, 3), Err(Error::Poisoned)), "no later write hides it");
    let mailbox = store.mailbox(id, inbox(&store, id)).unwrap();
    assert_eq!(mailbox.header.exists, 1, "what is not durable is not seen");
    let row = mailbox.by_uid(Uid(1)).unwrap().unwrap();
    assert_eq!(store.email(&row).unwrap().read_all().unwrap(), text(1).into_bytes(), "reads go on");
    drop(store.close());
    drop(store);
    let store = on_sim(&disk.power_cut());
    let exists = store.mailbox(id, inbox(&store, id)).unwrap().header.exists;
    assert!((1..=2).contains(&exists));
    assert_clean(&store);
}

#[test]
fn a_full_disk_refuses_clearly_and_recovers() {
    let disk = SimDisk::new(7);
    let clock = SimClock::new(1_700_000_000_000);
    let store = on_sim_at(&disk, &clock);
    let id = account(&store, "alice", None);
    append(&store, id, 0).unwrap();
    disk.set_capacity_bytes(Some(disk.used_bytes()));
    let mut kept = 1;
    let refused = (1..).find_map(|n| {
        let item = stage(&store, &format!("Subject: {n}\r\n\r\n{}", "x".repeat(30_000 + n)))
            .map(|message| AppendItem { message, flags: vec![], internal_date: None });
        match item.and_then(|item| store.append(id, inbox(&store, id), vec![item])) {
            Ok(_) => {
                kept += 1;
                None
            }
            Err(error) => Some(error),
        }
    });
    assert!(matches!(refused, Some(Error::StoreFull)), "{refused:?}");
    let flags = vec!["\\Deleted".to_owned()];
    let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
    store.change_flags(id, inbox(&store, id), &uids(&[1]), change).unwrap();
    store.expunge(id, inbox(&store, id), None).unwrap();
    assert_eq!(store.mailbox(id, inbox(&store, id)).unwrap().header.exists, kept - 1, "reads go on");
    assert!(matches!(append(&store, id, 999), Err(Error::StoreFull)), "there is still no room");
    disk.set_capacity_bytes(None);
    clock.advance(2_000);
    assert!(append(&store, id, 1000).is_ok(), "writes resume without a restart when there is room");
    assert_clean(&store);
    store.close().unwrap();
}

/// The group of a refused append takes nothing with it that was asked for after the refusal.
#[test]
fn what_is_asked_for_after_a_refusal_is_not_refused_with_it() {
    let disk = SimDisk::new(7);
    let clock = SimClock::new(1_700_000_000_000);
    let store = on_sim_at(&disk, &clock);
    let id = account(&store, "alice", None);
    append(&store, id, 0).unwrap();
    for round in 0..300 {
        // Past the pause that appends make after a refusal.
        clock.advance(2_000);
        disk.fail_after(FaultKind::NoSpace, 0);
        if append(&store, id, round).is_err() {
            let flags = vec![format!("k{round}")];
            let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
            let changed = store.change_flags(id, inbox(&store, id), &uids(&[1]), change);
            assert!(changed.is_ok(), "round {round}: {changed:?}");
        }
    }
    assert_clean(&store);
    store.close().unwrap();
}

/// A segment begun for a group is removed when the manifest could not be written.
#[test]
fn no_segment_piles_up_while_the_manifest_finds_no_room() {
    for skipped in 0..6 {
        let disk = SimDisk::new(7);
        let mut options = StoreOptions::for_tests();
        options.log.segment_bytes = 64 << 10;
        let clock = Arc::new(SimClock::new(1_700_000_000_000));
        let store = Store::open_on(Arc::new(disk.clone()), clock, Path::new("/store"), options).unwrap();
        let id = account(&store, "alice", None);
        let large = |n: u64| {
            let body: String = (0..1200).map(|line| format!("{:x}\r\n", scrambled(n, line))).collect();
            let message = stage(&store, &format!("Subject: {n}\r\n\r\n{body}"))?;
            store.append(
                id,
                inbox(&store, id),
                vec![AppendItem { message, flags: vec![], internal_date: None }],
            )
        };
        let segments = || disk.list(Path::new("/store/log")).unwrap().len();
        let mut kept = 0;
        let mut most = segments();
        for n in 0..60 {
            disk.fail_after(FaultKind::NoSpace, skipped);
            kept += u32::from(large(n).is_ok());
            most = most.max(segments());
        }
        disk.fail_after(FaultKind::NoSpace, u64::MAX);
        assert_eq!(store.mailbox(id, inbox(&store, id)).unwrap().header.exists, kept, "skipped {skipped}");
        // The reserve, and a segment for every few messages.
        assert!(most <= 8 + kept as usize, "skipped {skipped}: {most} files for {kept} messages");
        assert_clean(&store);
        // A footer that finds no room poisons; what was kept is kept.
        drop(store.close());
        assert_eq!(on_sim(&disk.power_cut()).account(id).unwrap().messages(), u64::from(kept));
    }
}

fn scrambled(a: u64, b: u64) -> u64 {
    (a << 32 | b).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Mail that keeps coming in on a full disk does not stop what would free it.
#[test]
fn steady_appends_on_a_full_disk_do_not_starve_an_expunge() {
    let disk = SimDisk::new(8);
    let clock = SimClock::new(1_700_000_000_000);
    let store = on_sim_at(&disk, &clock);
    let id = account(&store, "alice", None);
    for n in 0..40 {
        append(&store, id, n).unwrap();
    }
    disk.set_capacity_bytes(Some(disk.used_bytes()));
    let big = |n: usize| format!("Subject: {n}\r\n\r\n{}", format!("{n:x} ").repeat(9_000));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let is_full = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, stop, is_full) = (&store, &stop, &is_full);
            scope.spawn(move || {
                let mut was_full = false;
                for n in 0.. {
                    let refused = stage(store, &big(thread * 1_000_000 + n)).and_then(|message| {
                        let item = AppendItem { message, flags: vec![], internal_date: None };
                        store.append(id, inbox(store, id), vec![item])
                    });
                    if refused.is_err() && !std::mem::replace(&mut was_full, true) {
                        is_full.wait();
                    }
                    if stop.load(std::sync::atomic::Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        is_full.wait();
        for uid in 1..=40 {
            let flags = vec!["\\Deleted".to_owned()];
            let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
            let done = store
                .change_flags(id, inbox(&store, id), &uids(&[uid]), change)
                .and_then(|_| store.expunge(id, inbox(&store, id), None));
            if done.is_err() {
                stop.store(true, std::sync::atomic::Ordering::SeqCst);
            }
            assert!(done.is_ok(), "UID {uid}: {done:?}");
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert_clean(&store);
    store.close().unwrap();
}
