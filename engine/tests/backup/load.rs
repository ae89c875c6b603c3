//! A backup while mail comes in and segments are compacted away.

use crate::common::work::stage;
use crate::common::{Rng, assert_clean, seeds};
use crate::world::{BEGIN_MS, options};
use engine::backup::{Folder, How, Moment, Rate, Restore, Target, restore, take, verify};
use engine::ops::{FlagChange, FlagOp, NewAccount, Recipient};
use engine::sys::clock::{Clock, SystemClock};
use engine::sys::disk::{Disk, RealDisk};
use engine::types::{AccountId, Uid, UidSet};
use engine::work::Work;
use engine::{Error, Store};
use ledger::Ledger;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const THREADS: usize = 8;
const BACKUPS: usize = 4;

/// What was acknowledged, under a plain lock.
mod ledger {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// Name of a message to its UID.
    #[derive(Default)]
    pub struct Ledger(Mutex<BTreeMap<String, u32>>);

    impl Ledger {
        pub fn note(&self, name: String, uid: u32) {
            self.0.lock().unwrap().insert(name, uid);
        }

        pub fn so_far(&self) -> BTreeMap<String, u32> {
            self.0.lock().unwrap().clone()
        }
    }
}

fn deliver(store: &Store, id: AccountId, thread: usize, stop: &AtomicBool, ledger: &Ledger) {
    for number in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("{thread}-{number}");
        // Some lie in body segments, and many go again soon.
        let mut rng = Rng::new(number ^ thread as u64);
        let lines = if number % 7 == 0 { 2000 } else { 200 };
        let filler: String = (0..lines).map(|_| format!("{:x}\r\n", rng.next())).collect();
        let text = format!("Subject: {name}\r\n\r\n{filler}body of {name}\r\n");
        let to = Recipient { account: id, detail: None, address: "ann".into() };
        let delivered = store.deliver(&stage(store, &text).unwrap(), "", vec![to]).remove(0).unwrap();
        if number % 3 != 0 {
            ledger.note(name, delivered.uid.0);
            continue;
        }
        let mut uids = UidSet::new();
        uids.insert_uid(Uid(delivered.uid.0));
        let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".into()], unchanged_since: None };
        store.change_flags(id, delivered.mailbox, &uids, change).unwrap();
        store.expunge(id, delivered.mailbox, Some(&uids)).unwrap();
    }
}

fn names(store: &Store, id: AccountId) -> std::collections::BTreeMap<String, u32> {
    let account = store.account(id).unwrap();
    let inbox = account.mailbox_named("INBOX").unwrap();
    let uids = inbox.uids().unwrap();
    let rows = inbox.rows(&uids).map(|row| {
        let row = row.unwrap();
        let text = String::from_utf8(store.email(&row).unwrap().read_all().unwrap()).unwrap();
        (text.rsplit("body of ").next().unwrap().trim().to_owned(), row.uid.0)
    });
    rows.collect()
}

