//! Bytes of a log segment go bad, one or many: every record that they did not touch is there afterwards, and only those
//! accounts are said to be hit that may have been.
//!
//! `MAILCASK_SEED=n cargo test -p engine --test log_salvage` runs that seed alone.
#![allow(clippy::unwrap_used)]

use engine::log::{Damage, GroupBuilder, Log, LogOptions, LogWriter, Opened, Room};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{Rng, SimDisk};
use engine::types::{AccountId, Lsn, MessageNo};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/store";
const ACCOUNTS: u64 = 4;

fn seeds(n: u64) -> Vec<u64> {
    match std::env::var("MAILCASK_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..n).collect(),
    }
}

fn open(disk: &SimDisk) -> Opened {
    let options = LogOptions { segment_bytes: 64 << 10, body_threshold_bytes: 3_000, reserve_segments: 0 };
    let clock = SimClock::new(1_000_000);
    Log::open(Arc::new(disk.clone()), Arc::new(clock), Path::new(DIR), options).unwrap()
}

fn append(log: &Log, writer: &mut LogWriter, group: GroupBuilder) {
    writer.append(writer.next_lsn(), log.durable_lsn(), group, Room::Append).unwrap();
}

/// What was written.
#[derive(Default)]
struct Written {
    txns: Vec<(Lsn, AccountId, Vec<u8>)>,
    messages: BTreeMap<MessageNo, Vec<u8>>,
}

/// Ten groups of messages and transactions, and two markers that prove them.
fn write(log: &Log, rng: &mut Rng) -> Written {
    let mut written = Written::default();
    let mut writer = log.writer().unwrap();
    for _ in 0..10 {
        let mut group = GroupBuilder::new();
        let lsn = writer.next_lsn();
        for _ in 0..rng.below(3) {
            let account = AccountId(rng.below(ACCOUNTS) as u32);
            if rng.one_in(3) {
                transaction(rng, &mut group, lsn, account, &mut written);
            }
            let number = MessageNo(written.messages.len() as u64 + 1);
            let len = if rng.one_in(6) { 4_000 } else { rng.below(600) };
            let mut raw = format!("Subject: {number}\r\n\r\n").into_bytes();
            let noise = rng.one_in(2);
            raw.extend((0..len).map(|_| if noise { rng.next_u64() as u8 } else { b'x' }));
            let mut stager = log.stager();
            stager.write(&raw).unwrap();
            group.push_message(number, &stager.finish().unwrap(), &[account]);
            written.messages.insert(number, raw);
        }
        for _ in 0..=rng.below(2) {
            let account = AccountId(rng.below(ACCOUNTS) as u32);
            transaction(rng, &mut group, lsn, account, &mut written);
        }
        append(log, &mut writer, group);
    }
    append(log, &mut writer, GroupBuilder::new());
    append(log, &mut writer, GroupBuilder::new());
    written
}

fn transaction(rng: &mut Rng, group: &mut GroupBuilder, lsn: Lsn, account: AccountId, written: &mut Written) {
    let number = written.txns.len();
    let payload = format!("transaction {number} {}", "x".repeat(rng.below(120) as usize)).into_bytes();
    group.push_txn(Some(account), &payload);
    written.txns.push((lsn, account, payload));
}

