//! What an opening does when the catalog or the snapshots fail it: nothing that was acknowledged is given up for it.
#![allow(clippy::unwrap_used)]

mod common;

use common::assert_clean;
use common::work::stage;
use engine::catalog::{Catalog, MemoryRows, ObjectKey, Rows, Visit, Write};
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::{Disk, File};
use engine::sys::sim::{SimDisk, Strike};
use engine::types::{AccountId, MailboxId, UidSet};
use engine::{Error, Result, Store, StoreOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DIR: &str = "/store";

/// So many writes more succeed, then each one fails like this.
type Refusal = (u64, fn() -> Error);

/// A catalog that outlives its process, as sled does, and that fails on order.
#[derive(Clone, Default)]
struct KeptRows {
    rows: Arc<MemoryRows>,
    refuses: Arc<Mutex<Option<Refusal>>>,
}

impl KeptRows {
    fn catalog(&self) -> Catalog {
        Catalog::over(Box::new(self.clone()))
    }

    fn refuse_after(&self, writes: u64, error: fn() -> Error) {
        *self.refuses.lock().unwrap() = Some((writes, error));
    }

    fn work_again(&self) {
        *self.refuses.lock().unwrap() = None;
    }
}

impl Rows for KeptRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.rows.get(key)
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        match &mut *self.refuses.lock().unwrap() {
            Some((0, error)) => return Err(error()),
            Some((left, _)) => *left -= 1,
            None => {}
        }
        self.rows.write(batch)
    }

    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()> {
        self.rows.scan(prefix, f)
    }

    fn clear(&self) -> Result<()> {
        self.rows.clear()
    }

    fn flush_durable(&self) -> Result<()> {
        Ok(())
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        self.rows.bytes_on_disk()
    }
}

/// A disk that does not let snapshots be opened.
struct Shut {
    disk: SimDisk,
    is_shut: Arc<AtomicBool>,
}

impl Disk for Shut {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if self.is_shut.load(Ordering::Relaxed) && path.starts_with(Path::new(DIR).join("snapshots")) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        self.disk.open(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.disk.lock(path)
    }

    fn is_real(&self) -> bool {
        false
    }
}

fn open(disk: &SimDisk, rows: &KeptRows) -> Result<Store> {
    open_on(Arc::new(disk.clone()), rows)
}

fn open_by(disk: &SimDisk, rows: &KeptRows, clock: &SimClock) -> Result<Store> {
    open_with(Arc::new(disk.clone()), rows, clock)
}

fn open_on(disk: Arc<dyn Disk>, rows: &KeptRows) -> Result<Store> {
    open_with(disk, rows, &SimClock::new(1_700_000_000_000))
}

fn open_with(disk: Arc<dyn Disk>, rows: &KeptRows, clock: &SimClock) -> Result<Store> {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 24 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    let clock = Arc::new(clock.clone());
    Store::open_over(disk, clock, Path::new(DIR), options, || Ok(rows.catalog()))
}

fn append(store: &Store, id: AccountId, text: &str) -> Result<()> {
    let inbox = store.account(id)?.mailbox_named("INBOX").unwrap().header.id;
    let item = AppendItem { message: stage(store, text)?, flags: vec![], internal_date: None };
    store.append(id, inbox, vec![item]).map(drop)
}

fn account(store: &Store, name: &str) -> AccountId {
    store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap()
}

fn messages(store: &Store) -> Vec<(String, u64)> {
    store.accounts().unwrap().into_iter().map(|account| (account.name, account.messages)).collect()
}

/// A store of which the log has the newest part only: the rest is in the snapshots. It was killed.
fn with_a_past(disk: &SimDisk, rows: &KeptRows) -> Vec<(String, u64)> {
    let store = open(disk, rows).unwrap();
    let ids = ["a", "b", "c"].map(|name| account(&store, name));
    for id in ids {
        (0..20).for_each(|n| append(&store, id, &noise(n)).unwrap());
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let gone: UidSet = (1..=15).collect();
        let flags = vec!["\\Deleted".to_owned()];
        let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
        store.change_flags(id, inbox, &gone, change).unwrap();
        store.expunge(id, inbox, None).unwrap();
    }
    for _ in 0..2 {
        store.set_quota(ids[0], None).unwrap();
        store.snapshot().unwrap();
    }
    assert!(store.compact().unwrap().segments_dropped > 0);
    append(&store, ids[1], "Subject: last\r\n\r\n").unwrap();
    messages(&store)
}

/// The disk is full, or fails otherwise, when the catalog has to be made again: the store does not open without
/// its past, and has it as soon as there is room.
#[test]
fn a_catalog_that_takes_nothing_is_no_damage_of_the_snapshots() {
    let refusals: [fn() -> Error; 2] =
        [|| Error::StoreFull, || Error::corrupt("the catalog", "simulated I/O error")];
    for refusal in refusals {
        for writes in 0..2 {
            let (disk, rows) = (SimDisk::new(1), KeptRows::default());
            let was = with_a_past(&disk, &rows);
            let disk = disk.kill();
            let rows = KeptRows::default();
            rows.refuse_after(writes, refusal);
            let opened = open(&disk, &rows);
            let error = opened.map(drop).expect_err("it opens without its past");
            let is_full = matches!(error, Error::StoreFull);
            assert_eq!(is_full, matches!(refusal(), Error::StoreFull), "{error}");
            rows.work_again();
            let store = open(&disk, &rows).unwrap();
            assert_eq!(store.recovery().damage, Vec::<String>::new());
            assert_eq!(messages(&store), was);
            assert_clean(&store);
            store.close().unwrap();
        }
    }
}

