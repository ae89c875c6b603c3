//! The thread that tidies: checkpoint, snapshot run, compaction.
//!
//! Laws
//! - None of it is needed for a commit; all of it may stop at any point and be done again.
//! - A failure is said and tried again later; it never stops the store.
//! - Compaction is one at a time, and lets checkpoints in between its batches.
//! - What the log has lost and a view has is in both snapshot sets as soon as that is known: the catalog may go at the
//!   next loss of power.

use super::checkpoint::{ChangedKeys, checkpoint, sweep};
use super::compact::{self, CompactOptions, CompactReport, Compaction, Damaged};
use super::core::Core;
use super::op;
use super::retire::{Retired, retire};
use super::snapshot;
use crate::error::{Error, Result};
use crate::log::{Room, SegmentInfo, SegmentKind};
use crate::types::{Lsn, SegmentId};
use crate::work::{self as told, Unit};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(500);
/// How often segments are looked over for what is dead.
const COMPACT_EVERY_MS: u64 = 60_000;
/// A checkpoint is not begun with less room on the disk: the catalog does not take a full one well.
const CHECKPOINT_ROOM_BYTES: u64 = 16 << 20;
/// Less than a reserved segment has.
const CHECKPOINT_ROOM_BYTES_MAX: u64 = 48 << 20;
/// An open log segment with this part of its size in it is closed for a compaction that is asked for.
const OPEN_WORTH_CLOSING: u64 = 8;
/// How often while the disk is full.
const COMPACT_WHEN_FULL_MS: u64 = 5_000;
/// How often snapshots are tried that were asked for and could not be written.
const COVER_EVERY_MS: u64 = 60_000;

pub struct Keeper {
    core: Arc<Core>,
    work: Mutex<Work>,
    /// Held by the one who compacts.
    compacting: Mutex<()>,
    /// Up to where both snapshot sets have to reach, whatever they cost.
    wanted_cover: AtomicU64,
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
    looked_over: Option<LookedOver>,
    /// When the wanted cover was tried last.
    cover_tried_ms: Option<u64>,
}

/// What compaction has to go by: while none of it changes, looking again finds nothing new.
#[derive(PartialEq, Eq)]
struct LookedOver {
    segments: Vec<SegmentId>,
    removals: u64,
    covered: Lsn,
    /// Segments whose retention is over.
    past_retention: usize,
}

