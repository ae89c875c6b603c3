//! How long something took, in classes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the classes in microseconds; what took longer than the last is in a class of its own.
const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// Counts durations by class.
#[derive(Debug, Default)]
pub struct Timer {
    classes: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What was counted up to one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Durations {
    /// The upper end of each class in seconds, and how many took at most that long: the numbers rise.
    pub at_most: Vec<(f64, u64)>,
    pub count: u64,
    pub sum_s: f64,
}

impl Timer {
    pub fn took(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.classes.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    #[must_use]
    pub fn durations(&self) -> Durations {
        let mut count = 0;
        let mut at_most = Vec::new();
        for (i, class) in self.classes.iter().enumerate() {
            count += class.load(Ordering::Relaxed);
            at_most.extend(BOUNDS_US.get(i).map(|us| (seconds(*us), count)));
        }
        Durations { at_most, count, sum_s: seconds(self.sum_us.load(Ordering::Relaxed)) }
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_its_class_and_all_above() {
        let timer = Timer::default();
        for us in [0, 100, 101, 900, 2_000_000, 60_000_000] {
            timer.took(Duration::from_micros(us));
        }
        let durations = timer.durations();
        let at_most =
            |s: f64| durations.at_most.iter().find(|(bound, _)| *bound == s).map(|(_, count)| *count);
        assert_eq!([0.0001, 0.00025, 0.001, 1.0, 5.0].map(at_most), [2, 3, 4, 4, 5].map(Some));
        assert_eq!(durations.count, 6);
        assert!((durations.sum_s - 62.001_101).abs() < 1e-6);
    }
}
