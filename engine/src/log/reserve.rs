//! Room held back for a full disk.
//!
//! Laws
//! - The reserve is files allocated and never written: using one is a rename, which needs no space.
//! - New mail is admitted only while the reserve is whole; what frees space may go deeper, compaction deepest.
//! - Snapshots and catalog that are needed to free space, or to stop in order, may have the room of one.
//! - It fills itself again as soon as the disk takes it, asked at most once a second.

use super::types::Room;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};

/// More than a segment: given back when a file is used, it pays for the manifest that must follow.
const SLACK_BYTES: u64 = 1 << 20;
const RETRY_MS: u64 = 1_000;

pub(super) struct Reserve {
    dir: PathBuf,
    file_bytes: u64,
    wanted: u32,
    state: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Which of the files are there.
    files: Vec<PathBuf>,
    tried_ms: Option<u64>,
    /// What was given away is not taken back yet.
    is_lent: bool,
}

impl Reserve {
    /// Takes over the files there are.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, segment_bytes: u64, wanted: u32) -> Self {
        let dir = dir.join("log");
        let file_bytes = segment_bytes + SLACK_BYTES;
        let this = Self { dir, file_bytes, wanted: wanted.min(9), state: Mutex::default() };
        let whole =
            |path: &PathBuf| disk.open(path).and_then(|f| f.len_bytes()).is_ok_and(|len| len >= file_bytes);
        this.state.lock().files = this.paths().filter(whole).collect();
        this
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (1..=self.wanted).map(|n| self.dir.join(format!("reserve-{n}")))
    }

    /// Whether this name in `log/` is one of the reserve.
    pub(super) fn is_name(&self, name: &str) -> bool {
        (1..=self.wanted).any(|n| name == format!("reserve-{n}"))
    }

    /// Whether a file of this name in `log/` held room back for somebody who is gone.
    pub(super) fn is_left_over(name: &str) -> bool {
        let is_number = |n: &str| n.len() == 1 && n.bytes().all(|byte| (b'1'..=b'9').contains(&byte));
        name == "room" || name.strip_prefix("reserve-").is_some_and(is_number)
    }

    /// Whether a group for `room` may be written now.
    pub(super) fn admits(&self, disk: &dyn Disk, now_ms: u64, room: Room) -> bool {
        if room != Room::Append {
            return true;
        }
        self.refill(disk, now_ms);
        self.state.lock().files.len() as u32 == self.wanted
    }

    /// How many segments are held back, and how many should be.
    pub(super) fn depth(&self) -> (u32, u32) {
        (self.state.lock().files.len() as u32, self.wanted)
    }

    /// Allocates what is missing, if the disk has it. A failure is not an error: the reserve stays small.
    pub(super) fn refill(&self, disk: &dyn Disk, now_ms: u64) {
        let mut held = self.state.lock();
        let waits = held.tried_ms.is_some_and(|t| now_ms >= t && now_ms - t < RETRY_MS);
        if held.files.len() as u32 >= self.wanted || waits || held.is_lent {
            return;
        }
        held.tried_ms = Some(now_ms);
        for path in self.paths() {
            if held.files.contains(&path) {
                continue;
            }
            if let Err(e) = self.make(disk, &path) {
                tracing::warn!(error = %e, "the reserve for a full disk cannot be filled");
                let _ = disk.remove_file(&path);
                return;
            }
            held.files.push(path);
        }
        held.tried_ms = None;
    }

    /// Gives one reserved file's room to what has to be written outside of segments. `room` says how deep into the
    /// reserve that may go; false when there is none left for it. Until `end_lending` the room is left alone.
    pub(super) fn lend(&self, disk: &dyn Disk, room: Room) -> bool {
        let mut held = self.state.lock();
        if held.files.len() <= usize::from(room != Room::Compaction) {
            return false;
        }
        let Some(file) = held.files.pop() else { return false };
        held.is_lent = true;
        tracing::warn!(left = held.files.len(), "the disk is full; the room of a reserved segment is used");
        disk.remove_file(&file).is_ok()
    }

    /// The reserve may be filled again.
    pub(super) fn end_lending(&self) {
        self.state.lock().is_lent = false;
    }

    fn make(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        if disk.exists(path) {
            disk.remove_file(path)?;
        }
        let file = disk.create(path)?;
        file.allocate(self.file_bytes)?;
        file.sync_data()?;
        disk.sync_dir(&self.dir)
    }

    /// Gives one reserved file the name `path`, if `room` may have it.
    pub(super) fn take(&self, disk: &dyn Disk, path: &Path, room: Room) -> Result<()> {
        let keep = match room {
            Room::Append => return Err(Error::StoreFull),
            Room::Shrink => 1,
            Room::Compaction => 0,
        };
        let mut held = self.state.lock();
        if held.files.len() <= keep {
            return Err(Error::StoreFull);
        }
        let Some(file) = held.files.pop() else { return Err(Error::StoreFull) };
        tracing::warn!(left = held.files.len(), "the disk is full; a reserved segment is used");
        disk.rename(&file, path).map_err(|e| Error::io("taking a reserved segment", e))
    }
}

/// Allocates so much and gives it back.
pub(super) fn ask_for_room(disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<()> {
    // A leftover of it is removed at the next opening, as whatever `log/` has that does not count.
    let path = dir.join("log/room");
    let ask = || {
        if disk.exists(&path) {
            disk.remove_file(&path)?;
        }
        disk.create(&path)?.allocate(bytes)
    };
    let answer = ask().map_err(|e| Error::io("asking for room", e));
    let removed = disk.remove_file(&path).map_err(|e| Error::io("asking for room", e));
    answer.and(removed)
}
