//! Large messages, compaction and a full disk, on the simulated disk.
#![allow(clippy::unwrap_used)]

use engine::Error;
use engine::log::{
    GroupBuilder, Log, LogOptions, LogWriter, Opened, Room, RunInfo, RunSet, SegmentKind, StagedMessage,
};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{Rng, SimDisk};
use engine::types::{AccountId, Lsn, MessageNo, SegmentId};
use engine::work::Work;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";
const GRACE_MS: u64 = 600_000;

fn options() -> LogOptions {
    LogOptions { segment_bytes: 16 * 1024, body_threshold_bytes: 4 * 1024, reserve_segments: 2 }
}

fn open(disk: &SimDisk, clock: &SimClock) -> engine::Result<Opened> {
    Log::open(Arc::new(disk.clone()), Arc::new(clock.clone()), Path::new(DIR), options())
}

fn stage(log: &Log, raw: &[u8]) -> engine::Result<StagedMessage> {
    let mut stager = log.stager();
    for piece in raw.chunks(7_001) {
        stager.write(piece)?;
    }
    stager.finish()
}

fn noise(rng: &mut Rng, header: &str, len: usize) -> Vec<u8> {
    let mut raw = header.as_bytes().to_vec();
    raw.extend((0..len).map(|_| rng.next_u64() as u8));
    raw
}

fn append(log: &Log, writer: &mut LogWriter, group: GroupBuilder, room: Room) -> engine::Result<()> {
    let lsn = writer.next_lsn();
    writer.append(lsn, log.durable_lsn(), group, room)
}

fn store(log: &Log, writer: &mut LogWriter, message: u64, raw: &[u8]) -> engine::Result<()> {
    let staged = stage(log, raw)?;
    let mut group = GroupBuilder::new();
    group.push_message(MessageNo(message), &staged, &[AccountId(message as u32 % 3)]);
    group.push_txn(Some(AccountId(message as u32 % 3)), b"append");
    append(log, writer, group, Room::Append)
}

#[test]
fn a_message_of_any_size_is_read_whole_and_in_ranges() {
    let (disk, clock) = (SimDisk::new(1), SimClock::new(1));
    let opened = open(&disk, &clock).unwrap();
    let log = opened.log;
    let mut writer = log.writer().unwrap();
    let mut rng = Rng::new(1);
    let long_header = format!("Subject: {}\r\n\r\n", "x".repeat(150_000));
    let mut sent = Vec::new();
    for (i, (header, len)) in [
        ("", 0),
        ("Subject: no body\r\n\r\n", 0),
        ("\r\n", 10),
        ("Subject: no blank line\r\n", 0),
        ("A: b\n\n", 3_000),
        ("Subject: past the threshold\r\n\r\n", 4_096),
        ("Subject: blocks\r\n\r\n", 300_000),
        (long_header.as_str(), 100_000),
        (long_header.trim_end(), 0),
    ]
    .into_iter()
    .enumerate()
    {
        let raw = noise(&mut rng, header, len);
        store(&log, &mut writer, i as u64 + 1, &raw).unwrap();
        sent.push((MessageNo(i as u64 + 1), raw, header.len() as u64));
    }
    for log in [log.clone(), {
        drop((log, writer));
        open(&disk.kill(), &clock).unwrap().log
    }] {
        for (message, raw, header_len) in &sent {
            let stored = log.read(*message).unwrap();
            assert_eq!(
                (stored.size_bytes(), stored.header_len_bytes()),
                (raw.len() as u64, *header_len),
                "{message}"
            );
            assert_eq!(stored.digest(), *blake3::hash(raw).as_bytes());
            assert!(stored.read_all().unwrap() == *raw, "{message}");
            for _ in 0..50 {
                let from = rng.below(raw.len() as u64 + 2);
                let to = from + rng.below(140_000);
                let clip = |at: u64| (at as usize).min(raw.len());
                assert!(
                    stored.read_range(from..to).unwrap() == raw[clip(from)..clip(to)],
                    "{message} {from}..{to}"
                );
            }
        }
        assert!(matches!(log.read(MessageNo(99)), Err(Error::NoSuchMessage)));
    }
}

