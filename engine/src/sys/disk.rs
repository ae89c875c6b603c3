//! The disk: the one small trait through which every file of a store is touched (sled's own files
//! excepted), and the real implementation of it.
//!
//! Laws
//! - Only `sys/` opens files (`sys/real.rs`). A disaster is another implementation of the trait (`sys/sim/`).
//! - A write is durable only after `sync_data` on its file; a new, renamed or removed name only
//!   after `sync_dir` on its folder.
//! - Paths are given whole; the trait knows nothing of the store's layout.

use std::io;
use std::ops::Range;
use std::path::Path;

/// An open file. Positions are explicit, so one handle serves many threads.
pub trait File: Send + Sync {
    /// Fills `buf` from `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn len_bytes(&self) -> io::Result<u64>;
    fn truncate(&self, len_bytes: u64) -> io::Result<()>;
    /// Reserves room so that later writes below `len_bytes` do not run out of space. The file's
    /// length becomes at least `len_bytes`; the new part reads as zeros.
    fn allocate(&self, len_bytes: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Says that these bytes will not be wanted again soon: a long reading does not push out what is. A hint.
    fn forget_cached(&self, _bytes: Range<u64>) {}
}

/// Where the store's files live.
pub trait Disk: Send + Sync + 'static {
    /// Makes a new file for reading and writing; fails with `AlreadyExists`.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading only: it may lie where nothing can be written.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.open(path)
    }
    /// Bytes that may still be written below a folder; `None` when nobody knows.
    fn free_bytes(&self, _dir: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted; an absent folder is empty.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    fn exists(&self, path: &Path) -> bool;
    /// Makes the names in a folder durable (`fsync` of the folder).
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes an exclusive lock on the file (made when absent) without waiting; `None` when another
    /// holds it. Dropping the guard releases it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
    /// True when the files are real ones, so that sled may live beside them.
    fn is_real(&self) -> bool;
}

pub use super::real::{RealDisk, boot_id};