#[test]
fn everything_acknowledged_before_a_backup_is_in_it() {
    for seed in seeds(1) {
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let (from, dest) = (dir.path().join("store"), dir.path().join("dest"));
        let store = Store::open(&from, options()).unwrap();
        let id = store.create_account(&NewAccount { name: "ann", ..NewAccount::default() }).unwrap();
        let (ledger, stop) = (Ledger::default(), AtomicBool::new(false));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let mut acknowledged = Vec::new();
        let mut dropped = 0;
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (store, stop, ledger) = (&store, &stop, &ledger);
                scope.spawn(move || deliver(store, id, thread, stop, ledger));
            }
            let keeping = scope.spawn(|| {
                let mut dropped = 0;
                while !stop.load(Ordering::Relaxed) {
                    store.snapshot().unwrap();
                    dropped += store.compact().unwrap().segments_dropped;
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                dropped
            });
            for n in 1..=BACKUPS {
                while ledger.so_far().len() < 100 * n {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                acknowledged.push(ledger.so_far());
                let (_held, pinned) = store.pin().unwrap();
                let mut folder = Folder::open(&disk, &dest).unwrap();
                // Slowly, so that much happens meanwhile.
                let (mut how, mut work) = (How::new(Rate::new(Some(4 << 20))), Work::quiet());
                let now_ms = SystemClock.now_ms();
                take(&RealDisk, &from, &pinned, now_ms, &mut folder, &mut how, &mut work).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            dropped = keeping.join().unwrap();
        });
        println!("{} messages, {dropped} segments dropped meanwhile", ledger.so_far().len());
        assert!(dropped > 0, "nothing was compacted meanwhile");
        assert_clean(&store);
        store.close().unwrap();
        let folder = Folder::read(&disk, &dest).unwrap();
        assert_eq!(verify(&folder, &mut Work::quiet()).unwrap().findings, Vec::<String>::new());
        let as_of: Vec<u64> = folder.backups().iter().map(|found| found.as_of_ms).collect();
        for (n, (told, as_of_ms)) in acknowledged.iter().zip(as_of).enumerate() {
            let to = dir.path().join(format!("to{n}"));
            restore_into(&folder, &disk, &to, Moment::At(as_of_ms));
            let store = Store::open(&to, options()).unwrap();
            assert_clean(&store);
            let found = names(&store, id);
            for (name, uid) in told {
                assert_eq!(found.get(name), Some(uid), "backup {n} lacks {name}");
            }
            assert!(found.keys().all(|name| ledger.so_far().contains_key(name) || is_expunged(name)));
            store.close().unwrap();
        }
    }
}

/// Those are expunged right after they were delivered: a backup may lie between.
fn is_expunged(name: &str) -> bool {
    name.split_once('-')
        .and_then(|(_, number)| number.parse::<u32>().ok())
        .is_some_and(|number| number % 3 == 0)
}

fn restore_into(folder: &Folder, disk: &Arc<dyn Disk>, to: &Path, moment: Moment) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let asked = Restore { moment, nothing_since: false, damaged_too: false };
    let into = Target { disk, clock: &clock, dir: to, options: options() };
    let restored = restore(folder, asked, into, &mut Rate::new(None), &mut Work::quiet()).unwrap();
    assert!(restored.unavailable.is_empty());
}

#[test]
fn a_pin_keeps_files_and_lets_go() {
    let (disk, clock) = (engine::sys::sim::SimDisk::new(1), engine::sys::clock::SimClock::new(BEGIN_MS));
    let store = crate::world::open(&disk, &clock, "/s");
    let id = store.create_account(&NewAccount { name: "ann", ..NewAccount::default() }).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let mut rng = Rng::new(7);
    for _ in 0..40 {
        let text: String = (0..500).map(|_| format!("{:x}\r\n", rng.next())).collect();
        let to = Recipient { account: id, detail: None, address: "ann".into() };
        store.deliver(&stage(&store, &text).unwrap(), "", vec![to]).remove(0).unwrap();
    }
    let (pin, pinned) = store.pin().unwrap();
    let all = UidSet::from_range(1, 40);
    let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".into()], unchanged_since: None };
    store.change_flags(id, inbox, &all, change).unwrap();
    store.expunge(id, inbox, None).unwrap();
    for n in 0..3 {
        store.snapshot().unwrap();
        store.create_mailbox(id, &format!("m{n}"), None).unwrap();
    }
    clock.advance(1_000);
    assert!(store.compact().unwrap().segments_dropped > 0);
    let path = |file: &engine::log::StoreFile| Path::new("/s").join(&file.folder).join(&file.name);
    assert!(pinned.files.iter().all(|file| disk.exists(&path(file))), "a pinned file is gone");
    drop(pin);
    clock.advance(1_000);
    store.snapshot().unwrap();
    store.compact().unwrap();
    store.create_mailbox(id, "last", None).unwrap();
    store.snapshot().unwrap();
    // The keeper sweeps within its next second; closing and opening does at once.
    store.close().unwrap();
    drop(store);
    let disk = disk.kill();
    let store = crate::world::open(&disk, &clock, "/s");
    assert!(pinned.files.iter().any(|file| !disk.exists(&path(file))), "nothing was let go");
    assert_eq!(store.account_id("nobody"), None);
    store.close().unwrap();
    assert!(matches!(store.pin(), Err(Error::Closed)));
}
