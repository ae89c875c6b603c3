//! The simulated folders: which name leads to which file, as seen and as durable.
//!
//! Laws
//! - A name made, renamed or removed is seen at once and is durable after `sync_dir` on its folder.
//! - At a power cut each change of a name not yet synced is there or not, each by itself; a rename is one
//!   change.
//! - Folders themselves are durable at once: the store makes them when it is made, and syncs their parents.

use super::rng::Rng;
use super::weather::{Fault, FaultCounts};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(super) type Inode = u64;

#[derive(Debug, Clone)]
enum Change {
    Set(PathBuf, Inode),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Inode),
}

impl Change {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Set(path, _) | Self::Remove(path) => path.parent() == Some(dir),
            Self::Rename(from, to, _) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Inode>) {
        match self {
            Self::Set(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    seen: BTreeMap<PathBuf, Inode>,
    durable: BTreeMap<PathBuf, Inode>,
    pending: Vec<Change>,
    dirs: BTreeSet<PathBuf>,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<Inode> {
        self.seen.get(path).copied()
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.dirs.contains(path)
    }

    pub(super) fn make_dir(&mut self, path: &Path) {
        self.dirs.extend(path.ancestors().filter(|p| !p.as_os_str().is_empty()).map(Path::to_path_buf));
    }

    pub(super) fn inodes(&self) -> impl Iterator<Item = Inode> + '_ {
        self.seen.values().copied()
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    pub(super) fn set(&mut self, path: &Path, inode: Inode) {
        self.change(Change::Set(path.to_path_buf(), inode));
    }

    pub(super) fn remove(&mut self, path: &Path) -> bool {
        let known = self.seen.contains_key(path);
        if known {
            self.change(Change::Remove(path.to_path_buf()));
        }
        known
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let Some(inode) = self.get(from) else { return false };
        self.change(Change::Rename(from.to_path_buf(), to.to_path_buf(), inode));
        true
    }

    pub(super) fn remove_dir_all(&mut self, dir: &Path) {
        let below: Vec<PathBuf> = self.seen.keys().filter(|p| p.starts_with(dir)).cloned().collect();
        for path in below {
            self.remove(&path);
        }
        self.dirs.retain(|d| !d.starts_with(dir));
    }

    pub(super) fn list(&self, dir: &Path) -> Vec<String> {
        let entries = self.seen.keys().chain(&self.dirs).filter(|p| p.parent() == Some(dir));
        let names = entries.filter_map(|p| p.file_name().and_then(|n| n.to_str()).map(str::to_owned));
        names.collect::<BTreeSet<String>>().into_iter().collect()
    }

    pub(super) fn sync(&mut self, dir: &Path) {
        let (synced, pending): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|c| c.is_in(dir));
        for change in synced {
            change.apply(&mut self.durable);
        }
        self.pending = pending;
    }

    pub(super) fn after_power_cut(&self, rng: &mut Rng, counts: &mut FaultCounts) -> Self {
        let mut left = self.durable.clone();
        for change in &self.pending {
            if rng.one_in(2) {
                change.apply(&mut left);
            } else {
                counts.count(Fault::LostName);
            }
        }
        Self { seen: left.clone(), durable: left, pending: Vec::new(), dirs: self.dirs.clone() }
    }
}