#[test]
fn a_body_never_committed_may_go_and_a_staged_one_is_pinned() {
    let (disk, clock) = (SimDisk::new(2), SimClock::new(1));
    let opened = open(&disk, &clock).unwrap();
    let log = opened.log;
    let mut rng = Rng::new(2);
    let raw = noise(&mut rng, "A: b\r\n\r\n", 70_000);
    let mut unfinished = log.stager();
    unfinished.write(&raw).unwrap();
    drop(unfinished);
    let staged = stage(&log, &raw).unwrap();
    let bodies: Vec<_> = log.segments().into_iter().filter(|s| s.kind == SegmentKind::Body).collect();
    assert_eq!(bodies.len(), 1, "the room of the unfinished one is used again");
    assert!(!bodies[0].sealed);
    assert!(matches!(log.drop_segments(&[bodies[0].id], 0), Err(Error::NotPossible(_))));
    drop(staged);
    let disk = disk.kill();
    let after = open(&disk, &clock).unwrap().log;
    let bodies: Vec<_> = after.segments().into_iter().filter(|s| s.kind == SegmentKind::Body).collect();
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].sealed && bodies[0].messages == 0, "compaction sees that nothing lives in it");
    assert_eq!(after.segment_messages(bodies[0].id).unwrap(), []);
    after.drop_segments(&[bodies[0].id], 0).unwrap();
    assert_eq!(disk.list(&Path::new(DIR).join("bodies")).unwrap(), Vec::<String>::new());
}

#[test]
fn a_staged_message_goes_into_another_group_when_the_first_failed() {
    let (disk, clock) = (SimDisk::new(3), SimClock::new(1));
    let log = open(&disk, &clock).unwrap().log;
    let mut writer = log.writer().unwrap();
    let staged = stage(&log, b"A: b\r\n\r\nbody").unwrap();
    for (message, fails) in [(7, true), (8, false)] {
        let mut group = GroupBuilder::new();
        group.push_message(MessageNo(message), &staged, &[]);
        if fails {
            disk.fail_after(engine::sys::sim::FaultKind::WriteEio, 0);
        }
        assert_eq!(append(&log, &mut writer, group, Room::Append).is_err(), fails);
    }
    assert!(!log.contains(MessageNo(7)));
    assert_eq!(log.read(MessageNo(8)).unwrap().read_all().unwrap(), b"A: b\r\n\r\nbody");
    assert_eq!(log.highest_message_no(), MessageNo(8));
}

/// A store of several sealed segments, small and large messages; what each holds.
fn filled(disk: &SimDisk, clock: &SimClock, seed: u64) -> (Log, LogWriter, BTreeMap<MessageNo, Vec<u8>>) {
    let log = open(disk, clock).unwrap().log;
    let mut writer = log.writer().unwrap();
    let mut rng = Rng::new(seed);
    let mut mails = BTreeMap::new();
    for message in 1..=30 {
        let len = if message % 7 == 0 { 20_000 } else { 200 + rng.below(3_000) as usize };
        let raw = noise(&mut rng, "Subject: x\r\n\r\n", len);
        store(&log, &mut writer, message, &raw).unwrap();
        mails.insert(MessageNo(message), raw);
    }
    (log, writer, mails)
}

/// Compacts every sealed segment, keeping the even messages; 2 dies while it goes on.
fn compact(log: &Log, writer: &mut LogWriter, not_before_ms: u64) -> engine::Result<Vec<SegmentId>> {
    log.dead_before(log.durable_lsn());
    let sealed: Vec<SegmentId> = log.segments().into_iter().filter(|s| s.sealed).map(|s| s.id).collect();
    let mut live = BTreeMap::new();
    for id in &sealed {
        for m in log.segment_messages(*id)? {
            if m.message.0 % 2 == 0 {
                live.insert(m.message, m.accounts);
            }
        }
    }
    let live: Vec<_> = live.into_iter().collect();
    let cold = log.write_cold(&live, &sealed)?;
    assert!(cold.damaged.is_empty());
    let mut group = GroupBuilder::new();
    group.push_relocate(&cold, &|m| m != MessageNo(2));
    append(log, writer, group, Room::Compaction)?;
    log.drop_segments(&sealed, not_before_ms)?;
    Ok(sealed)
}

