//! What a repair meets besides damage: another repair, users who go on, accounts that were deleted, a disk that does not
//! give something now.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean};
use engine::check::Kind;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::repair::{Mend, Plan, Step};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{FaultKind, SimDisk};
use engine::types::{AccountId, UidSet};
use engine::work::{self, Work};
use engine::{Error, Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/store";
const STRAYS: u64 = 20;

/// Opens without a catalog: the log tells it all.
fn open(disk: &SimDisk) -> Store {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 256 << 10;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_on(Arc::new(disk.clone()), clock, Path::new(DIR), options).unwrap()
}

fn account(store: &Store, name: &str) -> AccountId {
    store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap()
}

fn text(number: u64) -> String {
    let mut rng = Rng::new(number);
    let mut text = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n");
    (0..30).for_each(|_| text.push_str(&format!("{:x} {:x}\r\n", rng.next(), rng.next())));
    text
}

/// Appends as one transaction.
fn append(
    store: &Store,
    id: AccountId,
    numbers: impl Iterator<Item = u64>,
    flag: &str,
) -> engine::Result<()> {
    let inbox = store.account(id)?.mailbox_named("INBOX").ok_or(Error::NoSuchMailbox)?.header.id;
    let items = numbers.map(|number| {
        let flags = vec![flag.to_owned()];
        Ok(AppendItem { message: stage(store, &text(number))?, flags, internal_date: None })
    });
    store.append(id, inbox, items.collect::<engine::Result<_>>()?).map(drop)
}

fn expunge(store: &Store, id: AccountId, uids: UidSet) {
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
    store.change_flags(id, inbox, &uids, change).unwrap();
    store.expunge(id, inbox, Some(&uids)).unwrap();
}

/// Flips a bit where these bytes stand in the log, everywhere.
fn flip(disk: &SimDisk, needle: &[u8], after: u64) -> usize {
    let folder = Path::new(DIR).join("log");
    let mut flipped = 0;
    for name in disk.list(&folder).unwrap().iter().filter(|name| name.ends_with(".seg")) {
        let path = folder.join(name);
        let file = disk.open(&path).unwrap();
        let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let found = bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle);
        for (at, _) in found.collect::<Vec<_>>() {
            assert!(disk.flip_bit(&path, at as u64 + after, 1));
            flipped += 1;
        }
    }
    flipped
}

/// A hole of one account, with so many messages that no row names any more.
fn with_strays(disk: &SimDisk) {
    let store = open(disk);
    let (a, b) = (account(&store, "a"), account(&store, "b"));
    append(&store, b, 100..110, "\\Seen").unwrap();
    append(&store, a, 0..STRAYS, "needle").unwrap();
    append(&store, b, 110..120, "\\Seen").unwrap();
    store.close().unwrap();
    drop(store);
    assert_eq!(flip(disk, b"needle", 0), 1);
}

fn plan(store: &Store) -> Plan {
    store.repair_plan(&mut Work::quiet()).unwrap()
}

fn count(store: &Store, name: &str, mailbox: &str) -> u64 {
    let id = store.account_id(name).unwrap();
    store.account(id).unwrap().mailbox_named(mailbox).map_or(0, |of| u64::from(of.header.exists))
}

#[test]
fn two_repairs_at_once_bring_back_each_message_once() {
    let disk = SimDisk::new(1);
    with_strays(&disk);
    let store = open(&disk);
    let plan = plan(&store);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| store.repair(&plan, &mut Work::quiet()).unwrap());
        }
    });
    assert_eq!(count(&store, "a", "Recovered"), STRAYS);
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn a_message_that_is_expunged_meanwhile_does_not_come_back() {
    let disk = SimDisk::new(2);
    let store = open(&disk);
    let id = account(&store, "a");
    append(&store, id, 0..10, "\\Seen").unwrap();
    store.close().unwrap();
    drop(store);
    for number in [3, 4] {
        let text = text(number);
        // Within the blocks; the header of its own stays.
        let digest = *blake3::hash(text.as_bytes()).as_bytes();
        assert_eq!(flip(&disk, &digest, 0), 1);
    }
    let store = open(&disk);
    let plan = plan(&store);
    let mut steps = 0;
    let mut listener = |step: &work::Step| {
        if step.doing == "recovering messages" {
            steps += 1;
            if steps == 2 {
                expunge(&store, id, [4].into_iter().collect());
            }
        }
        true
    };
    let done = store.repair(&plan, &mut Work::told_to(&mut listener)).unwrap();
    assert!(steps >= 2);
    assert_eq!(done.expunged, 1, "{done:#?}");
    assert_eq!((count(&store, "a", "INBOX"), count(&store, "a", "Recovered")), (8, 1));
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn a_deleted_account_does_not_come_back() {
    let disk = SimDisk::new(3);
    let store = open(&disk);
    let (a, x) = (account(&store, "a"), account(&store, "x"));
    append(&store, a, 0..5, "\\Seen").unwrap();
    append(&store, x, 10..30, "needle").unwrap();
    store.delete_account(x).unwrap();
    append(&store, a, 5..9, "\\Seen").unwrap();
    store.close().unwrap();
    drop(store);
    assert_eq!(flip(&disk, b"needle", 0), 1);
    let store = open(&disk);
    let planned = plan(&store);
    let revives = planned.steps.iter().any(|step| matches!(step.mend, Mend::LostAccount { .. }));
    assert!(!revives, "{planned:#?}");
    store.repair(&planned, &mut Work::quiet()).unwrap();
    // A plan that was made elsewhere, or long ago.
    let mend = Mend::LostAccount { account: x };
    let (object, why, does) = Default::default();
    let old = Plan { steps: vec![Step { mend, object, why, does, lost: None }], ..Plan::default() };
    store.repair(&old, &mut Work::quiet()).unwrap();
    let names: Vec<String> = store.accounts().unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["a"]);
    assert_clean(&store);
    assert!(plan(&store).is_empty());
    store.close().unwrap();
}

