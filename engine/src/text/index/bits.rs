//! A set of a segment's documents, as bits.
//!
//! Laws
//! - All sets of a segment have the same length; a document past it is not taken.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Docs {
    words: Vec<u64>,
    len: u32,
}

impl Docs {
    pub(super) fn none(len: u32) -> Self {
        Self { words: vec![0; len.div_ceil(64) as usize], len }
    }

    pub(super) fn insert(&mut self, doc: u32) {
        if doc < self.len
            && let Some(word) = self.words.get_mut((doc / 64) as usize)
        {
            *word |= 1 << (doc % 64);
        }
    }

    pub(super) fn contains(&self, doc: u32) -> bool {
        self.words.get((doc / 64) as usize).is_some_and(|word| word >> (doc % 64) & 1 == 1)
    }

    pub(super) fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.each(other, |a, b| a | b);
    }

    pub(super) fn meet(&mut self, other: &Self) {
        self.each(other, |a, b| a & b);
    }

    pub(super) fn subtract(&mut self, other: &Self) {
        self.each(other, |a, b| a & !b);
    }

    /// True when all of the other's are here.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| b & !a == 0)
    }

    fn each(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a = op(*a, *b);
        }
    }

    /// Ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, at)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

/// Joins `len` bits of one row of words into another. What lies past the end of either is zero or lost.
pub(super) fn join_bits(to: &mut [u64], to_bit: u64, from: &[u64], from_bit: u64, len: u64) {
    let mut at = 0;
    while at < len {
        let some = (len - at).min(64);
        let mut bits = bits_at(from, from_bit + at);
        if some < 64 {
            bits &= (1 << some) - 1;
        }
        let (word, shift) = place(to_bit + at);
        if let Some(low) = to.get_mut(word) {
            *low |= bits << shift;
        }
        if shift > 0
            && let Some(high) = to.get_mut(word + 1)
        {
            *high |= bits >> (64 - shift);
        }
        at += some;
    }
}

fn bits_at(words: &[u64], bit: u64) -> u64 {
    let (word, shift) = place(bit);
    let low = words.get(word).map_or(0, |w| w >> shift);
    let high = if shift == 0 { 0 } else { words.get(word + 1).map_or(0, |w| w << (64 - shift)) };
    low | high
}

fn place(bit: u64) -> (usize, u32) {
    ((bit / 64) as usize, (bit % 64) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_move(from in prop::collection::vec(any::<u64>(), 0..4), to in prop::collection::vec(any::<u64>(), 0..4), from_bit in 0u64..200, to_bit in 0u64..200, len in 0u64..200) {
            let bit = |words: &[u64], at: u64| words.get((at / 64) as usize).is_some_and(|w| w >> (at % 64) & 1 == 1);
            let mut out = to.clone();
            join_bits(&mut out, to_bit, &from, from_bit, len);
            for at in 0..to.len() as u64 * 64 {
                let moved = at >= to_bit && at < to_bit + len && bit(&from, at - to_bit + from_bit);
                prop_assert_eq!(bit(&out, at), bit(&to, at) || moved, "{}", at);
            }
        }
    }

    #[test]
    fn a_document_past_the_end_is_not_taken() {
        let mut docs = Docs::none(65);
        [0, 64, 65, 66, u32::MAX].into_iter().for_each(|doc| docs.insert(doc));
        assert_eq!(docs.iter().collect::<Vec<_>>(), [0, 64]);
        assert_eq!((docs.count(), docs.is_empty()), (2, false));
        assert!(docs.holds(&Docs::none(65)) && !Docs::none(65).holds(&docs));
    }
}