fn check_live(log: &Log, mails: &BTreeMap<MessageNo, Vec<u8>>, what: &str) {
    for (message, raw) in mails.iter().filter(|(m, _)| m.0 % 2 == 0 && m.0 != 2) {
        let stored = log.read(*message).unwrap_or_else(|e| panic!("{what}: {message}: {e}"));
        assert!(stored.read_all().unwrap() == *raw, "{what}: {message}");
        stored.verify().unwrap();
    }
    log.scan_all(true, &mut Work::quiet(), &mut |f| panic!("{what}: {f:?}")).unwrap();
}

#[test]
fn compaction_keeps_what_lives_and_ghosts_for_their_grace_time() {
    let (disk, clock) = (SimDisk::new(4), SimClock::new(1_000));
    let (log, mut writer, mails) = filled(&disk, &clock, 4);
    let before = log.bytes().unwrap();
    let held = log.read(MessageNo(1)).unwrap();
    let sealed = compact(&log, &mut writer, 1_000 + GRACE_MS).unwrap();
    assert!(sealed.len() >= 3, "{sealed:?}");
    check_live(&log, &mails, "after compaction");
    for ghost in [1, 2, 3] {
        assert!(
            log.read(MessageNo(ghost)).unwrap().read_all().unwrap() == mails[&MessageNo(ghost)],
            "{ghost}"
        );
    }
    clock.advance(GRACE_MS);
    log.sweep().unwrap();
    for gone in [1, 2, 3] {
        assert!(matches!(log.read(MessageNo(gone)), Err(Error::NoSuchMessage)), "{gone}");
    }
    assert!(held.read_all().unwrap() == mails[&MessageNo(1)], "an open message outlives its segment");
    check_live(&log, &mails, "after the grace time");
    let after = log.bytes().unwrap();
    assert!(after.log + after.cold + after.bodies < (before.log + before.cold + before.bodies) * 2 / 3);
    assert!(log.first_lsn_held() > Lsn(1) && log.first_lsn_held() <= log.durable_lsn());
    writer.close_clean().unwrap();
    drop(log);
    let again = open(&disk.kill(), &clock).unwrap();
    assert!(again.report.clean && again.report.same_boot && again.report.damage.is_empty());
    check_live(&again.log, &mails, "reopened");
    assert!(!again.log.contains(MessageNo(1)));
}

/// A backup that takes days does not keep what was given up before it began.
#[test]
fn a_pin_holds_what_counted_when_it_was_taken_and_nothing_else() {
    let (disk, clock) = (SimDisk::new(6), SimClock::new(1_000));
    let (log, mut writer, _) = filled(&disk, &clock, 6);
    let file = |id: &SegmentId| {
        ["log", "bodies", "cold"].iter().find_map(|folder| {
            let path = Path::new(DIR).join(folder).join(format!("{}.seg", id.0));
            disk.exists(&path).then_some(path)
        })
    };
    let before = compact(&log, &mut writer, 1_000 + GRACE_MS).unwrap();
    assert!(before.iter().all(|id| file(id).is_some()), "ghosts are still served");
    let (held, pinned) = log.pin().unwrap();
    let mut rng = Rng::new(6);
    for message in 31..=60 {
        store(&log, &mut writer, message, &noise(&mut rng, "Subject: x\r\n\r\n", 2_000)).unwrap();
    }
    let after = compact(&log, &mut writer, 1_000 + GRACE_MS).unwrap();
    clock.advance(GRACE_MS);
    log.sweep().unwrap();
    assert!(before.iter().all(|id| file(id).is_none()), "dropped before, and still there");
    for kept in &pinned.files {
        assert!(disk.exists(&Path::new(DIR).join(&kept.folder).join(&kept.name)), "{kept:?}");
    }
    // A later one does not hold what only the earlier one does.
    let (later, _) = log.pin().unwrap();
    drop(held);
    log.sweep().unwrap();
    assert!(after.iter().all(|id| file(id).is_none()), "nobody holds these");
    drop(later);
}

