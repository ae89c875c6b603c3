//! MANIFEST and FORMAT that rot or are lost: the copy counts, and where both are lost they are made again from the segments.
//!
//! `MAILCASK_SEED=n cargo test -p engine --test log_rebuild` runs that seed alone.
#![allow(clippy::unwrap_used)]

#[path = "torture/rows.rs"]
#[allow(dead_code)]
mod rows;

use engine::catalog::Catalog;
use engine::log::run::{Covers, RunWriter};
use engine::log::{GroupBuilder, Log, LogOptions, LogWriter, Opened, Room, RunInfo, RunSet, SegmentKind};
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{Rng, SimDisk};
use engine::types::{AccountId, Lsn, MessageNo, Uid};
use engine::work::Work;
use engine::{Store, StoreOptions};
use rows::KeptRows;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";
const FILES: [&str; 4] = ["MANIFEST", "MANIFEST.copy", "FORMAT", "FORMAT.copy"];

fn seeds(n: u64) -> Vec<u64> {
    match std::env::var("MAILCASK_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..n).collect(),
    }
}

fn try_open(disk: &SimDisk) -> engine::Result<Opened> {
    let options = LogOptions { segment_bytes: 16 << 10, body_threshold_bytes: 4_000, reserve_segments: 1 };
    let clock = SimClock::new(1_000_000);
    Log::open(Arc::new(disk.clone()), Arc::new(clock), Path::new(DIR), options)
}

