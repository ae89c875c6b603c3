//! The unpacked texts of small tails, so that a search of many patterns, or many searches, unpack them
//! once.
//!
//! Laws
//! - Bounded store-wide; what was used longest ago goes first.
//! - A tail only grows, so what is kept of it stays right.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// By batch, from the first on.
pub type Unpacked = Vec<Arc<Vec<u8>>>;

/// Larger tails are unpacked anew each time.
const TAIL_BYTES_MAX: usize = 4 << 20;

pub struct TailTexts {
    max_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: HashMap<u64, Kept>,
    bytes: usize,
    uses: u64,
}

struct Kept {
    texts: Unpacked,
    bytes: usize,
    used: u64,
}

impl TailTexts {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    pub fn fits(&self, raw_bytes: usize) -> bool {
        raw_bytes <= TAIL_BYTES_MAX.min(self.max_bytes)
    }

    /// What is kept of a tail.
    pub fn of(&self, tail: u64) -> Unpacked {
        let mut state = self.state.lock();
        state.uses += 1;
        let now = state.uses;
        let Some(kept) = state.kept.get_mut(&tail) else { return Unpacked::new() };
        kept.used = now;
        kept.texts.clone()
    }

    pub fn keep(&self, tail: u64, texts: Unpacked) {
        let bytes = texts.iter().map(|text| text.len()).sum();
        let mut state = self.state.lock();
        if state.kept.get(&tail).is_some_and(|kept| kept.texts.len() >= texts.len()) {
            return;
        }
        state.uses += 1;
        let used = state.uses;
        state.forget(tail);
        state.bytes += bytes;
        state.kept.insert(tail, Kept { texts, bytes, used });
        while state.bytes > self.max_bytes {
            let Some(oldest) = state.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(id, _)| *id) else {
                return;
            };
            state.forget(oldest);
        }
    }
}

impl State {
    fn forget(&mut self, tail: u64) {
        if let Some(kept) = self.kept.remove(&tail) {
            self.bytes -= kept.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_the_oldest_goes_first() {
        let texts = TailTexts::new(100);
        let of = |len: usize| vec![Arc::new(vec![0; len])];
        texts.keep(1, of(40));
        texts.keep(2, of(40));
        assert_eq!(texts.of(1).len(), 1);
        texts.keep(3, of(40));
        assert_eq!([1, 2, 3].map(|id| texts.of(id).len()), [1, 0, 1]);
        // One that grew takes the place of what was kept of it; a shorter one does not.
        texts.keep(1, vec![Arc::new(vec![0; 40]), Arc::new(vec![0; 10])]);
        texts.keep(1, of(40));
        assert_eq!(texts.of(1).len(), 2);
        texts.keep(4, of(101));
        assert!(texts.of(4).is_empty() && !texts.fits(101));
    }
}
