//! What the store's tests share: a seeded random source, random work, and the simple model of what
//! a store must say after it.
#![allow(dead_code, clippy::unwrap_used)]

pub mod ask;
pub mod model;
pub mod work;

/// The simulated disk's generator, in the words of these tests.
pub struct Rng(engine::sys::sim::Rng);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(engine::sys::sim::Rng::new(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len())) }
    }
}

/// The seeds of a run: one given in `MAILCASK_SEED`, else the first `count`.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MAILCASK_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=count).collect(),
    }
}

/// The same, and some that once found something.
pub fn seeds_and(count: u64, more: &[u64]) -> Vec<u64> {
    let mut seeds = seeds(count);
    if std::env::var("MAILCASK_SEED").is_err() {
        seeds.extend(more);
    }
    seeds
}

/// Every test that touched a store ends with this.
pub fn assert_clean(store: &engine::Store) {
    let report = store.check(true).unwrap();
    assert!(report.is_clean(), "check found: {:#?}", report.findings);
}
