//! A set of UIDs as sorted ranges: what commands name and transactions carry.
//!
//! Laws
//! - The ranges are ascending, disjoint, never adjacent (`1:3,4:5` is `1:5`) and both ends count.
//!   So equal sets are equal values.
//! - Bulk changes stay set-coded: no operation unrolls a range into single UIDs.

use super::Uid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A set of UIDs. `Display` writes it as a `uid-set` of RFC 4315 section 4 (nothing when empty).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, u32)>", into = "Vec<(u32, u32)>")]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The UIDs from one end to the other, in whichever order the ends are given (`5:3` is `3:5`,
    /// RFC 3501 section 9, seq-range).
    #[must_use]
    pub fn from_range(a: u32, b: u32) -> Self {
        Self { ranges: vec![(a.min(b), a.max(b))] }
    }

    #[must_use]
    pub fn from_uid(uid: Uid) -> Self {
        Self::from_range(uid.0, uid.0)
    }

    pub fn insert(&mut self, uid: u32) {
        self.insert_range(uid, uid);
    }

    pub fn insert_uid(&mut self, uid: Uid) {
        self.insert(uid.0);
    }

    /// Adds every UID from `a` to `b`, both included.
    pub fn insert_range(&mut self, a: u32, b: u32) {
        let (mut first, mut last) = (a.min(b), a.max(b));
        // The ranges that overlap or touch the new one become part of it.
        let from = self.ranges.partition_point(|r| r.1.saturating_add(1) < first);
        let to = self.ranges.partition_point(|r| r.0 <= last.saturating_add(1));
        for r in self.ranges.get(from..to).unwrap_or_default() {
            first = first.min(r.0);
            last = last.max(r.1);
        }
        self.ranges.splice(from..to.max(from), [(first, last)]);
    }

    /// Adds a range that lies after all there are, which takes no search; any other is inserted.
    pub fn push_range(&mut self, first: u32, last: u32) {
        match self.ranges.last_mut() {
            Some(r) if first > r.1 && first <= last => {
                if first - 1 == r.1 {
                    r.1 = last;
                } else {
                    self.ranges.push((first, last));
                }
            }
            None if first <= last => self.ranges.push((first, last)),
            _ => self.insert_range(first, last),
        }
    }

    #[must_use]
    pub fn contains(&self, uid: u32) -> bool {
        self.intersects(uid, uid)
    }

    #[must_use]
    pub fn contains_uid(&self, uid: Uid) -> bool {
        self.contains(uid.0)
    }

    /// True when some UID of `first..=last` is in the set.
    #[must_use]
    pub fn intersects(&self, first: u32, last: u32) -> bool {
        let at = self.ranges.partition_point(|r| r.1 < first);
        self.ranges.get(at).is_some_and(|r| r.0 <= last)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.1 - r.0) + 1).sum()
    }

    #[must_use]
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// The ranges that have a UID in `first..=last`, uncut.
    #[must_use]
    pub fn ranges_between(&self, first: u32, last: u32) -> &[(u32, u32)] {
        let from = self.ranges.partition_point(|r| r.1 < first);
        let to = self.ranges.partition_point(|r| r.0 <= last);
        self.ranges.get(from..to).unwrap_or_default()
    }

    /// Every UID, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|r| r.0..=r.1)
    }

    /// Every UID, ascending, by its type.
    pub fn uids(&self) -> impl Iterator<Item = Uid> + '_ {
        self.iter().map(Uid)
    }

    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|r| r.0)
    }

    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|r| r.1)
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = Vec::with_capacity(self.ranges.len() + other.ranges.len());
        all.extend_from_slice(&self.ranges);
        all.extend_from_slice(&other.ranges);
        Self::from(all)
    }

    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut ranges = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.0.max(y.0), x.1.min(y.1));
            if first <= last {
                ranges.push((first, last));
            }
            if x.1 < y.1 {
                a.next()
            } else {
                b.next()
            };
        }
        Self { ranges }
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        for &(first, last) in &self.ranges {
            // `rest` is where the part not yet decided begins; None once the range is used up.
            let mut rest = Some(first);
            for cut in other.ranges_between(first, last) {
                let Some(from) = rest else { break };
                if from < cut.0 {
                    ranges.push((from, cut.0 - 1));
                }
                rest = cut.1.checked_add(1).filter(|&next| next <= last);
            }
            if let Some(from) = rest {
                ranges.push((from, last));
            }
        }
        Self { ranges }
    }
}

