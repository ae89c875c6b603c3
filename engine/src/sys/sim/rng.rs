//! A small seeded generator (SplitMix64): the same seed gives the same disaster again.

#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound` (0 when the bound is 0).
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// The seeds of a random test: the one of `MAILCASK_SEED`, else the first `count`.
#[cfg(test)]
pub fn seeds(count: u64) -> Vec<u64> {
    let one = std::env::var("MAILCASK_SEED").ok().and_then(|seed| seed.parse().ok());
    one.map_or_else(|| (0..count).collect(), |seed| vec![seed])
}