#[test]
fn a_large_message_stays_where_it_is_unless_its_segment_is_given_up() {
    let (disk, clock) = (SimDisk::new(5), SimClock::new(1_000));
    let (log, mut writer, mails) = filled(&disk, &clock, 5);
    log.dead_before(log.durable_lsn());
    let home = log.segment_of(MessageNo(14)).unwrap();
    let logs: Vec<SegmentId> =
        log.segments().into_iter().filter(|s| s.sealed && s.kind == SegmentKind::Log).map(|s| s.id).collect();
    let mut live = Vec::new();
    for id in &logs {
        live.extend(log.segment_messages(*id).unwrap().into_iter().map(|m| (m.message, m.accounts)));
    }
    let cold = log.write_cold(&live, &logs).unwrap();
    let mut group = GroupBuilder::new();
    group.push_relocate(&cold, &|_| true);
    append(&log, &mut writer, group, Room::Compaction).unwrap();
    log.drop_segments(&logs, 0).unwrap();
    assert_eq!(log.segment_of(MessageNo(14)), Some(home));
    for (message, raw) in &mails {
        assert!(log.read(*message).unwrap().read_all().unwrap() == *raw, "{message}");
    }
    drop((log, writer));
    let log = open(&disk.power_cut(), &clock).unwrap().log;
    for (message, raw) in &mails {
        assert!(log.read(*message).unwrap().read_all().unwrap() == *raw, "{message}");
    }
}

#[test]
fn power_lost_at_every_sync_point_of_a_compaction_loses_nothing() {
    let points = {
        let (disk, clock) = (SimDisk::new(6), SimClock::new(1_000));
        let (log, mut writer, _) = filled(&disk, &clock, 6);
        let before = disk.sync_points();
        compact(&log, &mut writer, 0).unwrap();
        disk.sync_points() - before
    };
    assert!(points > 5, "{points}");
    for seed in 0..10 {
        for point in 0..=points {
            let (disk, clock) = (SimDisk::new(seed), SimClock::new(1_000));
            let (log, mut writer, mails) = filled(&disk, &clock, 6);
            disk.cut_at_sync_point(disk.sync_points() + point);
            let done = compact(&log, &mut writer, 0).is_ok();
            assert_eq!(done, point == points);
            let opened = open(&disk.power_cut(), &clock).unwrap();
            let what = format!("seed {seed}, point {point}");
            assert_eq!(opened.report.damage, [], "{what}");
            check_live(&opened.log, &mails, &what);
            // And once more, to the end.
            let mut writer = opened.log.writer().unwrap();
            compact(&opened.log, &mut writer, 0).unwrap();
            check_live(&opened.log, &mails, &what);
        }
    }
}

#[test]
fn a_segment_is_not_dropped_while_its_transactions_are_needed() {
    let (disk, clock) = (SimDisk::new(7), SimClock::new(1_000));
    let (log, _writer, _) = filled(&disk, &clock, 7);
    let oldest = log.segments().into_iter().find(|s| s.kind == SegmentKind::Log).unwrap();
    assert!(matches!(log.drop_segments(&[oldest.id], 0), Err(Error::NotPossible(_))));
    log.dead_before(oldest.last_lsn);
    log.drop_segments(&[oldest.id], u64::MAX).unwrap();
    assert_eq!(log.first_lsn_held(), oldest.last_lsn.next());
    let third = log.segments().into_iter().filter(|s| s.kind == SegmentKind::Log).nth(1).unwrap();
    log.dead_before(third.last_lsn);
    log.drop_segments(&[third.id], u64::MAX).unwrap();
    assert_eq!(log.first_lsn_held(), third.last_lsn.next());
    log.scan_all(false, &mut Work::quiet(), &mut |f| panic!("{f:?}")).unwrap();
}

