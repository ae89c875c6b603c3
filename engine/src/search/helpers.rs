//! Threads that help a search to read messages, counted store-wide.
//!
//! Laws
//! - A search always goes on in its caller's own thread; helpers are what is left over. So many
//!   heavy searches slow each other down, and none waits for another to end.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most that one search gets.
const A_SEARCH_MAX: usize = 3;

#[derive(Debug)]
pub struct Helpers {
    free: AtomicUsize,
}

impl Default for Helpers {
    /// One for each core that the process may use.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Helpers {
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { free: AtomicUsize::new(threads) }
    }

    /// Up to that many, as many as are free; given back when dropped.
    pub(super) fn take(&self, wanted: usize) -> Taken<'_> {
        let wanted = wanted.min(A_SEARCH_MAX);
        let mut taken = 0;
        let update = |free: usize| {
            taken = free.min(wanted);
            Some(free - taken)
        };
        // The closure always answers, so this always succeeds.
        let _ = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        Taken { helpers: self, count: taken }
    }
}

pub(super) struct Taken<'a> {
    helpers: &'a Helpers,
    pub count: usize,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.helpers.free.fetch_add(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_there_are_and_all_come_back() {
        let helpers = Helpers::new(4);
        let first = helpers.take(9);
        let second = helpers.take(2);
        assert_eq!((first.count, second.count, helpers.take(1).count), (3, 1, 0));
        drop(first);
        assert_eq!(helpers.take(2).count, 2);
        drop(second);
        assert_eq!(helpers.free.load(Ordering::Relaxed), 4);
    }
}
