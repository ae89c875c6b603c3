//! Columns of a chunk that are more than a list of numbers.

use super::chunk::CHUNK_ROWS;
use super::flags::{FlagId, RowFlags};
use crate::types::ZonedTime;

/// A flag over the rows of a chunk: bit `i % 64` of word `i / 64` is row `i`.
pub type FlagBits = [u64; CHUNK_ROWS / 64];

/// The word and the bit of a row.
fn place(i: usize) -> (usize, u64) {
    (i / 64, 1 << (i % 64))
}

/// Every flag that some row of the chunk has, ascending by flag; no entry is all zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FlagColumns(Vec<(FlagId, FlagBits)>);

impl FlagColumns {
    pub fn bits(&self, flag: FlagId) -> FlagBits {
        match self.0.binary_search_by_key(&flag, |f| f.0) {
            Ok(at) => self.0[at].1,
            Err(_) => FlagBits::default(),
        }
    }

    pub fn has(&self, i: usize, flag: FlagId) -> bool {
        let (word, bit) = place(i);
        self.bits(flag)[word] & bit != 0
    }

    pub fn of_row(&self, i: usize) -> RowFlags {
        let (word, bit) = place(i);
        self.0.iter().filter(|f| f.1[word] & bit != 0).map(|f| f.0).collect()
    }

    pub fn set(&mut self, i: usize, flag: FlagId) {
        let (word, bit) = place(i);
        let at = match self.0.binary_search_by_key(&flag, |f| f.0) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (flag, FlagBits::default()));
                at
            }
        };
        self.0[at].1[word] |= bit;
    }

    pub fn clear(&mut self, i: usize, flag: FlagId) {
        let (word, bit) = place(i);
        if let Ok(at) = self.0.binary_search_by_key(&flag, |f| f.0) {
            self.0[at].1[word] &= !bit;
            if self.0[at].1 == FlagBits::default() {
                self.0.remove(at);
            }
        }
    }

    /// Closes the gaps after rows were taken out.
    pub fn retain(&mut self, keep: &[bool]) {
        let old = std::mem::take(self);
        for (flag, bits) in &old.0 {
            let kept = (0..keep.len()).filter(|&i| keep[i]);
            for (to, i) in kept.enumerate() {
                let (word, bit) = place(i);
                if bits[word] & bit != 0 {
                    self.set(to, *flag);
                }
            }
        }
    }

    /// Puts the rows of another chunk after the first `len` rows of this one.
    pub fn extend(&mut self, len: usize, other: &Self, other_len: usize) {
        for (flag, bits) in &other.0 {
            for i in 0..other_len {
                let (word, bit) = place(i);
                if bits[word] & bit != 0 {
                    self.set(len + i, *flag);
                }
            }
        }
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(FlagId, FlagBits)> {
        self.0.iter()
    }

    pub fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(FlagId, FlagBits)>()
    }
}

/// How many of the rows have the flag.
pub(super) fn count(bits: &FlagBits) -> u32 {
    bits.iter().map(|word| word.count_ones()).sum()
}

/// Moments, with one that may be missing marked by an offset no zone has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct TimeColumn {
    unix_s: Vec<i64>,
    offset_minutes: Vec<i16>,
}

const MISSING: i16 = i16::MIN;

/// A column of moments, row by row: seconds since 1970, and the zone each was written in.
#[derive(Debug, Clone, Copy)]
pub struct Times<'a> {
    pub unix_s: &'a [i64],
    /// `Times::MISSING` where there is none.
    pub offset_minutes: &'a [i16],
}

impl Times<'_> {
    pub const MISSING: i16 = MISSING;
}

impl TimeColumn {
    pub fn with_capacity(rows: usize) -> Self {
        Self { unix_s: Vec::with_capacity(rows), offset_minutes: Vec::with_capacity(rows) }
    }

    pub fn push(&mut self, time: Option<ZonedTime>) {
        self.unix_s.push(time.map_or(0, |t| t.unix_s));
        self.offset_minutes.push(time.map_or(MISSING, |t| t.offset_minutes));
    }

    pub fn get(&self, i: usize) -> Option<ZonedTime> {
        let time = ZonedTime { unix_s: self.unix_s[i], offset_minutes: self.offset_minutes[i] };
        (time.offset_minutes != MISSING).then_some(time)
    }

    pub fn times(&self) -> Times<'_> {
        Times { unix_s: &self.unix_s, offset_minutes: &self.offset_minutes }
    }

    pub fn retain(&mut self, keep: &[bool]) {
        retain(&mut self.unix_s, keep);
        retain(&mut self.offset_minutes, keep);
    }

    pub fn extend(&mut self, other: &Self) {
        self.unix_s.extend_from_slice(&other.unix_s);
        self.offset_minutes.extend_from_slice(&other.offset_minutes);
    }

    pub fn heap_bytes(&self) -> usize {
        self.unix_s.capacity() * 8 + self.offset_minutes.capacity() * 2
    }
}

/// Keeps the items whose place says so.
pub(super) fn retain<T>(column: &mut Vec<T>, keep: &[bool]) {
    let mut place = keep.iter();
    column.retain(|_| place.next().copied().unwrap_or(true));
}