fn open(disk: &SimDisk) -> Opened {
    try_open(disk).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

#[derive(Default)]
struct Written {
    messages: BTreeMap<MessageNo, Vec<u8>>,
    txns: Vec<(Lsn, Vec<u8>)>,
    /// Transactions up to this one were compacted away.
    dead: Lsn,
}

impl Written {
    fn append(&mut self, log: &Log, writer: &mut LogWriter, rng: &mut Rng) {
        let number = MessageNo(self.messages.len() as u64 + 1);
        let len = if rng.one_in(8) { 9_000 } else { 200 + rng.below(2_000) };
        let mut raw = format!("Subject: {number}\r\n\r\n").into_bytes();
        raw.extend((0..len).map(|_| rng.next_u64() as u8));
        let mut stager = log.stager();
        stager.write(&raw).unwrap();
        let mut group = GroupBuilder::new();
        let account = AccountId(rng.below(3) as u32);
        group.push_message(number, &stager.finish().unwrap(), &[account]);
        let payload = format!("transaction {number}").into_bytes();
        group.push_txn(Some(account), &payload);
        let lsn = writer.next_lsn();
        writer.append(lsn, log.durable_lsn(), group, Room::Append).unwrap();
        self.messages.insert(number, raw);
        self.txns.push((lsn, payload));
    }

    /// Moves everything out of the sealed segments; the Relocate may not have come to that.
    fn compact(&mut self, log: &Log, writer: &mut LogWriter, relocates: bool, grace: u64) {
        log.dead_before(log.durable_lsn());
        let mut sealed: Vec<_> = log.segments().into_iter().filter(|s| s.sealed).collect();
        // Where something may be lost, large messages that nothing names keep their segment.
        sealed.retain(|s| log.segment_messages(s.id).is_ok());
        let dead = sealed.iter().map(|s| s.last_lsn).max().unwrap_or_default();
        let ids: Vec<_> = sealed.iter().map(|s| s.id).collect();
        let mut live = BTreeMap::new();
        for id in &ids {
            live.extend(log.segment_messages(*id).unwrap().into_iter().map(|m| (m.message, m.accounts)));
        }
        let live: Vec<_> = live.into_iter().collect();
        if live.is_empty() {
            return;
        }
        let cold = log.write_cold(&live, &ids).unwrap();
        if relocates {
            let mut group = GroupBuilder::new();
            group.push_relocate(&cold, &|_| true);
            writer.append(writer.next_lsn(), log.durable_lsn(), group, Room::Compaction).unwrap();
            let covering = run(log.disk(), log.durable_lsn().0, Covers::Whole, log.epoch() + ids[0].0);
            log.install_runs(RunSet { as_of: log.durable_lsn(), runs: vec![covering] }).unwrap();
            log.drop_segments(&ids, grace).unwrap();
            self.dead = self.dead.max(dead);
        }
    }
}

/// Some lives of a store, the last of which ends in order or is killed.
fn written(seed: u64) -> (SimDisk, Written) {
    let mut rng = Rng::new(seed);
    let mut disk = SimDisk::new(seed);
    let mut written = Written::default();
    for _ in 0..=rng.below(3) {
        let opened = open(&disk);
        assert_eq!(opened.report.damage, []);
        let mut writer = opened.log.writer().unwrap();
        for _ in 0..3 + rng.below(18) {
            written.append(&opened.log, &mut writer, &mut rng);
            if rng.one_in(9) {
                let grace = if rng.one_in(2) { 0 } else { u64::MAX };
                written.compact(&opened.log, &mut writer, !rng.one_in(4), grace);
            }
        }
        if rng.one_in(2) {
            writer.close_clean().unwrap();
        }
        drop(opened);
        disk = disk.kill();
    }
    (disk, written)
}

/// Everything that was acknowledged is there.
fn assert_whole(opened: &Opened, written: &Written, what: &str) {
    let log = &opened.log;
    assert_eq!(opened.report.damage, [], "{what}");
    for (number, raw) in &written.messages {
        let read = log.read(*number).and_then(|m| m.read_all());
        assert!(read.as_ref().is_ok_and(|bytes| bytes == raw), "{what}: message {number}: {:?}", read.err());
    }
    let mut seen = Vec::new();
    let holes = log.replay(written.dead, &mut |txn| {
        seen.push((txn.lsn, txn.payload.to_vec()));
        Ok(())
    });
    assert_eq!(holes.unwrap(), [], "{what}");
    let expected: Vec<_> = written.txns.iter().filter(|(lsn, _)| *lsn > written.dead).cloned().collect();
    assert_eq!(seen, expected, "{what}");
    log.scan_all(true, &mut Work::quiet(), &mut |f| panic!("{what}: {f:?}")).unwrap();
    let newest = written.txns.last().map(|(lsn, _)| *lsn).unwrap_or_default();
    assert!(opened.report.next_lsn > newest, "{what}: {newest} would be given again");
}

/// Loses a file in one way or another.
fn lose(disk: &SimDisk, name: &str, rng: &mut Rng) {
    let file = disk.open(&path(name)).unwrap();
    let len = file.len_bytes().unwrap();
    match rng.below(4) {
        0 => disk.remove_file(&path(name)).unwrap(),
        1 => assert!(disk.flip_bit(&path(name), rng.below(len), rng.below(8) as u8)),
        2 => file.truncate(rng.below(len)).unwrap(),
        _ => file.write_all_at(&vec![0; len as usize], 0).unwrap(),
    }
    // What rots is not back after a restart.
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
}

#[test]
fn one_of_two_copies_that_is_lost_costs_nothing() {
    for seed in seeds(60) {
        let (disk, written) = written(seed);
        let mut rng = Rng::new(seed);
        let store_id = open(&disk.kill()).log.store_id();
        // One of each pair at most.
        let mut lost = Vec::new();
        for pair in FILES.chunks(2) {
            if lost.is_empty() || rng.one_in(2) {
                lost.push(pair[rng.below(2) as usize]);
            }
        }
        lost.iter().for_each(|name| lose(&disk, name, &mut rng));
        let what = format!("seed {seed}, {lost:?}");
        let disk = disk.kill();
        // A flip in FORMAT may be in bytes that mean nothing; a store that was just made may have no copy yet.
        let is_plain = lost.iter().all(|name| name.starts_with("FORMAT") || !disk.exists(&path(name)));
        let opened = open(&disk);
        assert!(!opened.report.mended.is_empty() || is_plain, "{what}");
        assert_eq!(opened.report.rebuilt_manifest, None, "{what}");
        assert_eq!(opened.log.store_id(), store_id, "{what}");
        assert_whole(&opened, &written, &what);
        drop(opened);
        let again = open(&disk.power_cut());
        assert_eq!(again.report.mended, Vec::<String>::new(), "{what}");
        assert_whole(&again, &written, &what);
        drop(again);
        for name in FILES {
            assert!(disk.exists(&path(name)), "{what}: {name}");
        }
    }
}

#[test]
fn a_store_without_any_manifest_is_made_again_from_its_segments() {
    for seed in seeds(150) {
        let (disk, written) = written(seed);
        let mut rng = Rng::new(seed + 1);
        let store_id = open(&disk.kill()).log.store_id();
        let lost = if rng.one_in(2) { &FILES[..2] } else { &FILES[..] };
        lost.iter().for_each(|name| lose(&disk, name, &mut rng));
        let what = format!("seed {seed}, {lost:?}");
        // A foreign file beside.
        let foreign = path("log/5000.seg");
        if !disk.exists(&foreign) {
            let other = SimDisk::new(seed);
            drop(open(&other));
            let name = other.list(&path("log")).unwrap().into_iter().find(|n| n.ends_with(".seg")).unwrap();
            let file = other.open(&path("log").join(name)).unwrap();
            let mut header = [0; 64];
            file.read_exact_at(&mut header, 0).unwrap();
            let file = disk.create(&foreign).unwrap();
            file.write_all_at(&header, 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(&path("log")).unwrap();
        }
        let files = |disk: &SimDisk| -> usize {
            ["log", "cold", "bodies", "quarantine"]
                .iter()
                .map(|folder| {
                    disk.list(&path(folder)).unwrap().iter().filter(|n| n.ends_with(".seg")).count()
                })
                .sum()
        };
        let before = files(&disk);
        // The opening may be interrupted as often as it likes.
        let mut disk = disk.kill();
        for _ in 0..rng.below(3) {
            disk.cut_at_sync_point(rng.below(8));
            drop(try_open(&disk));
            disk = if rng.one_in(2) { disk.kill() } else { disk.power_cut() };
        }
        let opened = open(&disk);
        assert_eq!(opened.log.store_id(), store_id, "{what}");
        assert_whole(&opened, &written, &what);
        assert!(!opened.report.clean, "{what}");
        // What was being written is written anew; nothing else is gone.
        assert!(files(&disk) + 1 >= before, "{what}: {before} files, now {}", files(&disk));
        assert!(disk.exists(&foreign), "{what}");
        // It goes on as if nothing had been.
        let mut again = written;
        let mut writer = opened.log.writer().unwrap();
        for _ in 0..5 {
            again.append(&opened.log, &mut writer, &mut rng);
        }
        again.compact(&opened.log, &mut writer, true, 0);
        drop((opened, writer));
        let opened = open(&disk.power_cut());
        assert_eq!(
            (opened.report.rebuilt_manifest.clone(), opened.report.mended.clone()),
            (None, vec![]),
            "{what}"
        );
        assert_whole(&opened, &again, &what);
    }
}

#[test]
fn a_copy_that_is_one_manifest_behind_names_what_it_did_not_know() {
    for seed in seeds(40) {
        let disk = SimDisk::new(seed);
        let mut rng = Rng::new(seed);
        let mut written = Written::default();
        let opened = open(&disk);
        let mut writer = opened.log.writer().unwrap();
        let sealed =
            |log: &Log| log.segments().iter().filter(|s| s.sealed && s.kind == SegmentKind::Log).count();
        let copy = |disk: &SimDisk| {
            let file = disk.open(&path("MANIFEST.copy")).unwrap();
            let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        let mut old = copy(&disk);
        let until = 1 + rng.below(3) as usize;
        while sealed(&opened.log) < until {
            old = copy(&disk);
            written.append(&opened.log, &mut writer, &mut rng);
        }
        for _ in 0..rng.below(2) {
            written.append(&opened.log, &mut writer, &mut rng);
        }
        if copy(&disk) == old {
            continue;
        }
        drop((opened, writer));
        let disk = disk.kill();
        disk.remove_file(&path("MANIFEST.copy")).unwrap();
        disk.create(&path("MANIFEST.copy")).unwrap().write_all_at(&old, 0).unwrap();
        lose(&disk, "MANIFEST", &mut rng);
        let opened = open(&disk.kill());
        assert_eq!(opened.report.rebuilt_manifest, None, "seed {seed}");
        assert!(!opened.report.mended.is_empty(), "seed {seed}");
        assert_whole(&opened, &written, &format!("seed {seed}"));
    }
}

fn run(disk: &Arc<dyn Disk>, as_of: u64, covers: Covers, generation: u32) -> RunInfo {
    let file = format!("{as_of:016x}-{generation}.run");
    let mut writer = RunWriter::create(disk, &path("snapshots").join(&file), Lsn(as_of), covers).unwrap();
    writer.put(b"key", Lsn(as_of), Some(&as_of.to_le_bytes())).unwrap();
    let finished = writer.finish().unwrap();
    RunInfo { file, as_of_lsn: Lsn(as_of), bytes: finished.bytes, objects: finished.objects }
}

#[test]
fn the_newest_runs_without_a_gap_count_again() {
    let whole = Covers::Whole;
    let since = |lsn| Covers::Since(Lsn(lsn));
    // Runs as (as of, covers), which of them has a bad byte, and those that are found, newest first.
    type Runs<'a> = &'a [(u64, Covers)];
    let cases: [(Runs<'_>, Option<usize>, &[u64]); 7] = [
        (&[(5, since(0)), (9, since(5)), (12, since(9))], None, &[12, 9, 5]),
        (&[(5, whole), (9, since(5))], None, &[9, 5]),
        (&[(5, since(0)), (9, since(5)), (12, since(9))], Some(1), &[5]),
        (&[(5, since(0)), (9, since(5)), (9, since(0)), (12, since(9))], Some(1), &[12, 9]),
        (&[(5, since(0)), (9, whole), (12, since(9))], Some(0), &[12, 9]),
        (&[(5, since(2)), (9, since(5))], None, &[]),
        (&[(9, since(5)), (12, whole)], Some(1), &[]),
    ];
    for (runs, bad, expected) in cases {
        let disk = SimDisk::new(1);
        let log = open(&disk).log;
        let infos: Vec<RunInfo> =
            runs.iter().zip(0..).map(|((as_of, covers), n)| run(log.disk(), *as_of, *covers, n)).collect();
        log.install_runs(RunSet { as_of: Lsn(12), runs: infos.clone() }).unwrap();
        let mut writer = log.writer().unwrap();
        writer.append(Lsn(1), Lsn(0), GroupBuilder::new(), Room::Append).unwrap();
        drop((log, writer));
        let disk = disk.kill();
        if let Some(bad) = bad {
            assert!(disk.flip_bit(&path("snapshots").join(&infos[bad].file), 50, 1));
        }
        disk.remove_file(&path("MANIFEST")).unwrap();
        disk.remove_file(&path("MANIFEST.copy")).unwrap();
        // Something has to be there, or it is no store.
        let Ok(opened) = try_open(&disk) else { panic!("{expected:?}") };
        let found: Vec<u64> = opened.log.manifest_runs().0.runs.iter().map(|r| r.as_of_lsn.0).collect();
        assert_eq!(found, expected);
        let kept =
            disk.list(&path("snapshots")).unwrap().len() + disk.list(&path("quarantine")).unwrap().len();
        assert_eq!(kept, runs.len(), "no run is removed");
    }
}

#[test]
fn a_whole_store_comes_back_without_its_manifests() {
    for seed in seeds(6) {
        let disk = SimDisk::new(seed);
        let mut rng = Rng::new(seed);
        let mut options = StoreOptions::for_tests();
        options.log.segment_bytes = 32 << 10;
        options.log.body_threshold_bytes = 8 << 10;
        options.keep.retention_ms = 0;
        options.keep.grace_ms = 0;
        let clock = Arc::new(SimClock::new(1_700_000_000_000));
        let open = |disk: &SimDisk| {
            Store::open_on(Arc::new(disk.clone()), clock.clone(), Path::new(DIR), options.clone()).unwrap()
        };
        let store = open(&disk);
        let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let mut texts = Vec::new();
        for number in 0..60 {
            let mut text = format!("Subject: {number}\r\n\r\n").into_bytes();
            let len = if rng.one_in(9) { 12_000 } else { rng.below(1_500) };
            text.extend((0..len).map(|_| b'a' + rng.below(26) as u8));
            let mut stager = store.stager();
            stager.write(&text).unwrap();
            let message = stager.finish().unwrap();
            store
                .append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }])
                .unwrap();
            texts.push(text);
            if rng.one_in(12) {
                store.snapshot().unwrap();
            }
            if rng.one_in(15) {
                let change = FlagChange {
                    op: FlagOp::Add,
                    flags: vec!["\\Deleted".to_owned()],
                    unchanged_since: None,
                };
                let uids = (1..=number as u32).step_by(2).collect();
                store.change_flags(id, inbox, &uids, change).unwrap();
                store.expunge(id, inbox, Some(&uids)).unwrap();
                store.compact().unwrap();
            }
        }
        if rng.one_in(2) {
            store.close().unwrap();
        }
        let read = |store: &Store| -> Vec<(u32, u64, Vec<u8>)> {
            let inbox = store.mailbox(id, inbox).unwrap();
            let uids = inbox.uids().unwrap();
            let rows = inbox.rows(&uids).map(|row| row.unwrap());
            rows.map(|row| (row.uid.0, row.modseq.0, store.email(&row).unwrap().read_all().unwrap()))
                .collect()
        };
        let before = read(&store);
        drop(store);
        let disk = disk.kill();
        FILES[..2].iter().for_each(|name| lose(&disk, name, &mut rng));
        let store = open(&disk.kill());
        assert!(store.recovery().manifest_rebuilt.is_some(), "seed {seed}");
        assert_eq!(store.recovery().damage, Vec::<String>::new(), "seed {seed}");
        assert_eq!(store.recovery().read_only_accounts, [], "seed {seed}");
        assert!(read(&store) == before, "seed {seed}");
        for (uid, _, bytes) in &before {
            assert!(*bytes == texts[*uid as usize - 1], "seed {seed}: UID {uid}");
        }
        let report = store.check(true).unwrap();
        assert!(report.is_clean(), "seed {seed}: {:?}", report.findings);
        store.close().unwrap();
    }
}

/// A store whose catalog outlives the process.
fn open_over(disk: &SimDisk, rows: &KeptRows) -> Store {
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    let (disk, rows) = (Arc::new(disk.clone()), rows.clone());
    let catalog = || Ok(Catalog::over(Box::new(rows)));
    Store::open_over(disk, clock, Path::new(DIR), StoreOptions::for_tests(), catalog).unwrap()
}

fn append(store: &Store, text: &str) -> (Uid, MessageNo) {
    let id = store.account_id("a").unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut stager = store.stager();
    stager.write(text.as_bytes()).unwrap();
    let item = AppendItem { message: stager.finish().unwrap(), flags: vec![], internal_date: None };
    let uid = store.append(id, inbox, vec![item]).unwrap().uids.iter().next().map(Uid).unwrap();
    (uid, store.mailbox(id, inbox).unwrap().by_uid(uid).unwrap().unwrap().message)
}

fn new_account(store: &Store, name: &str) -> (AccountId, u32) {
    let id = store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap();
    (id, store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.uid_validity.0)
}

fn lose_manifests(disk: &SimDisk) {
    FILES[..2].iter().for_each(|name| disk.remove_file(&path(name)).unwrap());
    disk.sync_dir(Path::new(DIR)).unwrap();
}

/// With the manifests goes what the newest segment was called. When that is lost too, nothing speaks of its groups.
#[test]
fn an_end_that_nothing_proves_to_be_the_end_makes_counters_jump() {
    let (disk, rows) = (SimDisk::new(1), KeptRows::default());
    let store = open_over(&disk, &rows);
    new_account(&store, "a");
    for n in 0..5 {
        append(&store, &format!("Subject: {n}\r\n\r\n"));
    }
    store.close().unwrap();
    drop(store);
    // Once more, and up to a kill.
    let store = open_over(&disk, &rows);
    let (last, number) = append(&store, "Subject: lost\r\n\r\n");
    let (lost_id, lost_validity) = new_account(&store, "b");
    let (killed, rows) = (disk.kill(), rows.reopened(&disk, None));
    disk.cut_at_operation(disk.operations());
    drop(store.close());
    lose_manifests(&killed);
    let names = killed.list(&path("log")).unwrap();
    let newest = names.iter().filter(|name| name.ends_with(".seg")).max().unwrap();
    killed.remove_file(&path("log").join(newest)).unwrap();
    killed.sync_dir(&path("log")).unwrap();

    // The opening that jumps may be interrupted anywhere, and the power go right after it: no catalog says more then.
    let operations = {
        let disk = killed.kill();
        open_over(&disk, &rows.reopened(&disk, None));
        disk.operations()
    };
    for n in 0..=operations {
        let disk = killed.kill();
        disk.cut_at_operation(n);
        let clock = Arc::new(SimClock::new(1_700_000_000_000));
        let over = rows.reopened(&disk, None);
        let catalog = || Ok(Catalog::over(Box::new(over)));
        let (dir, options) = (Path::new(DIR), StoreOptions::for_tests());
        let first = Store::open_over(Arc::new(disk.clone()), clock, dir, options, catalog);
        let disk = disk.power_cut();
        drop(first);
        let store = open_over(&disk, &KeptRows::default());
        let (uid, message) = append(&store, "Subject: new\r\n\r\n");
        let (id, validity) = new_account(&store, "b");
        assert!(
            uid > last && message > number,
            "operation {n}: UID {uid} after {last}, {message} after {number}"
        );
        assert!(id > lost_id && validity > lost_validity, "operation {n}: {id} {validity}");
        let report = store.check(true).unwrap();
        assert!(report.is_clean(), "operation {n}: {:?}", report.findings);
        store.close().unwrap();
    }
}

#[test]
fn an_end_that_is_proved_by_a_clean_stop_costs_no_numbers() {
    let (disk, rows) = (SimDisk::new(1), KeptRows::default());
    let store = open_over(&disk, &rows);
    new_account(&store, "a");
    let (last, number) = append(&store, "Subject: one\r\n\r\n");
    store.close().unwrap();
    let disk = disk.kill();
    lose_manifests(&disk);
    let store = open_over(&disk, &rows);
    assert!(store.recovery().manifest_rebuilt.is_some());
    assert_eq!(append(&store, "Subject: two\r\n\r\n"), (Uid(last.0 + 1), MessageNo(number.0 + 1)));
    store.close().unwrap();
}
