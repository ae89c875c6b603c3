//! A disk in memory that fails on order: the seeded double of `sys/disk`.
//!
//! Laws
//! - One seed, one history of operations: one outcome. Nothing here asks the machine for anything.
//! - A clone is the same disk. `power_cut` and `kill` give another disk, as it is found afterwards; the old
//!   one goes on by itself, so a thread that outlives its "process" cannot touch the new one.
//! - Every fault is one that a real disk shows: no space, an I/O error, a sync that fails and loses the
//!   pages, power off at a sync point, a flipped bit.

mod content;
mod names;
mod rng;

pub use rng::Rng;
#[cfg(test)]
pub use rng::seeds;

use super::disk::{Disk, File};
use content::Content;
use names::{Inode, Names};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which operations a scripted fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A write, allocation or new file finds no space.
    NoSpace,
    /// A sync of a file fails; its pages are lost at a power cut though readers see them.
    SyncEio,
    /// A write fails after half of its bytes.
    WriteEio,
    /// A read fails.
    ReadEio,
}

#[derive(Debug, Clone)]
struct State {
    rng: Rng,
    contents: BTreeMap<Inode, Content>,
    names: Names,
    next_inode: Inode,
    locks: BTreeSet<PathBuf>,
    /// Successful operations left before the fault strikes, once.
    faults: BTreeMap<FaultKind, u64>,
    capacity_bytes: Option<u64>,
    sync_points: u64,
    cut_at: Option<u64>,
    off: bool,
}

/// The disk. Clones share it.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_state(State {
            rng: Rng::new(seed),
            contents: BTreeMap::new(),
            names: Names::default(),
            next_inode: 1,
            locks: BTreeSet::new(),
            faults: BTreeMap::new(),
            capacity_bytes: None,
            sync_points: 0,
            cut_at: None,
            off: false,
        })
    }

    fn from_state(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk as it is found after the power was lost: what was not synced is there, is not, or is torn.
    #[must_use]
    pub fn power_cut(&self) -> Self {
        let mut state = self.state.lock();
        let mut rng = Rng::new(state.rng.next_u64());
        let names = state.names.after_power_cut(&mut rng);
        let kept: BTreeSet<Inode> = names.inodes().collect();
        let contents = state.contents.iter().filter(|(inode, _)| kept.contains(inode));
        let contents = contents.map(|(inode, c)| (*inode, c.after_power_cut(&mut rng))).collect();
        Self::from_state(Self::restarted(&state, rng, names, contents))
    }

    /// The disk as the next process finds it after this one was killed: the page cache survives.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.state.lock();
        let rng = Rng::new(state.rng.next_u64());
        Self::from_state(Self::restarted(&state, rng, state.names.clone(), state.contents.clone()))
    }

    fn restarted(old: &State, rng: Rng, names: Names, contents: BTreeMap<Inode, Content>) -> State {
        State {
            rng,
            contents,
            names,
            next_inode: old.next_inode,
            locks: BTreeSet::new(),
            faults: BTreeMap::new(),
            capacity_bytes: old.capacity_bytes,
            sync_points: 0,
            cut_at: None,
            off: false,
        }
    }

    /// Lets `successes` more operations of that kind succeed; the next one fails, once.
    pub fn fail_after(&self, kind: FaultKind, successes: u64) {
        self.state.lock().faults.insert(kind, successes);
    }

    /// The disk holds that many bytes (sum of the files' lengths); `None` = no end.
    pub fn set_capacity_bytes(&self, capacity_bytes: Option<u64>) {
        self.state.lock().capacity_bytes = capacity_bytes;
    }

    /// Bytes taken by the files there are.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// How many syncs (of files and folders) were asked for.
    #[must_use]
    pub fn sync_points(&self) -> u64 {
        self.state.lock().sync_points
    }

    /// The power goes off right before sync point number `n` (from 0): it and everything later fails.
    pub fn cut_at_sync_point(&self, n: u64) {
        self.state.lock().cut_at = Some(n);
    }

    /// The scripted power cut has happened.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state.lock().off
    }

    /// The bit rots, on the platter and in the cache. False when there is no such file.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> bool {
        let mut state = self.state.lock();
        let Some(inode) = state.names.get(path) else { return false };
        let Some(content) = state.contents.get_mut(&inode) else { return false };
        content.flip_bit(offset, bit);
        true
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("power is off")
}

