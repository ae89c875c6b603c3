//! Time for people: INTERNALDATE, SAVEDATE, retention. Nothing is ordered by it.

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
