//! The catalog and the snapshot runs, cut off in the middle, lost or damaged: what comes back from
//! the log is equal, whatever was kept of them.
#![allow(clippy::unwrap_used)]

mod common;

use common::assert_clean;
use common::model::{Account, read_out};
use common::work::stage;
use engine::catalog::{Catalog, MemoryRows, Rows, Visit, Write};
use engine::ops::{AppendItem, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use engine::types::AccountId;
use engine::{Error, Result, Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const DIR: &str = "/store";

/// Rows that outlive their process, as sled's do under the same boot, and that fail on order.
#[derive(Clone)]
struct KeptRows {
    rows: Arc<MemoryRows>,
    /// Writes that succeed before one fails; negative: all.
    writes_left: Arc<AtomicI64>,
    reads_fail: Arc<AtomicI64>,
}

impl KeptRows {
    fn new() -> Self {
        Self {
            rows: Arc::default(),
            writes_left: Arc::new(AtomicI64::new(-1)),
            reads_fail: Arc::new(AtomicI64::new(0)),
        }
    }
}

impl Rows for KeptRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.reads_fail.load(Ordering::SeqCst) > 0 {
            return Err(Error::corrupt("the catalog", "it cannot be read, as ordered"));
        }
        self.rows.get(key)
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        match self.writes_left.load(Ordering::SeqCst) {
            0 => return Err(Error::corrupt("the catalog", "it fails as ordered")),
            left => self.writes_left.store(left - 1, Ordering::SeqCst),
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

fn options() -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 64 << 10;
    options.log.body_threshold_bytes = 16 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    options
}

fn open(disk: &SimDisk, rows: &KeptRows) -> Store {
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    let rows = rows.clone();
    Store::open_over(Arc::new(disk.clone()), clock, Path::new(DIR), options(), || {
        Ok(Catalog::over(Box::new(rows)))
    })
    .unwrap()
}

fn account(store: &Store, name: &str) -> AccountId {
    store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap()
}

fn append_one(store: &Store, id: AccountId, text: &str) {
    let message = stage(store, text).unwrap();
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let item = AppendItem { message, flags: Vec::new(), internal_date: None };
    store.append(id, inbox, vec![item]).unwrap();
}

fn append(store: &Store, id: AccountId, name: &str, count: usize) {
    for number in 0..count {
        append_one(store, id, &format!("Subject: {name} {number}\r\n\r\nbody of {name} {number}\r\n"));
    }
}

fn said(store: &Store) -> Vec<(AccountId, Account)> {
    store.accounts().unwrap().into_iter().map(|a| (a.id, read_out(store, a.id))).collect()
}

fn runs(disk: &SimDisk) -> Vec<PathBuf> {
    let dir = Path::new(DIR).join("snapshots");
    let mut names = disk.list(&dir).unwrap();
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

/// Killed in the middle of a checkpoint: some accounts' rows are newer than the mark. The catalog is
/// trusted (same boot), and the next snapshot has to hold those rows too: once it and the one after it
/// are written, the log may go, and a catalog filled from them has to be equal.
#[test]
fn a_checkpoint_cut_off_leaves_no_row_out_of_the_next_snapshot() {
    for writes in 0..6 {
        let (disk, rows) = (SimDisk::new(writes as u64), KeptRows::new());
        let store = open(&disk, &rows);
        let ids = [account(&store, "a"), account(&store, "b"), account(&store, "gone")];
        ids.iter().for_each(|id| append(&store, *id, "first", 3));
        store.snapshot().unwrap();
        // From here on no mailbox has changed since the snapshot, as the catalog tells it.
        store.set_quota(ids[0], Some(1 << 20)).unwrap();
        store.checkpoint().unwrap();
        append(&store, ids[0], "second", 2);
        append(&store, ids[1], "second", 2);
        store.delete_account(ids[2]).unwrap();
        let before = said(&store);
        rows.writes_left.store(writes, Ordering::SeqCst);
        assert_eq!(store.checkpoint().is_err(), writes < 5, "{writes} writes are not all of it");
        rows.writes_left.store(-1, Ordering::SeqCst);

        let killed = disk.kill();
        let store = open(&killed, &rows);
        assert_eq!(store.recovery().catalog_rebuilt, None, "{writes} writes");
        assert!(store.recovery().damage.is_empty(), "{writes} writes: {:?}", store.recovery().damage);
        assert_eq!(said(&store), before, "{writes} writes, killed");
        store.snapshot().unwrap();

        let store = open(&killed.power_cut(), &KeptRows::new());
        assert!(store.recovery().catalog_rebuilt.is_some());
        assert_eq!(said(&store), before, "{writes} writes, then from the snapshot");
        assert_clean(&store);
        store.close().unwrap();
    }
}

/// The newest run is gone or has rotted. The log still has what the runs before it do not, and what is
/// kept afterwards does not rest on the bad run.
#[test]
fn the_newest_run_may_be_lost_or_damaged() {
    for (seed, (lost, reopened)) in
        [(true, true), (false, true), (true, false), (false, false)].iter().enumerate()
    {
        let when = format!("seed {seed}, lost {lost}, reopened {reopened}");
        let (disk, rows) = (SimDisk::new(seed as u64), KeptRows::new());
        let mut store = open(&disk, &rows);
        let mut disk = disk;
        let id = account(&store, "a");
        for round in 0..4 {
            append(&store, id, &format!("round {round}"), 10 * (4 - round));
            store.snapshot().unwrap();
        }
        append(&store, id, "after the snapshots", 3);
        let newest = runs(&disk).pop().unwrap();
        if *lost {
            disk.remove_file(&newest).unwrap();
            disk.sync_dir(&Path::new(DIR).join("snapshots")).unwrap();
        } else {
            assert!(disk.flip_bit(&newest, 100, 3));
        }
        let before = said(&store);
        if *reopened {
            disk = disk.power_cut();
            store = open(&disk, &KeptRows::new());
            assert_eq!(said(&store), before, "{when}: from the set before it");
        }
        // Work goes on, snapshots are made, and whatever is dead may go.
        for round in 4..8 {
            append(&store, id, &format!("round {round}"), 10);
            store.snapshot().unwrap();
            store.compact().unwrap();
        }
        append(&store, id, "the end", 3);
        let before = said(&store);
        let store = open(&disk.power_cut(), &KeptRows::new());
        assert_eq!(said(&store), before, "{when}: from what was kept since");
        assert_clean(&store);
        store.close().unwrap();
    }
}

/// Runs are merged as they grow; what was merged goes.
#[test]
fn no_run_stays_that_no_set_names() {
    let (disk, rows) = (SimDisk::new(3), KeptRows::new());
    let store = open(&disk, &rows);
    let id = account(&store, "a");
    for round in 0..12 {
        append(&store, id, &format!("round {round}"), 5);
        store.snapshot().unwrap();
    }
    let before = runs(&disk);
    store.close().unwrap();
    drop(store);
    // The opening removes what no set names.
    open(&disk, &rows).close().unwrap();
    assert_eq!(before, runs(&disk));
}

/// What cannot be read now is not dead.
#[test]
fn compaction_drops_nothing_of_an_account_whose_rows_cannot_be_read() {
    let (disk, rows) = (SimDisk::new(7), KeptRows::new());
    let store = open(&disk, &rows);
    let id = account(&store, "a");
    append(&store, id, "kept", 49);
    store.close().unwrap();
    drop(store);
    let store = open(&disk, &rows);
    for _ in 0..2 {
        append(&store, id, "kept too", 1);
        store.snapshot().unwrap();
    }
    store.close().unwrap();
    drop(store);
    let store = open(&disk, &rows);
    // Nobody asked for the account yet: its rows are in the catalog only.
    rows.reads_fail.store(1, Ordering::SeqCst);
    assert!(store.compact().is_err());
    rows.reads_fail.store(0, Ordering::SeqCst);
    store.close().unwrap();
    drop(store);
    let store = open(&disk, &rows);
    assert_eq!(said(&store)[0].1.mailboxes["INBOX"].messages.len(), 51);
    assert_clean(&store);
    store.close().unwrap();
}