#[test]
fn a_damaged_message_is_copied_as_it_is_and_stays_reported() {
    let (disk, clock) = (SimDisk::new(8), SimClock::new(1_000));
    let (log, writer, mails) = filled(&disk, &clock, 8);
    drop((log, writer));
    let disk = disk.kill();
    drop(open(&disk, &clock).unwrap());
    let disk = disk.kill();
    // In the middle of message 4's random body.
    let needle = &mails[&MessageNo(4)][60..80];
    let folder = Path::new(DIR).join("log");
    let mut hit = false;
    for name in disk.list(&folder).unwrap() {
        let file = disk.open(&folder.join(&name)).unwrap();
        let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|w| w == needle) {
            hit = disk.flip_bit(&folder.join(&name), at as u64, 5);
        }
    }
    assert!(hit);
    let log = open(&disk, &clock).unwrap().log;
    let mut writer = log.writer().unwrap();
    log.dead_before(log.durable_lsn());
    let sealed: Vec<SegmentId> = log.segments().into_iter().filter(|s| s.sealed).map(|s| s.id).collect();
    let live: Vec<_> = mails.keys().map(|m| (*m, vec![])).collect();
    let cold = log.write_cold(&live, &sealed).unwrap();
    assert_eq!(cold.damaged, [MessageNo(4)]);
    let mut group = GroupBuilder::new();
    group.push_relocate(&cold, &|_| true);
    append(&log, &mut writer, group, Room::Compaction).unwrap();
    log.drop_segments(&sealed, 0).unwrap();
    let read = log.read(MessageNo(4)).unwrap().read_all();
    assert!(matches!(read, Err(Error::Damaged { message: MessageNo(4), .. })));
    let mut found = Vec::new();
    log.scan_all(true, &mut Work::quiet(), &mut |f| found.extend(f.messages)).unwrap();
    assert!(found.contains(&MessageNo(4)) && found.iter().all(|m| *m == MessageNo(4)));
}

#[test]
fn a_full_disk_refuses_mail_first_then_deletes_and_goes_on_when_there_is_room() {
    let (disk, clock) = (SimDisk::new(9), SimClock::new(1_000));
    let (log, mut writer, mut mails) = filled(&disk, &clock, 9);
    disk.set_capacity_bytes(Some(disk.used_bytes()));
    let mut rng = Rng::new(9);
    let mut message = 30;
    let refused = loop {
        let raw = noise(&mut rng, "A: b\r\n\r\n", 2_000);
        match store(&log, &mut writer, message + 1, &raw) {
            Ok(()) => {
                message += 1;
                mails.insert(MessageNo(message), raw);
            }
            Err(e) => break e,
        }
        assert!(message < 60, "a full disk takes no end of mail");
    };
    assert!(matches!(refused, Error::StoreFull));
    assert!(!log.is_poisoned());
    // Deletes go on into the reserve, but not to its end.
    let delete = |writer: &mut LogWriter| {
        let mut group = GroupBuilder::new();
        group.push_txn(Some(AccountId(1)), &[7; 1_000]);
        append(&log, writer, group, Room::Shrink)
    };
    let mut deletes = 0;
    while delete(&mut writer).is_ok() {
        deletes += 1;
        assert!(deletes < 1_000);
    }
    assert!(deletes >= 14, "{deletes} deletes fit the reserved segment");
    assert!(!log.admits(Room::Append), "no mail while the reserve is not whole");
    // The last reserved segment is compaction's.
    compact(&log, &mut writer, 0).unwrap();
    clock.advance(5_000);
    disk.set_capacity_bytes(None);
    assert!(log.admits(Room::Append));
    store(&log, &mut writer, 100, b"A: b\r\n\r\nroom again").unwrap();
    check_live(&log, &mails, "after the disk was full");
    drop((log, writer));
    let opened = open(&disk.power_cut(), &clock).unwrap();
    assert_eq!(opened.report.damage, []);
    check_live(&opened.log, &mails, "reopened");
    assert!(opened.log.contains(MessageNo(100)));
}

#[test]
fn a_store_opens_on_a_disk_that_is_full() {
    for seed in 0..20 {
        let (disk, clock) = (SimDisk::new(seed), SimClock::new(1_000));
        let (log, mut writer, mails) = filled(&disk, &clock, 10);
        disk.cut_at_sync_point(disk.sync_points());
        let _ = store(&log, &mut writer, 31, b"A: b\r\n\r\ntorn");
        let disk = disk.power_cut();
        disk.set_capacity_bytes(Some(disk.used_bytes()));
        let opened = open(&disk, &clock).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(opened.report.damage, [], "seed {seed}");
        check_live(&opened.log, &mails, &format!("seed {seed}"));
    }
}

