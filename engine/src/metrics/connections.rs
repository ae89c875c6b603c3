//! The connections of a server, counted.
//!
//! Law: one is open for as long as its guard is held, however it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts connections; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    counts: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    pub open: u64,
    /// Since the server was started.
    pub accepted: u64,
    /// Turned away, because there were too many.
    pub refused: u64,
}

/// An open connection.
#[derive(Debug)]
pub struct Open {
    counts: Arc<Counters>,
}

impl Connections {
    #[must_use]
    pub fn open(&self) -> Open {
        self.counts.open.fetch_add(1, Ordering::Relaxed);
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        Open { counts: Arc::clone(&self.counts) }
    }

    pub fn refused(&self) {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn counts(&self) -> ConnectionCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { open, accepted, refused } = &*self.counts;
        ConnectionCounts { open: read(open), accepted: read(accepted), refused: read(refused) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_open_as_long_as_it_is_held() {
        let connections = Connections::default();
        let first = connections.open();
        let second = connections.clone().open();
        connections.refused();
        drop(first);
        let expected = ConnectionCounts { open: 1, accepted: 2, refused: 1 };
        assert_eq!(connections.counts(), expected);
        drop(second);
        assert_eq!(connections.counts().open, 0);
    }
}
