//! The thread that tidies: checkpoint, snapshot run, compaction.
//!
//! Laws
//! - None of it is needed for a commit; all of it may stop at any point and be done again.
//! - A failure is said and tried again later; it never stops the store.

use super::checkpoint::{ChangedKeys, checkpoint, sweep};
use super::compact::{self, CompactReport, Damaged};
use super::core::Core;
use super::retire::{Retired, retire};
use super::snapshot;
use crate::error::{Error, Result};
use crate::log::{SegmentInfo, SegmentKind};
use crate::types::{Lsn, SegmentId};
use crate::work as told;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(500);
/// How often segments are looked over for what is dead.
const COMPACT_EVERY_MS: u64 = 60_000;

pub struct Keeper {
    core: Arc<Core>,
    work: Mutex<Work>,
    stop: Mutex<bool>,
    wake: Condvar,
}

struct Work {
    changed: ChangedKeys,
    checkpoint_at_bytes: u64,
    checkpoint_at_ms: u64,
    snapshot_at_bytes: u64,
    /// Log that no snapshot run covers from before this process: a store that is often restarted gets
    /// its snapshots too.
    snapshot_debt_bytes: u64,
    /// With `runs`, the next snapshot run holds every row.
    damaged: Damaged,
    compacted_at_ms: u64,
}

impl Keeper {
    #[must_use]
    pub fn new(core: Arc<Core>, changed: ChangedKeys, damaged: Damaged) -> Self {
        let (bytes, now_ms) = (core.metrics.log_bytes(), core.clock.now_ms());
        let work = Work {
            changed,
            checkpoint_at_bytes: bytes,
            checkpoint_at_ms: now_ms,
            snapshot_at_bytes: bytes,
            snapshot_debt_bytes: uncovered_bytes(&core),
            damaged,
            compacted_at_ms: now_ms,
        };
        Self { core, work: Mutex::new(work), stop: Mutex::new(false), wake: Condvar::new() }
    }

    /// Runs until told to stop.
    pub fn run(&self) {
        loop {
            {
                let mut stop = self.stop.lock();
                if !*stop {
                    self.wake.wait_for(&mut stop, TICK);
                }
                if *stop {
                    return;
                }
            }
            if let Err(error) = self.tick() {
                tracing::warn!(%error, "keeping house failed; it is tried again");
            }
        }
    }

    pub fn stop(&self) {
        *self.stop.lock() = true;
        self.wake.notify_all();
    }

    fn tick(&self) -> Result<()> {
        let core = &self.core;
        let mut work = self.work.lock();
        let (bytes, now_ms) = (core.metrics.log_bytes(), core.clock.now_ms());
        let is_dirty = {
            let published = core.published.lock();
            !published.dirty.is_empty() || !published.deleted.is_empty()
        };
        let is_due = bytes - work.checkpoint_at_bytes >= core.keep.checkpoint_bytes
            || now_ms.saturating_sub(work.checkpoint_at_ms) >= core.keep.checkpoint_ms;
        if is_dirty && is_due {
            let lsn = work.checkpoint(core)?;
            let uncovered = bytes - work.snapshot_at_bytes + work.snapshot_debt_bytes;
            if work.damaged.runs || uncovered >= core.keep.snapshot_bytes {
                work.snapshot(core, lsn)?;
            }
        }
        core.log.sweep()?;
        if now_ms.saturating_sub(work.compacted_at_ms) >= COMPACT_EVERY_MS {
            work.compacted_at_ms = now_ms;
            work.compact(core, &mut told::Work::quiet())?;
        }
        Ok(())
    }

    /// Keeps the catalog, the runs and the segments as they are for as long as the guard is held: the
    /// check compares them.
    pub fn hold(&self) -> impl Sized + '_ {
        self.work.lock()
    }

    /// Writes everything published to the catalog, now.
    pub fn checkpoint(&self) -> Result<Lsn> {
        self.work.lock().checkpoint(&self.core)
    }

    /// A checkpoint and a snapshot run, now.
    pub fn snapshot(&self) -> Result<Lsn> {
        let mut work = self.work.lock();
        let lsn = work.checkpoint(&self.core)?;
        work.snapshot(&self.core, lsn)?;
        Ok(lsn)
    }

    /// Two snapshot runs of every row, now: no set rests on anything older.
    pub fn snapshot_whole(&self) -> Result<Lsn> {
        let mut work = self.work.lock();
        let mut lsn = Lsn(0);
        for _ in 0..2 {
            lsn = work.checkpoint(&self.core)?;
            work.damaged.runs = true;
            work.snapshot(&self.core, lsn)?;
        }
        Ok(lsn)
    }

    /// Writes the rows of the catalog that cannot be read again, as far as memory has them, and removes what
    /// nobody names.
    pub fn sweep_catalog(&self) -> Result<()> {
        let mut work = self.work.lock();
        let lsn = work.checkpoint(&self.core)?;
        sweep(&self.core, &mut work.changed, lsn)
    }

    /// Empties a damaged segment, and gives its file to the quarantine.
    pub fn retire(&self, id: SegmentId, told: &mut told::Work<'_>) -> Result<Retired> {
        let _alone = self.work.lock();
        retire(&self.core, id, told)
    }

    /// Repair has dealt with what was damaged: compaction need not keep away from it any more.
    pub fn forget_damage(&self) {
        self.work.lock().damaged = Damaged::default();
    }

    /// Compacts every segment that is worth it, now.
    pub fn compact(&self, told: &mut told::Work<'_>) -> Result<CompactReport> {
        self.work.lock().compact(&self.core, told)
    }
}

impl Work {
    fn checkpoint(&mut self, core: &Core) -> Result<Lsn> {
        self.checkpoint_at_bytes = core.metrics.log_bytes();
        self.checkpoint_at_ms = core.clock.now_ms();
        let lsn = checkpoint(core, &mut self.changed)?;
        core.metrics.checkpoint_made();
        Ok(lsn)
    }

    fn snapshot(&mut self, core: &Core, lsn: Lsn) -> Result<()> {
        self.snapshot_at_bytes = core.metrics.log_bytes();
        self.snapshot_debt_bytes = 0;
        self.damaged.runs |= !snapshot::is_intact(&core.log, &core.log.manifest_runs().0, false);
        if !self.damaged.runs {
            match snapshot::write_run(core, lsn, &mut self.changed, false) {
                // Damage that only a merge met.
                Err(Error::Corrupt { .. }) => self.damaged.runs = true,
                written => written?,
            }
        }
        if self.damaged.runs {
            snapshot::write_run(core, lsn, &mut self.changed, true)?;
            self.damaged.runs = false;
        }
        core.metrics.snapshot_made();
        Ok(())
    }

    fn compact(&mut self, core: &Core, told: &mut told::Work<'_>) -> Result<CompactReport> {
        compact::compact(core, &mut self.damaged, told)
    }
}

/// Bytes of the log segments with groups newer than the newest snapshot set.
fn uncovered_bytes(core: &Core) -> u64 {
    let (current, _) = core.log.manifest_runs();
    let segments = core.log.segments().into_iter();
    let is_newer = |info: &SegmentInfo| info.kind == SegmentKind::Log && info.last_lsn > current.as_of;
    segments.filter(is_newer).map(|info| info.bytes).sum()
}
