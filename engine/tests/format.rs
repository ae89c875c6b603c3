//! The bytes on disk do not move: a store written now equals the golden one, and the golden ones are read.
//!
//! `tests/data/format/store-2` is compared byte for byte; `tests/data/format/zstd` (whose frames another zstd may write
//! differently) is only read. A change of the format adds a folder and keeps these. `BLESS=1` writes folders that
//! do not exist yet.
#![allow(clippy::unwrap_used)]

use engine::log::{GroupBuilder, Log, LogOptions, LogWriter, Opened, Room};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{Rng, SimDisk};
use engine::types::{AccountId, Lsn, MessageNo};
use engine::work::Work;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";
const STORE_ID: [u8; 16] = *b"mailcask-format1";
const FOLDERS: [&str; 4] = ["", "log", "bodies", "cold"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format").join(name)
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: 2_048, body_threshold_bytes: 4_096, reserve_segments: 0 }
}

fn open(disk: &SimDisk) -> Opened {
    let clock = SimClock::new(1_700_000_000_000);
    Log::open(Arc::new(disk.clone()), Arc::new(clock), Path::new(DIR), options()).unwrap()
}

fn write_file(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let file = disk.create(&Path::new(DIR).join(name)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
}

/// FORMAT as `docs/format.md` draws it.
fn format_file() -> Vec<u8> {
    let mut bytes = b"MAILCASK".to_vec();
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(&1u64.to_le_bytes());
    bytes.extend_from_slice(&STORE_ID);
    bytes.extend_from_slice(&1_600_000_000_000u64.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn append(log: &Log, writer: &mut LogWriter, group: GroupBuilder) {
    writer.append(writer.next_lsn(), log.durable_lsn(), group, Room::Append).unwrap();
}

fn push(log: &Log, group: &mut GroupBuilder, message: u64, raw: &[u8], accounts: &[AccountId]) {
    let mut stager = log.stager();
    stager.write(raw).unwrap();
    group.push_message(MessageNo(message), &stager.finish().unwrap(), accounts);
}

/// What the golden store holds. Message 3 is large; none compresses.
fn mails() -> Vec<(MessageNo, Vec<u8>)> {
    let mut rng = Rng::new(1);
    let mut noise = |len: usize| (0..len).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>();
    [("A: 1\r\n\r\n", 40), ("B: 2\r\n\r\n", 900), ("C: 3\r\n\r\n", 5_000), ("D: 4\r\n\r\n", 700)]
        .into_iter()
        .zip(1..)
        .map(|((header, len), no)| (MessageNo(no), [header.as_bytes(), &noise(len)].concat()))
        .collect()
}

/// Every kind of record, file and state: groups, a marker, a roll, a body, a cold segment with its Relocate.
fn write_store() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    write_file(&disk, "FORMAT", &format_file());
    let log = open(&disk).log;
    let mut writer = log.writer().unwrap();
    let mails = mails();
    for (i, (message, raw)) in mails.iter().enumerate() {
        let mut group = GroupBuilder::new();
        push(&log, &mut group, message.0, raw, &[AccountId(1), AccountId(300)]);
        group.push_txn(Some(AccountId(1)), format!("append {message}").as_bytes());
        if i == 1 {
            group.push_txn(Some(AccountId(1)), b"twice in one group");
            group.push_txn(None, b"the store's own");
        }
        append(&log, &mut writer, group);
    }
    append(&log, &mut writer, GroupBuilder::new());
    let live =
        [(MessageNo(3), vec![AccountId(1)]), (MessageNo(1), vec![]), (MessageNo(2), vec![AccountId(9)])];
    let cold = log.write_cold(&live, &[]).unwrap();
    let mut group = GroupBuilder::new();
    group.push_relocate(&cold, &|m| m != MessageNo(2));
    append(&log, &mut writer, group);
    log.drop_segments(&[], 0).unwrap();
    writer.close_clean().unwrap();
    disk
}

fn files_of(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        for name in disk.list(&Path::new(DIR).join(folder)).unwrap() {
            let path = Path::new(folder).join(&name);
            let Ok(file) = disk.open(&Path::new(DIR).join(&path)) else { continue };
            let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            files.insert(path.to_str().unwrap().to_owned(), bytes);
        }
    }
    files
}

fn golden_files(name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(golden(name).join(folder)) else { continue };
        for entry in entries.map(|e| e.unwrap()).filter(|e| e.path().is_file()) {
            let path = Path::new(folder).join(entry.file_name());
            files.insert(path.to_str().unwrap().to_owned(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn bless(name: &str, disk: &SimDisk) {
    if std::env::var_os("BLESS").is_none() || golden(name).exists() {
        return;
    }
    for (path, bytes) in files_of(disk) {
        let path = golden(name).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn disk_of(files: &BTreeMap<String, Vec<u8>>) -> SimDisk {
    let disk = SimDisk::new(2);
    for folder in FOLDERS {
        disk.create_dir_all(&Path::new(DIR).join(folder)).unwrap();
    }
    for (name, bytes) in files {
        write_file(&disk, name, bytes);
    }
    disk
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn a_store_written_now_has_the_golden_bytes() {
    let disk = write_store();
    bless("store-2", &disk);
    let (now, golden) = (files_of(&disk), golden_files("store-2"));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&now), names(&golden));
    for (name, bytes) in &now {
        let differs = bytes.iter().zip(&golden[name]).position(|(a, b)| a != b);
        assert!(
            *bytes == golden[name],
            "{name} differs at {differs:?}; a format that changed needs a new version"
        );
    }
}

#[test]
fn the_golden_stores_are_read() {
    // The first has a MANIFEST of version 1.
    for name in ["store", "store-2"] {
        is_read(name);
    }
}

fn is_read(name: &str) {
    let opened = open(&disk_of(&golden_files(name)));
    assert!(opened.report.clean && opened.report.damage.is_empty(), "{:?}", opened.report);
    assert_eq!((opened.log.store_id(), opened.report.last_lsn), (STORE_ID, Lsn(7)));
    for (message, raw) in mails() {
        let stored = opened.log.read(message).unwrap();
        assert_eq!(stored.header_len_bytes(), 8);
        assert_eq!(stored.read_all().unwrap(), raw, "{message}");
        stored.verify().unwrap();
    }
    let mut txns = Vec::new();
    let holes = opened.log.replay(Lsn(0), &mut |txn| {
        txns.push((txn.lsn.0, txn.time_ms, String::from_utf8_lossy(txn.payload).into_owned()));
        Ok(())
    });
    assert_eq!(holes.unwrap(), []);
    let expected = [
        (1, "append 1"),
        (2, "append 2"),
        (2, "twice in one group"),
        (2, "the store's own"),
        (3, "append 3"),
        (4, "append 4"),
    ];
    assert_eq!(txns, expected.map(|(lsn, text)| (lsn, 1_700_000_000_000, text.to_owned())));
    opened.log.scan_all(true, &mut Work::quiet(), &mut |f| panic!("{f:?}")).unwrap();
}

#[test]
fn compressed_blocks_of_the_golden_store_are_read() {
    let raw = [b"Subject: compressed\r\n\r\n".to_vec(), b"the same line again\r\n".repeat(150)].concat();
    let disk = SimDisk::new(1);
    let log = open(&disk).log;
    let mut writer = log.writer().unwrap();
    let mut group = GroupBuilder::new();
    push(&log, &mut group, 1, &raw, &[AccountId(1)]);
    group.push_txn(Some(AccountId(1)), b"append");
    assert!(group.len_bytes() < 600, "it compresses");
    append(&log, &mut writer, group);
    writer.close_clean().unwrap();
    bless("zstd", &disk);
    let opened = open(&disk_of(&golden_files("zstd")));
    let stored = opened.log.read(MessageNo(1)).unwrap();
    assert_eq!(stored.read_all().unwrap(), raw);
    assert_eq!(stored.read_range(1_000..1_010).unwrap(), raw[1_000..1_010]);
}

/// The tables of `docs/format.md`, read by hand.
#[test]
fn the_golden_bytes_are_where_the_document_draws_them() {
    let files = golden_files("store");
    let (_, segment) = files.iter().find(|(name, _)| name.starts_with("log/")).unwrap();
    assert_eq!((&segment[..8], segment[8], segment[9]), (b"MCSEGMNT".as_slice(), 1, 1));
    assert_eq!((&segment[16..32], u32_at(segment, 32)), (STORE_ID.as_slice(), 1));
    assert_eq!(u32_at(segment, 60), crc32fast::hash(&segment[..60]));

    let group = &segment[64..];
    assert_eq!((&group[..4], group[4], &group[8..24]), (b"MCGR".as_slice(), 1, STORE_ID.as_slice()));
    assert_eq!((u32_at(group, 28), u32_at(group, 32)), (u32_at(segment, 12), 64));
    assert_eq!((u64_at(group, 40), u64_at(group, 48), u64_at(group, 56)), (1, 0, 0));
    assert_eq!((u64_at(group, 64), u32_at(group, 72)), (1_700_000_000_000, 2));
    assert_eq!(u32_at(group, 84), crc32fast::hash(&group[..84]));

    let record = &group[88..];
    let len = u32_at(record, 4) as usize;
    let (accounts, blocks) = (2, 2);
    let covered = 72 + 4 * accounts + 12 * blocks;
    assert_eq!((record[0], record[1], len), (1, 1, covered + 48));
    assert_eq!(u32_at(record, 8), crc32fast::hash(&[&record[..8], &record[12..covered]].concat()));
    assert_eq!((u64_at(record, 12), u64_at(record, 20)), (1, 48));
    assert_eq!(record[28..60], *blake3::hash(&mails()[0].1).as_bytes());
    assert_eq!((u32_at(record, 60), u32_at(record, 64), u32_at(record, 68)), (8, 2, 2));
    assert_eq!((u32_at(record, 72), u32_at(record, 76)), (1, 300));
    assert_eq!((u32_at(record, 80), u32_at(record, 84)), (8, 8));
    assert_eq!(&record[covered..covered + 8], b"A: 1\r\n\r\n");

    let txn = &record[len..];
    assert_eq!((txn[1], u32_at(txn, 4), u32_at(txn, 12), u64_at(txn, 16)), (2, 32, 1, 0));
    assert_eq!(&txn[24..32], b"append 1");
    let crcs = [&record[8..12], &txn[8..12]].concat();
    assert_eq!(u32_at(group, 76), crc32fast::hash(&crcs));

    let trailer = &segment[segment.len() - 96..];
    assert_eq!((&trailer[..4], trailer[4]), (b"MCFT".as_slice(), 1));
    assert_eq!((u64_at(trailer, 48), u64_at(trailer, 64)), (1, 0));
    assert_eq!(u32_at(trailer, 92), crc32fast::hash(&trailer[..92]));
    let (at, stored_len) = (u32_at(trailer, 28) as usize, u32_at(trailer, 32) as usize);
    assert_eq!(u32_at(trailer, 40), crc32fast::hash(&segment[at..at + stored_len]));

    let manifest = &files["MANIFEST"];
    assert_eq!(&manifest[..8], b"MCMANIF1");
    assert_eq!(u32_at(manifest, 12), crc32fast::hash(&manifest[16..]));
    assert_eq!((&manifest[16..32], u32_at(manifest, 32), manifest[36]), (STORE_ID.as_slice(), 1, 1));
}
