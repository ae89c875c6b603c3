//! Sequence sets (RFC 3501 section 9, `sequence-set`): numbers or UIDs, as the client wrote them.
//!
//! Laws
//! - Never empty; a number is never zero.
//! - `$` (RFC 5182) is no number: only the session knows which messages the last SEARCH saved.
//! - `*` stays `*` until `resolve`: what it means depends on the view of the session at that time.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeqNumber {
    Number(u32),
    /// `*`, the largest in use.
    Largest,
}

/// Ranges in the order sent, each end in the order sent (`4:2` is legal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet {
    pub ranges: Vec<(SeqNumber, SeqNumber)>,
    /// `$` is among them: what the last SEARCH saved (RFC 5182 section 2.1).
    pub saved: bool,
}

impl SequenceSet {
    #[must_use]
    pub fn from_range(first: u32, last: u32) -> Self {
        Self::from(vec![(SeqNumber::Number(first), SeqNumber::Number(last))])
    }

    /// `$`
    #[must_use]
    pub fn saved() -> Self {
        Self { ranges: Vec::new(), saved: true }
    }

    /// Sorted, disjoint, inclusive ranges, with `largest` for `*`. A range that holds `*` always
    /// includes `largest` (`3291:*` with a largest of 100 is `100:3291`). With nothing in use
    /// (`None`), `*` alone means nothing and `n:*` means what is from n on: nothing. `$` is left out.
    #[must_use]
    pub fn resolve(&self, largest: Option<u32>) -> Vec<(u32, u32)> {
        let value = |number| match number {
            SeqNumber::Number(n) => Some(n),
            SeqNumber::Largest => largest,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .ranges
            .iter()
            .filter_map(|&(a, b)| {
                let (a, b) = (value(a)?, value(b)?);
                Some((a.min(b), a.max(b)))
            })
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        merged
    }

    /// The largest number written out: RFC 3501 wants BAD when it is a sequence number beyond
    /// EXISTS.
    #[must_use]
    pub fn largest_number(&self) -> Option<u32> {
        self.ends()
            .filter_map(|end| match end {
                SeqNumber::Number(n) => Some(n),
                SeqNumber::Largest => None,
            })
            .max()
    }

    #[must_use]
    pub fn has_star(&self) -> bool {
        self.ends().any(|end| end == SeqNumber::Largest)
    }

    fn ends(&self) -> impl Iterator<Item = SeqNumber> {
        self.ranges.iter().flat_map(|&(a, b)| [a, b])
    }
}

impl From<Vec<(SeqNumber, SeqNumber)>> for SequenceSet {
    fn from(ranges: Vec<(SeqNumber, SeqNumber)>) -> Self {
        Self { ranges, saved: false }
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::Largest => f.write_str("*"),
        }
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}:{last}")? }
        }
        match (self.saved, self.ranges.is_empty()) {
            (true, true) => f.write_str("$"),
            (true, false) => f.write_str(",$"),
            (false, _) => Ok(()),
        }
    }
}
