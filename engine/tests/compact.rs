//! Compaction of more than fits in one go: in batches, ended in between, with and without history, on a full disk.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Rng, assert_clean, seeds};
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount, Store, StoreOptions};
use engine::sys::clock::{SimClock, SystemClock};
use engine::sys::disk::Disk;
use engine::sys::sim::{Fault, SimDisk, Strike, Weather};
use engine::types::{AccountId, UidSet};
use engine::work::{Step, Work};
use engine::{CompactOptions, Error};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const ALL: CompactOptions = CompactOptions { ignore_retention: true };

fn options() -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 128 << 10;
    options.log.body_threshold_bytes = 16 << 10;
    options.keep.grace_ms = 0;
    options.keep.compact_batch_bytes = 100 << 10;
    options
}

fn open(disk: &SimDisk, options: StoreOptions) -> Store {
    Store::open_on(Arc::new(disk.clone()), Arc::new(SystemClock), Path::new("/store"), options).unwrap()
}

fn text(rng: &mut Rng, bytes: usize) -> String {
    let mut text = String::from("Subject: x\r\n\r\n");
    while text.len() < bytes {
        text.push_str(&format!("{:016x}{:016x}{:016x}\r\n", rng.next(), rng.next(), rng.next()));
    }
    text
}

/// An account with a few hundred messages of which a third lives; by UID what lives.
fn filled(store: &Store, rng: &mut Rng) -> (AccountId, BTreeMap<u32, String>) {
    filled_with(store, rng, 300)
}

fn filled_with(store: &Store, rng: &mut Rng, count: u32) -> (AccountId, BTreeMap<u32, String>) {
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut texts = BTreeMap::new();
    for uid in 1..=count {
        let bytes = if rng.chance(10) { 30_000 } else { 4_000 };
        let text = text(rng, bytes);
        let mut stager = store.stager();
        stager.write(text.as_bytes()).unwrap();
        let message = stager.finish().unwrap();
        store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
        texts.insert(uid, text);
    }
    let gone: UidSet = (1..=count).filter(|_| rng.chance(66)).collect();
    let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
    store.change_flags(id, inbox, &gone, change).unwrap();
    store.expunge(id, inbox, None).unwrap();
    texts.retain(|uid, _| !gone.contains(*uid));
    (id, texts)
}

fn assert_served(store: &Store, id: AccountId, texts: &BTreeMap<u32, String>, when: &str) {
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().clone();
    let rows = inbox.rows(&UidSet::from_range(1, u32::MAX)).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(
        rows.iter().map(|row| row.uid.0).collect::<Vec<_>>(),
        texts.keys().copied().collect::<Vec<_>>()
    );
    for row in rows {
        let read = store.email(&row).unwrap().read_all().unwrap();
        assert!(read == texts[&row.uid.0].as_bytes(), "{when}: UID {} has other bytes", row.uid);
    }
}

#[test]
fn it_goes_in_batches_and_ends_near_what_lives() {
    for seed in seeds(3) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        let store = open(&disk, options());
        let (id, texts) = filled(&store, &mut rng);
        let report = store.compact_told(ALL, &mut Work::quiet()).unwrap();
        assert!(report.batches > 3, "seed {seed}: {report:?}");
        let after = report.disk_after;
        let all = after.log + after.bodies + after.cold + after.snapshots;
        assert!(all * 10 <= report.live_bytes * 13, "seed {seed}: {all} bytes for {report:?}");
        assert!(after.log + after.bodies + after.cold < report.disk_before.log, "seed {seed}: {report:?}");
        assert_served(&store, id, &texts, &format!("seed {seed}"));
        assert_clean(&store);
        store.close().unwrap();
        drop(store);
        let store = open(&disk.power_cut(), options());
        assert_served(&store, id, &texts, &format!("seed {seed}, after a restart"));
        assert_clean(&store);
        store.close().unwrap();
    }
}

