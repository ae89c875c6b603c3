//! Several threads on one store, and the power lost at a random sync point: every delivery, flag and
//! expunge that was acknowledged is there once, and UIDs ascend in the order of the acknowledgements.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean, seeds};
use engine::mailbox::Mailbox;
use engine::ops::{FlagChange, FlagOp, NewAccount, Recipient};
use engine::sys::clock::SimClock;
use engine::sys::sim::SimDisk;
use engine::types::{AccountId, UidSet};
use engine::{Error, Result, Store, StoreOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

const WORKERS: usize = 4;

fn open(disk: &SimDisk) -> Result<Store> {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 32 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    options.keep.compact_dead_percent = 5;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_on(Arc::new(disk.clone()), clock, Path::new("/store"), options)
}

fn account(store: &Store, name: &str) -> Result<AccountId> {
    store.create_account(&NewAccount { name, ..NewAccount::default() })
}

fn one(uid: u32) -> UidSet {
    [uid].into_iter().collect()
}

/// What one thread was told, and what it was not told any more.
#[derive(Default)]
struct Told {
    /// UID by the message's name, in the order of the acknowledgements.
    delivered: Vec<(String, u32)>,
    flagged: BTreeSet<u32>,
    expunged: BTreeSet<u32>,
    /// Asked for, outcome unknown.
    maybe_expunged: BTreeSet<u32>,
}

fn text(rng: &mut Rng, name: &str) -> String {
    let lines = if rng.chance(4) { 400 } else { rng.below(20) };
    let mut text = format!("Subject: {name}\r\n\r\n");
    (0..lines).for_each(|_| text.push_str(&format!("{:x} {:x}\r\n", rng.next(), rng.next())));
    text
}

fn flag(store: &Store, id: AccountId, uid: u32, name: &str) -> Result<()> {
    let inbox = store.account(id)?.mailbox_named("INBOX").ok_or(Error::NoSuchMailbox)?.header.id;
    let change = FlagChange { op: FlagOp::Add, flags: vec![name.to_owned()], unchanged_since: None };
    store.change_flags(id, inbox, &one(uid), change)?;
    Ok(())
}

fn expunge(store: &Store, id: AccountId, uid: u32) -> Result<()> {
    flag(store, id, uid, "\\Deleted")?;
    let inbox = store.account(id)?.mailbox_named("INBOX").ok_or(Error::NoSuchMailbox)?.header.id;
    store.expunge(id, inbox, Some(&one(uid)))?;
    Ok(())
}

/// Works on its own messages of an inbox that all share, until the power goes.
fn work(store: &Store, id: AccountId, mut rng: Rng, worker: usize) -> Told {
    let mut told = Told::default();
    let mut mine: Vec<u32> = Vec::new();
    for number in 0..120 {
        let name = format!("{worker}-{number}");
        let to = Recipient { account: id, detail: None, address: "a".into() };
        let delivered = stage(store, &text(&mut rng, &name))
            .and_then(|message| store.deliver(&message, &name, vec![to]).remove(0));
        let Ok(delivered) = delivered else { break };
        assert!(!delivered.is_duplicate);
        told.delivered.push((name, delivered.uid.0));
        mine.push(delivered.uid.0);
        let uid = mine[rng.below(mine.len())];
        if rng.chance(30) {
            if flag(store, id, uid, "\\Seen").is_err() {
                break;
            }
            told.flagged.insert(uid);
        } else if rng.chance(60) {
            mine.retain(|known| *known != uid);
            told.maybe_expunged.insert(uid);
            if expunge(store, id, uid).is_err() {
                break;
            }
            told.expunged.insert(uid);
        }
    }
    told
}

/// Checkpoints, snapshots and compaction beside the workers.
fn keep_house(store: &Store, mut rng: Rng, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        // After the power went all of it fails.
        match rng.below(3) {
            0 => drop(store.checkpoint()),
            1 => drop(store.snapshot()),
            _ => drop(store.compact()),
        }
    }
}

fn run(disk: &SimDisk, seed: u64) -> Option<(AccountId, Vec<Told>)> {
    let store = open(disk).ok()?;
    let id = account(&store, "a").ok()?;
    let done = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let (store, done) = (&store, &done);
        let keeper = scope.spawn(move || keep_house(store, Rng::new(seed ^ 0x55), done));
        let spawn = |worker| {
            let rng = Rng::new(seed << 8 | worker as u64);
            scope.spawn(move || work(store, id, rng, worker))
        };
        let workers: Vec<_> = (0..WORKERS).map(spawn).collect();
        let told = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        keeper.join().unwrap();
        told
    });
    drop(store.close());
    Some((id, told))
}

