//! What repair asks of the log: whom damage hit, what is left of a message, and how bytes go to the quarantine.
#![allow(clippy::unwrap_used)]

use engine::log::{GroupBuilder, Log, LogOptions, LogWriter, Opened, Room, SegmentKind};
use engine::ops::NewAccount;
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{FaultKind, Rng, SimDisk};
use engine::types::{AccountId, Lsn, MessageNo, SegmentId};
use engine::work::Work;
use engine::{Error, Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";

fn open(disk: &SimDisk) -> Opened {
    let options = LogOptions { segment_bytes: 64 << 10, body_threshold_bytes: 70_000, reserve_segments: 0 };
    let clock = SimClock::new(1_000_000);
    Log::open(Arc::new(disk.clone()), Arc::new(clock), Path::new(DIR), options).unwrap()
}

fn mail(number: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(number);
    let mut raw = format!("Subject: number {number}\r\n\r\n").into_bytes();
    raw.extend((0..len).map(|_| rng.next_u64() as u8));
    raw
}

fn append(log: &Log, writer: &mut LogWriter, number: u64, raw: &[u8]) {
    let mut stager = log.stager();
    stager.write(raw).unwrap();
    let account = AccountId(number as u32);
    let mut group = GroupBuilder::new();
    group.push_message(MessageNo(number), &stager.finish().unwrap(), &[account]);
    group.push_txn(Some(account), format!("transaction {number}").as_bytes());
    writer.append(writer.next_lsn(), log.durable_lsn(), group, Room::Append).unwrap();
}

/// A store of one sealed segment with messages 1 to 6, the last one large.
fn filled(disk: &SimDisk) -> Vec<Vec<u8>> {
    let opened = open(disk);
    let mut writer = opened.log.writer().unwrap();
    let mails: Vec<Vec<u8>> =
        (1..=6).map(|number| mail(number, if number == 6 { 200_000 } else { 900 })).collect();
    for (raw, number) in mails.iter().zip(1..) {
        append(&opened.log, &mut writer, number, raw);
    }
    writer.close_clean().unwrap();
    mails
}

/// Flips a bit of the first place where these bytes stand.
fn flip(disk: &SimDisk, bytes: &[u8]) -> PathBuf {
    for folder in ["log", "bodies", "cold"] {
        let folder = Path::new(DIR).join(folder);
        for name in disk.list(&folder).unwrap() {
            let path = folder.join(name);
            let file = disk.open(&path).unwrap();
            let mut all = vec![0; file.len_bytes().unwrap() as usize];
            file.read_exact_at(&mut all, 0).unwrap();
            if let Some(at) = all.windows(bytes.len()).position(|window| window == bytes) {
                assert!(disk.flip_bit(&path, at as u64, 3));
                return path;
            }
        }
    }
    panic!("it is nowhere");
}

fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut all = vec![0; file.len_bytes().unwrap() as usize];
    file.read_exact_at(&mut all, 0).unwrap();
    all
}

#[test]
fn the_messages_of_a_lost_transaction_are_strays() {
    let disk = SimDisk::new(1);
    let mails = filled(&disk);
    flip(&disk, b"transaction 3");
    let disk = disk.kill();
    let log = open(&disk).log;
    let holes = log.replay(Lsn(0), &mut |_| Ok(())).unwrap();
    assert_eq!(holes.len(), 1);
    assert!(
        holes[0].is_hole() && holes[0].may_have_hit(AccountId(3)) && !holes[0].may_have_hit(AccountId(2))
    );
    log.report_damage(&holes).unwrap();
    let strays = log.strays(&holes[0]).unwrap();
    assert_eq!(strays.len(), 1);
    let stray = &strays[0];
    assert_eq!((stray.message, stray.lsn, stray.time_ms), (MessageNo(3), Lsn(3), 1_000_000));
    assert_eq!(stray.accounts, [AccountId(3)]);
    assert_eq!(log.read(stray.message).unwrap().read_all().unwrap(), mails[2]);
    // Dealt with, it is on the list no more, and nothing else goes from it.
    log.clear_damage_of(None, Lsn(4)..=Lsn(9)).unwrap();
    assert_eq!(log.damage().len(), 1);
    log.clear_damage_of(Some(holes[0].segment), Lsn(3)..=Lsn(3)).unwrap();
    assert_eq!(log.damage(), []);
}

