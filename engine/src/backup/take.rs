//! Taking a backup: copying the pinned files of a store.
//!
//! Laws
//! - The pin is held by the caller until this returns.
//! - After each piece the folder knows what it has: interrupted, the next run goes on there.
//! - What the disk does not give does not stop it: everything else is copied, and what lacks is named.
//! - Another store's folder is refused before anything is written to it, and so is a store that is behind its own
//!   backups.
//! - Backups that follow each other are as of moments that do, whatever the clock says.

use super::copy::{Copying, copy_name, crc_of, unreadable_name};
use super::description::{Copied, Description};
use super::folder::{Folder, Known};
use crate::error::{Error, Result};
use crate::log::{Pinned, StoreFile};
use crate::sys::disk::{Disk, File};
use crate::work::{Unit, Work};
use serde::Serialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How fast may be copied.
#[derive(Debug)]
pub struct Rate {
    bytes_per_second: Option<u64>,
    begun: Instant,
    spent: u64,
}

impl Rate {
    /// `None`: as fast as it goes.
    #[must_use]
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, begun: Instant::now(), spent: 0 }
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        self.spent += bytes;
        let due = Duration::from_millis(self.spent.saturating_mul(1000) / rate.max(1));
        std::thread::sleep(due.saturating_sub(self.begun.elapsed()));
    }
}

/// How a backup is taken.
#[derive(Debug)]
pub struct How {
    pub rate: Rate,
    /// Copied bytes are synced and noted this often: what an interrupted backup need not copy again.
    pub piece_bytes: u64,
    /// Files that are lost or too short do not stop it: what is there of them is copied, and they are named.
    pub damaged_too: bool,
}

impl How {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, piece_bytes: 64 << 20, damaged_too: false }
    }
}

/// What a backup did.
#[derive(Debug, Clone, Serialize)]
pub struct Taken {
    pub backup: String,
    pub lsn: u64,
    pub as_of_ms: u64,
    pub files: u64,
    /// Of the store as of this backup.
    pub bytes: u64,
    /// What the folder did not have yet.
    pub bytes_copied: u64,
    /// Files of the store that are lost, too short, or cannot be read whole: this backup lacks what stood there.
    pub damaged: Vec<String>,
}

/// A file to copy, and what its copy has.
struct Wanted {
    file: StoreFile,
    path: PathBuf,
    copy: String,
    known: Option<Known>,
}

