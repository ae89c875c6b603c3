//! Time for people: INTERNALDATE, SAVEDATE, retention. Nothing is ordered by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time comes from. The tests have one that they turn by hand.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> u64;
    /// Changes with every boot of the machine; empty when unknown (then no crash is trusted).
    fn boot_id(&self) -> String;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn boot_id(&self) -> String {
        crate::sys::disk::boot_id()
    }
}

/// A clock turned by hand. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    now_ms: Arc<AtomicU64>,
    boots: Arc<AtomicU64>,
}

impl SimClock {
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { now_ms: Arc::new(AtomicU64::new(now_ms)), boots: Arc::default() }
    }

    /// Sets the time, backwards as well: clocks do that.
    pub fn set(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
    }

    pub fn advance(&self, by_ms: u64) {
        self.now_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// The machine was booted anew: another `boot_id` from here on.
    pub fn reboot(&self) {
        self.boots.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boots.load(Ordering::Relaxed))
    }
}
