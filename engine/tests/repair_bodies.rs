//! Large messages whose Body record is lost: their bytes are whole, and no opening, no compaction and no repair lets go of
//! them before they are in `Recovered` or in quarantine.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean};
use engine::ops::{AppendItem, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use engine::types::AccountId;
use engine::work::Work;
use engine::{Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";

fn open(disk: &SimDisk) -> Store {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 32 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options).unwrap()
}

fn text(number: u64, lines: usize) -> String {
    let mut rng = Rng::new(number);
    let mut text = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n");
    (0..lines).for_each(|_| text.push_str(&format!("{:x} {:x}\r\n", rng.next(), rng.next())));
    text
}

fn large() -> Vec<String> {
    (1..=2).map(|number| text(number, 900)).collect()
}

fn append(store: &Store, id: AccountId, text: &str) {
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let item = AppendItem { message: stage(store, text).unwrap(), flags: vec![], internal_date: None };
    store.append(id, inbox, vec![item]).unwrap();
}

/// Two large messages and some small ones; the snapshots have the rows.
fn filled(disk: &SimDisk, compacts: bool) {
    let store = open(disk);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    large().iter().for_each(|text| append(&store, id, text));
    (10..40).for_each(|number| append(&store, id, &text(number, 40)));
    store.snapshot().unwrap();
    (40..50).for_each(|number| append(&store, id, &text(number, 40)));
    store.snapshot().unwrap();
    if compacts {
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let uids = (3..30).collect();
        let flags = vec!["\\Deleted".to_owned()];
        let change = engine::ops::FlagChange { op: engine::ops::FlagOp::Add, flags, unchanged_since: None };
        store.change_flags(id, inbox, &uids, change).unwrap();
        store.expunge(id, inbox, Some(&uids)).unwrap();
        store.compact().unwrap();
    }
    store.close().unwrap();
}

fn files(disk: &SimDisk, folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(DIR).join(folder);
    disk.list(&folder).unwrap().iter().map(|name| folder.join(name)).collect()
}

fn bytes(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Flips a bit of each Body record of the message: its digest is in it.
fn flip_body_record(disk: &SimDisk, text: &str) -> u32 {
    let digest = *blake3::hash(text.as_bytes()).as_bytes();
    let mut flipped = 0;
    for path in [files(disk, "log"), files(disk, "cold")].concat() {
        if let Some(at) = bytes(disk, &path).windows(32).position(|window| window == digest) {
            assert!(disk.flip_bit(&path, at as u64 + 40, 2));
            flipped += 1;
        }
    }
    flipped
}

/// What is served of an account, by mailbox.
fn served(store: &Store) -> Vec<(String, Vec<u8>)> {
    let mut served = Vec::new();
    for info in store.accounts().unwrap() {
        for mailbox in store.account(info.id).unwrap().mailboxes() {
            for row in mailbox.rows(&mailbox.uids().unwrap()) {
                let bytes = store.email(&row.unwrap()).and_then(|email| email.read_all());
                served.extend(bytes.ok().map(|bytes| (mailbox.header.name.to_string(), bytes)));
            }
        }
    }
    served
}

fn repair(store: &Store) -> engine::repair::Repaired {
    let plan = store.repair_plan(&mut Work::quiet()).unwrap();
    let done = store.repair(&plan, &mut Work::quiet()).unwrap();
    assert!(done.left.is_empty(), "{done:#?}");
    assert_clean(store);
    let again = store.repair_plan(&mut Work::quiet()).unwrap();
    assert!(again.is_empty(), "{again:#?}\nafter {plan:#?}");
    done
}

fn assert_recovered(store: &Store, texts: &[String]) {
    let served = served(store);
    for text in texts {
        let is_there =
            served.iter().any(|(name, bytes)| name == "Recovered" && bytes.ends_with(text.as_bytes()));
        assert!(is_there, "a large message is not in Recovered");
    }
}

/// Opens, repairs, and opens again and again: with a compaction before, or none.
fn recovered_from(disk: &SimDisk, texts: &[String], compacts: bool) {
    let store = open(disk);
    if compacts {
        drop(store.compact());
    }
    repair(&store);
    assert_recovered(&store, texts);
    store.close().unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open(disk);
        assert_recovered(&store, texts);
        store.compact().unwrap();
        assert_recovered(&store, texts);
        assert_clean(&store);
        store.close().unwrap();
    }
}

#[test]
fn a_flipped_body_record_costs_no_message() {
    for compacts in [false, true] {
        let disk = SimDisk::new(1);
        filled(&disk, false);
        assert_eq!(flip_body_record(&disk, &large()[0]), 1);
        recovered_from(&disk, &large()[..1], compacts);
    }
}

#[test]
fn a_cold_segment_that_is_flipped_or_gone_costs_no_large_message() {
    for (is_removed, compacts) in [(false, false), (false, true), (true, false), (true, true)] {
        let disk = SimDisk::new(2);
        filled(&disk, true);
        if is_removed {
            let cold = files(&disk, "cold");
            assert!(!cold.is_empty());
            for path in cold {
                disk.remove_file(&path).unwrap();
            }
            disk.sync_dir(&Path::new(DIR).join("cold")).unwrap();
        } else {
            assert_eq!(flip_body_record(&disk, &large()[1]), 1);
        }
        let lost = if is_removed { 0..2 } else { 1..2 };
        recovered_from(&disk, &large()[lost], compacts);
    }
}

/// Rows and Body records are lost: nothing says whose they were.
#[test]
fn what_nobody_knows_is_in_quarantine_whole() {
    let disk = SimDisk::new(3);
    filled(&disk, false);
    for folder in ["log", "snapshots"] {
        for path in files(&disk, folder) {
            let is_wanted = folder == "log" && path.file_name().is_some_and(|name| name != "1.seg");
            if !is_wanted {
                disk.remove_file(&path).unwrap();
            }
        }
        disk.sync_dir(&Path::new(DIR).join(folder)).unwrap();
    }
    let before: Vec<Vec<u8>> = files(&disk, "bodies").iter().map(|path| bytes(&disk, path)).collect();
    assert_eq!(before.len(), 1);
    let store = open(&disk);
    let done = repair(&store);
    store.close().unwrap();
    drop(store);
    let store = open(&disk);
    drop(store.compact());
    store.close().unwrap();
    let kept: Vec<PathBuf> = files(&disk, "quarantine");
    let is_kept = kept.iter().any(|path| before.contains(&bytes(&disk, path)));
    assert!(is_kept, "{kept:?}\n{done:#?}");
}

/// One of the messages in a body segment is named, the other by nothing that is left.
#[test]
fn what_nobody_knows_beside_what_is_known_is_copied_out() {
    let disk = SimDisk::new(4);
    let store = open(&disk);
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    append(&store, id, &large()[0]);
    (10..40).for_each(|number| append(&store, id, &text(number, 40)));
    append(&store, id, &large()[1]);
    store.close().unwrap();
    drop(store);
    let digest = *blake3::hash(large()[1].as_bytes()).as_bytes();
    let holds = |path: &PathBuf| bytes(&disk, path).windows(32).any(|window| window == digest);
    let last = files(&disk, "log").into_iter().find(holds).unwrap();
    disk.remove_file(&last).unwrap();
    disk.sync_dir(&Path::new(DIR).join("log")).unwrap();
    let store = open(&disk);
    repair(&store);
    let kept: Vec<Vec<u8>> = files(&disk, "quarantine").iter().map(|path| bytes(&disk, path)).collect();
    assert!(kept.contains(&large()[1].clone().into_bytes()));
    assert!(served(&store).iter().any(|(_, bytes)| *bytes == large()[0].as_bytes()));
    store.close().unwrap();
}