fn segment(disk: &SimDisk) -> (PathBuf, Vec<u8>) {
    let folder = Path::new(DIR).join("log");
    let names = disk.list(&folder).unwrap();
    let all = names.iter().filter(|name| name.ends_with(".seg")).map(|name| {
        let file = disk.open(&folder.join(name)).unwrap();
        let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        (folder.join(name), bytes)
    });
    all.max_by_key(|(_, bytes)| bytes.windows(4).filter(|w| *w == b"MCGR").count()).unwrap()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// A group as it lies in the segment: its header, and its records with their kinds.
struct Lies {
    header: Range<usize>,
    records: Vec<(u8, Range<usize>)>,
}

fn layout(bytes: &[u8]) -> Vec<Lies> {
    let mut groups = Vec::new();
    let mut at = 64;
    while bytes[at..at + 4] == *b"MCGR" {
        let (mut place, end) = (at + 88, at + 88 + u32_at(bytes, at + 36));
        let mut records = Vec::new();
        while place < end {
            let len = u32_at(bytes, place + 4);
            records.push((bytes[place + 1], place..place + len));
            place += len;
        }
        groups.push(Lies { header: at..at + 88, records });
        at = end.next_multiple_of(8);
    }
    groups
}

fn touches(hit: &Range<usize>, range: &Range<usize>) -> bool {
    hit.start < range.end && range.start < hit.end
}

/// What a run saw of a damaged log.
struct Seen {
    txns: Vec<(Lsn, AccountId, Vec<u8>)>,
    damage: Vec<Damage>,
}

fn replay(opened: &Opened) -> Seen {
    let mut txns = Vec::new();
    let holes = opened.log.replay(Lsn(0), &mut |txn| {
        txns.push((txn.lsn, txn.account.unwrap(), txn.payload.to_vec()));
        Ok(())
    });
    let mut damage = opened.report.damage.clone();
    damage.extend(holes.unwrap());
    Seen { txns, damage }
}

/// Writes `bytes` over the segment from `at` on and looks at what is left.
fn check(disk: &SimDisk, written: &Written, at: usize, bytes: &[u8], footer_lost: bool, what: &str) {
    let (path, before) = segment(disk);
    let groups = layout(&before);
    let hit = at..at + bytes.len();
    disk.open(&path).unwrap().write_all_at(bytes, at as u64).unwrap();
    let opened = open(disk);
    let seen = replay(&opened);
    let is_sealed = before.windows(4).any(|w| w == b"MCFT");
    let (mut txns, mut messages) = (written.txns.iter(), written.messages.iter());
    let mut end_unknown = false;
    let mut lost_accounts: BTreeMap<u64, BTreeSet<AccountId>> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        // Without a footer: nothing after a place where more than one of header and records are lost, and no group
        // whose beginning nothing tells.
        let header_hit = touches(&hit, &group.header);
        let records_hit = group.records.iter().filter(|(_, range)| touches(&hit, range)).count();
        let in_doubt = (!is_sealed || footer_lost)
            && (usize::from(header_hit) + records_hit > 1 || (header_hit && end_unknown));
        end_unknown = in_doubt && header_hit;
        for (kind, range) in &group.records {
            let is_hit = touches(&hit, range);
            if *kind == 2 {
                let txn = txns.next().unwrap();
                assert_eq!(txn.0, Lsn(i as u64 + 1), "{what}: the test is wrong");
                assert!(!is_hit || !seen.txns.contains(txn) || *bytes == before[hit.clone()], "{what}");
                if is_hit {
                    lost_accounts.entry(txn.0.0).or_default().insert(txn.1);
                } else {
                    assert!(in_doubt || seen.txns.contains(txn), "{what}: transaction {txn:?} was not hit");
                }
            } else {
                let (number, raw) = messages.next().unwrap();
                let read = opened.log.read(*number).and_then(|m| m.read_all());
                assert!(read.as_ref().map_or(true, |bytes| bytes == raw), "{what}: wrong bytes of {number}");
                assert!(is_hit || in_doubt || read.is_ok(), "{what}: message {number} was not hit: {read:?}");
            }
        }
    }
    // No other, and in order.
    assert!(seen.txns.iter().all(|txn| written.txns.contains(txn)), "{what}");
    assert!(seen.txns.is_sorted_by_key(|txn| txn.0), "{what}");
    // Who was hit is said; with a footer, nobody else.
    for (lsn, accounts) in &lost_accounts {
        for account in accounts {
            let said = seen
                .damage
                .iter()
                .any(|d| d.first_lsn <= Lsn(*lsn) && Lsn(*lsn) <= d.last_lsn && d.may_have_hit(*account));
            assert!(said, "{what}: nobody says that {account} was hit in {lsn}: {:?}", seen.damage);
        }
    }
    if is_sealed && !footer_lost {
        for damage in seen.damage.iter().filter(|d| d.is_hole()) {
            let hit: BTreeSet<AccountId> =
                (damage.first_lsn.0..=damage.last_lsn.0).flat_map(|l| lost_accounts[&l].clone()).collect();
            assert_eq!(damage.accounts, hit.into_iter().collect::<Vec<_>>(), "{what}");
        }
    }
    // What is known is known the next time, and does not become more.
    let first = seen.damage;
    opened.log.report_damage(&first).unwrap();
    let listed = opened.log.damage();
    drop(opened);
    {
        let opened = open(&disk.kill());
        let again = replay(&opened);
        opened.log.report_damage(&again.damage).unwrap();
        assert_eq!(opened.log.damage(), listed, "{what}: opened again");
        assert_eq!(again.txns, seen.txns, "{what}: opened again");
    }
}

/// The disk of a store that was written by `seed`, sealed or as a kill leaves it.
fn written(seed: u64, sealed: bool, footer_lost: bool) -> (SimDisk, Written) {
    let disk = SimDisk::new(seed);
    let opened = open(&disk);
    let written = write(&opened.log, &mut Rng::new(seed));
    drop(opened);
    let mut disk = disk.kill();
    if sealed {
        drop(open(&disk));
        disk = disk.kill();
    }
    if footer_lost {
        let (path, bytes) = segment(&disk);
        assert!(disk.flip_bit(&path, bytes.len() as u64 - 30, 1));
    }
    (disk, written)
}

#[test]
fn a_flip_anywhere_costs_no_more_than_the_record_it_strikes() {
    for (sealed, footer_lost) in [(false, false), (true, false), (true, true)] {
        let seed = seeds(1)[0];
        let (disk, written) = written(seed, sealed, footer_lost);
        let (_, bytes) = segment(&disk);
        let end = layout(&bytes).last().unwrap().header.start - 88;
        let mut rng = Rng::new(seed);
        for at in (64..end).step_by(31) {
            let bit = rng.below(8) as u8;
            let what =
                format!("seed {seed}, sealed {sealed}, footer lost {footer_lost}, byte {at}, bit {bit}");
            check(&disk.kill(), &written, at, &[bytes[at] ^ (1 << bit)], footer_lost, &what);
        }
    }
}

#[test]
fn ranges_that_are_lost_cost_no_more_than_the_records_they_touch() {
    for seed in seeds(150) {
        let mut rng = Rng::new(seed);
        let (sealed, footer_lost) = [(false, false), (true, false), (true, true)][rng.below(3) as usize];
        let (disk, written) = written(seed, sealed, footer_lost);
        let (_, bytes) = segment(&disk);
        let end = layout(&bytes).last().unwrap().header.start - 88;
        let from = 64 + rng.below(end as u64 - 64) as usize;
        let to = (from + 1 + rng.below(700) as usize).min(end);
        let what = format!("seed {seed}, sealed {sealed}, footer lost {footer_lost}, bytes {from}..{to}");
        let is_noise = rng.one_in(2);
        let bytes: Vec<u8> = (from..to).map(|_| if is_noise { rng.next_u64() as u8 } else { 0 }).collect();
        check(&disk, &written, from, &bytes, footer_lost, &what);
    }
}
