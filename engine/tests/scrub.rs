//! The scrub reads everything, says what rots, and disturbs nobody.
#![allow(clippy::unwrap_used)]

use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{Rng, SimDisk};
use engine::types::{AccountId, UidSet};
use engine::{Error, Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";

fn open(disk: &SimDisk, bytes_per_second: u64) -> Store {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 64 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    options.scrub.bytes_per_second = bytes_per_second;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options).unwrap()
}

/// Messages in log, body and cold segments, and snapshot runs.
fn filled(disk: &SimDisk) -> AccountId {
    let store = open(disk, u64::MAX);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut rng = Rng::new(1);
    for number in 0..80u32 {
        let mut text = format!("Subject: {number}\r\n\r\n").into_bytes();
        let len = if number % 9 == 0 { 20_000 } else { 2_000 };
        text.extend((0..len).map(|_| rng.next_u64() as u8));
        let mut stager = store.stager();
        stager.write(&text).unwrap();
        let message = stager.finish().unwrap();
        store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
        if number % 20 == 10 {
            store.snapshot().unwrap();
            let uids: UidSet = (1..=number).filter(|uid| uid % 4 != 0).collect();
            let change =
                FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
            store.change_flags(id, inbox, &uids, change).unwrap();
            store.expunge(id, inbox, Some(&uids)).unwrap();
            store.compact().unwrap();
        }
    }
    store.close().unwrap();
    id
}

fn files(disk: &SimDisk, folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(DIR).join(folder);
    let names = disk.list(&folder).unwrap();
    names.iter().filter(|n| n.ends_with(".seg") || n.ends_with(".run")).map(|n| folder.join(n)).collect()
}

#[test]
fn a_pass_reads_everything_and_remembers_when_it_ended() {
    let disk = SimDisk::new(1);
    filled(&disk);
    let disk = disk.kill();
    let store = open(&disk, u64::MAX);
    let stats = store.scrub().unwrap();
    assert_eq!((stats.passes, stats.findings, stats.last_findings, stats.running), (1, 0, 0, false));
    assert_eq!(stats.last_finished_ms, 1_700_000_000_000);
    assert!(stats.total_bytes > 100_000 && stats.position_bytes == stats.total_bytes, "{stats:?}");
    assert!(stats.bytes_read * 10 > stats.total_bytes * 8, "{stats:?}");
    let counts = store.stats().unwrap();
    assert_eq!(counts.scrub, stats);
    assert_eq!((counts.counts.scrub_passes, counts.counts.scrub_findings), (1, 0));
    assert_eq!(counts.counts.scrub_bytes, stats.bytes_read);
    store.close().unwrap();
    drop(store);
    let store = open(&disk.power_cut(), u64::MAX);
    let again = store.stats().unwrap().scrub;
    assert_eq!((again.passes, again.last_finished_ms), (1, stats.last_finished_ms));
    store.close().unwrap();
}

#[test]
fn what_rots_is_said_once_and_a_lost_message_is_listed() {
    for folder in ["log", "bodies", "cold", "snapshots"] {
        let disk = SimDisk::new(1);
        filled(&disk);
        let disk = disk.kill();
        let store = open(&disk, u64::MAX);
        let Some(path) = files(&disk, folder).into_iter().next_back() else { panic!("no file in {folder}") };
        let path = if folder == "log" { files(&disk, folder).remove(0) } else { path };
        let len = disk.open(&path).unwrap().len_bytes().unwrap();
        assert!(disk.flip_bit(&path, len / 3, 4));
        for pass in 1..=2 {
            let stats = store.scrub().unwrap();
            assert_eq!(stats.passes, pass);
            assert!(stats.findings > 0 && stats.last_findings == stats.findings, "{folder}: {stats:?}");
        }
        assert_eq!(store.stats().unwrap().counts.scrub_findings, store.stats().unwrap().scrub.findings);
        // A message that cannot be read is known at the next opening, before anybody reads it.
        store.close().unwrap();
        drop(store);
        let store = open(&disk.kill(), u64::MAX);
        let is_listed = !store.recovery().damage.is_empty();
        assert!(is_listed || folder != "bodies", "{folder}: {:?}", store.recovery().damage);
        assert_eq!(store.recovery().read_only_accounts, [], "{folder}");
        store.close().unwrap();
    }
}

