//! Restore to a moment between two backups, and after a restore.

use crate::common::model::{Account, read_out};
use crate::common::work::stage;
use crate::common::{assert_clean, seeds, seeds_and};
use crate::world::*;
use engine::backup::{Folder, How, Moment, Rate, Restored, take, verify};
use engine::ops::{AppendItem, FlagChange, FlagOp, Recipient};
use engine::sys::clock::Clock;
use engine::sys::disk::Disk;
use engine::types::{AccountId, MailboxId, Uid, UidSet};
use engine::work::Work;
use engine::{CompactOptions, CompactReport, Error, Store};
use std::path::Path;
use std::sync::Arc;

/// A moment, and what the store was then: everything, and each mailbox' UIDVALIDITY and HIGHESTMODSEQ.
struct Then {
    at_ms: u64,
    model: Vec<Account>,
    facts: Vec<Facts>,
}

#[test]
fn any_moment_between_two_backups_comes_back() {
    let (mut reached, mut refused, mut given_up) = (0, 0, 0);
    // 117, 158: a segment was rewritten at a restart and compacted away before the next backup.
    for seed in seeds_and(10, &[117, 158]) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.work(5);
        world.backup();
        let first_ms = world.clock.now_ms();
        let mut history = Vec::new();
        for _ in 0..3 {
            for _ in 0..12 {
                world.work(1);
                if world.rng.chance(15) {
                    world.store.snapshot().unwrap();
                    world.work(1);
                    world.store.snapshot().unwrap();
                    world.store.compact().unwrap();
                }
                let facts = world.ids.iter().map(|id| facts(&world.store, *id)).collect();
                history.push(Then { at_ms: world.clock.now_ms() + 500, model: world.model.clone(), facts });
            }
            if world.rng.chance(50) {
                world.restart();
            }
            world.backup();
        }
        let newest: Vec<Facts> = world.ids.iter().map(|id| facts(&world.store, *id)).collect();
        for n in 0..4 {
            let then = &history[world.rng.below(history.len())];
            assert!(then.at_ms > first_ms);
            let to = format!("/at{n}");
            let restored = match try_restore(&world.disk, &world.clock, &to, Moment::At(then.at_ms), true) {
                Ok(restored) => restored,
                Err(Error::NotPossible(why)) => {
                    assert!(why.contains("in no backup"), "{why}");
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("seed {seed}: {error}"),
            };
            reached += 1;
            let store = open(&world.disk, &world.clock, &to);
            assert_clean(&store);
            given_up += restored.unavailable.len();
            for (who, id) in world.ids.iter().enumerate() {
                let (found, mut expected) = (read_out(&store, *id), then.model[who].clone());
                let name = store.account(*id).unwrap().name.to_string();
                for lost in restored.unavailable.iter().filter(|lost| lost.account == name) {
                    let lost_uids: Vec<u32> = lost.uids.split(',').flat_map(range).collect();
                    let mailbox = expected.mailboxes.get_mut(&lost.mailbox).unwrap();
                    mailbox.messages.retain(|message| !lost_uids.contains(&message.uid));
                }
                for (name, mailbox) in &mut expected.mailboxes {
                    let jumped = found.mailboxes.get(name).map_or(0, |found| found.uid_next);
                    assert!(
                        jumped > newest[who].get(name).map_or(0, |now| now.1),
                        "{name} may give a UID again"
                    );
                    mailbox.uid_next = jumped;
                }
                assert_eq!(found, expected, "seed {seed}, at {}", then.at_ms);
                let now = facts(&store, *id);
                for (name, then) in &then.facts[who] {
                    let newest = newest[who].get(name);
                    let is_same = newest.is_some_and(|newest| newest.0 == then.0 && newest.2 == then.2);
                    if is_same && restored.new_uid_validities != "all" {
                        assert_eq!(now[name].0, then.0, "{name} did not change since");
                    } else {
                        let highest = newest.map_or(0, |newest| newest.0).max(then.0);
                        assert!(now[name].0 > highest, "seed {seed}: {name} changed since");
                    }
                }
            }
            store.close().unwrap();
        }
    }
    println!("{reached} moments reached, {refused} refused, messages given up in {given_up} mailboxes");
    assert!(reached > refused);
}

fn range(text: &str) -> std::ops::RangeInclusive<u32> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    from.parse().unwrap()..=to.parse().unwrap()
}

