//! How the files of this room are written and read.

use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use std::io;
use std::path::Path;

fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::io(format!("{doing} {}", path.display()), error)
}

/// A new file with that content, synced; its name is not yet durable. What lay there goes.
pub(super) fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        if disk.exists(path) {
            disk.remove_file(path)?;
        }
        let file = disk.create(path)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    write().map_err(|e| failed("writing", path, e))
}

/// Replaces a file: a reader of the folder finds the old one or the new one, whole.
pub(super) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, beside) = (dir.join(name), dir.join(format!("{name}.new")));
    write_new(disk, &beside, bytes)?;
    disk.rename(&beside, &path).map_err(|e| failed("writing", &path, e))?;
    sync_dir(disk, dir)
}

pub(super) fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    disk.sync_dir(dir).map_err(|e| failed("syncing", dir, e))
}

/// The first `max_bytes` of a file; None when there is none.
pub(super) fn read(disk: &dyn Disk, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("reading", path, e)),
    };
    let read = || -> io::Result<Vec<u8>> {
        let len_bytes = file.len_bytes()?.min(max_bytes);
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    read().map(Some).map_err(|e| failed("reading", path, e))
}

pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.remove_file(path).map_err(|e| failed("removing", path, e))
}
