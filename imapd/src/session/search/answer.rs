//! Writes what a search found: SEARCH (RFC 3501 section 7.2.5) and what is in ESEARCH responses (RFC 4731
//! section 3.1, RFC 9394 section 3, RFC 6203 section 4).
//!
//! Laws
//! - Results come in mailbox order.
//! - However much is found, at most a chunk of it is held as text.

use crate::proto::ast::{PartialRange, ReturnOptions};
use crate::proto::write::{self, esearch, number};
use crate::session::esearch::{Extended, FULL_SCORE, PIECE, in_memory};
use crate::session::sink::{Gone, Out};
use crate::session::stop::Stop;
use engine::mailbox::View;
use engine::search::Found;
use engine::types::UidSet;
use std::ops::Range;

/// Results of one search in one view.
pub struct Results<'a> {
    pub view: &'a View,
    pub found: &'a Found,
    /// Whether the client is told UIDs.
    pub uid: bool,
}

impl Results<'_> {
    /// The SEARCH response.
    pub fn plain(&self, out: &mut Out) -> Result<(), Stop> {
        write::search::begin(out.buffer());
        for &(first, last) in self.numbers(&self.found.uids)?.ranges() {
            for start in (first..=last).step_by(PIECE) {
                let end = last.min(start.saturating_add(PIECE as u32 - 1));
                write::search::numbers(out.buffer(), start..=end);
                out.settle()?;
            }
        }
        write::search::end(out.buffer(), self.found.highest_modseq.map(|modseq| modseq.0));
        Ok(())
    }

    /// How the client names these messages.
    fn numbers(&self, uids: &UidSet) -> Result<UidSet, Stop> {
        if self.uid { Ok(uids.clone()) } else { seqs_of(self.view, uids) }
    }
}

impl Extended for Results<'_> {
    fn view(&self) -> &View {
        self.view
    }

    fn found(&self) -> &Found {
        self.found
    }

    fn is_uid(&self) -> bool {
        self.uid
    }

    fn ends(&self) -> Result<[Option<u32>; 2], Stop> {
        let named = |uid: Option<u32>| -> Result<_, Stop> {
            let Some(uid) = uid else { return Ok(None) };
            Ok(Some(self.numbers(&UidSet::from_range(uid, uid))?.first().unwrap_or(uid)))
        };
        let found = &self.found.uids;
        Ok([named(found.first())?, named(found.last())?])
    }

    fn all(&self, out: &mut Out) -> Result<(), Stop> {
        Ok(set(&self.numbers(&self.found.uids)?, out)?)
    }

    fn window(&self, range: PartialRange, out: &mut Out) -> Result<bool, Stop> {
        let uids = slice(&self.found.uids, range.places(self.found.uids.len()));
        if !uids.is_empty() {
            set(&self.numbers(&uids)?, out)?;
        }
        Ok(!uids.is_empty())
    }

    fn scores(&self, partial: Option<PartialRange>, out: &mut Out) -> Result<(), Gone> {
        let length = self.found.uids.len();
        let places = partial.map_or(0..length, |range| range.places(length));
        let scores = self.found.relevancy.get(in_memory(places.start)..in_memory(places.end));
        let unranked = vec![FULL_SCORE; in_memory(places.end - places.start)];
        for (i, piece) in scores.unwrap_or(&unranked).chunks(PIECE).enumerate() {
            esearch::scores(out.buffer(), piece, i > 0);
            out.settle()?;
        }
        Ok(())
    }

    /// The table of RFC 9394 section 3.2, and of RFC 5182 section 2.4.
    fn returned(&self, returns: &ReturnOptions) -> UidSet {
        let found = &self.found.uids;
        if returns.returns_everything() {
            return found.clone();
        }
        let min = found.first().filter(|_| returns.min);
        let max = found.last().filter(|_| returns.max);
        let ends: UidSet = min.into_iter().chain(max).collect();
        match returns.partial {
            Some(range) => ends.union(&slice(found, range.places(found.len()))),
            None => ends,
        }
    }
}

/// The sequence numbers of messages that are all in the view.
pub fn seqs_of(view: &View, uids: &UidSet) -> Result<UidSet, Stop> {
    Ok(view.seqs_of(uids)?)
}

/// The UIDs at these places of the set, counted from 0.
pub fn slice(uids: &UidSet, places: Range<u64>) -> UidSet {
    let mut passed = 0;
    let mut ranges = Vec::new();
    for &(first, last) in uids.ranges() {
        let length = u64::from(last - first) + 1;
        let from = places.start.max(passed);
        let to = places.end.min(passed + length);
        if from < to {
            let at = |place: u64| first.saturating_add(u32::try_from(place - passed).unwrap_or(u32::MAX));
            ranges.push((at(from), at(to - 1)));
        }
        passed += length;
        if passed >= places.end {
            break;
        }
    }
    UidSet::from(ranges)
}

fn set(numbers: &UidSet, out: &mut Out) -> Result<(), Gone> {
    for (i, piece) in numbers.ranges().chunks(PIECE).enumerate() {
        number::ranges(out.buffer(), piece, i > 0);
        out.settle()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_what_counting_gives() {
        let uids: UidSet = [1_u32, 2, 3, 7, 9, 10, 11, u32::MAX].into_iter().collect();
        let list: Vec<u32> = uids.iter().collect();
        for start in 0..10_usize {
            for end in start..10 {
                let expected: Vec<u32> = list.iter().copied().take(end).skip(start).collect();
                let cut: Vec<u32> = slice(&uids, start as u64..end as u64).iter().collect();
                assert_eq!(cut, expected, "{start}..{end}");
            }
        }
    }
}