fn found(store: &Store, inbox: &Mailbox, when: &str) -> BTreeMap<u32, (String, bool)> {
    let mut found = BTreeMap::new();
    let mut names = BTreeSet::new();
    for row in inbox.rows(&inbox.uids().unwrap()) {
        let row = row.unwrap();
        let email = store.email(&row).unwrap_or_else(|e| panic!("{when}: UID {}: {e}", row.uid));
        email.verify().unwrap();
        let text = String::from_utf8(email.read_all().unwrap()).unwrap();
        let name = text.split("Subject: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        assert!(names.insert(name.clone()), "{when}: {name} is there twice");
        let is_seen = inbox.flag_names(&row.flags).contains(&"\\Seen");
        found.insert(row.uid.0, (name, is_seen));
    }
    found
}

fn assert_kept(disk: &SimDisk, id: AccountId, told: &[Told], when: &str) {
    let store = open(disk).unwrap_or_else(|e| panic!("{when}: {e}"));
    assert!(store.recovery().damage.is_empty(), "{when}: {:?}", store.recovery().damage);
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().clone();
    let found = found(&store, &inbox, when);
    let mut given = BTreeSet::new();
    for told in told {
        let mut last = 0;
        for (name, uid) in &told.delivered {
            assert!(*uid > last, "{when}: UIDs ascend");
            last = *uid;
            assert!(given.insert(*uid), "{when}: UID {uid} was given twice");
            assert!(*uid < inbox.header.uid_next.0, "{when}: UIDNEXT is above what was given");
            match found.get(uid) {
                Some((there, _)) => assert_eq!(there, name, "{when}: UID {uid}"),
                None => assert!(told.maybe_expunged.contains(uid), "{when}: {name} is lost"),
            }
        }
        for uid in &told.expunged {
            assert!(!found.contains_key(uid), "{when}: UID {uid} is back");
        }
        for uid in &told.flagged {
            let is_seen = found.get(uid).is_none_or(|(_, is_seen)| *is_seen);
            assert!(is_seen, "{when}: UID {uid} lost its flag");
        }
    }
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn power_lost_under_load_loses_nothing_acknowledged() {
    for seed in seeds(6) {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let point = 20 + rng.below(500) as u64;
        let when = format!("seed {seed}, power lost at sync point {point}");
        disk.cut_at_sync_point(point);
        let Some((id, told)) = run(&disk, seed) else { panic!("{when}: it did not begin") };
        let acks: usize = told.iter().map(|told| told.delivered.len()).sum();
        println!("{when}: {acks} deliveries acknowledged");
        let found = if rng.chance(30) { disk.kill() } else { disk.power_cut() };
        assert_kept(&found, id, &told, &when);
    }
}

/// A delivery sequenced while the account's deletion is being synced comes too late.
#[test]
fn an_account_deleted_under_load_stays_deleted() {
    for seed in seeds(2) {
        let disk = SimDisk::new(seed);
        let store = open(&disk).unwrap();
        let other = account(&store, "other").unwrap();
        for round in 0..6 {
            let id = account(&store, &format!("a{round}")).unwrap();
            let (start, store) = (Barrier::new(WORKERS + 1), &store);
            std::thread::scope(|scope| {
                for worker in 0..WORKERS {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        for number in 0..40 {
                            let name = format!("{round}-{worker}-{number}");
                            let message = stage(store, &format!("Subject: {name}\r\n\r\n")).unwrap();
                            let to = |account| Recipient { account, detail: None, address: "a".into() };
                            let verdicts = store.deliver(&message, &name, vec![to(id), to(other)]);
                            assert!(verdicts[1].is_ok(), "seed {seed}: {:?}", verdicts[1]);
                        }
                    });
                }
                start.wait();
                store.delete_account(id).unwrap();
                assert!(store.account(id).is_err(), "seed {seed}: the account is deleted");
            });
            assert!(store.account(id).is_err(), "seed {seed}: the account is back");
        }
        assert_clean(&store);
        store.close().unwrap();
    }
}

/// The check beside everything that rewrites what it reads.
#[test]
fn the_check_is_clean_beside_writers_and_compaction() {
    for seed in seeds(2) {
        let disk = SimDisk::new(seed);
        let store = open(&disk).unwrap();
        let id = account(&store, "a").unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (store, done) = (&store, &done);
            let keeper = scope.spawn(move || keep_house(store, Rng::new(seed ^ 0x55), done));
            let checker = scope.spawn(move || {
                let mut rng = Rng::new(seed ^ 0xaa);
                while !done.load(Ordering::SeqCst) {
                    let report = store.check(rng.chance(50)).unwrap();
                    assert!(report.is_clean(), "seed {seed}: {:#?}", report.findings);
                }
            });
            let spawn = |worker| {
                let rng = Rng::new(seed << 8 | worker as u64);
                scope.spawn(move || work(store, id, rng, worker))
            };
            let workers: Vec<_> = (0..2).map(spawn).collect();
            workers.into_iter().for_each(|worker| drop(worker.join().unwrap()));
            done.store(true, Ordering::SeqCst);
            keeper.join().unwrap();
            checker.join().unwrap();
        });
        store.close().unwrap();
    }
}
