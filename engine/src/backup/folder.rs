//! The folder that backups of one store are in.
//!
//! Laws
//! - One process at a time writes to it (DEST/LOCK).
//! - It is of one store, as its descriptions and `PARTIAL` say.
//! - What is known of a copy is the longest of what descriptions and `PARTIAL` say; bytes beyond that are nothing.

use super::description::{Copied, Description};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const FOLDERS: [&str; 4] = ["log", "bodies", "cold", "snapshots"];
const BACKUPS: &str = "backups";
/// What an interrupted backup has copied so far.
const PARTIAL: &str = "PARTIAL";

/// What is known of a copy: its durable bytes, and their CRC32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known {
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

/// A folder of backups.
pub struct Folder {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    /// Oldest first.
    backups: Vec<Description>,
    partial: Option<Description>,
    /// Descriptions that cannot be read.
    unreadable: Vec<String>,
    _lock: Option<Box<dyn Send + Sync>>,
}

impl Folder {
    /// Opens a folder for writing, making it when there is none.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        let io = |e| Error::io(format!("preparing {}", dir.display()), e);
        let there = disk.list(dir).map_err(io)?;
        if !there.is_empty() && !disk.exists(&dir.join(BACKUPS)) {
            let why = format!("{} holds something else than backups; choose a new folder", dir.display());
            return Err(Error::NotPossible(why));
        }
        // The sign of such a folder comes first.
        for folder in [BACKUPS].iter().chain(&FOLDERS) {
            disk.create_dir_all(&dir.join(folder)).map_err(io)?;
        }
        disk.sync_dir(dir).map_err(io)?;
        let above = dir.parent().filter(|above| *above != Path::new(""));
        disk.sync_dir(above.unwrap_or(Path::new("."))).map_err(io)?;
        let in_use = || Error::NotPossible(format!("another backup is written to {}", dir.display()));
        let lock = disk.lock(&dir.join("LOCK")).map_err(io)?.ok_or_else(in_use)?;
        Ok(Self { _lock: Some(lock), ..Self::read(disk, dir)? })
    }

    /// Opens a folder for reading. It may be where nothing can be written.
    pub fn read(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        let mut folder = Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            backups: Vec::new(),
            partial: None,
            unreadable: Vec::new(),
            _lock: None,
        };
        let backups = dir.join(BACKUPS);
        let names =
            disk.list(&backups).map_err(|e| Error::io(format!("listing {}", backups.display()), e))?;
        for name in names {
            let is_partial = name == PARTIAL;
            if !is_partial && !name.ends_with(".backup") {
                continue;
            }
            match folder.load(&backups.join(&name)) {
                Ok(found) if is_partial => folder.partial = Some(found),
                Ok(found) => folder.backups.push(found),
                Err(Error::Corrupt { .. }) if is_partial => {}
                Err(Error::Corrupt { why, .. }) => {
                    tracing::error!(name, why, "the description of a backup is damaged");
                    folder.unreadable.push(name);
                }
                Err(error) => return Err(error),
            }
        }
        folder.sort();
        Ok(folder)
    }

    fn load(&self, path: &Path) -> Result<Description> {
        let io = |e| Error::io(format!("reading {}", path.display()), e);
        let file = self.disk.open_read(path).map_err(io)?;
        let mut bytes = vec![0; usize::try_from(file.len_bytes().map_err(io)?).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        Description::decode(&bytes)
    }

    /// Oldest first.
    #[must_use]
    pub fn backups(&self) -> &[Description] {
        &self.backups
    }

    /// Descriptions that cannot be read: what they named may still be there.
    #[must_use]
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whose backups these are; `None` while there are none.
    #[must_use]
    pub fn store_id(&self) -> Option<[u8; 16]> {
        self.backups.last().or(self.partial.as_ref()).map(|found| found.store_id)
    }

    pub(super) fn path_of(&self, copied: &Copied) -> PathBuf {
        self.dir.join(&copied.file.folder).join(&copied.copy)
    }

    /// All files that a description or the interrupted backup names, by folder and copy.
    pub(super) fn known(&self) -> BTreeMap<(String, String), Known> {
        let mut known: BTreeMap<(String, String), Known> = BTreeMap::new();
        for copied in self.backups.iter().chain(&self.partial).flat_map(|found| &found.files) {
            let one = known.entry((copied.file.folder.clone(), copied.copy.clone())).or_default();
            if one.bytes < copied.file.bytes {
                *one = Known { bytes: copied.file.bytes, crc32: copied.crc32 };
            }
        }
        known
    }

    /// Notes what was copied and synced so far.
    pub(super) fn note_partial(&mut self, so_far: Description) -> Result<()> {
        self.write(PARTIAL, &so_far)?;
        self.partial = Some(so_far);
        Ok(())
    }

    /// Makes a backup count.
    pub(super) fn add(&mut self, backup: Description) -> Result<()> {
        self.write(&backup.file_name(), &backup)?;
        self.drop_partial()?;
        self.backups.retain(|old| old.file_name() != backup.file_name());
        self.backups.push(backup);
        self.sort();
        Ok(())
    }

    /// By their groups: a clock may be wrong for a while. A restored store's groups are above all of its past.
    fn sort(&mut self) {
        self.backups.sort_by_key(|found| (found.lsn, found.as_of_ms));
    }

    pub(super) fn drop_partial(&mut self) -> Result<()> {
        let path = self.dir.join(BACKUPS).join(PARTIAL);
        if self.disk.exists(&path) {
            self.disk.remove_file(&path).map_err(|e| Error::io("removing PARTIAL", e))?;
        }
        self.partial = None;
        Ok(())
    }

    fn write(&self, name: &str, description: &Description) -> Result<()> {
        let folder = self.dir.join(BACKUPS);
        let (path, beside) = (folder.join(name), folder.join(format!("{name}.new")));
        let write = || {
            if self.disk.exists(&beside) {
                self.disk.remove_file(&beside)?;
            }
            let file = self.disk.create(&beside)?;
            file.write_all_at(&description.encode(), 0)?;
            file.sync_data()?;
            self.disk.rename(&beside, &path)?;
            self.disk.sync_dir(&folder)
        };
        write().map_err(|e| Error::io(format!("writing {}", path.display()), e))
    }

    /// Takes the oldest descriptions away, but for the newest `keep`.
    pub(super) fn forget_old(&mut self, keep: usize) -> Result<usize> {
        let old: Vec<Description> =
            self.backups.drain(..self.backups.len().saturating_sub(keep.max(1))).collect();
        let folder = self.dir.join(BACKUPS);
        let io = |e| Error::io("removing an old backup", e);
        for description in &old {
            self.disk.remove_file(&folder.join(description.file_name())).map_err(io)?;
        }
        if !old.is_empty() {
            // Before any file that only they named goes.
            self.disk.sync_dir(&folder).map_err(io)?;
        }
        Ok(old.len())
    }
}
