//! Sequence sets (RFC 3501 section 9, `sequence-set`): numbers or UIDs, as the client wrote them.
//!
//! Laws
//! - Never empty; a number is never zero.
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
pub struct SequenceSet(pub Vec<(SeqNumber, SeqNumber)>);

impl SequenceSet {
    #[must_use]
    pub fn from_range(first: u32, last: u32) -> Self {
        Self(vec![(SeqNumber::Number(first), SeqNumber::Number(last))])
    }

    /// Sorted, disjoint, inclusive ranges, with `largest` for `*`. A range that holds `*` always
    /// includes `largest` (`3291:*` with a largest of 100 is `100:3291`). With nothing in use
    /// (`None`), `*` alone means nothing and `n:*` means what is from n on: nothing.
    #[must_use]
    pub fn resolve(&self, largest: Option<u32>) -> Vec<(u32, u32)> {
        let value = |number| match number {
            SeqNumber::Number(n) => Some(n),
            SeqNumber::Largest => largest,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .0
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
        self.0.iter().flat_map(|&(a, b)| [a, b])
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
        for (i, (first, last)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}:{last}")? }
        }
        Ok(())
    }
}
