//! A folder made of other files, read where they lie, and written in memory only.
//!
//! Laws
//! - The files below are opened for reading and never changed; what is written lives as long as the overlay.
//! - Of a file below only its first bytes may be shown: what was added to it later is not there.
//! - Nothing here is durable, and nothing need be: a sync is always good.

use super::disk::{Disk, File};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the bytes of a name are.
#[derive(Debug, Clone)]
enum Place {
    Below { path: PathBuf, bytes: u64 },
    Here(Arc<Mutex<Memory>>),
}

/// A file in memory; what was allocated and not written takes no room.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    len_bytes: u64,
}

#[derive(Debug, Default)]
struct Names {
    files: BTreeMap<PathBuf, Place>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
}

/// The disk. Clones share it.
#[derive(Clone)]
pub struct Overlay {
    below: Arc<dyn Disk>,
    names: Arc<Mutex<Names>>,
}

impl Overlay {
    #[must_use]
    pub fn new(below: Arc<dyn Disk>) -> Self {
        Self { below, names: Arc::default() }
    }

    /// Shows the first bytes of a file below under another name.
    pub fn show(&self, name: &Path, path: &Path, bytes: u64) {
        let mut names = self.names.lock();
        names.make_dirs(name.parent());
        names.files.insert(name.to_owned(), Place::Below { path: path.to_owned(), bytes });
    }
}

impl Names {
    fn make_dirs(&mut self, dir: Option<&Path>) {
        self.dirs.extend(dir.into_iter().flat_map(Path::ancestors).map(Path::to_owned));
    }

    fn get(&self, path: &Path) -> io::Result<&Place> {
        self.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

struct BelowFile {
    file: Box<dyn File>,
    bytes: u64,
}

fn read_only() -> io::Error {
    io::Error::from(io::ErrorKind::ReadOnlyFilesystem)
}

impl File for BelowFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.bytes.min(self.file.len_bytes()?))
    }

    fn truncate(&self, _len_bytes: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn allocate(&self, _len_bytes: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

struct HereFile(Arc<Mutex<Memory>>);

impl File for HereFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let memory = self.0.lock();
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= memory.len_bytes);
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf.fill(0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(memory.bytes.len());
        let written = memory.bytes.get(from..).unwrap_or_default();
        buf.iter_mut().zip(written).for_each(|(to, byte)| *to = *byte);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut memory = self.0.lock();
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let end = from.checked_add(bytes.len()).ok_or(io::ErrorKind::OutOfMemory)?;
        if memory.bytes.len() < end {
            memory.bytes.resize(end, 0);
        }
        if let Some(into) = memory.bytes.get_mut(from..end) {
            into.copy_from_slice(bytes);
        }
        memory.len_bytes = memory.len_bytes.max(end as u64);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().len_bytes)
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        let mut memory = self.0.lock();
        memory.len_bytes = len_bytes;
        memory.bytes.truncate(usize::try_from(len_bytes).unwrap_or(usize::MAX));
        Ok(())
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let mut memory = self.0.lock();
        memory.len_bytes = memory.len_bytes.max(len_bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Held {
    names: Arc<Mutex<Names>>,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.names.lock().locks.remove(&self.path);
    }
}

impl Disk for Overlay {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut names = self.names.lock();
        if names.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path.parent().is_some_and(|dir| names.dirs.contains(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let memory = Arc::default();
        names.files.insert(path.to_owned(), Place::Here(Arc::clone(&memory)));
        Ok(Box::new(HereFile(memory)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let place = self.names.lock().get(path)?.clone();
        Ok(match place {
            Place::Here(memory) => Box::new(HereFile(memory)),
            Place::Below { path, bytes } => Box::new(BelowFile { file: self.below.open_read(&path)?, bytes }),
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.names.lock().make_dirs(Some(path));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = self.names.lock();
        let inside = names.files.keys().chain(&names.dirs).filter(|path| path.parent() == Some(dir));
        let mut found: Vec<String> =
            inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect();
        found.sort();
        Ok(found)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        let place = names.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.files.insert(to.to_owned(), place);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = self.names.lock().files.remove(path);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        names.files.retain(|name, _| !name.starts_with(path));
        names.dirs.retain(|name| !name.starts_with(path));
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let names = self.names.lock();
        names.files.contains_key(path) || names.dirs.contains(path)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        if !self.names.lock().locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Held { names: Arc::clone(&self.names), path: path.to_owned() })))
    }

    fn is_real(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::sim::SimDisk;

    #[test]
    fn what_lies_below_is_read_and_never_written() {
        let below = SimDisk::new(1);
        below.create_dir_all(Path::new("/d")).unwrap();
        below.create(Path::new("/d/x")).unwrap().write_all_at(b"0123456789", 0).unwrap();
        let overlay = Overlay::new(Arc::new(below.clone()));
        overlay.show(Path::new("/s/log/1.seg"), Path::new("/d/x"), 4);
        let file = overlay.open(Path::new("/s/log/1.seg")).unwrap();
        let mut buf = [0; 4];
        file.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!((&buf, file.len_bytes().unwrap()), (b"0123", 4));
        assert!(file.read_exact_at(&mut buf, 1).is_err(), "past the part that is shown");
        assert!(file.write_all_at(b"a", 0).is_err() && file.truncate(0).is_err());
        overlay.rename(Path::new("/s/log/1.seg"), Path::new("/s/log/2.seg")).unwrap();
        overlay.remove_file(Path::new("/s/log/2.seg")).unwrap();
        assert!(overlay.list(Path::new("/s/log")).unwrap().is_empty());
        below.open(Path::new("/d/x")).unwrap().read_exact_at(&mut buf, 6).unwrap();
        assert_eq!(&buf, b"6789");
    }

    #[test]
    fn files_in_memory_grow_with_zeros_and_cost_what_was_written() {
        let overlay = Overlay::new(Arc::new(SimDisk::new(1)));
        assert!(overlay.create(Path::new("/s/a")).is_err(), "there is no such folder");
        overlay.create_dir_all(Path::new("/s")).unwrap();
        let file = overlay.create(Path::new("/s/a")).unwrap();
        file.allocate(1 << 40).unwrap();
        file.write_all_at(b"mail", 10).unwrap();
        let mut buf = [9; 16];
        file.read_exact_at(&mut buf, 4).unwrap();
        assert_eq!(&buf, b"\0\0\0\0\0\0mail\0\0\0\0\0\0");
        file.truncate(12).unwrap();
        assert_eq!(file.read_exact_at(&mut buf, 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(overlay.list(Path::new("/s")).unwrap(), ["a"]);
        let held = overlay.lock(Path::new("/s/LOCK")).unwrap();
        assert!(overlay.lock(Path::new("/s/LOCK")).unwrap().is_none());
        drop(held);
        assert!(overlay.lock(Path::new("/s/LOCK")).unwrap().is_some());
    }
}
