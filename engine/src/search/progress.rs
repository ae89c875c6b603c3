//! How far a search is: written by the one thread that searches, read by the one that tells the client.

use std::sync::atomic::{AtomicU64, Ordering};

/// Work done and to do, in messages. `total` may grow while it runs; both are hints (RFC 9585
/// section 3.1).
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    pub fn expect(&self, more: u64) {
        self.total.fetch_add(more, Ordering::Relaxed);
    }

    pub fn advance(&self, by: u64) {
        self.done.fetch_add(by, Ordering::Relaxed);
    }

    /// (done, total)
    #[must_use]
    pub fn read(&self) -> (u64, u64) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed).min(total), total)
    }
}