#[test]
fn a_message_that_is_damaged_is_no_hole() {
    let disk = SimDisk::new(4);
    let store = open(&disk);
    let id = account(&store, "a");
    append(&store, id, 0..200, "\\Seen").unwrap();
    append(&store, id, 200..400, "\\Seen").unwrap();
    let digest = *blake3::hash(text(7).as_bytes()).as_bytes();
    assert_eq!(flip(&disk, &digest, 0), 1);
    let report = store.check(true).unwrap();
    assert!(report.findings.iter().any(|found| found.kind == Kind::LostMessage));
    let holes: Vec<_> = report.findings.iter().filter(|found| found.kind == Kind::CoveredHole).collect();
    assert_eq!(holes, Vec::<&engine::check::Finding>::new());
    store.close().unwrap();
}

/// Each read of a repair fails, once and twice in a row: nothing is passed over for it.
#[test]
fn what_cannot_be_read_now_is_not_forgotten() {
    let start = SimDisk::new(5);
    with_strays(&start);
    for (times, n) in [1, 2].into_iter().flat_map(|times| (0..160).map(move |n| (times, n))) {
        let disk = start.power_cut();
        let store = open(&disk);
        let planned = plan(&store);
        disk.fail_in_a_row(FaultKind::ReadEio, n, times);
        let first = store.repair(&planned, &mut Work::quiet());
        if first.as_ref().map_or(true, |done| !done.left.is_empty()) {
            drop(store.repair(&plan(&store), &mut Work::quiet()));
        }
        assert_eq!(count(&store, "a", "Recovered"), STRAYS, "read {n}, {times} times: {first:#?}");
        store.close().unwrap();
    }
    // All of them were within reach of it.
    let (disk, reads) = (start.power_cut(), 160);
    let store = open(&disk);
    let planned = plan(&store);
    disk.fail_in_a_row(FaultKind::ReadEio, reads, u64::MAX);
    store.repair(&planned, &mut Work::quiet()).unwrap();
    assert_eq!(count(&store, "a", "Recovered"), STRAYS, "a repair has no more than {reads} reads");
    disk.fail_in_a_row(FaultKind::ReadEio, u64::MAX, 1);
    store.close().unwrap();
}

#[test]
fn format_and_manifest_that_rot_while_it_is_open_are_found_and_written_again() {
    for name in ["FORMAT", "FORMAT.copy", "MANIFEST", "MANIFEST.copy"] {
        let disk = SimDisk::new(6);
        let store = open(&disk);
        let id = account(&store, "a");
        append(&store, id, 0..5, "\\Seen").unwrap();
        assert_clean(&store);
        assert!(disk.flip_bit(&Path::new(DIR).join(name), 30, 4));
        let report = store.check(true).unwrap();
        assert!(!report.is_clean(), "{name}");
        assert_eq!(report.findings.len(), 1, "{name}: {:#?}", report.findings);
        assert_eq!(report.findings[0].object, name);
        store.repair(&plan(&store), &mut Work::quiet()).unwrap();
        assert_clean(&store);
        assert!(plan(&store).is_empty(), "{name}");
        store.close().unwrap();
        drop(store);
        let store = open(&disk.power_cut());
        assert_eq!(store.recovery().mended, Vec::<String>::new(), "{name}");
        store.close().unwrap();
    }
}

/// The log is replayed while the account still takes mail, and what it took meanwhile is in what is made again.
#[test]
fn an_account_that_is_made_again_takes_mail_while_the_log_is_replayed() {
    let disk = SimDisk::new(7);
    let store = open(&disk);
    let id = account(&store, "a");
    (0..30).for_each(|number| append(&store, id, number..number + 1, "\\Seen").unwrap());
    let mend = Mend::Account { account: id };
    let (object, why, does) = Default::default();
    let planned = Plan { steps: vec![Step { mend, object, why, does, lost: None }], ..Plan::default() };
    let (mut steps, mut taken) = (0, 0);
    let mut listener = |step: &work::Step| {
        if step.doing == "replaying the log" {
            steps += 1;
            if steps % 7 == 1 {
                taken += u64::from(append(&store, id, 100 + steps..101 + steps, "\\Seen").is_ok());
            }
        }
        true
    };
    let done = store.repair(&planned, &mut Work::told_to(&mut listener)).unwrap();
    assert_eq!(done.left, Vec::<String>::new());
    assert!(steps > 30, "{steps}: it can be stopped within");
    assert!(taken >= 4, "{taken}");
    assert_eq!(count(&store, "a", "INBOX"), 30 + taken);
    append(&store, id, 1000..1001, "\\Seen").unwrap();
    assert_clean(&store);
    let mut stop = |step: &work::Step| step.doing != "replaying the log";
    assert!(matches!(store.check_told(true, &mut Work::told_to(&mut stop)), Err(Error::Interrupted)));
    store.close().unwrap();
}