/// A run whose file does not open, though it is there, may open at the next start: its set is not given up for
/// nothing. One that is lost is, and the other set takes its place.
#[test]
fn a_snapshot_that_may_be_whole_is_not_taken_for_lost() {
    let (disk, rows) = (SimDisk::new(1), KeptRows::default());
    let was = with_a_past(&disk, &rows);
    let disk = disk.kill();
    let shut = Shut { disk: disk.clone(), is_shut: Arc::default() };
    shut.is_shut.store(true, Ordering::Relaxed);
    let error =
        open_on(Arc::new(shut), &KeptRows::default()).map(drop).expect_err("it opens without its past");
    assert!(error.to_string().contains("start again"), "{error}");
    let runs = disk.list(&Path::new(DIR).join("snapshots")).unwrap();
    disk.remove_file(&Path::new(DIR).join("snapshots").join(runs.last().unwrap())).unwrap();
    let store = open(&disk, &KeptRows::default()).unwrap();
    assert!(!store.recovery().damage.is_empty());
    assert_eq!(messages(&store), was);
    store.close().unwrap();
}

/// A bit rots in the first place of the log that holds these bytes.
fn rot(disk: &SimDisk, bytes: &[u8]) {
    let log = Path::new(DIR).join("log");
    let is_hit = disk.list(&log).unwrap().iter().any(|name| {
        let file = disk.open(&log.join(name)).unwrap();
        let mut content = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut content, 0).unwrap();
        let at = content.windows(bytes.len()).position(|window| window == bytes);
        at.is_some_and(|at| disk.flip_bit(&log.join(name), at as u64, 0))
    });
    assert!(is_hit);
}

/// Mail for three accounts, and a mailbox whose name stands in one transaction alone. All of it is in the catalog.
fn with_a_name(store: &Store) -> AccountId {
    let ids = ["a", "b", "c"].map(|name| account(store, name));
    append(store, ids[0], "Subject: before\r\n\r\n").unwrap();
    store.create_mailbox(ids[1], "rottenrotten", None).unwrap();
    (0..40).for_each(|n| append(store, ids[n % 3], &noise(n)).unwrap());
    store.checkpoint().unwrap();
    ids[1]
}

/// Two kilobytes that no compressor makes smaller.
fn noise(n: usize) -> String {
    let mut rng = common::Rng::new(n as u64);
    let lines: String = (0..60).map(|_| format!("{:016x}{:016x}\r\n", rng.next(), rng.next())).collect();
    format!("Subject: {n}\r\n\r\n{lines}")
}

fn assert_whole(store: &Store, id: AccountId, was: &[(String, u64)], when: &str) {
    assert_eq!(store.recovery().read_only_accounts, [], "{when}: {:?}", store.recovery().damage);
    assert_eq!(messages(store), was, "{when}");
    assert!(store.account(id).unwrap().mailbox_named("rottenrotten").is_some(), "{when}");
}

/// Until both snapshot sets reach over everything: the keeper does it by itself.
fn wait_for_two_sets(store: &Store, when: &str) {
    let are_two = || store.stats().unwrap().counts.snapshots >= 2;
    let done = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        are_two()
    });
    assert!(done, "{when}: no snapshots are written");
}

/// The catalog was complete when the store was stopped. That something is listed as damaged takes nothing from it, and it
/// may be all that has what has rotted in the log meanwhile.
#[test]
fn a_catalog_that_was_stopped_in_order_is_kept_whatever_is_listed() {
    let (disk, rows, clock) = (SimDisk::new(1), KeptRows::default(), SimClock::new(1_700_000_000_000));
    let store = open_by(&disk, &rows, &clock).unwrap();
    let id = with_a_name(&store);
    let mut large = noise(100);
    (101..110).for_each(|n| large.push_str(&noise(n)));
    append(&store, id, &large).unwrap();
    let was = messages(&store);
    store.close().unwrap();
    drop(store);
    let body = Path::new(DIR).join("bodies");
    let name = disk.list(&body).unwrap().remove(0);
    assert!(disk.flip_bit(&body.join(name), 5_000, 1));
    let store = open_by(&disk, &rows, &clock).unwrap();
    assert!(store.scrub().unwrap().findings > 0);
    store.close().unwrap();
    drop(store);
    rot(&disk, b"rottenrotten");
    clock.reboot();
    let store = open_by(&disk, &rows, &clock).unwrap();
    assert!(!store.recovery().damage.is_empty() && !store.recovery().clean);
    assert_eq!(store.recovery().catalog_rebuilt, None);
    assert_whole(&store, id, &was, "after a reboot");
    store.close().unwrap();
}