#[test]
fn a_moment_that_cannot_be_had_is_refused_with_the_nearest_ones() {
    let mut world = World::new(3);
    let begin_ms = world.clock.now_ms();
    let none = try_restore(&world.disk, &world.clock, "/to", Moment::Newest, true);
    assert!(none.unwrap_err().to_string().contains("no backup"));
    world.work(20);
    world.backup();
    let early = try_restore(&world.disk, &world.clock, "/to", Moment::At(begin_ms - 1), true);
    assert!(early.unwrap_err().to_string().contains("earliest"));
    let late_ms = world.clock.now_ms() + 60_000;
    let late = try_restore(&world.disk, &world.clock, "/to", Moment::At(late_ms), true);
    assert!(late.unwrap_err().to_string().contains("newest backup is as of"));
    assert!(!world.disk.exists(Path::new("/to/RESTORING")), "what was refused left no mark");
}

#[test]
fn a_restored_store_goes_on_in_the_same_folder() {
    for seed in seeds(6) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        world.work(20);
        world.backup();
        let (first_ms, first) = (world.clock.now_ms(), world.model.clone());
        world.work(20);
        world.backup();
        let (second_ms, second) = (world.clock.now_ms(), world.model.clone());
        world.work(5);
        // The store is lost; the first backup is what is wanted back. Its life goes on, and is backed up.
        let moment = Moment::At(first_ms - 500);
        try_restore(&world.disk, &world.clock, "/back", moment, true).unwrap();
        world.store.close().unwrap();
        world.disk = world.disk.kill();
        let store = open(&world.disk, &world.clock, "/back");
        let mut third = first.clone();
        let mut middle = (0, Vec::new());
        for n in 0..10 {
            if n == 5 {
                middle = (world.clock.now_ms() + 1_000, world.read_out_of(&store));
            }
            world.clock.advance(2_000);
            let message = stage(&store, &format!("Subject: after {n}\r\n\r\nx\r\n")).unwrap();
            let to = Recipient { account: world.ids[0], detail: None, address: "user0@test".into() };
            store.deliver(&message, "s@x", vec![to]).remove(0).unwrap();
        }
        let (_held, pinned) = store.pin().unwrap();
        let shared: Arc<dyn Disk> = Arc::new(world.disk.clone());
        let mut dest = Folder::open(&shared, Path::new(DEST)).unwrap();
        let (mut how, mut work) = (How::new(Rate::new(None)), Work::quiet());
        let now_ms = world.clock.now_ms();
        take(&world.disk, Path::new("/back"), &pinned, now_ms, &mut dest, &mut how, &mut work).unwrap();
        drop(dest);
        third[0] = read_out(&store, world.ids[0]);
        assert!(verify(&folder(&world.disk), &mut Work::quiet()).unwrap().findings.is_empty());
        // Both lives can be had.
        let lives =
            [(first_ms - 500, &first), (second_ms - 1_000, &second), (middle.0, &middle.1), (now_ms, &third)];
        for (n, (at_ms, expected)) in lives.into_iter().enumerate() {
            let to = format!("/life{n}");
            try_restore(&world.disk, &world.clock, &to, Moment::At(at_ms), true).unwrap();
            let store = open(&world.disk, &world.clock, &to);
            assert_clean(&store);
            for (id, expected) in world.ids.iter().zip(expected) {
                let found = read_out(&store, *id);
                for (name, mailbox) in &expected.mailboxes {
                    assert_eq!(
                        found.mailboxes[name].messages, mailbox.messages,
                        "seed {seed}, life {n}: {name}"
                    );
                }
            }
        }
    }
}

/// The INBOX of the first account: large messages come and go.
struct Inbox {
    world: World,
    id: AccountId,
    mailbox: MailboxId,
}

impl Inbox {
    /// The store keeps its history for an hour, or does not.
    fn new(seed: u64, has_history: bool) -> Self {
        let mut world = World::new(seed);
        world.work(5);
        if has_history {
            world.store.close().unwrap();
            world.disk = world.disk.kill();
            world.store = open_with_history(&world.disk, &world.clock, STORE);
        }
        let id = world.ids[0];
        let mailbox = world.store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        Self { world, id, mailbox }
    }

    fn append(&mut self, lines: usize) -> (u32, String) {
        let body: String = (0..lines).map(|_| format!("{:x}\r\n", self.world.rng.next())).collect();
        let text = format!("Subject: x\r\n\r\n{body}");
        let message = stage(&self.world.store, &text).unwrap();
        let item = AppendItem { message, flags: Vec::new(), internal_date: None };
        let appended = self.world.store.append(self.id, self.mailbox, vec![item]).unwrap();
        (appended.uids.first().unwrap(), text)
    }

