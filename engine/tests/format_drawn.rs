//! The bytes of the log, as `docs/format.md` draws them: kept in `data/format/drawn/`, written and read here.
//! (`format.rs` keeps a larger store as it was once written.)
//!
//! Laws
//! - A golden file was made from the drawing, field by field, not from what the code writes.
//! - What is written today is those bytes; what was written then is read. A change of either is a new version
//!   beside the old one, never another file.
//! - Where a compressor decides the bytes they are only read.
//!
//! Private structures have their test beside the code: transactions (`txn/op.rs`), objects (`accounts/object.rs`,
//! `mailbox/object/tests.rs`, `txn/checkpoint.rs`, `txn/deliveries.rs`), pages and keys (`catalog/tests.rs`),
//! snapshot runs (`log/run/tests.rs`), a MANIFEST with every list filled (`log/manifest.rs`), summaries
//! (`summary/tests.rs`), the description of a backup (`backup/description.rs`).
#![allow(clippy::unwrap_used)]

use engine::log::{GroupBuilder, Log, LogOptions, LogWriter, Room, StagedMessage};
use engine::ops::{AppendItem, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use engine::types::{AccountId, Lsn, MessageNo, SegmentId, Uid};
use engine::work::Work;
use engine::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";
/// A small message: it lies in the log.
const SMALL: &[u8] = b"A: b\r\n\r\nhi\r\n";
/// One over the threshold of these tests: it has a body segment.
const LARGE: &[u8] = b"A: c\r\n\r\n0123456789abcdefghij";

/// The golden files of a store that was written, with where they lie in it.
const STORE: [(&str, &str); 8] = [
    ("FORMAT", include_str!("data/format/drawn/store-FORMAT.hex")),
    ("FORMAT.copy", include_str!("data/format/drawn/store-FORMAT.hex")),
    ("MANIFEST.copy", include_str!("data/format/drawn/store-MANIFEST-2.hex")),
    ("MANIFEST", include_str!("data/format/drawn/store-MANIFEST-2.hex")),
    ("log/1.seg", include_str!("data/format/drawn/store-log-1.hex")),
    ("bodies/2.seg", include_str!("data/format/drawn/store-body-2.hex")),
    ("log/3.seg", include_str!("data/format/drawn/store-log-3.hex")),
    ("cold/4.seg", include_str!("data/format/drawn/store-cold-4.hex")),
];

/// One whose block and footer are zstd frames.
const COMPRESSED: [(&str, &str); 3] = [
    ("FORMAT", include_str!("data/format/drawn/store-FORMAT.hex")),
    ("MANIFEST", include_str!("data/format/drawn/zstd-MANIFEST.hex")),
    ("log/1.seg", include_str!("data/format/drawn/zstd-log-1.hex")),
];

/// The bytes of a golden file: hex, `#` begins a remark.
fn hex(text: &str) -> Vec<u8> {
    let data = text.lines().flat_map(|line| line.split('#').next());
    data.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn put(disk: &SimDisk, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = Path::new(DIR).join(name);
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        disk.create(&path).unwrap().write_all_at(&hex(text), 0).unwrap();
    }
}

fn bytes_of(disk: &SimDisk, name: &str) -> Vec<u8> {
    let file = disk.open(&Path::new(DIR).join(name)).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn open(disk: &SimDisk, clock: &SimClock) -> (Log, LogWriter) {
    let options = LogOptions { segment_bytes: 4096, body_threshold_bytes: 16, reserve_segments: 0 };
    let disk = Arc::new(disk.clone());
    let opened = Log::open(disk, Arc::new(clock.clone()), Path::new(DIR), options).unwrap();
    assert_eq!(opened.report.damage, []);
    let writer = opened.log.writer().unwrap();
    (opened.log, writer)
}

fn stage(log: &Log, raw: &[u8]) -> StagedMessage {
    let mut stager = log.stager();
    stager.write(raw).unwrap();
    stager.finish().unwrap()
}

/// Two runs of a store: mail comes in, then compaction moves it.
fn write_store(disk: &SimDisk) {
    let clock = SimClock::new(5000);
    let (log, mut writer) = open(disk, &clock);
    let mut group = GroupBuilder::new();
    group.push_message(MessageNo(1), &stage(&log, SMALL), &[AccountId(3), AccountId(4)]);
    group.push_txn(Some(AccountId(3)), b"one");
    group.push_txn(Some(AccountId(3)), b"two");
    group.push_txn(None, b"all");
    writer.append(Lsn(1), Lsn(0), group, Room::Append).unwrap();
    clock.set(6000);
    let mut group = GroupBuilder::new();
    group.push_message(MessageNo(2), &stage(&log, LARGE), &[AccountId(3)]);
    group.push_txn(Some(AccountId(3)), b"three");
    // The clock went backwards: the log's time does not.
    clock.set(4000);
    writer.append(Lsn(2), Lsn(1), group, Room::Append).unwrap();
    writer.close_clean().unwrap();
    drop(log);

    clock.set(7000);
    let (log, mut writer) = open(disk, &clock);
    clock.set(8000);
    let live = [(MessageNo(1), vec![AccountId(3)]), (MessageNo(2), vec![AccountId(3)])];
    let cold = log.write_cold(&live, &[SegmentId(1)]).unwrap();
    let mut group = GroupBuilder::new();
    group.push_relocate(&cold, &|message| message != MessageNo(1));
    writer.append(Lsn(4), Lsn(3), group, Room::Compaction).unwrap();
    writer.close_clean().unwrap();
}

#[test]
fn what_is_written_is_what_is_drawn() {
    let disk = SimDisk::new(1);
    put(&disk, &STORE[..1]);
    write_store(&disk);
    for (name, text) in STORE {
        let (found, drawn) = (bytes_of(&disk, name), hex(text));
        let at = found.iter().zip(&drawn).position(|(a, b)| a != b);
        assert!(found == drawn, "{name}: {} bytes, drawn {}, other from {at:?}", found.len(), drawn.len());
    }
    // Nothing else is in those folders: every file of a log is drawn.
    for folder in ["log", "bodies", "cold"] {
        for name in disk.list(&Path::new(DIR).join(folder)).unwrap() {
            let name = format!("{folder}/{name}");
            assert!(STORE.iter().any(|(drawn, _)| *drawn == name), "{name} is not drawn");
        }
    }
}

#[test]
fn what_is_drawn_is_read() {
    let disk = SimDisk::new(1);
    put(&disk, &STORE);
    let (log, _writer) = open(&disk, &SimClock::new(9000));
    let mut txns = Vec::new();
    let holes = log.replay(Lsn(0), &mut |txn| {
        txns.push((txn.lsn.0, txn.time_ms, txn.account.map(|a| a.0), txn.payload.to_vec()));
        Ok(())
    });
    assert_eq!(holes.unwrap(), []);
    let drawn = [
        (1, 5000, Some(3), b"one".to_vec()),
        (1, 5000, Some(3), b"two".to_vec()),
        (1, 5000, None, b"all".to_vec()),
        (2, 5000, Some(3), b"three".to_vec()),
    ];
    assert_eq!(txns, drawn);
    for (message, raw) in [(MessageNo(1), SMALL), (MessageNo(2), LARGE)] {
        let stored = log.read(message).unwrap();
        stored.verify().unwrap();
        assert_eq!((stored.read_all().unwrap(), stored.header_len_bytes()), (raw.to_vec(), 8));
    }
    let mut findings = Vec::new();
    log.scan_all(true, &mut Work::quiet(), &mut |finding| findings.push(finding)).unwrap();
    assert_eq!(findings, []);
}

#[test]
fn compressed_blocks_and_footers_are_read() {
    let disk = SimDisk::new(1);
    put(&disk, &COMPRESSED);
    let (log, _writer) = open(&disk, &SimClock::new(9000));
    let stored = log.read(MessageNo(1)).unwrap();
    stored.verify().unwrap();
    assert_eq!(stored.read_all().unwrap(), [&b"A: d\r\n\r\n"[..], &[b'x'; 100]].concat());
    assert_eq!(stored.read_range(50..60).unwrap(), [b'x'; 10]);
}

/// Root reference `<root@x>`.
const ROOT_THREAD: [u8; 8] = [0xd4, 0x1c, 0xaa, 0x76, 0x50, 0x66, 0x4e, 0xf3];
/// No root reference: the digest of `SMALL`.
const DIGEST_THREAD: [u8; 8] = [0x99, 0x5b, 0x75, 0xba, 0x79, 0xd8, 0x95, 0x87];

/// A ThreadId is a keyed hash: the key comes of the store id, the text is the root reference or the digest. The values are those
/// of another implementation of BLAKE3.
#[test]
fn thread_ids_are_those_that_are_drawn() {
    let disk = SimDisk::new(1);
    put(&disk, &STORE[..1]);
    let clock = Arc::new(SimClock::new(5000));
    let options = StoreOptions::for_tests();
    let store = Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options).unwrap();
    let account = store.create_account(&NewAccount { name: "me", ..NewAccount::default() }).unwrap();
    let inbox = store.account(account).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let item = |raw: &[u8]| {
        let mut stager = store.stager();
        stager.write(raw).unwrap();
        AppendItem { message: stager.finish().unwrap(), flags: Vec::new(), internal_date: None }
    };
    let items = vec![item(b"References: <root@x> <b@x>\r\nMessage-ID: <c@x>\r\n\r\n"), item(SMALL)];
    store.append(account, inbox, items).unwrap();
    let mailbox = store.mailbox(account, inbox).unwrap();
    let thread = |uid| mailbox.by_uid(Uid(uid)).unwrap().unwrap().thread.0.to_le_bytes();
    assert_eq!(thread(1), ROOT_THREAD);
    assert_eq!(thread(2), DIGEST_THREAD);
    store.close().unwrap();
}