/// Copies what the folder does not have of the pinned files of the store in `dir`, and describes it. `now_ms` is from
/// before the pin: what was acknowledged by then is in it.
pub fn take(
    disk: &dyn Disk,
    dir: &Path,
    pinned: &Pinned,
    now_ms: u64,
    folder: &mut Folder,
    how: &mut How,
    work: &mut Work<'_>,
) -> Result<Taken> {
    if folder.store_id().is_some_and(|id| id != pinned.store_id) {
        let why = format!("{} holds backups of another store; choose another folder", folder.dir.display());
        return Err(Error::NotPossible(why));
    }
    let newest = folder.backups().last();
    if let Some(newest) = newest.filter(|newest| newest.lsn > pinned.lsn) {
        let why = format!(
            "{} has a newer backup ({}, group {}) of this store than the store is (group {}): the store lost its \
             newest changes, or another copy of it goes on elsewhere. Restore that backup, or choose another folder",
            folder.dir.display(),
            newest.file_name(),
            newest.lsn,
            pinned.lsn
        );
        return Err(Error::NotPossible(why));
    }
    // Of a clock that was wrong once.
    let now_ms = now_ms.max(newest.map_or(0, |newest| newest.as_of_ms));
    let known = folder.known();
    let (mut wanted, mut damaged) = (Vec::new(), Vec::new());
    for file in &pinned.files {
        let path = dir.join(&file.folder).join(&file.name);
        match look(disk, file, &path) {
            Ok(there) => {
                if there.bytes < file.bytes {
                    damaged.push(format!(
                        "{}: {} of {} bytes are there",
                        path.display(),
                        there.bytes,
                        file.bytes
                    ));
                }
                let copy = copy_name(&there, &*open(disk, &path)?)?;
                let known = known.get(&(file.folder.clone(), copy.clone())).copied();
                wanted.push(Wanted { file: there, path, copy, known });
            }
            Err(Error::Io { source, .. }) if how.damaged_too && source.kind() == ErrorKind::NotFound => {
                damaged.push(format!("{}: it is lost", path.display()));
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(what) = damaged.first().filter(|_| !how.damaged_too) {
        return Err(Error::corrupt("the store", what.clone()));
    }
    let missing = |w: &Wanted| w.file.bytes.saturating_sub(w.known.map_or(0, |known| known.bytes));
    let to_copy: u64 = wanted.iter().map(missing).sum();
    let free = folder.disk.free_bytes(&folder.dir);
    if let Some(free) = free.map_err(|e| Error::io("asking for free space", e))?
        && free < to_copy
    {
        let why = format!("{to_copy} bytes are to be copied, {} has {free} bytes left", folder.dir.display());
        return Err(Error::NotPossible(why));
    }
    let description = describe(pinned, now_ms);
    let mut taking = Taking { folder, how, work, damaged, description, copied: 0, noted: 0, to_copy };
    for one in wanted {
        let from = open(disk, &one.path)?;
        taking.one(one, &*from)?;
    }
    taking.finish(pinned)
}

/// What is there of a file.
fn look(disk: &dyn Disk, file: &StoreFile, path: &Path) -> Result<StoreFile> {
    let len =
        open(disk, path)?.len_bytes().map_err(|e| Error::io(format!("opening {}", path.display()), e))?;
    Ok(StoreFile { bytes: file.bytes.min(len), ..file.clone() })
}

fn open(disk: &dyn Disk, path: &Path) -> Result<Box<dyn File>> {
    disk.open_read(path).map_err(|e| Error::io(format!("opening {}", path.display()), e))
}

fn describe(pinned: &Pinned, now_ms: u64) -> Description {
    Description {
        store_id: pinned.store_id,
        epoch: pinned.epoch,
        lsn: pinned.lsn,
        time_ms: pinned.time_ms,
        as_of_ms: now_ms.max(pinned.time_ms),
        manifest: pinned.manifest.clone(),
        files: Vec::new(),
    }
}

struct Taking<'a, 'w> {
    folder: &'a mut Folder,
    how: &'a mut How,
    damaged: Vec<String>,
    work: &'a mut Work<'w>,
    description: Description,
    copied: u64,
    /// Of these.
    noted: u64,
    to_copy: u64,
}

impl Taking<'_, '_> {
    fn one(&mut self, one: Wanted, from: &dyn File) -> Result<()> {
        let path = self.folder.dir.join(&one.file.folder).join(&one.copy);
        let bytes = one.file.bytes;
        let mut copying = Copying::begin(&*self.folder.disk, &path, one.known, from)?;
        let mut copied = Copied { file: one.file, copy: one.copy, crc32: copying.have.crc32 };
        if copying.have.bytes > bytes {
            // The copy went further once: of this backup are its first bytes.
            copied.crc32 = crc_of(&*copying.to, bytes, &mut |_| Ok(()))?;
            self.description.files.push(copied);
            return Ok(());
        }
        while copying.have.bytes < bytes {
            let end = bytes.min(copying.have.bytes + self.how.piece_bytes.max(1));
            let (done, to_copy, work) = (&mut self.copied, self.to_copy, &mut *self.work);
            let have = copying.copy_to(end, &mut self.how.rate, &mut |more| {
                *done += more;
                work.step("copying", *done, to_copy.max(*done), Unit::Bytes)
            })?;
            let Some(have) = have else {
                return self.readable(&one.path, copied, bytes, &copying);
            };
            copied.crc32 = have.crc32;
            copied.file.bytes = end;
            if self.copied - self.noted >= self.how.piece_bytes {
                self.note(copied.clone())?;
            }
        }
        self.description.files.push(copied);
        Ok(())
    }

    /// Copies what can be read of a file, for this backup alone. The next one asks the disk again.
    fn readable(&mut self, from: &Path, mut copied: Copied, bytes: u64, copying: &Copying<'_>) -> Result<()> {
        let folder = self.folder.dir.join(&copied.file.folder);
        let disk = self.folder.disk.clone();
        let whole = std::mem::take(&mut copied.copy);
        let named = (self.description.as_of_ms..).map(|number| unreadable_name(&whole, number));
        copied.copy = named.into_iter().find(|name| !disk.exists(&folder.join(name))).unwrap_or_default();
        let path = folder.join(&copied.copy);
        let other = disk.create(&path).map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
        let (done, to_copy, work) = (&mut self.copied, self.to_copy, &mut *self.work);
        let (crc32, bad) = copying.copy_readable(&*other, bytes, &mut self.how.rate, &mut |more| {
            *done += more;
            work.step("copying", *done, to_copy.max(*done), Unit::Bytes)
        })?;
        if copying.have.bytes == 0 {
            let empty = folder.join(&whole);
            disk.remove_file(&empty).map_err(|e| Error::io(format!("removing {}", empty.display()), e))?;
        }
        for piece in bad.all() {
            let (at, len, why) = (piece.range.start, piece.range.end - piece.range.start, &piece.why);
            let what =
                format!("{}: {len} bytes at {at} cannot be read ({why}); zeros are copied", from.display());
            tracing::error!(what, "the backup is not whole");
            self.damaged.push(what);
        }
        (copied.crc32, copied.file.bytes) = (crc32, bytes);
        self.description.files.push(copied);
        Ok(())
    }

    /// Notes what the copies have: so far, and of the file that is being copied.
    fn note(&mut self, last: Copied) -> Result<()> {
        self.sync_folders()?;
        let mut so_far = self.description.clone();
        so_far.files.push(last);
        self.noted = self.copied;
        self.folder.note_partial(so_far)
    }

    /// The copies' names.
    fn sync_folders(&self) -> Result<()> {
        for folder in super::folder::FOLDERS {
            let path = self.folder.dir.join(folder);
            let synced = self.folder.disk.sync_dir(&path);
            synced.map_err(|e| Error::io(format!("syncing {}", path.display()), e))?;
        }
        Ok(())
    }

    fn finish(self, pinned: &Pinned) -> Result<Taken> {
        self.sync_folders()?;
        let description = self.description;
        let taken = Taken {
            backup: description.file_name(),
            lsn: pinned.lsn.0,
            as_of_ms: description.as_of_ms,
            files: description.files.len() as u64,
            bytes: description.bytes(),
            bytes_copied: self.copied,
            damaged: self.damaged,
        };
        self.folder.add(description)?;
        Ok(taken)
    }
}
