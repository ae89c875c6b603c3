//! Bits that rot in sealed segments: no panic, no wrong byte, the other messages are served, the check
//! says so, and compaction neither stops nor throws away what it cannot read.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean, seeds};
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use engine::types::{AccountId, Uid, UidSet};
use engine::{Error, Store, StoreOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";
const MESSAGES: u32 = 60;

fn open(disk: &SimDisk) -> engine::Result<Store> {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 32 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options)
}

fn text(rng: &mut Rng, number: u32) -> String {
    let lines = if rng.chance(15) { 500 } else { rng.below(60) };
    let mut text = format!("Subject: {number}\r\n\r\n");
    (0..lines).for_each(|_| text.push_str(&format!("{:x} {:x}\r\n", rng.next(), rng.next())));
    text
}

/// A store with `MESSAGES` messages, every third expunged, in log, body and cold segments.
fn filled(disk: &SimDisk, rng: &mut Rng) -> (Store, AccountId, BTreeMap<u32, String>) {
    let store = open(disk).unwrap();
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let mut texts = BTreeMap::new();
    for uid in 1..=MESSAGES {
        let text = text(rng, uid);
        let message = stage(&store, &text).unwrap();
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let item = AppendItem { message, flags: Vec::new(), internal_date: None };
        store.append(id, inbox, vec![item]).unwrap();
        texts.insert(uid, text);
        if uid % 20 == 0 {
            store.snapshot().unwrap();
        }
    }
    expunge(&store, id, (1..=MESSAGES).step_by(3).collect());
    texts.retain(|uid, _| uid % 3 != 1);
    (store, id, texts)
}

fn expunge(store: &Store, id: AccountId, uids: UidSet) {
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
    store.change_flags(id, inbox, &uids, change).unwrap();
    store.expunge(id, inbox, Some(&uids)).unwrap();
}

/// The UIDs that are served whole; what is served is right.
fn served(store: &Store, id: AccountId, texts: &BTreeMap<u32, String>, when: &str) -> Vec<u32> {
    let Ok(account) = store.account(id) else { return Vec::new() };
    let Some(inbox) = account.mailbox_named("INBOX").cloned() else { return Vec::new() };
    let mut served = Vec::new();
    for row in inbox.rows(&inbox.uids().unwrap()) {
        let row = row.unwrap();
        let uid = row.uid.0;
        match store.email(&row).and_then(|email| email.read_all()) {
            Ok(bytes) => {
                // A lost expunge may bring a message back; a wrong byte is never served.
                if let Some(text) = texts.get(&uid) {
                    assert_eq!(bytes, text.as_bytes(), "{when}: UID {uid} has wrong bytes");
                    served.push(uid);
                }
            }
            Err(Error::Damaged { .. } | Error::NoSuchMessage) => {}
            Err(error) => panic!("{when}: UID {uid}: {error}"),
        }
    }
    served
}

fn sealed_files(disk: &SimDisk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["log", "bodies", "cold"] {
        let dir = Path::new(DIR).join(folder);
        let names = disk.list(&dir).unwrap();
        files.extend(names.iter().filter(|name| name.ends_with(".seg")).map(|name| dir.join(name)));
    }
    files
}

fn flip(disk: &SimDisk, rng: &mut Rng) -> String {
    let files = sealed_files(disk);
    let file = rng.pick(&files).unwrap();
    let len = disk.open(file).unwrap().len_bytes().unwrap();
    let (at, bit) = (rng.next() % len, rng.below(8) as u8);
    assert!(disk.flip_bit(file, at, bit));
    format!("bit {bit} of byte {at} of {len} of {}", file.display())
}

