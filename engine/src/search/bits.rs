//! Sets of rows as bits: a chunk's worth, and a mailbox's.
//!
//! Laws
//! - Bits at and past a chunk's rows are zero, so that counts are counts of rows.

use crate::mailbox::FlagBits;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};

/// Rows of one chunk: bit `i % 64` of word `i / 64` is row `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bits(pub FlagBits);

impl Bits {
    pub const NONE: Self = Self([0; 4]);

    /// The first rows of a chunk, that many.
    pub fn first(rows: usize) -> Self {
        let mut bits = Self::NONE;
        bits.set_run(0, rows);
        bits
    }

    /// Adds the rows from `from` up to, not including, `to`.
    pub fn set_run(&mut self, from: usize, to: usize) {
        for (word, start) in self.0.iter_mut().zip((0..).step_by(64)) {
            let (a, b) = (from.clamp(start, start + 64) - start, to.clamp(start, start + 64) - start);
            *word |= low(b) & !low(a);
        }
    }

    /// The rows whose cell passes. Without a branch: compared a word of rows at a time, then packed.
    pub fn of<T: Copy>(column: &[T], test: impl Fn(T) -> bool) -> Self {
        let mut bits = Self::NONE;
        for (word, cells) in bits.0.iter_mut().zip(column.chunks(64)) {
            let mut passed = [0_u8; 64];
            for (passed, cell) in passed.iter_mut().zip(cells) {
                *passed = u8::from(test(*cell));
            }
            *word = packed(&passed);
        }
        bits
    }

    /// As `of`, over two columns side by side.
    pub fn of_both<T: Copy, U: Copy>(a: &[T], b: &[U], test: impl Fn(T, U) -> bool) -> Self {
        let mut bits = Self::NONE;
        for (word, (a, b)) in bits.0.iter_mut().zip(a.chunks(64).zip(b.chunks(64))) {
            let mut passed = [0_u8; 64];
            for (passed, (a, b)) in passed.iter_mut().zip(a.iter().zip(b)) {
                *passed = u8::from(test(*a, *b));
            }
            *word = packed(&passed);
        }
        bits
    }

    pub fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    pub fn count(self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub fn contains(self, row: usize) -> bool {
        self.0.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub fn insert(&mut self, row: usize) {
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    /// The rows, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        self.runs().flat_map(|(from, to)| from..to)
    }

    /// The rows as runs of neighbours, each from its first up to, not including, its end. A run may
    /// end where the next begins.
    pub fn runs(self) -> impl Iterator<Item = (usize, usize)> {
        self.0.into_iter().zip((0..).step_by(64)).flat_map(|(word, start)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let from = rest.trailing_zeros() as usize;
                let to = from + (rest >> from).trailing_ones() as usize;
                rest &= !low(to);
                Some((start + from, start + to))
            })
        })
    }
}

/// The lowest `n` bits, `n` at most 64.
fn low(n: usize) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// Sixty-four bytes of 0 or 1 as bits: the multiplication brings eight of them side by side.
fn packed(bytes: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (eight, at) in bytes.chunks_exact(8).zip((0..).step_by(8)) {
        let eight = eight.try_into().map_or(0, u64::from_le_bytes);
        word |= (eight.wrapping_mul(0x0102_0408_1020_4080) >> 56) << at;
    }
    word
}

impl BitAnd for Bits {
    type Output = Self;

    fn bitand(mut self, other: Self) -> Self {
        self &= other;
        self
    }
}

impl BitAndAssign for Bits {
    fn bitand_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= b);
    }
}

impl BitOr for Bits {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self |= other;
        self
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
    }
}

/// Past the chunk's rows too: to be met with rows that are there.
impl Not for Bits {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.map(|word| !word))
    }
}

/// Rows of the chunks that a search looks at, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows(pub Vec<Bits>);

impl Rows {
    pub fn none(chunks: usize) -> Self {
        Self(vec![Bits::NONE; chunks])
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| bits.is_empty())
    }

    pub fn count(&self) -> u64 {
        self.0.iter().map(|bits| bits.count()).sum()
    }

    pub fn contains(&self, chunk: usize, row: usize) -> bool {
        self.0.get(chunk).is_some_and(|bits| bits.contains(row))
    }

    pub fn insert(&mut self, chunk: usize, row: usize) {
        if let Some(bits) = self.0.get_mut(chunk) {
            bits.insert(row);
        }
    }

    pub fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= *b);
    }

    pub fn meet(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= *b);
    }

    pub fn subtract(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !*b);
    }

    /// The chunks that have rows here.
    pub fn chunks(&self) -> impl Iterator<Item = (usize, Bits)> + '_ {
        self.0.iter().copied().enumerate().filter(|(_, bits)| !bits.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_list(cells in prop::collection::vec(0_u32..6, 0..=256), wanted in 0_u32..6) {
            let rows = |test: &dyn Fn(u32) -> bool| {
                (0..cells.len()).filter(|&i| test(cells[i])).collect::<Vec<_>>()
            };
            let bits = Bits::of(&cells, |cell| cell == wanted);
            let expected = rows(&|cell| cell == wanted);
            prop_assert_eq!(bits.count(), expected.len() as u64);
            prop_assert_eq!(bits.is_empty(), expected.is_empty());
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(Bits::of_both(&cells, &cells, |a, b| a == wanted && b == wanted), bits);
            let other = (!bits & Bits::first(cells.len())).iter().collect::<Vec<_>>();
            prop_assert_eq!(other, rows(&|cell| cell != wanted));
            let mut again = Bits::NONE;
            bits.runs().for_each(|(from, to)| again.set_run(from, to));
            prop_assert_eq!(again, bits);
            for i in 0..256 {
                prop_assert_eq!(bits.contains(i), cells.get(i) == Some(&wanted));
            }
        }
    }

    #[test]
    fn runs_reach_both_ends() {
        let mut bits = Bits::NONE;
        bits.set_run(0, 256);
        assert_eq!((bits, bits.count()), (Bits::first(256), 256));
        assert_eq!(Bits::first(0), Bits::NONE);
        assert_eq!(Bits::first(65).runs().collect::<Vec<_>>(), [(0, 64), (64, 65)]);
    }
}
