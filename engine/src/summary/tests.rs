//! Packs and tails: what is written is read, whatever was killed, cut or damaged between.

use super::manifest::{Manifest, Stamp, pack_name, tail_name};
use super::pack::{self, PACK_ROWS, PackInfo};
use super::*;
use crate::codec::golden;
use crate::sys::disk::Disk;
use crate::sys::sim::{FaultKind, Rng, SimDisk, seeds};
use crate::text::index::EmailSet;
use crate::types::{AccountId, EmailId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const ACCOUNT: AccountId = AccountId(3);
const STORE_ID: [u8; 16] = *b"0123456789abcdef";

fn summaries(disk: &SimDisk) -> Summaries {
    Summaries::open(Arc::new(disk.clone()), Path::new("/s"), STORE_ID)
}

/// What the summary of an email is in these tests.
fn summary(email: u32) -> Summary {
    let id = |email: u32| u64::from(email).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Summary {
        subject: format!("SUBJECT {} é", email / 5),
        is_reply_or_forward: email.is_multiple_of(3),
        from: format!("A{email}"),
        to: format!("B{}", email % 11),
        display_from: format!("N{}", email % 7),
        id: id(email),
        references: (0..email % 4).map(|n| id(email.wrapping_sub(n + 1))).collect(),
        ..Summary::default()
    }
}

fn rows(emails: impl IntoIterator<Item = u32>) -> Vec<(EmailId, Summary)> {
    emails.into_iter().map(|email| (EmailId(email), summary(email))).collect()
}

/// Every email below `end` that is found has its own summary; answers which are found.
fn found(summaries: &Summaries, end: u32) -> Vec<u32> {
    let wanted: Vec<EmailId> = (0..end).map(EmailId).collect();
    let never = AtomicBool::new(false);
    let table = summaries.read(ACCOUNT, &wanted, Columns::all(), &never).unwrap();
    let mut found = Vec::new();
    for email in 0..end {
        let row = email as usize;
        if table.found[row] {
            let own = summary(email);
            for column in TextColumn::ALL {
                assert_eq!(table.text(column).get(row), column.of(&own).as_bytes(), "{email} {column:?}");
            }
            let (replies, ids) = (table.replies[row], table.ids[row]);
            assert_eq!((replies, ids), (own.is_reply_or_forward, own.id), "{email}");
            assert_eq!(table.references.get(row), own.references, "{email}");
            found.push(email);
        }
    }
    found
}

/// Appends batches of what lives (an email in seven does not) up to `end`.
fn fill(summaries: &Summaries, rng: &mut Rng, end: u32) {
    let mut from = summaries.covered(ACCOUNT).unwrap().0;
    while from < end {
        let to = (from + 1 + rng.below(700) as u32).min(end);
        let batch = rows((from..to).filter(|email| lives(*email)));
        summaries.append(ACCOUNT, &batch, EmailId(to)).unwrap();
        from = to;
    }
}

fn lives(email: u32) -> bool {
    !email.is_multiple_of(7)
}

fn living(end: u32) -> Vec<u32> {
    (0..end).filter(|email| lives(*email)).collect()
}

fn paths(disk: &SimDisk) -> Vec<PathBuf> {
    let dir = Path::new("/s/3");
    disk.list(dir).unwrap().into_iter().map(|name| dir.join(name)).collect()
}

#[test]
fn what_was_appended_is_found() {
    for seed in seeds(3) {
        let disk = SimDisk::new(seed);
        let summaries = summaries(&disk);
        assert_eq!((summaries.covered(ACCOUNT).unwrap(), found(&summaries, 10)), (EmailId(0), vec![]));
        let mut rng = Rng::new(seed);
        for end in [1, 40, 1500, 5000, 12_000] {
            fill(&summaries, &mut rng, end);
            assert_eq!(summaries.covered(ACCOUNT).unwrap(), EmailId(end), "MAILCASK_SEED={seed}");
            assert_eq!(found(&summaries, end + 5), living(end), "MAILCASK_SEED={seed}");
        }
        let full = 12_000 / PACK_ROWS;
        assert!(summaries.packs(ACCOUNT).unwrap() <= full + 5, "MAILCASK_SEED={seed}");
        let again = self::summaries(&disk.kill());
        assert_eq!(again.covered(ACCOUNT).unwrap(), EmailId(12_000));
        assert_eq!(found(&again, 12_000), living(12_000), "MAILCASK_SEED={seed}");
    }
}

/// Some emails, some of them twice, and one column only.
#[test]
fn only_what_is_wanted_is_read() {
    let disk = SimDisk::new(1);
    let summaries = summaries(&disk);
    fill(&summaries, &mut Rng::new(1), 3000);
    let wanted: Vec<EmailId> = [3, 3, 7, 8, 1500, 2999, 2999, 9999].map(EmailId).to_vec();
    let columns = Columns::default().with(TextColumn::From);
    let never = AtomicBool::new(false);
    let table = summaries.read(ACCOUNT, &wanted, columns, &never).unwrap();
    assert_eq!(table.found, [true, true, false, true, true, true, true, false]);
    assert_eq!(table.text(TextColumn::From).get(4), b"A1500");
    assert_eq!(table.text(TextColumn::Subject).get(4), b"");
    assert!(table.ids.is_empty() && table.replies.is_empty());
    let table = summaries.read(ACCOUNT, &wanted, columns, &AtomicBool::new(true)).unwrap();
    assert!(!table.found[0]);
}

#[test]
fn what_is_below_covered_is_passed_over_and_disorder_refused() {
    let summaries = summaries(&SimDisk::new(1));
    summaries.append(ACCOUNT, &rows([1, 2]), EmailId(5)).unwrap();
    summaries.append(ACCOUNT, &rows([1, 2, 4]), EmailId(5)).unwrap();
    assert_eq!(found(&summaries, 10), [1, 2]);
    summaries.append(ACCOUNT, &rows([2, 5, 6]), EmailId(7)).unwrap();
    assert_eq!(found(&summaries, 10), [1, 2, 5, 6]);
    assert!(summaries.append(ACCOUNT, &rows([9, 8]), EmailId(10)).is_err());
    assert!(summaries.append(ACCOUNT, &rows([10]), EmailId(10)).is_err());
    assert_eq!(summaries.covered(ACCOUNT).unwrap(), EmailId(7));
}

#[test]
fn removed_and_begun_again() {
    let disk = SimDisk::new(1);
    let summaries = summaries(&disk);
    fill(&summaries, &mut Rng::new(1), 2500);
    assert!(summaries.disk_bytes(ACCOUNT).unwrap() > 0);
    summaries.remove(ACCOUNT).unwrap();
    assert_eq!(paths(&disk), Vec::<PathBuf>::new());
    assert_eq!((summaries.covered(ACCOUNT).unwrap(), found(&summaries, 10)), (EmailId(0), vec![]));
    fill(&summaries, &mut Rng::new(2), 2500);
    assert_eq!(found(&summaries, 2500), living(2500));
}

#[test]
fn the_dead_are_purged() {
    let disk = SimDisk::new(1);
    let summaries = summaries(&disk);
    let mut rng = Rng::new(5);
    fill(&summaries, &mut rng, 20_000);
    // All of the beginning, a tenth of the middle, none of the end.
    let stays = |email: u32| lives(email) && email > 6000 && (email > 14_000 || email % 10 != 3);
    let live: EmailSet = (0..20_000).filter(|email| stays(*email)).map(EmailId).collect();
    let before = summaries.disk_bytes(ACCOUNT).unwrap();
    summaries.purge(ACCOUNT, &live).unwrap();
    assert!(summaries.disk_bytes(ACCOUNT).unwrap() < before);
    let left = found(&summaries, 20_000);
    assert!((0..20_000).filter(|email| stays(*email)).all(|email| left.binary_search(&email).is_ok()));
    assert!(left.first().is_some_and(|email| *email > 6000));
    assert_eq!(summaries.covered(ACCOUNT).unwrap(), EmailId(20_000));
    fill(&summaries, &mut rng, 21_000);
    assert_eq!(
        found(&self::summaries(&disk.kill()), 21_000).len(),
        left.len() + living(21_000).len() - living(20_000).len()
    );
    summaries.purge(ACCOUNT, &EmailSet::new()).unwrap();
    assert_eq!(found(&summaries, 21_000), Vec::<u32>::new());
}

/// Power off at any sync point, then goes on: never a wrong summary, and `covered` tells the truth.
#[test]
fn power_cuts() {
    for seed in seeds(25) {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        disk.cut_at_sync_point(rng.below(40));
        let first = summaries(&disk);
        let mut reached = 0;
        for end in (400..6000).step_by(400) {
            let batch = rows((reached..end).filter(|email| lives(*email)));
            if first.append(ACCOUNT, &batch, EmailId(end)).is_err() {
                break;
            }
            reached = end;
        }
        let disk = disk.power_cut();
        let second = summaries(&disk);
        let covered = second.covered(ACCOUNT).unwrap().0;
        assert!(covered <= reached + 400, "MAILCASK_SEED={seed}");
        assert_eq!(found(&second, covered), living(covered), "MAILCASK_SEED={seed}");
        // All but the tail was synced.
        assert!(covered + 1400 >= reached, "MAILCASK_SEED={seed}: {covered} of {reached}");
        fill(&second, &mut rng, 6500);
        let third = summaries(&disk.kill());
        assert_eq!(found(&third, 6500), living(6500), "MAILCASK_SEED={seed}");
    }
}

/// Disks that fill up and calls that fail: the next call goes on from what is there.
#[test]
fn faults() {
    for seed in seeds(30) {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let summaries = summaries(&disk);
        for _ in 0..30 {
            let kinds = [FaultKind::NoSpace, FaultKind::SyncEio, FaultKind::WriteEio, FaultKind::ReadEio];
            if rng.one_in(3) {
                disk.fail_after(kinds[rng.below(4) as usize], rng.below(8));
            }
            let Ok(from) = summaries.covered(ACCOUNT) else { continue };
            let to = from.0 + 1 + rng.below(500) as u32;
            let batch = rows((from.0..to).filter(|email| lives(*email)));
            // Whether it went well or not, what is found is true.
            let _ = summaries.append(ACCOUNT, &batch, EmailId(to));
        }
        [FaultKind::NoSpace, FaultKind::SyncEio, FaultKind::WriteEio, FaultKind::ReadEio]
            .into_iter()
            .for_each(|kind| disk.fail_after(kind, u64::MAX));
        let covered = summaries.covered(ACCOUNT).unwrap().0;
        assert_eq!(found(&summaries, covered), living(covered), "MAILCASK_SEED={seed}");
    }
}

/// Any bit of any file rots: what is found is true, and what is not is computed by whoever asks.
#[test]
fn damage_costs_time_only() {
    let whole = SimDisk::new(1);
    fill(&summaries(&whole), &mut Rng::new(1), 9500);
    let all = living(9500);
    let mut lost = 0;
    for seed in seeds(60) {
        let mut rng = Rng::new(seed);
        let disk = whole.kill();
        let paths = paths(&disk);
        let path = &paths[rng.below(paths.len() as u64) as usize];
        let len_bytes = disk.open(path).unwrap().len_bytes().unwrap();
        let opened = summaries(&disk);
        let before_opening = rng.one_in(2);
        if !before_opening {
            opened.covered(ACCOUNT).unwrap();
        }
        disk.flip_bit(path, rng.below(len_bytes), rng.below(8) as u8);
        let found = found(&opened, 9500);
        assert!(
            found.iter().all(|email| all.binary_search(email).is_ok()),
            "MAILCASK_SEED={seed}, {}",
            path.display()
        );
        lost += usize::from(found.len() < all.len());
        // And it goes on.
        let _ = opened.append(ACCOUNT, &rows([9500]), EmailId(9501));
        fill(&opened, &mut rng, 11_000);
        assert!(opened.covered(ACCOUNT).unwrap() >= EmailId(11_000), "MAILCASK_SEED={seed}");
    }
    assert!(lost > 30 || seeds(2).len() == 1, "the damage was seen {lost} times");
}

#[test]
fn a_file_that_is_gone_or_short() {
    let whole = SimDisk::new(1);
    fill(&summaries(&whole), &mut Rng::new(1), 9500);
    for path in paths(&whole) {
        let disk = whole.kill();
        disk.open(&path).unwrap().truncate(40).unwrap();
        assert!(found(&summaries(&disk), 9500).len() < living(9500).len(), "{}", path.display());
        let disk = whole.kill();
        disk.remove_file(&path).unwrap();
        assert!(found(&summaries(&disk), 9500).len() < living(9500).len(), "{}", path.display());
    }
}

#[test]
fn another_store_or_a_leftover_counts_for_nothing() {
    let disk = SimDisk::new(1);
    fill(&summaries(&disk), &mut Rng::new(1), 3000);
    disk.create(Path::new("/s/3/99.pack")).unwrap();
    disk.create(Path::new("/s/3/MANIFEST.new")).unwrap();
    let again = summaries(&disk.kill());
    assert_eq!(again.covered(ACCOUNT).unwrap(), EmailId(3000));
    let disk = disk.kill();
    summaries(&disk).covered(ACCOUNT).unwrap();
    assert!(!disk.exists(Path::new("/s/3/99.pack")) && !disk.exists(Path::new("/s/3/MANIFEST.new")));
    let other = Summaries::open(Arc::new(disk.clone()), Path::new("/s"), [9; 16]);
    assert_eq!(other.covered(ACCOUNT).unwrap(), EmailId(0));
    assert_eq!(paths(&disk), Vec::<PathBuf>::new());
}

/// As `docs/format.md` draws them; see `tests/format_drawn.rs` for what golden files are.
#[test]
fn drawn_bytes() {
    let stamp = Stamp(*b"0123456789abcdef\x01\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0");
    let first = Summary {
        subject: "A".into(),
        is_reply_or_forward: true,
        from: "B".into(),
        to: "C".into(),
        cc: String::new(),
        display_from: "D".into(),
        display_to: "E".into(),
        id: 0x0102_0304_0506_0708,
        references: vec![0x1112_1314_1516_1718, 0x2122_2324_2526_2728],
    };
    let rows = [(EmailId(5), first), (EmailId(7), Summary::default())];
    let bytes = golden(include_str!("../../tests/data/format/drawn/summary-pack.hex"));
    let (written, info) = pack::encode(9, &rows).unwrap();
    assert_eq!(written, bytes);
    let manifest = Manifest { covered: EmailId(8), tail: 10, packs: vec![info] };
    let drawn = golden(include_str!("../../tests/data/format/drawn/summary-manifest.hex"));
    assert_eq!(manifest.encode(stamp), drawn);
    assert_eq!(Manifest::decode(&drawn, stamp).unwrap(), manifest);
    assert_eq!(info, PackInfo { head_crc: info.head_crc, ..pack_drawn(bytes.len() as u64) });
    let tail = golden(include_str!("../../tests/data/format/drawn/summary-tail.hex"));
    assert_eq!(tail::record(stamp, 10, EmailId(5), EmailId(8), &rows[..1]), tail);
    let content = tail::read(stamp, 10, EmailId(5), &tail);
    assert_eq!((content.rows.as_slice(), content.good_bytes), (&rows[..1], tail.len()));
    for (other, number, from) in [(Stamp([0; 30]), 10, 5), (stamp, 11, 5), (stamp, 10, 6)] {
        assert_eq!(tail::read(other, number, EmailId(from), &tail).good_bytes, 0);
    }
    assert_eq!((pack_name(9), tail_name(10)), ("9.pack".to_owned(), "tail-10".to_owned()));
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.create(Path::new("/d/9.pack")).unwrap().write_all_at(&bytes, 0).unwrap();
    let read = pack::Pack::open(&disk, Path::new("/d"), &info).unwrap().rows().unwrap();
    assert_eq!(read, rows);
}

fn pack_drawn(file_bytes: u64) -> PackInfo {
    PackInfo { number: 9, first: EmailId(5), last: EmailId(7), rows: 2, head_crc: 0, file_bytes }
}
