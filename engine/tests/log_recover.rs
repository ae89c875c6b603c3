//! Power lost at every sync point of a seeded run, on the simulated disk: what `append` acknowledged is there, wholly;
//! what it did not is there wholly or not at all.
//!
//! A failing run names its seed and sync point; `MAILCASK_SEED=n cargo test -p engine --test log_recover` runs that seed alone.
#![allow(clippy::unwrap_used)]

use engine::Error;
use engine::log::{GroupBuilder, Log, LogOptions, LogWriter, Opened, Room, StagedMessage};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{FaultKind, Rng, SimDisk};
use engine::types::{AccountId, Lsn, MessageNo};
use engine::work::Work;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";

fn options() -> LogOptions {
    LogOptions { segment_bytes: 24 * 1024, body_threshold_bytes: 4 * 1024, reserve_segments: 2 }
}

fn seeds(n: u64) -> Vec<u64> {
    match std::env::var("MAILCASK_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..n).collect(),
    }
}

fn open_with(disk: &SimDisk, clock: &SimClock) -> engine::Result<Opened> {
    Log::open(Arc::new(disk.clone()), Arc::new(clock.clone()), Path::new(DIR), options())
}

fn open(disk: &SimDisk) -> engine::Result<Opened> {
    open_with(disk, &SimClock::new(1_000_000))
}

fn stage(log: &Log, raw: &[u8]) -> engine::Result<StagedMessage> {
    let mut stager = log.stager();
    for piece in raw.chunks(1_500) {
        stager.write(piece)?;
    }
    stager.finish()
}

/// Mail of a random size, now and then past the threshold; half of it does not compress.
fn mail(rng: &mut Rng) -> Vec<u8> {
    let len = if rng.one_in(8) { 4_000 + rng.below(9_000) } else { rng.below(1_500) };
    let mut raw = format!("Subject: {}\r\n\r\n", rng.next_u64()).into_bytes();
    let noise = rng.one_in(2);
    raw.extend((0..len).map(|i| if noise { rng.next_u64() as u8 } else { (i % 7) as u8 + b'a' }));
    raw
}

