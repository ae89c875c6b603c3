//! Rows in sled 0.34.7.
//!
//! Laws
//! - One tree, prefixed keys; no value over 4 KB (larger ones become files and leak).
//! - `flush` is called by one thread at a time, never `flush_async` (it deadlocks) and no flusher of
//!   sled's own. sled's flush is no fsync: its files are synced here after it.
//! - After an I/O error (a full disk) sled answers every later write with that same error: it is opened anew
//!   before the next one.
//! - sled may panic on what a power cut left behind: every call is guarded.

use super::rows::{Rows, Visit, Write};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use parking_lot::{Mutex, RwLock};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often sled is asked to give up its file, some milliseconds apart, before that is an error.
const REOPEN_TRIES: u32 = 50;

pub struct SledRows {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    cache_bytes: u64,
    /// `None` only inside `clear`, or after it failed.
    db: RwLock<Option<sled::Db>>,
    flushing: Mutex<()>,
    /// A write failed since sled was opened.
    failed: AtomicBool,
}

impl SledRows {
    /// Opens the rows in `dir`. Files that sled cannot open are deleted: a view is not worth mending.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, cache_bytes: u64) -> Result<Self> {
        let db = match open_db(dir, cache_bytes) {
            Err(Error::Corrupt { why, .. }) => {
                tracing::warn!(why, "the catalog cannot be opened; it is deleted and rebuilt");
                remove(&*disk, dir)?;
                open_db(dir, cache_bytes)?
            }
            other => other?,
        };
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            cache_bytes,
            db: RwLock::new(Some(db)),
            flushing: Mutex::new(()),
            failed: AtomicBool::new(false),
        })
    }

    fn with<T>(&self, f: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T> {
        match &*self.db.read() {
            Some(db) => guarded(|| f(db)),
            None => Err(Error::corrupt("the catalog", "it could not be opened anew; restart")),
        }
    }

    /// A call after which, if it fails, sled takes no more.
    fn written<T>(&self, f: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T> {
        let done = self.with(f);
        if done.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        done
    }

    fn sync_files(&self) -> io::Result<()> {
        for name in self.disk.list(&self.dir)? {
            // A folder that sled makes for values over 8 KB; there are none.
            if name != "blobs" {
                match self.disk.open(&self.dir.join(name)) {
                    Ok(file) => file.sync_data()?,
                    // sled removes an old snapshot file whenever it wrote a new one.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
        self.disk.sync_dir(&self.dir)
    }
}

impl Rows for SledRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.with(|db| db.get(key))?.map(|value| value.to_vec()))
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        let mut rows = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(key),
            }
        }
        self.written(|db| db.apply_batch(rows))
    }

    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()> {
        let mut rows = self.with(|db| Ok(db.scan_prefix(prefix)))?;
        while let Some((key, value)) = guarded(|| rows.next().transpose())? {
            f(&key, &value)?;
        }
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        let mut db = self.db.write();
        // Closed before its files go; sled writes once more when it is dropped.
        let old = db.take();
        guarded(|| {
            drop(old);
            Ok(())
        })?;
        remove(&*self.disk, &self.dir)?;
        *db = Some(open_db(&self.dir, self.cache_bytes)?);
        Ok(())
    }

    fn flush_durable(&self) -> Result<()> {
        let _one_at_a_time = self.flushing.lock();
        self.written(|db| db.flush())?;
        self.sync_files().map_err(|e| Error::io("sync the catalog", e))
    }

    fn mend(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut db = self.db.write();
        let old = db.take();
        // What it says of its failure is known.
        drop(guarded(|| {
            drop(old);
            Ok(())
        }));
        *db = Some(open_again(&self.dir, self.cache_bytes)?);
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        self.with(sled::Db::size_on_disk)
    }
}

fn open_db(dir: &Path, cache_bytes: u64) -> Result<sled::Db> {
    guarded(|| sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None).open())
}

/// The same, of files that were in use a moment ago.
fn open_again(dir: &Path, cache_bytes: u64) -> Result<sled::Db> {
    for _ in 0..REOPEN_TRIES {
        match open_db(dir, cache_bytes) {
            Err(Error::Owned) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
    Err(Error::Owned)
}

fn remove(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.remove_dir_all(dir).map_err(|e| Error::io("delete the catalog", e))
}

/// Runs a call of sled so that a panic in it is an error like its others.
fn guarded<T>(f: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(translate(e)),
        Err(_) => Err(Error::corrupt("the catalog", "sled panicked")),
    }
}

fn translate(error: sled::Error) -> Error {
    match error {
        // What sled says when another process, or this one a moment ago, holds its file.
        sled::Error::Io(e) if e.to_string().contains("could not acquire lock") => Error::Owned,
        sled::Error::Io(e)
            if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied) =>
        {
            Error::io("the catalog", e)
        }
        other => Error::corrupt("the catalog", other.to_string()),
    }
}