#[test]
fn closing_does_not_wait_for_a_slow_pass_and_mail_comes_in_meanwhile() {
    let disk = SimDisk::new(1);
    let id = filled(&disk);
    // A pass would take hours.
    let store = open(&disk.kill(), 20);
    let scrubbing = store.clone();
    let pass = std::thread::spawn(move || scrubbing.scrub());
    while !store.stats().unwrap().scrub.running {
        std::thread::yield_now();
    }
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    for _ in 0..20 {
        let mut stager = store.stager();
        stager.write(b"Subject: meanwhile\r\n\r\n").unwrap();
        let item = AppendItem { message: stager.finish().unwrap(), flags: vec![], internal_date: None };
        store.append(id, inbox, vec![item]).unwrap();
    }
    store.snapshot().unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    assert!(matches!(pass.join().unwrap(), Err(Error::Interrupted)));
}

/// A pass that is cut off by a restart goes on where it was: slow, and often restarted, it still reads everything.
#[test]
fn a_pass_that_is_cut_off_goes_on_where_it_was() {
    let disk = SimDisk::new(1);
    filled(&disk);
    let disk = disk.kill();
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap();
    let segments = ["log", "bodies", "cold"].map(|folder| files(&disk, folder)).concat();
    let path = segments.iter().min_by_key(|path| number(path)).unwrap();
    let first = disk.open(path).unwrap().len_bytes().unwrap();
    let mut position = 0;
    // A machine that stands still for seconds lets the pass come to its end.
    for _ in 0..10 {
        let store = open(&disk, 40_000);
        let scrubbing = store.clone();
        let pass = std::thread::spawn(move || scrubbing.scrub());
        while position <= first && !pass.is_finished() {
            position = store.stats().unwrap().scrub.position_bytes;
            std::thread::yield_now();
        }
        store.close().unwrap();
        match pass.join().unwrap() {
            Err(Error::Interrupted) => break,
            other => drop(other.unwrap()),
        }
        position = 0;
    }
    assert!(position > first);
    // What was read already is not read again: only the next pass finds it.
    assert!(disk.flip_bit(path, first / 3, 4));
    let store = open(&disk, u64::MAX);
    let stats = store.scrub().unwrap();
    assert_eq!((stats.passes, stats.last_findings), (1, 0));
    assert!(stats.bytes_read + first <= stats.total_bytes, "{stats:?}");
    let stats = store.scrub().unwrap();
    assert!(stats.passes == 2 && stats.last_findings > 0, "{stats:?}");
    store.close().unwrap();
}

/// A segment with much damage is listed once: not every finding is a new MANIFEST.
#[test]
fn what_is_lost_in_a_segment_is_listed_at_once() {
    let disk = SimDisk::new(1);
    filled(&disk);
    let disk = disk.kill();
    let store = open(&disk, u64::MAX);
    let cold = files(&disk, "cold");
    let path = cold.iter().max_by_key(|path| disk.open(path).unwrap().len_bytes().unwrap()).unwrap();
    let file = disk.open(path).unwrap();
    let len = file.len_bytes().unwrap();
    // A byte of every kilobyte: each message is hit.
    for at in (600..len * 9 / 10).step_by(1000) {
        file.write_all_at(&[0xff, 0, 0xff], at).unwrap();
    }
    let before = disk.operations();
    let stats = store.scrub().unwrap();
    let operations = disk.operations() - before;
    store.close().unwrap();
    drop(store);
    let store = open(&disk.kill(), u64::MAX);
    assert!(stats.findings >= 8, "{stats:?}");
    assert_eq!(store.recovery().damage.len(), 1, "{:?}", store.recovery().damage);
    assert!(operations < 30, "{operations} operations for {} findings", stats.findings);
    store.close().unwrap();
}