#[test]
fn a_bit_that_rots_costs_at_most_its_own_message_while_the_store_runs() {
    for seed in seeds(25) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        let (store, id, texts) = filled(&disk, &mut rng);
        if rng.chance(50) {
            store.compact().unwrap();
        }
        store.close().unwrap();
        drop(store);
        let store = open(&disk).unwrap();
        let when = format!("seed {seed}, {}", flip(&disk, &mut rng));
        let count = served(&store, id, &texts, &when).len();
        assert!(count + 1 >= texts.len(), "{when}: {count} of {} are served", texts.len());
        let report = store.check(true).unwrap();
        assert!(count == texts.len() || !report.is_clean(), "{when}: the check does not say so");
        drop(store.compact());
        assert_eq!(served(&store, id, &texts, &when).len(), count, "{when}: after compaction");
        drop(store.close());
        drop(store);
        // Opened again it knows all the same, or says what it lost.
        let store = open(&disk.power_cut()).unwrap_or_else(|e| panic!("{when}: {e}"));
        let again = served(&store, id, &texts, &when).len();
        let said = !store.recovery().damage.is_empty() || !store.check(true).unwrap().is_clean();
        assert!(again == texts.len() || said, "{when}: {again} after a restart, and nobody says why");
        // Whatever it says, nothing more goes.
        drop(store.snapshot());
        drop(store.compact());
        drop(store.close());
        drop(store);
        let store = open(&disk).unwrap_or_else(|e| panic!("{when}: {e}"));
        let last = served(&store, id, &texts, &when).len();
        assert!(last >= again.min(count), "{when}: {last} of {again} survive compaction of a damaged store");
    }
}

/// A message that cannot be read keeps its segment; everything else is compacted, and nothing piles up.
#[test]
fn a_damaged_message_does_not_stop_compaction() {
    for seed in seeds(6) {
        let (disk, mut rng) = (SimDisk::new(seed), Rng::new(seed));
        let (store, id, texts) = filled(&disk, &mut rng);
        for _ in 0..2 {
            expunge(&store, id, UidSet::new());
            store.set_quota(id, None).unwrap();
            store.snapshot().unwrap();
        }
        let mut when = String::new();
        let hit = (0..200).any(|_| {
            when = format!("seed {seed}, {}", flip(&disk, &mut rng));
            served(&store, id, &texts, &when).len() < texts.len()
        });
        assert!(hit, "{when}: no message was hit");
        let before = served(&store, id, &texts, &when);
        store.compact().unwrap_or_else(|e| panic!("{when}: {e}"));
        let files = sealed_files(&disk).len();
        for _ in 0..3 {
            store.compact().unwrap_or_else(|e| panic!("{when}: {e}"));
        }
        assert!(sealed_files(&disk).len() <= files, "{when}: {files} segments became more");
        assert_eq!(served(&store, id, &texts, &when), before, "{when}");
        drop(store.close());
    }
}