impl Keeper {
    #[must_use]
    pub fn new(core: Arc<Core>, changed: ChangedKeys, damaged: Damaged, only_in_views: Lsn) -> Self {
        let (bytes, now_ms) = (core.metrics.log_bytes(), core.clock.now_ms());
        let work = Work {
            changed,
            checkpoint_at_bytes: bytes,
            checkpoint_at_ms: now_ms,
            snapshot_at_bytes: bytes,
            snapshot_debt_bytes: uncovered_bytes(&core),
            damaged,
            compacted_at_ms: now_ms,
            looked_over: None,
            cover_tried_ms: None,
        };
        Self {
            core,
            work: Mutex::new(work),
            compacting: Mutex::new(()),
            wanted_cover: AtomicU64::new(only_in_views.0),
            stop: Mutex::new(false),
            wake: Condvar::new(),
        }
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
        let is_full = !self.core.log.admits(Room::Append);
        self.cover_when_wanted();
        self.checkpoint_when_due()?;
        self.sweep(is_full)?;
        if self.is_compaction_due(is_full) {
            // Ended by a stop between two batches, it is begun again at the next opening.
            let mut goes_on = |_: &told::Step| !*self.stop.lock();
            match self.compact_by(CompactOptions::default(), &mut told::Work::told_to(&mut goes_on)) {
                Ok(_) | Err(Error::Interrupted) => {}
                Err(error) => {
                    // What it found to do is still to be done.
                    self.work.lock().looked_over = None;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The log has lost some group up to `lsn`, and views may have what it did: the snapshots will have it too, soon.
    pub fn cover_soon(&self, lsn: Lsn) {
        self.wanted_cover.fetch_max(lsn.0, Ordering::AcqRel);
    }

    fn cover_when_wanted(&self) {
        let core = &self.core;
        let wanted = Lsn(self.wanted_cover.load(Ordering::Acquire));
        if wanted == Lsn(0) || wanted <= core.log.manifest_runs().1.as_of {
            return;
        }
        {
            let mut work = self.work.lock();
            let now_ms = core.clock.now_ms();
            if work.cover_tried_ms.is_some_and(|tried_ms| now_ms.abs_diff(tried_ms) < COVER_EVERY_MS) {
                return;
            }
            work.cover_tried_ms = Some(now_ms);
        }
        let is_covered = || wanted <= core.log.manifest_runs().1.as_of;
        let covered = match self.cover(wanted, &mut told::Work::quiet()) {
            // Groups that changed no row are no reason for a run; here they are one.
            Ok(()) if !is_covered() => self.snapshot_whole(&mut told::Work::quiet()).map(drop),
            covered => covered,
        };
        match covered {
            Ok(()) => {
                tracing::info!(up_to_lsn = wanted.0, "what the log lost and a view had is in snapshots")
            }
            Err(error) => tracing::warn!(%error, "no snapshot of what the log lost; it is tried again"),
        }
    }

    /// Unlinks what was dropped long enough ago; on a full disk at once.
    fn sweep(&self, is_full: bool) -> Result<()> {
        // The check may read what is dropped: it holds the work.
        let _work = self.work.lock();
        let log = &self.core.log;
        if is_full {
            log.end_grace()?;
            log.close_idle_bodies();
        }
        log.sweep()
    }

    fn checkpoint_when_due(&self) -> Result<()> {
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
        Ok(())
    }

    /// Whether the time has come, and whether there is anything new to find.
    fn is_compaction_due(&self, is_full: bool) -> bool {
        let mut work = self.work.lock();
        let now_ms = self.core.clock.now_ms();
        let every_ms = if is_full { COMPACT_WHEN_FULL_MS } else { COMPACT_EVERY_MS };
        if now_ms.saturating_sub(work.compacted_at_ms) < every_ms {
            return false;
        }
        work.compacted_at_ms = now_ms;
        let now = LookedOver::now(&self.core);
        if work.looked_over.as_ref() == Some(&now) {
            return false;
        }
        work.looked_over = Some(now);
        true
    }

    /// Keeps the catalog, the runs and the segments as they are for as long as the guard is held: the
    /// check compares them.
    pub fn hold(&self) -> impl Sized + '_ {
        self.work.lock()
    }

    /// The same, and the catalog has all that is published as of now. Where that cannot be written it stays as it is.
    pub fn hold_written(&self) -> impl Sized + '_ {
        let mut work = self.work.lock();
        if let Err(error) = work.checkpoint(&self.core) {
            tracing::warn!(%error, "the catalog could not be brought up to date");
        }
        work
    }

    /// Writes everything published to the catalog, now.
    pub fn checkpoint(&self) -> Result<Lsn> {
        self.work.lock().checkpoint(&self.core)
    }

    /// The last checkpoint of a store that closes.
    pub fn last_checkpoint(&self) -> Result<Lsn> {
        self.with_reserve(Room::Shrink, || self.checkpoint())
    }

    /// A checkpoint and a snapshot run, now.
    pub fn snapshot(&self) -> Result<Lsn> {
        let mut work = self.work.lock();
        let lsn = work.checkpoint(&self.core)?;
        work.snapshot(&self.core, lsn)?;
        Ok(lsn)
    }

    /// Two snapshot runs of every row, now: no set rests on anything older.
    pub fn snapshot_whole(&self, told: &mut told::Work<'_>) -> Result<Lsn> {
        let mut lsn = Lsn(0);
        for done in 0..2 {
            told.step("writing whole snapshots", done, 2, Unit::Objects)?;
            // Between the two a checkpoint may come in.
            let mut work = self.work.lock();
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
        // Compaction lets go of the work between its batches, and knows by then what it will move.
        let _one_at_a_time = self.compacting.lock();
        let _alone = self.work.lock();
        retire(&self.core, id, told)
    }

    /// Repair has dealt with what was damaged: compaction need not keep away from it any more.
    pub fn forget_damage(&self) {
        self.work.lock().damaged = Damaged::default();
    }

    /// Compacts every segment that is worth it, now. Where two snapshot sets are all that log segments wait for,
    /// those are written first.
    pub fn compact(&self, options: CompactOptions, told: &mut told::Work<'_>) -> Result<CompactReport> {
        let done = self.compact_and_cover(options, told);
        self.core.log.end_lending();
        done
    }

    fn compact_and_cover(&self, options: CompactOptions, told: &mut told::Work<'_>) -> Result<CompactReport> {
        let mut report: Option<CompactReport> = None;
        // Without room for the cover less can go; what goes makes room for it, so it is tried once more.
        for _ in 0..2 {
            let is_covered = match self.close_and_cover(options, told) {
                Ok(()) => true,
                Err(Error::StoreFull) => false,
                Err(error) => return Err(error),
            };
            let done = self.compact_by(options, told)?;
            let goes_on = !is_covered && done.segments_dropped > 0;
            report = Some(report.map_or(done.clone(), |first| first.and(&done)));
            if !goes_on {
                break;
            }
        }
        Ok(report.unwrap_or_default())
    }

    fn close_and_cover(&self, options: CompactOptions, told: &mut told::Work<'_>) -> Result<()> {
        self.close_open_segments(options)?;
        match compact::wanted_cover(&self.core, options) {
            Some(lsn) => self.with_reserve(Room::Compaction, || self.cover(lsn, told)),
            None => Ok(()),
        }
    }

    /// What is written to now could not be compacted otherwise, however much of it is dead.
    fn close_open_segments(&self, options: CompactOptions) -> Result<()> {
        let (log, keep) = (&self.core.log, &self.core.keep);
        log.close_idle_bodies();
        let is_open = |info: &SegmentInfo| info.kind == SegmentKind::Log && !info.sealed;
        let open_bytes = log.segments().iter().rfind(|info| is_open(info)).map_or(0, |info| info.bytes);
        let keeps_history = keep.retention_ms > 0 && !options.ignore_retention;
        if keeps_history || open_bytes < log.segment_bytes() / OPEN_WORTH_CLOSING {
            return Ok(());
        }
        self.roll()
    }

    /// The log goes on in a new segment, and body segments that nobody writes to are closed: what was being written may go.
    pub fn roll(&self) -> Result<()> {
        self.core.log.close_idle_bodies();
        self.core.log.roll_at_next_group();
        self.core.submit(|head| {
            head.admit(Room::Compaction)?;
            head.builder().push_txn(None, &op::encode(&[]));
            Ok(())
        })
    }

    /// What has to be done on a full disk too: it may have the room of a reserved segment.
    fn with_reserve<T>(&self, room: Room, mut job: impl FnMut() -> Result<T>) -> Result<T> {
        match job() {
            Err(Error::StoreFull) if self.core.log.lend_reserve(room) => job(),
            done => done,
        }
    }

    fn compact_by(&self, options: CompactOptions, told: &mut told::Work<'_>) -> Result<CompactReport> {
        let _one_at_a_time = self.compacting.lock();
        let core = &self.core;
        let mut compaction = Compaction::plan(core, &mut self.work.lock().damaged, options, told)?;
        while compaction.batch(core, &mut self.work.lock().damaged, told)? {
            self.checkpoint_when_due()?;
        }
        compaction.finish(core)
    }

    /// Has both snapshot sets cover everything up to `lsn`.
    fn cover(&self, lsn: Lsn, told: &mut told::Work<'_>) -> Result<()> {
        let core = &self.core;
        for done in 0..2 {
            if core.log.manifest_runs().1.as_of >= lsn {
                return Ok(());
            }
            told.step("writing a snapshot", done, 2, Unit::Objects)?;
            let mut work = self.work.lock();
            let as_of = work.checkpoint(core)?;
            // Nothing changed since the newest set: it is repeated whole, as the second one.
            if as_of <= core.log.manifest_runs().0.as_of {
                work.whole_snapshot(core, as_of)?;
            } else {
                work.snapshot(core, as_of)?;
            }
        }
        Ok(())
    }
}

impl LookedOver {
    fn now(core: &Core) -> Self {
        let (_, previous) = core.log.manifest_runs();
        let over_ms = core.clock.now_ms().saturating_sub(core.keep.retention_ms);
        let sealed: Vec<SegmentInfo> = core.log.segments().into_iter().filter(|info| info.sealed).collect();
        Self {
            past_retention: sealed.iter().filter(|info| info.newest_time_ms <= over_ms).count(),
            segments: sealed.into_iter().map(|info| info.id).collect(),
            removals: core.metrics.removals(),
            covered: previous.as_of,
        }
    }
}

impl Work {
    fn checkpoint(&mut self, core: &Core) -> Result<Lsn> {
        if core.log.disk().is_real() {
            let changed_bytes = core.metrics.log_bytes() - self.checkpoint_at_bytes;
            core.log.ask_for_room((CHECKPOINT_ROOM_BYTES + changed_bytes).min(CHECKPOINT_ROOM_BYTES_MAX))?;
        }
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
                written => {
                    written?;
                    core.metrics.snapshot_made();
                    return Ok(());
                }
            }
        }
        self.whole_snapshot(core, lsn)
    }

    /// A run of every row, which rests on no other.
    fn whole_snapshot(&mut self, core: &Core, lsn: Lsn) -> Result<()> {
        snapshot::write_run(core, lsn, &mut self.changed, true)?;
        self.damaged.runs = false;
        core.metrics.snapshot_made();
        Ok(())
    }
}

/// Bytes of the log segments with groups newer than the newest snapshot set.
fn uncovered_bytes(core: &Core) -> u64 {
    let (current, _) = core.log.manifest_runs();
    let segments = core.log.segments().into_iter();
    let is_newer = |info: &SegmentInfo| info.kind == SegmentKind::Log && info.last_lsn > current.as_of;
    segments.filter(is_newer).map(|info| info.bytes).sum()
}
