//! What a search is to return (RFC 4466 section 2.6.1): the options of ESEARCH and of those who
//! extend it, for SEARCH and SORT alike.
//!
//! Laws
//! - Without MIN, MAX, ALL, COUNT, PARTIAL and what only asks for a deed (SAVE, UPDATE, CONTEXT),
//!   `all` is set: `RETURN ()` is `RETURN (ALL)` (RFC 4731 section 3.1).
//! - PARTIAL and ALL never come together (RFC 9394 section 3.1).

use std::fmt;
use std::ops::Range;

/// `RETURN (..)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReturnOptions {
    // RFC 4731 section 3.1
    pub min: bool,
    pub max: bool,
    pub all: bool,
    pub count: bool,
    /// RFC 5182 section 2.1.
    pub save: bool,
    /// RFC 6203 section 4.
    pub relevancy: bool,
    /// RFC 5267 section 4.3.
    pub update: bool,
    /// RFC 5267 section 4.2: a hint.
    pub context: bool,
    /// RFC 9394 section 3.1.
    pub partial: Option<PartialRange>,
}

impl ReturnOptions {
    /// Whether the client is told results; SAVE alone is silent (RFC 5182 section 2.2).
    #[must_use]
    pub fn answers(&self) -> bool {
        *self != Self { save: true, ..Self::default() }
    }

    /// Whether all that is found counts as returned, for SAVE (RFC 5182 section 2.4, RFC 9394 section
    /// 3.2) and for MODSEQ (RFC 4731 section 3.2); else only what MIN, MAX and PARTIAL name.
    #[must_use]
    pub fn returns_everything(&self) -> bool {
        let named = self.min || self.max || self.partial.is_some();
        self.all || self.count || self.relevancy && self.partial.is_none() || !named
    }
}

/// A window over the results, counted from 1 from either end (RFC 9394 section 4, `partial-range`).
/// The ends are kept in the order sent: the answer repeats them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialRange {
    /// Not zero.
    pub from: u32,
    /// Not zero.
    pub to: u32,
    /// `-1` is the last result.
    pub from_end: bool,
}

impl PartialRange {
    /// The places in a list of that length, from 0; empty when none of them are there.
    #[must_use]
    pub fn places(self, length: u64) -> Range<u64> {
        let near = u64::from(self.from.min(self.to)).saturating_sub(1).min(length);
        let far = u64::from(self.from.max(self.to)).min(length);
        if self.from_end { length - far..length - near } else { near..far }
    }
}

impl fmt::Display for PartialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_counted_from_either_end() {
        let window = |from, to, from_end| PartialRange { from, to, from_end };
        assert_eq!(window(1, 3, false).places(10), 0..3);
        assert_eq!(window(3, 1, false).places(10), 0..3);
        assert_eq!(window(9, 20, false).places(10), 8..10);
        assert!(window(11, 20, false).places(10).is_empty());
        assert_eq!(window(1, 3, true).places(10), 7..10);
        assert_eq!(window(20, 9, true).places(10), 0..2);
        assert!(window(11, 20, true).places(10).is_empty());
        assert!(window(1, u32::MAX, true).places(0).is_empty());
    }
}
