//! The scrub: everything durable is read now and then, and compared with its checksums and digests.
//!
//! Laws
//! - It changes nothing but the list of damage, to which it adds messages that are lost, and its own record.
//! - Where the log may have lost transactions it asks for snapshots: as long as the store is open, views have them.
//! - A pass that is cut off goes on at the segment where it was: however often the store is restarted, all of it is read.
//! - It reads slowly, in small pieces with pauses between, at low priority, and leaves the system's cache as it was: nobody
//!   waits for it.
//! - A pass looks at what counted when it began; what was compacted away meanwhile is no finding.
//! - Each finding is said once while the store is open. Transactions that are lost are for replay and check to judge: the
//!   snapshots may have them.

mod pace;
mod pass;
mod record;

use crate::error::{Error, Result};
use crate::sys::thread::be_modest;
use crate::txn::Core;
use crate::txn::keeper::Keeper;
use pace::Pace;
use parking_lot::{Condvar, Mutex};
use record::{Record, UnderWay};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is asked whether a pass is due.
const TICK: Duration = Duration::from_secs(30);

/// How much the scrub may read, and how often.
#[derive(Debug, Clone, Copy)]
pub struct ScrubOptions {
    pub bytes_per_second: u64,
    /// From the end of a pass to the beginning of the next; 0 = never.
    pub every_ms: u64,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self { bytes_per_second: 4 << 20, every_ms: 7 * 24 * 60 * 60 * 1000 }
    }
}

/// How far the scrub is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScrubStats {
    /// Passes that were finished since the store was made.
    pub passes: u64,
    /// Of the pass under way.
    pub position_bytes: u64,
    pub total_bytes: u64,
    /// Since this process opened the store.
    pub bytes_read: u64,
    pub findings: u64,
    /// When the last pass ended (0: none has), and how much it found.
    pub last_finished_ms: u64,
    pub last_findings: u64,
    pub running: bool,
}

/// The scrub of one store.
pub struct Scrub {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    core: Arc<Core>,
    keeper: Arc<Keeper>,
    options: ScrubOptions,
    stats: Mutex<ScrubStats>,
    /// Held by the one who reads.
    passing: Mutex<()>,
    /// How far the pass is that was cut off.
    under_way: Mutex<Option<UnderWay>>,
    /// What was said already.
    said: Mutex<HashSet<String>>,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Scrub {
    /// Takes up where the last process was, and starts the thread if passes are wanted.
    pub fn start(core: &Arc<Core>, keeper: &Arc<Keeper>, options: ScrubOptions) -> Result<Self> {
        let record = Record::load(core.log.disk(), core.log.dir());
        let stats = ScrubStats {
            passes: record.passes,
            last_finished_ms: record.finished_ms,
            last_findings: record.findings,
            ..ScrubStats::default()
        };
        let shared = Arc::new(Shared {
            core: core.clone(),
            keeper: keeper.clone(),
            options,
            stats: Mutex::new(stats),
            passing: Mutex::new(()),
            under_way: Mutex::new(record.under_way),
            said: Mutex::default(),
            stop: Mutex::new(false),
            wake: Condvar::new(),
        });
        let of_thread = shared.clone();
        let thread = (options.every_ms > 0)
            .then(|| std::thread::Builder::new().name("scrub".into()).spawn(move || of_thread.run()))
            .transpose()
            .map_err(|e| Error::io("starting a thread", e))?;
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    pub fn stop(&self) {
        *self.shared.stop.lock() = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the scrub panicked; this is a bug, the store is intact");
        }
        // One that somebody asked for: it notes how far it is before the store is given up.
        drop(self.shared.passing.lock());
    }

    #[must_use]
    pub fn stats(&self) -> ScrubStats {
        *self.shared.stats.lock()
    }

    /// A pass, now, on the calling thread: what is left of the one that was cut off, or a whole one. `Interrupted`: the
    /// store was closed meanwhile.
    pub fn pass(&self) -> Result<ScrubStats> {
        self.shared.pass()?;
        Ok(self.stats())
    }
}

impl Shared {
    fn run(&self) {
        be_modest();
        while !self.is_stopped_after(TICK) {
            if !self.is_due() {
                continue;
            }
            match self.pass() {
                Ok(()) => {}
                Err(Error::Interrupted) => return,
                Err(error) => tracing::warn!(%error, "the scrub was cut off; it is tried again"),
            }
        }
    }

    fn is_due(&self) -> bool {
        if self.under_way.lock().is_some() {
            return true;
        }
        let last = self.stats.lock().last_finished_ms;
        self.core.clock.now_ms().saturating_sub(last) >= self.options.every_ms
    }

    /// Waits, and says whether the store is closing.
    fn is_stopped_after(&self, wait: Duration) -> bool {
        let mut stop = self.stop.lock();
        if !*stop && !wait.is_zero() {
            self.wake.wait_for(&mut stop, wait);
        }
        *stop
    }

    fn pass(&self) -> Result<()> {
        let _one_at_a_time = self.passing.lock();
        if self.is_stopped_after(Duration::ZERO) {
            return Err(Error::Interrupted);
        }
        let pace = Pace::new(self.options.bytes_per_second);
        let findings = pass::Pass::new(self, pace).run();
        let mut stats = *self.stats.lock();
        stats.running = false;
        let result = findings.and_then(|findings| {
            stats.passes += 1;
            stats.last_findings = findings;
            stats.last_finished_ms = self.core.clock.now_ms();
            self.core.metrics.scrub_passed();
            tracing::info!(bytes = stats.position_bytes, findings, "the scrub read everything");
            *self.under_way.lock() = None;
            self.record(&stats).store(self.core.log.disk(), self.core.log.dir())
        });
        *self.stats.lock() = stats;
        result
    }

    fn record(&self, stats: &ScrubStats) -> Record {
        Record {
            passes: stats.passes,
            finished_ms: stats.last_finished_ms,
            findings: stats.last_findings,
            under_way: *self.under_way.lock(),
        }
    }

    /// Notes how far the pass is. A failure costs reading something again.
    fn note(&self) {
        let stats = *self.stats.lock();
        if let Err(error) = self.record(&stats).store(self.core.log.disk(), self.core.log.dir()) {
            tracing::warn!(%error, "how far the scrub is could not be noted");
        }
    }
}