    fn expunge(&self, uid: u32) {
        let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".into()], unchanged_since: None };
        let uids = UidSet::from_range(uid, uid);
        self.world.store.change_flags(self.id, self.mailbox, &uids, change).unwrap();
        self.world.store.expunge(self.id, self.mailbox, None).unwrap();
    }

    /// A second passes on both sides of the moment that this answers.
    fn moment(&self) -> u64 {
        self.world.clock.advance(1_000);
        let at_ms = self.world.clock.now_ms();
        self.world.clock.advance(1_000);
        at_ms
    }

    fn compact(&self, ignore_retention: bool) -> CompactReport {
        let options = CompactOptions { ignore_retention };
        self.world.store.compact_told(options, &mut Work::quiet()).unwrap()
    }

    fn restored_at(&self, at_ms: u64, to: &str) -> (Restored, Store) {
        let (disk, clock) = (&self.world.disk, &self.world.clock);
        let restored = try_restore(disk, clock, to, Moment::At(at_ms), true).unwrap();
        let store = open(disk, clock, to);
        assert_clean(&store);
        (restored, store)
    }

    fn assert_restored(&self, at_ms: u64, to: &str, uid: u32, text: &str) {
        let (restored, store) = self.restored_at(at_ms, to);
        assert!(restored.unavailable.is_empty(), "{:?}", restored.unavailable);
        let row = store.mailbox(self.id, self.mailbox).unwrap().by_uid(Uid(uid)).unwrap().unwrap();
        assert!(store.email(&row).unwrap().read_all().unwrap() == text.as_bytes());
    }
}

/// A store without history drops large messages at once: of a moment between two backups one may be in neither. It is
/// given up by name, and the rest is whole.
#[test]
fn a_message_that_no_backup_has_is_given_up_by_name() {
    let mut inbox = Inbox::new(11, false);
    inbox.world.backup();
    let (large, _) = inbox.append(9000);
    let (small, _) = inbox.append(3);
    let at_ms = inbox.moment();
    inbox.expunge(large);
    assert!(inbox.compact(false).segments_dropped > 0);
    inbox.world.backup();
    let (restored, store) = inbox.restored_at(at_ms, "/to");
    let [lost] = restored.unavailable.as_slice() else { panic!("{:?}", restored.unavailable) };
    assert_eq!((lost.mailbox.as_str(), lost.uids.as_str()), ("INBOX", large.to_string().as_str()));
    let mailbox = store.mailbox(inbox.id, inbox.mailbox).unwrap();
    assert!(mailbox.by_uid(Uid(small)).unwrap().is_some());
}

#[test]
fn a_large_message_that_came_and_went_between_two_backups_comes_back() {
    let mut inbox = Inbox::new(12, true);
    inbox.world.backup();
    let (large, text) = inbox.append(9000);
    let at_ms = inbox.moment();
    inbox.expunge(large);
    let report = inbox.compact(false);
    assert!(report.segments_dropped == 0 && report.kept_for_history > 0, "{report:?}");
    inbox.world.backup();
    inbox.assert_restored(at_ms, "/to", large, &text);
    // It goes when the retention is over, and not before.
    let bodies = report.disk_after.bodies;
    inbox.world.clock.advance(HOUR_MS - 10_000);
    assert_eq!(inbox.compact(false).disk_after.bodies, bodies);
    inbox.world.clock.advance(10_000);
    let report = inbox.compact(false);
    assert!(report.segments_dropped > 0 && report.disk_after.bodies < bodies, "{report:?}");
}

#[test]
fn a_large_message_that_was_moved_before_it_went_comes_back_too() {
    let mut inbox = Inbox::new(13, true);
    let (gone, _) = inbox.append(9000);
    let (large, text) = inbox.append(9000);
    inbox.expunge(gone);
    // To a cold segment, for history is given up; what comes later is history again.
    assert!(inbox.compact(true).messages_moved > 0);
    inbox.world.backup();
    let (later, later_text) = inbox.append(9000);
    let at_ms = inbox.moment();
    inbox.expunge(later);
    inbox.expunge(large);
    assert_eq!(inbox.compact(false).segments_dropped, 0);
    inbox.world.backup();
    inbox.assert_restored(at_ms, "/to", large, &text);
    inbox.assert_restored(at_ms, "/too", later, &later_text);
}

