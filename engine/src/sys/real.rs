//! The machine's own disk.
//!
//! Laws
//! - The only file of the engine that opens files (sled's own excepted).
//! - Nothing is durable before `sync_data` or `sync_dir`; no call here syncs on the side.
//! - A lock is advisory (`flock`), exclusive, and released by the kernel when the process ends.

use super::disk::{Disk, File};
use rustix::fs::{Advice, FallocateFlags, FlockOperation, fadvise, fallocate, flock};
use rustix::io::Errno;
use std::fs::{self, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Mail is private: only the owner of the store reads its files.
const FILE_MODE: u32 = 0o600;

/// Files of the machine, by positioned reads and writes.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealDisk;

struct RealFile(fs::File);

impl File for RealFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        self.0.set_len(len_bytes)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        // The system refuses to allocate nothing.
        if len_bytes == 0 {
            return Ok(());
        }
        match fallocate(&self.0, FallocateFlags::empty(), 0, len_bytes) {
            // A file system without fallocate: the length at least, so that every one behaves alike.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if self.len_bytes()? < len_bytes => {
                self.0.set_len(len_bytes)
            }
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn forget_cached(&self, bytes: Range<u64>) {
        let Some(len) = NonZeroU64::new(bytes.end.saturating_sub(bytes.start)) else { return };
        // Where it is not possible the bytes stay cached, that is all.
        let _ = fadvise(&self.0, bytes.start, Some(len), Advice::DontNeed);
    }
}

/// Holds the `flock` for as long as it lives.
struct RealLock {
    _file: fs::File,
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(fs::File::open(path)?)))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        // What lies in a store is its owner's only: mail, and the hashes of passwords.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        // A name that is not UTF-8 is none of ours.
        let mut names = entries
            .filter_map(|entry| entry.map(|e| e.file_name().into_string().ok()).transpose())
            .collect::<io::Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(RealLock { _file: file }))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn is_real(&self) -> bool {
        true
    }
}

/// Identifies this boot of the machine; empty when the system does not tell.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|s| s.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_what_was_written_and_grows_with_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = RealDisk.create(&path).unwrap();
        assert_eq!(RealDisk.create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        file.allocate(8192).unwrap();
        file.write_all_at(b"mail", 4090).unwrap();
        let mut buf = [1u8; 8];
        file.read_exact_at(&mut buf, 4088).unwrap();
        assert_eq!(&buf, b"\0\0mail\0\0");
        file.truncate(4092).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.read_exact_at(&mut buf, 4088).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        RealDisk.sync_dir(dir.path()).unwrap();
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["a"]);
        assert!(RealDisk.list(&dir.path().join("absent")).unwrap().is_empty());
    }

    #[test]
    fn a_lock_is_held_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        let held = RealDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(RealDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(RealDisk.lock(&path).unwrap().is_some());
    }
}