/// A large message that was expunged goes with its body segment; the log segment that named it stays.
#[test]
fn a_dead_large_message_is_no_damage() {
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut rng = Rng::new(1);
    for _ in 0..3 {
        let text: String = (0..1500).map(|_| format!("{:x}\r\n", rng.next())).collect();
        let message = stage(&store, &format!("Subject: large\r\n\r\n{text}")).unwrap();
        store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = open(&disk).unwrap();
    expunge(&store, id, (1..=2).collect());
    assert!(store.compact().unwrap().segments_dropped > 0);
    assert_clean(&store);
    store.close().unwrap();
    drop(store);
    let store = open(&disk).unwrap();
    assert_clean(&store);
    assert_eq!(store.account(id).unwrap().messages(), 1);
    store.close().unwrap();
}

/// A cold segment whose footer is lost names no more which body segments hold what: those are not dead.
#[test]
fn nothing_is_taken_for_dead_because_what_named_it_cannot_be_read() {
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut rng = Rng::new(1);
    let text: String = (0..1500).map(|_| format!("{:x}\r\n", rng.next())).collect();
    let message = stage(&store, &format!("Subject: large\r\n\r\n{text}")).unwrap();
    store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(&disk).unwrap();
    for _ in 0..2 {
        store.set_quota(id, None).unwrap();
        store.snapshot().unwrap();
    }
    assert!(store.compact().unwrap().messages_moved > 0);
    store.close().unwrap();
    drop(store);
    let files = sealed_files(&disk);
    let cold = files.iter().find(|file| file.starts_with("/store/cold")).unwrap();
    let len = disk.open(cold).unwrap().len_bytes().unwrap();
    assert!(disk.flip_bit(cold, len - 20, 1));
    for round in 0..2 {
        let store = open(&disk).unwrap();
        // The first compaction reads the segment itself, and moves what lives.
        assert!(round > 0 || !store.check(true).unwrap().is_clean());
        store.compact().unwrap();
        let row = store.mailbox(id, inbox).unwrap().by_uid(Uid(1)).unwrap().unwrap();
        assert!(store.email(&row).unwrap().read_all().unwrap().len() > text.len());
        store.close().unwrap();
    }
    assert!(disk.list(Path::new("/store/quarantine")).unwrap().iter().any(|name| name.ends_with(".seg")));
}

/// The last acknowledged group of an account rots before the log's end is settled. Nobody knows whose it
/// was; what it gave must not be given again.
#[test]
fn numbers_of_a_lost_group_are_not_given_again() {
    let disk = SimDisk::new(1);
    let store = open(&disk).unwrap();
    let ids =
        ["a", "b"].map(|name| store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap());
    let append = |store: &Store, id: AccountId, text: &str| {
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let message = stage(store, text).unwrap();
        let item = AppendItem { message, flags: vec![], internal_date: None };
        store.append(id, inbox, vec![item]).unwrap()
    };
    append(&store, ids[0], "Subject: first\r\n\r\n");
    let lost = append(&store, ids[0], "Subject: lost-lost-lost\r\n\r\n");
    (0..3).for_each(|_| drop(append(&store, ids[1], "Subject: later\r\n\r\n")));
    let hit = sealed_files(&disk).into_iter().any(|file| {
        let opened = disk.open(&file).unwrap();
        let mut bytes = vec![0; opened.len_bytes().unwrap() as usize];
        opened.read_exact_at(&mut bytes, 0).unwrap();
        let at = bytes.windows(9).position(|window| window == b"lost-lost");
        at.is_some_and(|at| disk.flip_bit(&file, at as u64, 0))
    });
    assert!(hit);
    let killed = disk.kill();
    for round in 0..2 {
        let store = open(&killed).unwrap();
        assert!(!store.recovery().damage.is_empty());
        let inbox = store.account(ids[0]).unwrap().mailbox_named("INBOX").unwrap().clone();
        assert!(inbox.header.uid_next.0 > lost.uids.last().unwrap(), "round {round}: a UID comes twice");
        let again = append(&store, ids[0], "Subject: again\r\n\r\n");
        assert!(again.uids.first() > lost.uids.last() && again.modseq > lost.modseq, "round {round}");
        store.close().unwrap();
    }
}

/// A message of which nothing is stored any more, though the mailbox has it, is damaged: nobody is told that it was
/// expunged, and no export passes it over in silence.
#[test]
fn a_message_that_is_nowhere_is_damaged_not_expunged() {
    let disk = SimDisk::new(1);
    let (store, id, texts) = filled(&disk, &mut Rng::new(1));
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().clone();
    for _ in 0..2 {
        store.set_quota(id, None).unwrap();
        store.snapshot().unwrap();
    }
    store.close().unwrap();
    drop(store);
    for file in sealed_files(&disk).iter().filter(|file| !file.starts_with("/store/snapshots")) {
        disk.remove_file(file).unwrap();
    }
    let store = open(&disk).unwrap();
    let mailbox = inbox.header.id;
    let rows: Vec<_> = inbox.rows(&inbox.uids().unwrap()).collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), texts.len());
    for row in &rows {
        let error = store.email(row).err().unwrap();
        let why = store.why_unread(id, mailbox, row, error);
        assert!(matches!(why, Error::Damaged { .. } | Error::Io { .. }), "{why}");
    }
    let (local, mut out) = (engine::attach::Local::new(store.clone()), Vec::new());
    let read = engine::attach::Admin::read(&local, id, mailbox, rows[0].uid, &mut out);
    assert!(matches!(read, Err(Error::Damaged { .. } | Error::Io { .. })), "{read:?}");
    // Of one that the mailbox does not have there is nothing to say.
    let gone = engine::mailbox::Row { uid: Uid(9999), ..rows[0].clone() };
    assert!(matches!(store.why_unread(id, mailbox, &gone, Error::NoSuchMessage), Error::NoSuchMessage));
    store.close().unwrap();
}