/// What is kept for history alone goes when that is given up.
#[test]
fn large_messages_go_at_once_when_history_is_given_up() {
    let mut inbox = Inbox::new(14, true);
    let (large, _) = inbox.append(9000);
    inbox.expunge(large);
    assert_eq!(inbox.compact(false).segments_dropped, 0);
    let report = inbox.compact(true);
    assert!(report.segments_dropped > 0 && report.kept_for_history == 0, "{report:?}");
    assert_clean(&inbox.world.store);
}

/// A backup is taken, and mail goes on between its moment and its last byte.
#[test]
fn what_came_while_a_backup_was_begun_is_not_left_out() {
    let mut world = World::new(6);
    world.work(10);
    let (held, pinned) = world.store.pin().unwrap();
    world.clock.advance(2_000);
    append(&world.store, world.ids[0], "Subject: meanwhile\r\n\r\nx\r\n");
    let (at_ms, then) = (world.clock.now_ms() + 1_000, world.read_out());
    world.clock.advance(2_000);
    let first = take_pinned(&world.disk, &world.clock, &pinned).unwrap();
    assert!(first.as_of_ms > at_ms);
    drop(held);
    append(&world.store, world.ids[0], "Subject: later\r\n\r\nx\r\n");
    world.backup();
    assert_eq!(messages(&world.restored("/to", Moment::At(at_ms))), messages(&then));
}

/// What later backups lost, or got wrong, is no reason not to have an earlier one.
#[test]
fn a_damaged_later_backup_spoils_no_earlier_one() {
    for seed in seeds(3) {
        let mut world = World::new(seed);
        world.work(20);
        let at_ms = world.backup().as_of_ms;
        let then = world.model.clone();
        world.store.close().unwrap();
        world.disk = world.disk.kill();
        world.store = open(&world.disk, &world.clock, STORE);
        let names = |world: &World| world.disk.list(&Path::new(DEST).join("log")).unwrap();
        let before = names(&world);
        world.work(40);
        world.store.close().unwrap();
        world.disk = world.disk.kill();
        world.store = open(&world.disk, &world.clock, STORE);
        world.backup();
        let later: Vec<String> = names(&world).into_iter().filter(|name| !before.contains(name)).collect();
        assert!(!later.is_empty(), "seed {seed}");
        for name in later {
            for way in ["removed", "cut short", "its footer changed"] {
                let hit = world.fork();
                let path = Path::new(DEST).join("log").join(&name);
                let len = hit.disk.open(&path).unwrap().len_bytes().unwrap();
                match way {
                    "removed" => hit.disk.remove_file(&path).unwrap(),
                    "cut short" => hit.disk.open(&path).unwrap().truncate(len / 2).unwrap(),
                    _ => assert!(hit.disk.flip_bit(&path, len - 3, 3)),
                }
                let restored = try_restore(&hit.disk, &hit.clock, "/to", Moment::At(at_ms), true);
                let restored = restored.unwrap_or_else(|e| panic!("seed {seed}, {name} {way}: {e}"));
                if way == "removed" {
                    assert_eq!(restored.new_uid_validities, "all", "seed {seed}, {name}");
                }
                let store = open(&hit.disk, &hit.clock, "/to");
                assert_eq!(messages(&hit.read_out_of(&store)), messages(&then), "seed {seed}, {name} {way}");
            }
        }
    }
}

/// Those that were made later are none of the restored store's.
#[test]
fn new_uid_validities_are_counted_where_they_are() {
    let mut world = World::new(7);
    let id = world.ids[0];
    append(&world.store, id, "Subject: first\r\n\r\nx\r\n");
    let at_ms = world.backup().as_of_ms;
    append(&world.store, id, "Subject: second\r\n\r\nx\r\n");
    for n in 0..5 {
        world.store.create_mailbox(id, &format!("later {n}"), None).unwrap();
    }
    world.backup();
    let restored = try_restore(&world.disk, &world.clock, "/to", Moment::At(at_ms), true).unwrap();
    assert_eq!(restored.new_uid_validities, "1");
}

/// A backup that is opened for one account is read, and not scrubbed.
#[test]
fn an_opened_backup_is_left_alone() {
    let mut world = World::new(8);
    world.work(5);
    world.backup();
    let folder = folder(&world.disk);
    let plan = engine::backup::plan(&folder, Moment::Newest).unwrap();
    let source = engine::backup::open_source(&folder, &plan).unwrap();
    assert_eq!(source.options().scrub.every_ms, 0);
}