/// What one group held.
#[derive(Debug, Clone)]
struct Sent {
    lsn: Lsn,
    txns: Vec<Vec<u8>>,
    messages: Vec<(MessageNo, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Run {
    acknowledged: Vec<Sent>,
    /// Answered with an error, or not at all, since the last open.
    in_doubt: Option<Sent>,
    next_message: u64,
}

impl Run {
    /// Appends one random group.
    fn step(&mut self, log: &Log, writer: &mut LogWriter, rng: &mut Rng) -> engine::Result<()> {
        let mut group = GroupBuilder::new();
        let lsn = writer.next_lsn();
        let mut sent = Sent { lsn, txns: Vec::new(), messages: Vec::new() };
        if !rng.one_in(10) {
            for _ in 0..rng.below(3) {
                let raw = mail(rng);
                let staged = stage(log, &raw)?;
                self.next_message += 1;
                let message = MessageNo(self.next_message);
                group.push_message(message, &staged, &[AccountId(rng.below(5) as u32)]);
                sent.messages.push((message, raw));
            }
            for i in 0..=rng.below(2) {
                let account = (!rng.one_in(4)).then(|| AccountId(rng.below(5) as u32));
                let payload = format!("{lsn}/{i} {}", "x".repeat(rng.below(300) as usize)).into_bytes();
                group.push_txn(account, &payload);
                sent.txns.push(payload);
            }
        }
        self.in_doubt = Some(sent);
        writer.append(lsn, Lsn(lsn.0 - 1).min(log.durable_lsn()), group, Room::Append)?;
        self.acknowledged.extend(self.in_doubt.take());
        Ok(())
    }

    /// Compares a reopened log with what is known; a group in doubt is settled by what is found.
    fn settle(&mut self, opened: &Opened, what: &str) {
        let log = &opened.log;
        assert_eq!(opened.report.damage, [], "{what}");
        let mut found: BTreeMap<Lsn, Vec<Vec<u8>>> = BTreeMap::new();
        let holes = log
            .replay(Lsn(0), &mut |txn| {
                found.entry(txn.lsn).or_default().push(txn.payload.to_vec());
                Ok(())
            })
            .unwrap();
        assert_eq!(holes, [], "{what}");
        if let Some(sent) = self.in_doubt.take() {
            let txns = found.get(&sent.lsn).cloned().unwrap_or_default();
            let whole = opened.report.last_lsn >= sent.lsn;
            assert!(txns == sent.txns || (!whole && txns.is_empty()), "{what}: half of {}", sent.lsn);
            if whole {
                self.acknowledged.push(sent);
            } else {
                for (message, _) in &sent.messages {
                    assert!(!log.contains(*message), "{what}: {message} of a group that is not there");
                }
            }
        }
        let expected: BTreeMap<Lsn, Vec<Vec<u8>>> = self
            .acknowledged
            .iter()
            .filter(|s| !s.txns.is_empty())
            .map(|s| (s.lsn, s.txns.clone()))
            .collect();
        assert_eq!(found, expected, "{what}");
        for (message, raw) in self.acknowledged.iter().flat_map(|s| &s.messages) {
            let stored = log.read(*message).unwrap_or_else(|e| panic!("{what}: {message}: {e}"));
            assert!(stored.read_all().unwrap() == *raw, "{what}: {message}");
            stored.verify().unwrap();
        }
        let last = self.acknowledged.last().map_or(Lsn(0), |s| s.lsn);
        assert!(opened.report.next_lsn > last, "{what}: {last} would be given again");
        log.scan_all(true, &mut Work::quiet(), &mut |f| panic!("{what}: {f:?}")).unwrap();
    }

    /// A generation: opens, settles, appends until the disk fails or `groups` are done.
    fn generation(&mut self, disk: &SimDisk, rng: &mut Rng, groups: u64, what: &str) {
        let Ok(opened) = open(disk) else { return };
        if disk.is_off() {
            // It went while the reserve was filled, which an open does without.
            return;
        }
        self.settle(&opened, what);
        let mut writer = opened.log.writer().unwrap();
        for _ in 0..groups {
            if self.step(&opened.log, &mut writer, rng).is_err() {
                return;
            }
        }
        if rng.one_in(2) {
            // A clean stop may be cut as well.
            let _ = writer.close_clean();
        }
    }
}

#[test]
fn power_lost_at_every_sync_point_loses_nothing_acknowledged() {
    for seed in seeds(6) {
        let points = {
            let disk = SimDisk::new(seed);
            Run::default().generation(&disk, &mut Rng::new(seed), 40, "counting");
            disk.sync_points()
        };
        assert!(points > 50, "{points} sync points");
        for point in 0..points {
            let mut run = Run::default();
            let mut disk = SimDisk::new(seed);
            let mut rng = Rng::new(seed);
            disk.cut_at_sync_point(point);
            run.generation(&disk, &mut rng, 40, &format!("seed {seed}, point {point}"));
            // Twice more, cut early: during recovery itself, or soon after.
            for again in 0..2 {
                disk = if rng.one_in(4) { disk.kill() } else { disk.power_cut() };
                disk.cut_at_sync_point(rng.below(16));
                run.generation(&disk, &mut rng, 10, &format!("seed {seed}, point {point}, again {again}"));
            }
            let disk = disk.power_cut();
            let opened = open(&disk).unwrap();
            run.settle(&opened, &format!("seed {seed}, point {point}, at the end"));
        }
    }
}

#[test]
fn an_lsn_is_never_given_twice_and_the_epoch_rises_with_a_cut_tail() {
    let mut cuts = 0;
    for seed in seeds(60) {
        let disk = SimDisk::new(seed);
        let mut rng = Rng::new(seed);
        let mut run = Run::default();
        let opened = open(&disk).unwrap();
        let mut writer = opened.log.writer().unwrap();
        for _ in 0..5 {
            run.step(&opened.log, &mut writer, &mut rng).unwrap();
        }
        disk.cut_at_sync_point(disk.sync_points());
        let lost = loop {
            // A body may be refused first; the group then was never written.
            if run.step(&opened.log, &mut writer, &mut rng).is_err() {
                break writer.next_lsn();
            }
        };
        let disk = disk.power_cut();
        let again = open(&disk).unwrap();
        if again.report.cut_tail_bytes > 0 {
            cuts += 1;
            assert_eq!(again.report.epoch, opened.report.epoch + 1, "seed {seed}");
            assert!(!again.report.quarantined.is_empty() && !again.report.clean, "seed {seed}");
            for path in &again.report.quarantined {
                assert!(disk.exists(path), "seed {seed}: {}", path.display());
            }
            assert!(again.report.next_lsn >= lost, "seed {seed}");
        } else {
            assert_eq!(again.report.epoch, opened.report.epoch, "seed {seed}");
        }
        run.settle(&again, &format!("seed {seed}"));
    }
    assert!(cuts > 5 || std::env::var("MAILCASK_SEED").is_ok(), "{cuts} tails were cut");
}

/// Some groups of one message each, then power off without a clean stop. Gives the disk and the name of the segment.
fn some_groups(seed: u64, groups: u64) -> (SimDisk, Run, String) {
    let disk = SimDisk::new(seed);
    let opened = open(&disk).unwrap();
    let mut writer = opened.log.writer().unwrap();
    let mut run = Run::default();
    for i in 1..=groups {
        let raw = format!("Subject: {i}\r\n\r\n{}", "body ".repeat(20)).into_bytes();
        let staged = stage(&opened.log, &raw).unwrap();
        let mut group = GroupBuilder::new();
        group.push_message(MessageNo(i), &staged, &[AccountId(i as u32)]);
        group.push_txn(Some(AccountId(i as u32)), format!("txn {i}").as_bytes());
        writer.append(Lsn(i), Lsn(i - 1), group, Room::Append).unwrap();
        run.acknowledged.push(Sent { lsn: Lsn(i), txns: vec![], messages: vec![(MessageNo(i), raw)] });
    }
    let names = disk.list(&Path::new(DIR).join("log")).unwrap();
    let segment = names.into_iter().rfind(|n| n.ends_with(".seg")).unwrap();
    (disk.kill(), run, format!("{DIR}/log/{segment}"))
}

/// Where each group of a segment begins.
fn group_offsets(disk: &SimDisk, path: &str) -> Vec<u64> {
    let file = disk.open(Path::new(path)).unwrap();
    let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    (0..bytes.len() - 4).step_by(8).filter(|i| &bytes[*i..i + 4] == b"MCGR").map(|i| i as u64).collect()
}

#[test]
fn a_flipped_bit_in_an_acknowledged_group_is_damage_wherever_it_strikes() {
    let (disk, _, path) = some_groups(3, 6);
    let offsets = group_offsets(&disk, &path);
    assert_eq!(offsets.len(), 6);
    let (mut nothing, mut transactions, mut messages) = (0, 0, 0);
    for at in (offsets[2]..offsets[3]).step_by(3) {
        let disk = disk.kill();
        assert!(disk.flip_bit(Path::new(&path), at, 2));
        let opened = open(&disk).unwrap();
        let (log, report) = (&opened.log, &opened.report);
        assert_eq!(report.cut_tail_bytes, 0, "byte {at}");
        assert_eq!(report.last_lsn, Lsn(6), "byte {at}: what follows damage is still read");
        for other in [1, 2, 4, 5, 6] {
            log.read(MessageNo(other)).unwrap().verify().unwrap();
        }
        let mut seen = Vec::new();
        let replay = |seen: &mut Vec<u64>| {
            log.replay(Lsn(0), &mut |txn| {
                seen.push(txn.lsn.0);
                Ok(())
            })
        };
        assert_eq!(replay(&mut seen).unwrap(), [], "byte {at}: what is left was written anew");
        match report.damage.as_slice() {
            // The header, which is made up from what is around it, or padding.
            [] => {
                nothing += 1;
                assert_eq!(seen, [1, 2, 3, 4, 5, 6], "byte {at}");
                log.read(MessageNo(3)).unwrap().verify().unwrap();
            }
            // Whose it was nobody says; whose it was not, those do who came later.
            [d] if d.is_hole() => {
                transactions += 1;
                assert_eq!((d.first_lsn, d.last_lsn), (Lsn(3), Lsn(3)));
                assert_eq!(seen, [1, 2, 4, 5, 6], "byte {at}");
                assert!(d.may_have_hit(AccountId(3)) && !d.may_have_hit(AccountId(5)), "byte {at}");
                log.read(MessageNo(3)).unwrap().verify().unwrap();
                assert_eq!(log.strays(d).unwrap()[0].message, MessageNo(3));
            }
            [d] => {
                messages += 1;
                assert_eq!(d.messages.len(), 1, "byte {at}");
                assert_eq!(seen, [1, 2, 3, 4, 5, 6], "byte {at}");
                assert!(log.read(MessageNo(3)).and_then(|m| m.read_all()).is_err(), "byte {at}");
            }
            more => panic!("byte {at}: {more:?}"),
        }
        let is_hurt = !report.damage.is_empty();
        assert!(!is_hurt || report.quarantined.len() == 1 || seen.len() == 6, "byte {at}");
        // It is reported until repaired, and a second open changes nothing.
        let damage = report.damage.clone();
        drop(opened);
        let again = open(&disk.kill()).unwrap();
        assert_eq!((again.report.damage, again.report.last_lsn), (damage, Lsn(6)), "byte {at}");
        again.log.clear_damage().unwrap();
        assert_eq!(again.log.damage(), []);
    }
    assert!(nothing > 20 && transactions > 8 && messages > 30, "{nothing}, {transactions}, {messages}");
}

#[test]
fn a_flipped_bit_in_the_last_group_is_a_tail_until_a_marker_covers_it() {
    for marker in [false, true] {
        let (disk, run, path) = some_groups(4, 3);
        let disk = if marker {
            let opened = open(&disk).unwrap();
            let mut writer = opened.log.writer().unwrap();
            let raw = b"Subject: last\r\n\r\n".to_vec();
            let staged = stage(&opened.log, &raw).unwrap();
            for lsn in [4, 5] {
                let mut group = GroupBuilder::new();
                if lsn == 4 {
                    group.push_message(MessageNo(4), &staged, &[AccountId(4)]);
                    group.push_txn(Some(AccountId(4)), b"last");
                }
                writer.append(Lsn(lsn), Lsn(lsn - 1), group, Room::Shrink).unwrap();
            }
            disk.kill()
        } else {
            disk
        };
        let names = disk.list(&Path::new(DIR).join("log")).unwrap();
        let newest = names.iter().filter_map(|n| n.strip_suffix(".seg")?.parse::<u32>().ok()).max().unwrap();
        let path = if marker { format!("{DIR}/log/{newest}.seg") } else { path };
        let offsets = group_offsets(&disk, &path);
        let victim = if marker { offsets[1] } else { offsets[2] };
        // The last byte of the transaction.
        let last = if marker { victim - 8 + 2 } else { victim + 100 };
        disk.flip_bit(Path::new(&path), last, 1);
        let opened = open(&disk).unwrap();
        if marker {
            assert_eq!(opened.report.damage.len(), 1);
            assert_eq!((opened.report.damage[0].first_lsn, opened.report.last_lsn), (Lsn(4), Lsn(5)));
        } else {
            assert_eq!(opened.report.damage, []);
            assert!(opened.report.cut_tail_bytes > 0);
            assert_eq!((opened.report.last_lsn, opened.report.next_lsn), (Lsn(2), Lsn(4)));
        }
        for (message, raw) in run.acknowledged.iter().take(2).flat_map(|s| &s.messages) {
            assert_eq!(opened.log.read(*message).unwrap().read_all().unwrap(), *raw);
        }
    }
}

#[test]
fn a_lost_group_of_a_sealed_segment_names_whom_it_hit() {
    let (disk, _, _) = some_groups(5, 6);
    drop(open(&disk).unwrap());
    let disk = disk.kill();
    let sealed = format!("{DIR}/log/{}", disk.list(&Path::new(DIR).join("log")).unwrap()[0]);
    let offsets = group_offsets(&disk, &sealed);
    // In its transaction: the last record of a group.
    disk.flip_bit(Path::new(&sealed), offsets[4] - 10, 0);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.report.damage, [], "a sealed segment is not read whole at open");
    let mut seen = Vec::new();
    let holes = opened
        .log
        .replay(Lsn(1), &mut |txn| {
            seen.push(txn.lsn.0);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, [2, 3, 5, 6]);
    assert_eq!(holes.len(), 1);
    assert_eq!((holes[0].first_lsn, holes[0].last_lsn), (Lsn(4), Lsn(4)));
    assert_eq!((holes[0].accounts.clone(), holes[0].messages.clone()), (vec![AccountId(4)], vec![]));
    opened.log.read(MessageNo(4)).unwrap().verify().unwrap();
    opened.log.report_damage(&holes).unwrap();
    let mut findings = 0;
    opened.log.scan_all(false, &mut Work::quiet(), &mut |_| findings += 1).unwrap();
    assert!(findings > 0);
    drop(opened);
    assert_eq!(open(&disk.kill()).unwrap().report.damage, holes);
}

#[test]
fn a_lost_footer_is_read_from_the_content() {
    let (disk, run, _) = some_groups(6, 6);
    drop(open(&disk).unwrap());
    let disk = disk.kill();
    let sealed = format!("{DIR}/log/{}", disk.list(&Path::new(DIR).join("log")).unwrap()[0]);
    let len = disk.open(Path::new(&sealed)).unwrap().len_bytes().unwrap();
    disk.flip_bit(Path::new(&sealed), len - 20, 0);
    let opened = open(&disk).unwrap();
    for (message, raw) in run.acknowledged.iter().flat_map(|s| &s.messages) {
        assert_eq!(opened.log.read(*message).unwrap().read_all().unwrap(), *raw);
    }
    let mut txns = 0;
    assert_eq!(
        opened
            .log
            .replay(Lsn(0), &mut |_| {
                txns += 1;
                Ok(())
            })
            .unwrap(),
        []
    );
    assert_eq!(txns, 6);
}

/// The power goes at each operation around a roll. Where the segment has its footer, whatever the manifest knows of it, its
/// last group was durable: when it rots that is damage, not a torn end.
#[test]
fn a_footer_proves_the_last_group_of_a_segment_that_the_manifest_takes_for_open() {
    let mut proved = 0;
    for after in 0..30 {
        let disk = SimDisk::new(1);
        let log = open(&disk).unwrap().log;
        let mut writer = log.writer().unwrap();
        for lsn in 1..=4 {
            if lsn == 4 {
                log.roll_at_next_group();
                disk.cut_at_operation(disk.operations() + after);
            }
            let mut group = GroupBuilder::new();
            group.push_txn(Some(AccountId(lsn as u32)), b"txn");
            let appended = writer.append(Lsn(lsn), Lsn(lsn - 1), group, Room::Append);
            assert!(lsn == 4 || appended.is_ok());
        }
        let disk = disk.kill();
        let first = disk.list(&Path::new(DIR).join("log")).unwrap().into_iter().min().unwrap();
        let first = format!("{DIR}/log/{first}");
        let file = disk.open(Path::new(&first)).unwrap();
        let mut magic = [0; 4];
        file.read_exact_at(&mut magic, file.len_bytes().unwrap() - 96).unwrap();
        if &magic != b"MCFT" {
            continue;
        }
        proved += 1;
        disk.flip_bit(Path::new(&first), group_offsets(&disk, &first)[2] + 100, 1);
        let Opened { log, report } = open(&disk).unwrap();
        let what = format!("cut {after} operations on: {report:?}");
        assert!(report.cut_tail_bytes == 0 && report.last_lsn >= Lsn(3), "{what}");
        // A segment that the manifest lists as sealed is not read by an opening.
        let found = if report.damage.is_empty() {
            log.replay(Lsn(0), &mut |_| Ok(())).unwrap()
        } else {
            report.damage
        };
        assert_eq!(found.iter().map(|d| d.first_lsn).collect::<Vec<_>>(), [Lsn(3)], "{what}");
    }
    assert!(proved > 3, "{proved}");
}

#[test]
fn a_failed_sync_poisons_and_reading_goes_on() {
    let disk = SimDisk::new(1);
    let opened = open(&disk).unwrap();
    let mut writer = opened.log.writer().unwrap();
    let mut run = Run::default();
    let mut rng = Rng::new(1);
    for _ in 0..3 {
        run.step(&opened.log, &mut writer, &mut rng).unwrap();
    }
    disk.fail_after(FaultKind::SyncEio, 0);
    let mut group = GroupBuilder::new();
    group.push_txn(None, b"in doubt");
    let lsn = writer.next_lsn();
    let failed = writer.append(lsn, opened.log.durable_lsn(), group.clone(), Room::Append);
    assert!(matches!(failed, Err(Error::OutcomeUnknown)));
    let after = writer.append(lsn, opened.log.durable_lsn(), group, Room::Append);
    assert!(matches!(after, Err(Error::Poisoned)) && opened.log.is_poisoned());
    assert!(!opened.log.admits(Room::Compaction));
    for (message, raw) in run.acknowledged.iter().flat_map(|s| &s.messages) {
        assert_eq!(opened.log.read(*message).unwrap().read_all().unwrap(), *raw);
    }
    run.in_doubt = Some(Sent { lsn, txns: vec![b"in doubt".to_vec()], messages: vec![] });
    run.settle(&open(&disk.power_cut()).unwrap(), "after the poisoned process");
}

#[test]
fn a_failed_write_leaves_nothing_and_the_same_lsn_is_used_again() {
    for fault in [FaultKind::NoSpace, FaultKind::WriteEio] {
        let disk = SimDisk::new(2);
        let opened = open(&disk).unwrap();
        let mut writer = opened.log.writer().unwrap();
        let mut run = Run::default();
        let mut rng = Rng::new(2);
        for _ in 0..3 {
            run.step(&opened.log, &mut writer, &mut rng).unwrap();
        }
        let staged = stage(&opened.log, b"Subject: again\r\n\r\nhello").unwrap();
        let group = || {
            let mut group = GroupBuilder::new();
            group.push_message(MessageNo(1_000), &staged, &[]);
            group
        };
        let lsn = writer.next_lsn();
        disk.fail_after(fault, 0);
        let failed = writer.append(lsn, Lsn(lsn.0 - 1), group(), Room::Append);
        match fault {
            FaultKind::NoSpace => assert!(matches!(failed, Err(Error::StoreFull))),
            _ => assert!(matches!(failed, Err(Error::Io { .. }))),
        }
        assert!(!opened.log.contains(MessageNo(1_000)) && !opened.log.is_poisoned());
        assert_eq!(
            open(&disk.power_cut()).unwrap().report.last_lsn,
            Lsn(lsn.0 - 1),
            "{fault:?}: it never comes back"
        );
        writer.append(lsn, Lsn(lsn.0 - 1), group(), Room::Append).unwrap();
        let stored = opened.log.read(MessageNo(1_000)).unwrap();
        assert_eq!(stored.read_all().unwrap(), b"Subject: again\r\n\r\nhello");
        let sent = Sent {
            lsn,
            txns: vec![],
            messages: vec![(MessageNo(1_000), b"Subject: again\r\n\r\nhello".to_vec())],
        };
        run.acknowledged.push(sent);
        run.settle(&open(&disk.power_cut()).unwrap(), &format!("{fault:?}"));
    }
}

#[test]
fn no_bytes_on_disk_make_it_panic_or_serve_a_wrong_byte() {
    let (mut opened_after, mut refused) = (0, 0);
    for seed in seeds(150) {
        let disk = SimDisk::new(seed);
        let mut rng = Rng::new(seed);
        let mut run = Run::default();
        run.generation(&disk, &mut rng, 25, "writing");
        let disk = disk.kill();
        for _ in 0..=rng.below(6) {
            let folder = ["", "log", "log", "log", "bodies"][rng.below(5) as usize];
            let folder = Path::new(DIR).join(folder);
            let names = disk.list(&folder).unwrap();
            let Some(name) = names.get(rng.below(names.len() as u64) as usize) else { continue };
            let path = folder.join(name);
            let Ok(file) = disk.open(&path) else { continue };
            let len = file.len_bytes().unwrap();
            if rng.one_in(5) {
                file.truncate(rng.below(len + 1)).unwrap();
            } else {
                let noise: Vec<u8> = (0..rng.below(40)).map(|_| rng.next_u64() as u8).collect();
                file.write_all_at(&noise, rng.below(len.max(1))).unwrap();
            }
        }
        let Ok(opened) = open(&disk) else {
            refused += 1;
            continue;
        };
        opened_after += 1;
        let mut seen = Vec::new();
        let _ = opened.log.replay(Lsn(0), &mut |txn| {
            seen.push((txn.lsn, txn.payload.to_vec()));
            Ok(())
        });
        let known: Vec<(Lsn, Vec<u8>)> =
            run.acknowledged.iter().flat_map(|s| s.txns.iter().map(|t| (s.lsn, t.clone()))).collect();
        assert!(seen.iter().all(|txn| known.contains(txn)), "seed {seed}");
        assert!(seen.is_sorted_by_key(|(lsn, _)| *lsn), "seed {seed}");
        for (message, raw) in run.acknowledged.iter().flat_map(|s| &s.messages) {
            if let Ok(bytes) = opened.log.read(*message).and_then(|m| m.read_all()) {
                assert!(bytes == *raw, "seed {seed}: {message}");
            }
        }
        let _ = opened.log.scan_all(true, &mut Work::quiet(), &mut |_| {});
    }
    assert!(
        std::env::var("MAILCASK_SEED").is_ok() || (opened_after > 100 && refused < 10),
        "{opened_after}, {refused}"
    );
}