/// The opening finds that the log has lost what the catalog has, or the scrub does: snapshots have it before the next
/// loss of power takes the catalog.
#[test]
fn what_only_the_catalog_has_is_soon_in_two_snapshots() {
    for is_found_by_scrub in [false, true] {
        let when = if is_found_by_scrub { "found by the scrub" } else { "found by the opening" };
        let (disk, rows) = (SimDisk::new(1), KeptRows::default());
        let store = open(&disk, &rows).unwrap();
        let id = with_a_name(&store);
        let was = messages(&store);
        let (disk, store) = if is_found_by_scrub {
            rot(&disk, b"rottenrotten");
            assert!(store.scrub().unwrap().findings > 0);
            (disk, store)
        } else {
            // The segment that was being written is the one that is looked at.
            store.create_mailbox(id, "othersothers", None).unwrap();
            store.checkpoint().unwrap();
            append(&store, id, "Subject: after\r\n\r\n").unwrap();
            let disk = disk.kill();
            drop(store);
            rot(&disk, b"othersothers");
            let store = open(&disk, &rows).unwrap();
            assert!(!store.recovery().damage.is_empty());
            (disk, store)
        };
        let was = if is_found_by_scrub { was } else { messages(&store) };
        assert_whole(&store, id, &was, when);
        wait_for_two_sets(&store, when);
        let disk = disk.power_cut();
        drop(store);
        let store = open(&disk, &KeptRows::default()).unwrap();
        assert_whole(&store, id, &was, &format!("{when}, and the catalog is lost"));
        let others = store.account(id).unwrap().mailbox_named("othersothers").is_some();
        assert_ne!(others, is_found_by_scrub, "{when}");
        store.close().unwrap();
    }
}

/// Nobody knows whose the last acknowledged transaction was: every account's numbers have to jump. A killed store.
fn with_a_lost_end(disk: &SimDisk, rows: &KeptRows) -> (SimDisk, [AccountId; 3]) {
    let store = open(disk, rows).unwrap();
    let ids = ["a", "b", "c"].map(|name| account(&store, name));
    ids.iter().for_each(|id| append(&store, *id, "Subject: first\r\n\r\n").unwrap());
    store.checkpoint().unwrap();
    store.create_mailbox(ids[0], "lost-lost", None).unwrap();
    (0..3).for_each(|_| append(&store, ids[1], "Subject: later\r\n\r\n").unwrap());
    let disk = disk.kill();
    drop(store);
    rot(&disk, b"lost-lost");
    (disk, ids)
}

/// The jump needs the rows of accounts that nothing else of the opening reads: one that rots is made again first.
#[test]
fn a_rotten_row_does_not_keep_numbers_from_jumping() {
    let (disk, rows) = (SimDisk::new(1), KeptRows::default());
    let (disk, ids) = with_a_lost_end(&disk, &rows);
    let key = ObjectKey::Mailbox(ids[2], MailboxId(1)).to_bytes();
    let mut row = None;
    let first = &mut |key: &[u8], value: &[u8]| {
        row.get_or_insert((key.to_vec(), value.to_vec()));
        Ok(())
    };
    rows.scan(&key, first).unwrap();
    let (key, mut value) = row.unwrap();
    *value.last_mut().unwrap() ^= 1;
    rows.write(vec![(key, Some(value))]).unwrap();
    let store = open(&disk, &rows).unwrap_or_else(|e| panic!("it does not open: {e}"));
    assert!(store.recovery().catalog_rebuilt.is_some());
    for id in ids {
        let account = store.account(id).unwrap();
        let uid_next = account.mailbox_named("INBOX").unwrap().header.uid_next;
        assert!(uid_next.0 > 1 << 20 || account.id == ids[1], "account {id}: {uid_next}");
    }
    store.close().unwrap();
}

/// Whatever fails while a store is opened, it is given up: the next opening is not told that somebody owns it.
#[test]
fn an_opening_that_fails_gives_the_store_up() {
    let (disk, rows) = (SimDisk::new(1), KeptRows::default());
    let (lost, _) = with_a_lost_end(&disk, &rows);
    let operations = {
        let disk = lost.kill();
        let store = open(&disk, &KeptRows::default()).unwrap();
        let operations = disk.operations();
        store.close().unwrap();
        operations
    };
    let mut failed = 0;
    for n in 0..operations {
        for strike in [Strike::Eio, Strike::NoSpace] {
            let disk = lost.kill();
            disk.strike_operation(n, strike);
            match open(&disk, &KeptRows::default()) {
                Ok(store) => drop(store.close()),
                Err(error) => {
                    failed += 1;
                    let again = open(&disk, &KeptRows::default());
                    let again = again.unwrap_or_else(|e| panic!("{strike:?} at {n} ({error}): {e}"));
                    assert!(!again.recovery().damage.is_empty(), "{strike:?} at {n}");
                    again.close().unwrap();
                }
            }
        }
    }
    assert!(failed > 0);
}