#[test]
fn the_time_of_the_log_never_goes_back() {
    let (disk, clock) = (SimDisk::new(11), SimClock::new(50_000));
    let log = open(&disk, &clock).unwrap().log;
    let mut writer = log.writer().unwrap();
    for now_ms in [60_000, 10_000, 70_000] {
        clock.set(now_ms);
        let mut group = GroupBuilder::new();
        group.push_txn(None, b"t");
        append(&log, &mut writer, group, Room::Append).unwrap();
    }
    drop((log, writer));
    clock.set(5);
    let log = open(&disk.kill(), &clock).unwrap().log;
    let mut writer = log.writer().unwrap();
    let mut group = GroupBuilder::new();
    group.push_txn(None, b"t");
    append(&log, &mut writer, group, Room::Append).unwrap();
    let mut times = Vec::new();
    log.replay(Lsn(0), &mut |txn| {
        times.push(txn.time_ms);
        Ok(())
    })
    .unwrap();
    assert_eq!(times, [60_000, 60_000, 70_000, 70_000]);
}

#[test]
fn snapshot_runs_count_by_the_manifest_and_the_lock_is_exclusive() {
    let (disk, clock) = (SimDisk::new(12), SimClock::new(1));
    let log = open(&disk, &clock).unwrap().log;
    assert!(matches!(open(&disk, &clock), Err(Error::Owned)));
    let folder = Path::new(DIR).join("snapshots");
    let name = |n: u64, generation: u64| format!("{n:016x}-{generation}.run");
    let set = |n: u64| RunSet {
        as_of: Lsn(n),
        runs: (n..n + 2)
            .map(|i| RunInfo { file: name(i, 0), as_of_lsn: Lsn(i), bytes: 1, objects: 1 })
            .collect(),
    };
    disk.create(&folder.join(name(1, 0))).unwrap();
    for n in 1..=3 {
        // What an attempt that failed left, or what was merged: in no set.
        disk.create(&folder.join(name(n, 1))).unwrap();
        disk.create(&folder.join(name(n + 1, 0))).unwrap();
        log.install_runs(set(n)).unwrap();
    }
    assert_eq!(log.manifest_runs(), (set(3), set(2)));
    assert_eq!(disk.list(&folder).unwrap(), [name(2, 0), name(3, 0), name(4, 0)]);
    disk.create(&folder.join(name(5, 0))).unwrap();
    disk.create(&folder.join("notes.run")).unwrap();
    drop(log);
    let log = open(&disk.kill(), &clock).unwrap().log;
    assert_eq!(log.manifest_runs(), (set(3), set(2)));
    let names = log.disk().list(&folder).unwrap();
    assert_eq!(names[..3], [name(2, 0), name(3, 0), name(4, 0)], "a run that was half written goes");
    assert_eq!(names[3..], ["notes.run"], "what the store did not name stays");
}

#[test]
fn the_real_disk_behaves_like_the_simulated_one() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let (disk, clock) =
            (Arc::new(engine::sys::disk::RealDisk), Arc::new(engine::sys::clock::SystemClock));
        Log::open(disk, clock, &dir.path().join("store"), options())
    };
    let mut rng = Rng::new(13);
    let mut mails = BTreeMap::new();
    for generation in 0..3 {
        let opened = open().unwrap();
        assert_eq!((opened.report.created, opened.report.clean), (generation == 0, generation != 2));
        assert!(opened.report.same_boot || generation == 0);
        assert!(matches!(open(), Err(Error::Owned)));
        for (message, raw) in &mails {
            assert!(opened.log.read(*message).unwrap().read_all().unwrap() == *raw, "{message}");
        }
        let mut writer = opened.log.writer().unwrap();
        for i in 1..=10 {
            let raw = noise(&mut rng, "A: b\r\n\r\n", if i == 5 { 50_000 } else { 2_000 });
            let message = MessageNo(generation * 10 + i);
            store(&opened.log, &mut writer, message.0, &raw).unwrap();
            mails.insert(message, raw);
        }
        opened.log.scan_all(true, &mut Work::quiet(), &mut |f| panic!("{f:?}")).unwrap();
        if generation == 0 {
            writer.close_clean().unwrap();
        }
    }
    let opened = open().unwrap();
    for (message, raw) in &mails {
        assert!(opened.log.read(*message).unwrap().read_all().unwrap() == *raw, "{message}");
    }
}