/// What lives is counted wherever it lies: in what is still written to too.
#[test]
fn live_bytes_are_those_of_the_whole_store() {
    let disk = SimDisk::new(1);
    let mut options = options();
    options.log.segment_bytes = 1 << 20;
    let store = open(&disk, options);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut rng = Rng::new(1);
    for n in 0..40 {
        let mut stager = store.stager();
        stager.write(text(&mut rng, if n % 10 == 0 { 30_000 } else { 4_000 }).as_bytes()).unwrap();
        let message = stager.finish().unwrap();
        store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
    }
    // A large message under way keeps its body segment open.
    let mut under_way = store.stager();
    under_way.write(text(&mut rng, 30_000).as_bytes()).unwrap();
    let open = store.compact_told(CompactOptions::default(), &mut Work::quiet()).unwrap();
    drop(under_way);
    let closed = store.compact_told(ALL, &mut Work::quiet()).unwrap();
    let stored = closed.disk_after.log + closed.disk_after.bodies + closed.disk_after.cold;
    assert!(closed.live_bytes > 100_000 && closed.live_bytes < stored, "{closed:?}");
    assert_eq!(open.live_bytes, closed.live_bytes, "{open:?} {closed:?}");
    store.close().unwrap();
}

#[test]
fn ended_between_two_batches_it_is_begun_again() {
    for seed in seeds(3) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        let store = open(&disk, options());
        let (id, texts) = filled(&store, &mut rng);
        let mut left = 2;
        let mut until_the_second = |step: &Step| {
            left -= i32::from(step.doing == "compacting");
            left >= 0
        };
        let ended = store.compact_told(ALL, &mut Work::told_to(&mut until_the_second));
        assert!(matches!(ended, Err(Error::Interrupted)), "seed {seed}: {ended:?}");
        assert_served(&store, id, &texts, &format!("seed {seed}, ended"));
        assert_clean(&store);
        // Killed there it would be the same.
        let killed = open(&disk.power_cut(), options());
        assert_served(&killed, id, &texts, &format!("seed {seed}, killed"));
        assert_clean(&killed);
        assert!(store.compact_told(ALL, &mut Work::quiet()).unwrap().segments_dropped > 0, "seed {seed}");
        assert_served(&store, id, &texts, &format!("seed {seed}, done"));
        assert_clean(&store);
        store.close().unwrap();
    }
}

#[test]
fn history_is_kept_until_it_is_given_up() {
    let disk = SimDisk::new(1);
    let store = open(&disk, options());
    let (id, texts) = filled(&store, &mut Rng::new(1));
    store.compact().unwrap();
    let report = store.compact().unwrap();
    assert!(report.kept_for_history > 0 && report.segments_dropped == 0, "{report:?}");
    let report = store.compact_told(ALL, &mut Work::quiet()).unwrap();
    assert!(report.kept_for_history == 0 && report.segments_dropped > 0, "{report:?}");
    assert_served(&store, id, &texts, "done");
    assert_clean(&store);
    store.close().unwrap();
}

/// Nothing can be appended any more, nor allocated: compaction goes down to single segments, and mail is taken again.
#[test]
fn a_full_disk_is_left_without_a_restart() {
    for seed in seeds(3) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        let store = open(&disk, options());
        let (id, texts) = filled(&store, &mut rng);
        disk.set_capacity_bytes(Some(disk.used_bytes()));
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let append = |text: &str| {
            let mut stager = store.stager();
            stager.write(text.as_bytes())?;
            let message = stager.finish()?;
            store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }])
        };
        let mut texts = texts;
        let mut uid = 300;
        while let Ok(appended) = append("Subject: more\r\n\r\nmore and more and more\r\n") {
            uid = appended.uids.last().unwrap();
            texts.insert(uid, "Subject: more\r\n\r\nmore and more and more\r\n".to_owned());
        }
        let report = store.compact_told(ALL, &mut Work::quiet()).unwrap();
        assert!(report.segments_dropped > 0, "seed {seed}: {report:?}");
        let resumed = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            append("Subject: again\r\n\r\n").is_ok_and(|appended| {
                texts.insert(appended.uids.last().unwrap(), "Subject: again\r\n\r\n".to_owned());
                true
            })
        });
        assert!(resumed, "seed {seed}: appends are still refused after {uid}");
        assert_served(&store, id, &texts, &format!("seed {seed}"));
        assert_clean(&store);
        store.close().unwrap();
    }
}