#[test]
fn what_remains_of_a_message_is_proved_block_by_block() {
    // The large message has its header, and three blocks of 64 KiB and a rest.
    for (what, place, intact_record, lost) in [
        ("a block", 100_000, true, Some(2)),
        ("the header's block", 0, true, Some(0)),
        ("the last byte", 200_000, true, Some(4)),
    ] {
        let disk = SimDisk::new(1);
        let mails = filled(&disk);
        let raw = &mails[5];
        flip(&disk, &raw[place..place + 17]);
        let log = open(&disk.kill()).log;
        let remains = log.remains(MessageNo(6)).unwrap();
        assert_eq!(remains.is_record_intact, intact_record, "{what}");
        assert_eq!(remains.size_bytes, raw.len() as u64, "{what}");
        assert_eq!(remains.pieces.len(), 5, "{what}");
        for (i, (range, bytes)) in remains.pieces.iter().enumerate() {
            let of_raw = &raw[range.start as usize..range.end as usize];
            assert_eq!(bytes.as_deref(), (Some(i) != lost).then_some(of_raw), "{what}, piece {i}");
        }
        assert_eq!(remains.header.is_some(), lost != Some(0), "{what}");
    }
}

#[test]
fn a_message_whose_record_is_wrong_has_its_blocks_still() {
    let disk = SimDisk::new(1);
    let mails = filled(&disk);
    // The digest in its record.
    flip(&disk, blake3::hash(&mails[1]).as_bytes());
    let disk = disk.kill();
    let log = open(&disk).log;
    assert!(matches!(log.read(MessageNo(2)), Err(Error::Damaged { .. })));
    let remains = log.remains(MessageNo(2)).unwrap();
    assert!(!remains.is_record_intact && remains.digest.is_none());
    let whole: Vec<u8> = remains.pieces.iter().flat_map(|(_, bytes)| bytes.clone().unwrap()).collect();
    assert_eq!(whole, mails[1]);
    assert_eq!(remains.header.unwrap(), b"Subject: number 2\r\n\r\n");
    // Raw bytes of the small and the large one, twice the same file.
    for (number, least) in [(2, mails[1].len()), (6, mails[5].len())] {
        let path = log.quarantine_message(MessageNo(number), "a test").unwrap();
        assert_eq!(log.quarantine_message(MessageNo(number), "a test").unwrap(), path);
        let copy = read(&disk.power_cut(), &path);
        assert!(copy.len() > least && copy.len() < least + 400, "{number}: {}", copy.len());
        assert!(copy.windows(64).any(|window| *window == mails[number as usize - 1][100..164]));
    }
    assert!(matches!(log.remains(MessageNo(99)), Err(Error::NoSuchMessage)));
}

#[test]
fn a_retired_segment_is_in_the_quarantine_whatever_stops_it() {
    for point in 0..20 {
        let disk = SimDisk::new(point);
        let mails = filled(&disk);
        let bytes = {
            let opened = open(&disk);
            let log = opened.log;
            let mut writer = log.writer().unwrap();
            let sealed = log.segments().into_iter().find(|s| s.kind == SegmentKind::Log && s.sealed).unwrap();
            let bytes = read(&disk, Path::new(&format!("{DIR}/log/{}.seg", sealed.id)));
            log.dead_before(log.durable_lsn());
            let live: Vec<_> = log.segment_messages(sealed.id).unwrap();
            let live: Vec<_> = live.into_iter().map(|m| (m.message, m.accounts)).collect();
            let cold = log.write_cold(&live, &[sealed.id]).unwrap();
            let mut group = GroupBuilder::new();
            group.push_relocate(&cold, &|_| true);
            writer.append(writer.next_lsn(), log.durable_lsn(), group, Room::Compaction).unwrap();
            disk.cut_at_sync_point(disk.sync_points() + point);
            let done = log.retire_segments(&[sealed.id], if point % 2 == 0 { 0 } else { u64::MAX });
            assert!(done.is_ok() || disk.is_off());
            if done.is_ok() && point % 2 == 1 {
                assert!(disk.exists(Path::new(&format!("{DIR}/log/{}.seg", sealed.id))), "its grace time");
            }
            (sealed.id, bytes, done.is_ok())
        };
        let disk = disk.power_cut();
        let log = open(&disk).log;
        let there = |folder: &str| Path::new(DIR).join(folder).join(format!("{}.seg", bytes.0));
        let (in_log, in_quarantine) = (disk.exists(&there("log")), disk.exists(&there("quarantine")));
        assert!(in_log != in_quarantine, "point {point}: {in_log}, {in_quarantine}");
        assert!(in_quarantine || !bytes.2, "point {point}");
        assert_eq!(read(&disk, &there(if in_log { "log" } else { "quarantine" })), bytes.1, "point {point}");
        for (raw, number) in mails.iter().zip(1..) {
            assert_eq!(log.read(MessageNo(number)).unwrap().read_all().unwrap(), *raw, "point {point}");
        }
    }
}

