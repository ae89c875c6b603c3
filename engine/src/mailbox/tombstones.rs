//! What was expunged, and when: the memory behind VANISHED (RFC 7162 section 3.2.10).
//!
//! Laws
//! - Runs stand in the order of their modseq, which is the order they were expunged in.
//! - At most `MAX_RUNS` runs are kept; the oldest fold into `floor`. A client that asks from below
//!   the floor is told of every absent UID, which RFC 7162 allows; at or above it the answer is exact.
//! - Cloning is cheap: published versions share the runs.

use crate::types::{ModSeq, UidSet};
use imbl::Vector;

pub const MAX_RUNS: usize = 65_536;

/// UIDs `first..=last` were expunged at `modseq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub first: u32,
    pub last: u32,
    pub modseq: ModSeq,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tombstones {
    runs: Vector<Run>,
    floor: ModSeq,
}

impl Tombstones {
    /// From runs in their order. Out of order they would hide expunges, so everything up to the
    /// highest modseq seen folds into the floor instead.
    #[must_use]
    pub fn from_runs(runs: impl IntoIterator<Item = Run>, floor: ModSeq) -> Self {
        let mut tombstones = Self { runs: Vector::new(), floor };
        for run in runs {
            tombstones.push(run);
        }
        tombstones
    }

    pub fn add(&mut self, uids: &UidSet, modseq: ModSeq) {
        for &(first, last) in uids.ranges() {
            self.push(Run { first, last, modseq });
        }
    }

    fn push(&mut self, run: Run) {
        let newest = self.runs.back().map_or(self.floor, |r| r.modseq);
        if run.modseq < newest {
            self.runs.clear();
            self.floor = newest;
            return;
        }
        self.runs.push_back(run);
        if self.runs.len() > MAX_RUNS {
            self.fold_oldest();
        }
    }

    /// Runs of one modseq fold together: half of them would make the answer at that modseq wrong.
    fn fold_oldest(&mut self) {
        let Some(oldest) = self.runs.front().map(|r| r.modseq) else { return };
        let keep_from = self.runs.iter().take_while(|r| r.modseq == oldest).count();
        self.runs = self.runs.skip(keep_from);
        self.floor = oldest;
    }

    /// Below this, what vanished is no longer known exactly.
    #[must_use]
    pub fn floor(&self) -> ModSeq {
        self.floor
    }

    /// The UIDs expunged after `since`; `None` when that lies below the floor.
    #[must_use]
    pub fn since(&self, since: ModSeq) -> Option<UidSet> {
        if since < self.floor {
            return None;
        }
        let mut low = 0;
        let mut high = self.runs.len();
        while low < high {
            let middle = low.midpoint(high);
            match self.runs.get(middle) {
                Some(run) if run.modseq <= since => low = middle + 1,
                _ => high = middle,
            }
        }
        let ranges: Vec<_> = self.runs.iter().skip(low).map(|r| (r.first, r.last)).collect();
        Some(UidSet::from(ranges))
    }

    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_went_after_a_modseq() {
        let mut t = Tombstones::default();
        t.add(&UidSet::from_range(1, 3), ModSeq(10));
        t.add(&[5u32, 9].into_iter().collect(), ModSeq(12));
        assert_eq!(t.since(ModSeq(9)).unwrap().to_string(), "1:3,5,9");
        assert_eq!(t.since(ModSeq(10)).unwrap().to_string(), "5,9");
        assert_eq!(t.since(ModSeq(12)).unwrap().to_string(), "");
    }

    #[test]
    fn the_oldest_fold_into_the_floor_a_modseq_at_a_time() {
        let mut t = Tombstones::default();
        t.add(&[1u32, 3, 5].into_iter().collect(), ModSeq(7));
        let rest: UidSet = (0..MAX_RUNS as u32 - 3).map(|i| 10 + 2 * i).collect();
        t.add(&rest, ModSeq(8));
        assert_eq!((t.len(), t.floor()), (MAX_RUNS, ModSeq(0)));
        let published = t.clone();
        t.add(&UidSet::from_range(7, 7), ModSeq(9));
        assert_eq!((t.len(), t.floor()), (MAX_RUNS - 2, ModSeq(7)));
        assert_eq!(t.since(ModSeq(6)), None);
        assert_eq!(t.since(ModSeq(8)).unwrap().to_string(), "7");
        assert_eq!(published.since(ModSeq(6)).unwrap().len(), MAX_RUNS as u64);
    }

    #[test]
    fn runs_out_of_order_are_not_believed() {
        let run = |first, modseq| Run { first, last: first, modseq: ModSeq(modseq) };
        let t = Tombstones::from_runs([run(1, 5), run(2, 4), run(3, 9)], ModSeq(0));
        assert_eq!(t.floor(), ModSeq(5));
        assert_eq!(t.since(ModSeq(5)).unwrap().to_string(), "3");
    }
}
