//! Not more than so many bytes a second.
//!
//! Laws
//! - What was not read in time is not made up for by reading faster: a pause of others gives no burst.

use std::time::{Duration, Instant};

/// The longest pause at once: whoever waits for the end of the scrub waits no longer.
const PIECE: Duration = Duration::from_millis(50);
/// A debt below this is paid later: pauses have a cost of their own.
const LEAST: Duration = Duration::from_millis(5);

pub struct Pace {
    bytes_per_second: u64,
    /// Until when what was read so far is paid for.
    paid_until: Instant,
}

impl Pace {
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), paid_until: Instant::now() }
    }

    /// Notes what was read.
    pub fn read(&mut self, bytes: u64) {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let now = Instant::now();
        self.paid_until = self.paid_until.max(now).checked_add(cost).unwrap_or(now);
    }

    /// How long to wait now before more is read; zero: go on.
    pub fn wait(&self) -> Duration {
        let left = self.paid_until.saturating_duration_since(Instant::now());
        if left < LEAST { Duration::ZERO } else { left.min(PIECE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_has_to_be_waited_for_in_small_pieces() {
        let mut pace = Pace::new(1000);
        assert_eq!(pace.wait(), Duration::ZERO);
        pace.read(1);
        assert_eq!(pace.wait(), Duration::ZERO, "a debt that small is paid later");
        pace.read(100_000);
        assert_eq!(pace.wait(), PIECE);
        let mut pace = Pace::new(u64::MAX);
        pace.read(1 << 40);
        assert_eq!(pace.wait(), Duration::ZERO);
    }
}
