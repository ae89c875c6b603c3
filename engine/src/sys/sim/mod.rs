//! A disk in memory that fails on order and by chance: the seeded double of `sys/disk`.
//!
//! Laws
//! - One seed, one history of operations: one outcome. Nothing here asks the machine for anything.
//! - A clone is the same disk. `power_cut` and `kill` give another disk, as it is found afterwards; the old
//!   one goes on by itself, so a thread that outlives its "process" cannot touch the new one.
//! - Every fault is one that a real disk shows: no space, an I/O error, a sector that cannot be read, a sync
//!   that fails and loses the pages, a sync that lies, power off at an operation, a flipped bit.

mod content;
mod file;
mod names;
mod rng;
mod weather;

pub use rng::Rng;
#[cfg(test)]
pub use rng::seeds;
pub use weather::{Fault, FaultCounts, FaultKind, Strike, Weather};

use super::disk::{Disk, File};
use content::Content;
use file::SimFile;
use names::{Inode, Names};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weather::Faults;

#[derive(Debug, Clone)]
struct State {
    rng: Rng,
    contents: BTreeMap<Inode, Content>,
    names: Names,
    next_inode: Inode,
    locks: BTreeSet<PathBuf>,
    faults: Faults,
    capacity_bytes: Option<u64>,
    operations: u64,
    reads: u64,
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
            faults: Faults::default(),
            capacity_bytes: None,
            operations: 0,
            reads: 0,
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
        let mut counts = state.faults.counts.clone();
        counts.count(Fault::PowerOff);
        let names = state.names.after_power_cut(&mut rng, &mut counts);
        let kept: BTreeSet<Inode> = names.inodes().collect();
        let contents = state.contents.iter().filter(|(inode, _)| kept.contains(inode));
        let contents =
            contents.map(|(inode, c)| (*inode, c.after_power_cut(&mut rng, &mut counts))).collect();
        Self::from_state(Self::restarted(&state, rng, names, contents, counts))
    }

    /// The disk as the next process finds it after this one was killed: the page cache survives.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut state = self.state.lock();
        let rng = Rng::new(state.rng.next_u64());
        let mut counts = state.faults.counts.clone();
        counts.count(Fault::Kill);
        // All of them: a name that was taken away, but not durably, may yet come back.
        let contents = state.contents.clone();
        Self::from_state(Self::restarted(&state, rng, state.names.clone(), contents, counts))
    }

    /// The weather is calm again; what struck so far stays counted.
    fn restarted(
        old: &State,
        rng: Rng,
        names: Names,
        contents: BTreeMap<Inode, Content>,
        counts: FaultCounts,
    ) -> State {
        State {
            rng,
            contents,
            names,
            next_inode: old.next_inode,
            locks: BTreeSet::new(),
            faults: Faults::calm(counts),
            capacity_bytes: old.capacity_bytes,
            operations: 0,
            reads: 0,
            sync_points: 0,
            cut_at: None,
            off: false,
        }
    }

    /// Lets `successes` more operations of that kind succeed; the next one fails, once.
    pub fn fail_after(&self, kind: FaultKind, successes: u64) {
        self.fail_in_a_row(kind, successes, 1);
    }

    /// The same for so many operations in a row, at least one.
    pub fn fail_in_a_row(&self, kind: FaultKind, successes: u64, times: u64) {
        self.state.lock().faults.script(kind, successes, times.max(1));
    }

    /// From here on operations fail by these chances.
    pub fn set_weather(&self, weather: Weather) {
        self.state.lock().faults.weather = weather;
    }

    /// What has struck this disk, in all its lives.
    #[must_use]
    pub fn fault_counts(&self) -> FaultCounts {
        self.state.lock().faults.counts.clone()
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

    /// How many operations that change something were begun: creations, writes, truncations, allocations,
    /// renames, removals, syncs of files and folders.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// How many reads were begun.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
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

    /// The power goes off right before operation number `n` (from 0).
    pub fn cut_at_operation(&self, n: u64) {
        self.strike_operation(n, Strike::PowerOff);
    }

    /// Operation number `n` (from 0) is struck.
    pub fn strike_operation(&self, n: u64, strike: Strike) {
        self.state.lock().faults.strike = Some((n, strike));
    }

    /// Read number `n` (from 0) fails.
    pub fn strike_read(&self, n: u64) {
        self.state.lock().faults.read_strike = Some(n);
    }

    /// Counts an operation of something that lies on the same disk without being a file of it, such as a
    /// database: the power goes off before it as before any other.
    pub fn operation_beside(&self) -> io::Result<()> {
        match self.state.lock().begin()? {
            None => Ok(()),
            Some(_) => Err(eio("operation")),
        }
    }

    /// The scripted power cut has happened.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state.lock().off
    }

    /// These bytes cannot be read any more, until they are written again. False when there is no such file.
    pub fn bad_sector(&self, path: &Path, offset: u64, len: u64) -> bool {
        let mut state = self.state.lock();
        let Some(inode) = state.names.get(path) else { return false };
        let Some(content) = state.contents.get_mut(&inode) else { return false };
        content.spoil(offset..offset.saturating_add(len));
        true
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

fn eio(of: &str) -> io::Error {
    io::Error::other(format!("simulated {of} error"))
}

fn no_such_file(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file", path.display()))
}

impl State {
    fn powered(&self) -> io::Result<()> {
        if self.off { Err(power_is_off()) } else { Ok(()) }
    }

    /// An operation that changes something begins. Says what strikes it.
    fn begin(&mut self) -> io::Result<Option<Strike>> {
        self.powered()?;
        let strike = self.faults.strike.filter(|(n, _)| *n == self.operations).map(|(_, strike)| strike);
        if strike == Some(Strike::PowerOff) {
            self.off = true;
            return Err(power_is_off());
        }
        self.operations += 1;
        Ok(strike)
    }

    /// One that takes no space and is neither a write nor a sync.
    fn begin_plain(&mut self, what: &str) -> io::Result<()> {
        let struck = self.begin()?.is_some();
        let one_in = self.faults.weather.other_eio_one_in;
        if struck || self.strikes(None, one_in, Fault::OtherEio) { Err(eio(what)) } else { Ok(()) }
    }

    /// One that makes the files grow.
    fn begin_growing(&mut self, what: &str, growth_bytes: u64) -> io::Result<()> {
        match self.begin()? {
            Some(Strike::NoSpace) => return Err(io::Error::from(io::ErrorKind::StorageFull)),
            Some(_) => return Err(eio(what)),
            None => {}
        }
        let one_in = self.faults.weather.other_eio_one_in;
        if self.strikes(None, one_in, Fault::OtherEio) {
            return Err(eio(what));
        }
        self.room_for(growth_bytes, true)
    }

    fn strikes(&mut self, kind: Option<FaultKind>, one_in: u64, fault: Fault) -> bool {
        self.faults.strikes(kind, one_in, fault, &mut self.rng)
    }

    fn used_bytes(&self) -> u64 {
        self.names.inodes().filter_map(|i| self.contents.get(&i)).map(Content::len_bytes).sum()
    }

    /// Fails with `StorageFull` when the fault strikes or the growth does not fit.
    fn room_for(&mut self, growth_bytes: u64, may_run_out: bool) -> io::Result<()> {
        let full = self.capacity_bytes.is_some_and(|capacity| {
            growth_bytes > 0 && self.used_bytes().saturating_add(growth_bytes) > capacity
        });
        let one_in = if may_run_out { self.faults.weather.no_space_one_in } else { 0 };
        if self.strikes(Some(FaultKind::NoSpace), one_in, Fault::NoSpace) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if full {
            self.faults.counts.count(Fault::NoSpace);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    /// A sync begins. Says what strikes it.
    fn sync_point(&mut self) -> io::Result<Option<Strike>> {
        self.powered()?;
        if self.cut_at.is_some_and(|n| self.sync_points >= n) {
            self.off = true;
            return Err(power_is_off());
        }
        let strike = self.begin()?;
        self.sync_points += 1;
        Ok(strike)
    }

    fn lies(&mut self) -> bool {
        let one_in = self.faults.weather.lie_one_in;
        self.strikes(None, one_in, Fault::Lie)
    }

    fn content(&mut self, inode: Inode) -> io::Result<&mut Content> {
        self.contents.get_mut(&inode).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
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
        state.begin_growing("creation", 0)?;
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
        state.begin_plain("rename")?;
        if state.names.rename(from, to) { Ok(()) } else { Err(no_such_file(from)) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_plain("removal")?;
        if state.names.remove(path) { Ok(()) } else { Err(no_such_file(path)) }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_plain("removal")?;
        state.names.remove_dir_all(path);
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state.lock();
        state.names.get(path).is_some() || state.names.is_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let struck = state.sync_point()?.is_some();
        let one_in = state.faults.weather.sync_dir_eio_one_in;
        if struck || state.strikes(None, one_in, Fault::SyncDirEio) {
            return Err(eio("sync of a folder"));
        }
        if !state.lies() {
            state.names.sync(dir);
        }
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