impl From<Vec<(u32, u32)>> for UidSet {
    /// Takes ranges in any order, overlapping or not.
    fn from(mut given: Vec<(u32, u32)>) -> Self {
        for r in &mut given {
            *r = (r.0.min(r.1), r.0.max(r.1));
        }
        given.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(given.len());
        for (first, last) in given {
            match ranges.last_mut() {
                Some(r) if first <= r.1.saturating_add(1) => r.1 = r.1.max(last),
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }
}

impl From<UidSet> for Vec<(u32, u32)> {
    fn from(set: UidSet) -> Self {
        set.ranges
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        let mut set = Self::new();
        set.extend(uids);
        set
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        uids.into_iter().map(|uid| uid.0).collect()
    }
}

impl Extend<u32> for UidSet {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, uids: I) {
        // Ascending input, the common case, only ever touches the last range; the rest is sorted
        // in one go, for inserting one by one would be quadratic.
        let mut unsorted = Vec::new();
        for uid in uids {
            match self.ranges.last_mut() {
                Some(r) if uid < r.0 => unsorted.push((uid, uid)),
                Some(r) if uid <= r.1.saturating_add(1) => r.1 = r.1.max(uid),
                _ => self.ranges.push((uid, uid)),
            }
        }
        if !unsorted.is_empty() {
            unsorted.append(&mut self.ranges);
            *self = Self::from(unsorted);
        }
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}:{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn model(ranges: &[(u32, u32)]) -> (UidSet, BTreeSet<u32>) {
        let mut set = UidSet::new();
        let mut naive = BTreeSet::new();
        for &(first, len) in ranges {
            set.insert_range(first, first + len);
            naive.extend(first..=first + len);
        }
        (set, naive)
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(
            a in prop::collection::vec((1u32..120, 0u32..9), 0..12),
            b in prop::collection::vec((1u32..120, 0u32..9), 0..12),
        ) {
            let ((x, nx), (y, ny)) = (model(&a), model(&b));
            let list = |s: &UidSet| s.iter().collect::<Vec<_>>();
            prop_assert_eq!(list(&x), nx.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(list(&x.union(&y)), nx.union(&ny).copied().collect::<Vec<_>>());
            prop_assert_eq!(list(&x.intersect(&y)), nx.intersection(&ny).copied().collect::<Vec<_>>());
            prop_assert_eq!(list(&x.difference(&y)), nx.difference(&ny).copied().collect::<Vec<_>>());
            prop_assert_eq!(x.len(), nx.len() as u64);
            for uid in 0..140 {
                prop_assert_eq!(x.contains(uid), nx.contains(&uid));
            }
            // Canonical: the same members in another order are the same value.
            prop_assert_eq!(nx.iter().rev().copied().collect::<UidSet>(), x);
        }
    }

    #[test]
    fn holds_the_largest_uid() {
        let mut set = UidSet::from_range(u32::MAX, u32::MAX - 1);
        set.insert(u32::MAX);
        assert_eq!(set.len(), 2);
        assert!(set.difference(&UidSet::from_range(1, u32::MAX)).is_empty());
        assert_eq!(UidSet::from_range(1, u32::MAX).difference(&set).last(), Some(u32::MAX - 2));
    }

    #[test]
    fn reads_like_imap() {
        let set: UidSet = [7u32, 1, 2, 3, 5, 4].into_iter().collect();
        assert_eq!(set.to_string(), "1:5,7");
        assert_eq!(UidSet::new().to_string(), "");
    }

    #[test]
    fn comes_back_from_serde_in_order_even_when_given_in_disorder() {
        let set: UidSet = serde_json::from_str("[[9,7],[1,2],[3,4]]").unwrap();
        assert_eq!(set.to_string(), "1:4,7:9");
        assert_eq!(serde_json::to_string(&set).unwrap(), "[[1,4],[7,9]]");
    }
}