fn no_such_file(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file", path.display()))
}

impl State {
    fn powered(&self) -> io::Result<()> {
        if self.off { Err(power_is_off()) } else { Ok(()) }
    }

    /// Whether the scripted fault strikes this operation.
    fn struck(&mut self, kind: FaultKind) -> bool {
        match self.faults.get_mut(&kind) {
            Some(0) => {
                self.faults.remove(&kind);
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.inodes().filter_map(|i| self.contents.get(&i)).map(Content::len_bytes).sum()
    }

    /// Fails with `StorageFull` when the fault strikes or the growth does not fit.
    fn room_for(&mut self, growth_bytes: u64) -> io::Result<()> {
        let full = self.capacity_bytes.is_some_and(|capacity| {
            growth_bytes > 0 && self.used_bytes().saturating_add(growth_bytes) > capacity
        });
        if self.struck(FaultKind::NoSpace) || full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn sync_point(&mut self) -> io::Result<()> {
        self.powered()?;
        if self.cut_at.is_some_and(|n| self.sync_points >= n) {
            self.off = true;
            return Err(power_is_off());
        }
        self.sync_points += 1;
        Ok(())
    }

    fn content(&mut self, inode: Inode) -> io::Result<&mut Content> {
        self.contents.get_mut(&inode).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    inode: Inode,
}

impl File for SimFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        if state.struck(FaultKind::ReadEio) {
            return Err(io::Error::other("simulated read error"));
        }
        match state.content(self.inode)?.read(buf, offset) {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        let len = state.content(self.inode)?.len_bytes();
        state.room_for((offset + bytes.len() as u64).saturating_sub(len))?;
        if state.struck(FaultKind::WriteEio) {
            state.content(self.inode)?.write(&bytes[..bytes.len() / 2], offset);
            return Err(io::Error::other("simulated write error"));
        }
        state.content(self.inode)?.write(bytes, offset);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.powered()?;
        Ok(state.content(self.inode)?.len_bytes())
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        state.content(self.inode)?.resize(len_bytes as usize);
        Ok(())
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        let len = state.content(self.inode)?.len_bytes();
        state.room_for(len_bytes.saturating_sub(len))?;
        if len < len_bytes {
            state.content(self.inode)?.resize(len_bytes as usize);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.sync_point()?;
        if state.struck(FaultKind::SyncEio) {
            state.content(self.inode)?.sync_failed();
            return Err(io::Error::other("simulated sync error"));
        }
        state.content(self.inode)?.sync();
        Ok(())
    }
}

/// Gives the lock back when dropped.
struct SimLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.state.lock().locks.remove(&self.path);
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.state.lock();
        state.powered()?;
        if state.names.get(path).is_some() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        if !path.parent().is_some_and(|dir| state.names.is_dir(dir)) {
            return Err(no_such_file(path));
        }
        state.room_for(0)?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.contents.insert(inode, Content::default());
        state.names.set(path, inode);
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let state = self.state.lock();
        state.powered()?;
        let inode = state.names.get(path).ok_or_else(|| no_such_file(path))?;
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), inode }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        state.names.make_dir(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.powered()?;
        Ok(state.names.list(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        if state.names.rename(from, to) { Ok(()) } else { Err(no_such_file(from)) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        if state.names.remove(path) { Ok(()) } else { Err(no_such_file(path)) }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        state.names.remove_dir_all(path);
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state.lock();
        state.names.get(path).is_some() || state.names.is_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.sync_point()?;
        state.names.sync(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut state = self.state.lock();
        state.powered()?;
        if !state.locks.insert(path.to_path_buf()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { state: Arc::clone(&self.state), path: path.to_path_buf() })))
    }

    fn is_real(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