#[test]
fn a_segment_without_its_footer_is_emptied_and_kept() {
    let disk = SimDisk::new(1);
    let mails = filled(&disk);
    let path = flip(&disk, b"MCFT");
    let disk = disk.kill();
    let log = open(&disk).log;
    let mut writer = log.writer().unwrap();
    log.dead_before(log.durable_lsn());
    let sealed = log.segments().into_iter().find(|s| s.kind == SegmentKind::Log && s.sealed).unwrap().id;
    let live: Vec<_> = log.segment_messages(sealed).unwrap();
    assert_eq!(live.len(), 6);
    let live: Vec<_> = live.into_iter().map(|m| (m.message, m.accounts)).collect();
    let cold = log.write_cold(&live, &[sealed]).unwrap();
    let mut group = GroupBuilder::new();
    group.push_relocate(&cold, &|_| true);
    writer.append(writer.next_lsn(), log.durable_lsn(), group, Room::Compaction).unwrap();
    // Nobody says that it is damaged: it shows.
    log.drop_segments(&[sealed], 0).unwrap();
    assert!(!disk.exists(&path) && disk.exists(&Path::new(DIR).join(format!("quarantine/{sealed}.seg"))));
    for (raw, number) in mails.iter().zip(1..) {
        assert_eq!(log.read(MessageNo(number)).unwrap().read_all().unwrap(), *raw);
    }
}

#[test]
fn one_segment_is_verified_by_itself_and_the_work_ends_when_asked() {
    let disk = SimDisk::new(1);
    let mails = filled(&disk);
    flip(&disk, &mails[3][100..120]);
    let log = open(&disk.kill()).log;
    let mut hit = Vec::new();
    let mut steps = 0;
    for segment in log.segments() {
        let mut listener = |_: &engine::work::Step| {
            steps += 1;
            true
        };
        let mut work = Work::told_to(&mut listener);
        log.verify_segment(segment.id, true, &mut work, &mut |finding| hit.extend(finding.messages)).unwrap();
    }
    hit.dedup();
    assert_eq!(hit, [MessageNo(4)]);
    assert!(steps > 8, "{steps}: it can be stopped and slowed down within a segment");
    let mut stop = |_: &engine::work::Step| false;
    let ended = log.verify_segment(log.segments()[0].id, true, &mut Work::told_to(&mut stop), &mut |_| {});
    assert!(matches!(ended, Err(Error::Interrupted)));
    log.verify_segment(SegmentId(99), true, &mut Work::quiet(), &mut |_| panic!("it is gone")).unwrap();
}

/// A sync that fails beside the log's writer is the end of writing at once, and no full disk.
#[test]
fn a_large_message_that_cannot_be_synced_poisons() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(SimClock::new(1_000_000));
    let options = StoreOptions::for_tests();
    let store = Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options).unwrap();
    let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
    let stage = || {
        let mut stager = store.stager();
        stager.write(&mail(1, 100_000))?;
        stager.finish()
    };
    // The segment for it is there already.
    stage().unwrap();
    disk.fail_after(FaultKind::SyncEio, 0);
    assert!(stage().is_err());
    assert!(matches!(store.set_quota(id, None), Err(Error::Poisoned)));
    assert!(store.stats().unwrap().poisoned);
}

/// A second copy of a message does not cost the first one, whether it fails or has other bytes.
#[test]
fn a_copy_in_quarantine_is_not_written_over() {
    let disk = SimDisk::new(1);
    let mails = filled(&disk);
    let path = flip(&disk, &mails[2][100..120]);
    let log = open(&disk.kill()).log;
    drop(path);
    let first = log.quarantine_message(MessageNo(3), "a test").unwrap();
    let disk = Arc::clone(log.disk());
    let bytes = |path: &Path| {
        let file = disk.open(path).unwrap();
        let mut all = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut all, 0).unwrap();
        all
    };
    let before = bytes(&first);
    assert_eq!(log.quarantine_message(MessageNo(3), "a test").unwrap(), first);
    // Somebody's of the same name.
    disk.open(&first).unwrap().write_all_at(b"other", 0).unwrap();
    let other = bytes(&first);
    let second = log.quarantine_message(MessageNo(3), "a test").unwrap();
    assert_ne!(second, first);
    assert_eq!((bytes(&first), bytes(&second)), (other, before));
}