/// Nothing lives, and the disk has no room to write so: the reserve pays for that, and where it cannot the compaction ends
/// and says so. It tried the same segments for ever.
#[test]
fn dead_segments_go_from_a_disk_without_a_byte_left() {
    for seed in seeds(3) {
        for is_over_full in [false, true] {
            let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
            let store = open(&disk, options());
            let (id, texts) = filled(&store, &mut rng);
            let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
            let all: UidSet = texts.keys().copied().collect();
            let change =
                FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
            store.change_flags(id, inbox, &all, change).unwrap();
            store.expunge(id, inbox, None).unwrap();
            for _ in 0..2 {
                store.subscribe(id, "Anything", true).unwrap();
                store.snapshot().unwrap();
            }
            disk.set_capacity_bytes(Some(if is_over_full { 0 } else { disk.used_bytes() }));
            let report = store.compact_told(ALL, &mut Work::quiet());
            if is_over_full {
                assert!(matches!(report, Err(Error::StoreFull)), "seed {seed}: {report:?}");
                disk.set_capacity_bytes(None);
                store.compact_told(ALL, &mut Work::quiet()).unwrap();
            } else {
                assert!(report.unwrap().segments_dropped > 1, "seed {seed}");
            }
            assert_clean(&store);
            store.close().unwrap();
        }
    }
}

/// Each disk operation of a compaction fails once: what was copied for nothing does not stay.
#[test]
fn a_compaction_that_fails_leaves_nothing_behind() {
    let (whole, mut failed) = (SimDisk::new(1), 0);
    drop(filled_with(&open(&whole, options()), &mut Rng::new(1), 60));
    let cold = |disk: &SimDisk| disk.list(Path::new("/store/cold")).unwrap();
    let operations = {
        let disk = whole.kill();
        let store = open(&disk, options());
        let before = disk.operations();
        store.compact_told(ALL, &mut Work::quiet()).unwrap();
        disk.operations() - before
    };
    for n in 0..operations {
        let disk = whole.kill();
        let store = open(&disk, options());
        disk.strike_operation(disk.operations() + n, Strike::Eio);
        failed += u64::from(store.compact_told(ALL, &mut Work::quiet()).is_err());
        if store.stats().unwrap().poisoned {
            continue;
        }
        store.compact_told(ALL, &mut Work::quiet()).unwrap_or_else(|e| panic!("operation {n}: {e}"));
        store.close().unwrap();
        drop(store);
        // An opening removes what waits for nothing.
        let before = cold(&disk);
        let store = open(&disk, options());
        assert_eq!(cold(&disk), before, "operation {n} of {operations} struck");
        store.close().unwrap();
    }
    assert!(failed > 0);
}

/// What compaction found to do is still to be done after it failed: it is tried again by itself.
#[test]
fn a_compaction_that_fails_is_tried_again() {
    let (disk, clock) = (SimDisk::new(1), SimClock::new(1_700_000_000_000));
    let mut options = options();
    options.keep.retention_ms = 0;
    options.keep.checkpoint_ms = u64::MAX;
    let dir = Path::new("/store");
    let store = Store::open_on(Arc::new(disk.clone()), Arc::new(clock.clone()), dir, options).unwrap();
    let (id, texts) = filled(&store, &mut Rng::new(1));
    for _ in 0..2 {
        store.set_quota(id, None).unwrap();
        store.snapshot().unwrap();
    }
    let segments = |folder: &str| disk.list(&dir.join(folder)).unwrap().len();
    let before = segments("log");
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let came = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            is_so()
        });
        assert!(came, "{what}");
    };
    disk.set_weather(Weather { write_eio_one_in: 1, ..Weather::default() });
    clock.advance(61_000);
    let struck = disk.fault_counts().of(Fault::WriteEio);
    until("nothing was tried", &|| disk.fault_counts().of(Fault::WriteEio) > struck);
    // Twice a second the keeper looks whether it is time.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    disk.set_weather(Weather::default());
    assert_eq!(segments("log"), before);
    clock.advance(61_000);
    until("it was not tried again", &|| segments("log") < before);
    assert_served(&store, id, &texts, "tried again");
    store.close().unwrap();
}
