//! Writes what a search found: SEARCH (RFC 3501 section 7.2.5) and ESEARCH responses (RFC 4731
//! section 3.1, RFC 9394 section 3, RFC 6203 section 4).
//!
//! Laws
//! - Results come in mailbox order.
//! - However much is found, at most a chunk of it is held as text.

use crate::proto::ast::{PartialRange, ReturnOptions};
use crate::proto::write::esearch::{self, Correlator};
use crate::proto::write::{self, number};
use crate::session::sink::{Gone, Out};
use crate::session::stop::Stop;
use engine::mailbox::View;
use engine::search::Found;
use engine::types::{ModSeq, UidSet};
use std::ops::Range;

/// Numbers, ranges or scores written between two looks at the size of the buffer.
const PIECE: usize = 4096;

/// The score of a message that the engine did not rank.
const FULL_SCORE: u8 = 100;

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

    /// The ESEARCH response.
    pub fn extended(
        &self,
        returns: &ReturnOptions,
        correlator: Correlator<'_>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let found = &self.found.uids;
        esearch::begin(out.buffer(), correlator, self.uid);
        let ends = [("MIN", returns.min, found.first()), ("MAX", returns.max, found.last())];
        for (name, asked, uid) in ends {
            if let Some(uid) = uid.filter(|_| asked) {
                let number = self.numbers(&UidSet::from_range(uid, uid))?.first().unwrap_or(uid);
                esearch::value(out.buffer(), name, u64::from(number));
            }
        }
        if returns.count {
            esearch::value(out.buffer(), "COUNT", found.len());
        }
        if returns.all && !found.is_empty() {
            esearch::name(out.buffer(), "ALL");
            set(&self.numbers(found)?, out)?;
        }
        if let Some(range) = returns.partial {
            self.partial(range, out)?;
        }
        if returns.relevancy {
            self.relevancy(returns.partial, out)?;
        }
        if let Some(modseq) = self.modseq(returns)? {
            esearch::value(out.buffer(), "MODSEQ", modseq.0);
        }
        esearch::end(out.buffer());
        Ok(())
    }

    /// The messages that SAVE keeps: the table of RFC 9394 section 3.2, and of RFC 5182 section 2.4.
    pub fn returned(&self, returns: &ReturnOptions) -> UidSet {
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

    /// The highest of the messages returned, when the key asked for MODSEQ (RFC 4731 section 3.2).
    fn modseq(&self, returns: &ReturnOptions) -> Result<Option<ModSeq>, Stop> {
        let highest = self.found.highest_modseq;
        if highest.is_none() || returns.returns_everything() {
            return Ok(highest);
        }
        let mut highest = None;
        for row in self.view.rows(&self.returned(returns)) {
            highest = highest.max(Some(row?.row.modseq));
        }
        Ok(highest)
    }

    fn partial(&self, range: PartialRange, out: &mut Out) -> Result<(), Stop> {
        esearch::partial(out.buffer(), range);
        let uids = slice(&self.found.uids, range.places(self.found.uids.len()));
        match uids.is_empty() {
            true => out.buffer().extend_from_slice(b"NIL"),
            false => set(&self.numbers(&uids)?, out)?,
        }
        out.buffer().push(b')');
        Ok(())
    }

    /// A score for each message told, in the same order.
    fn relevancy(&self, partial: Option<PartialRange>, out: &mut Out) -> Result<(), Stop> {
        let length = self.found.uids.len();
        let places = partial.map_or(0..length, |range| range.places(length));
        let in_memory = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let scores = self.found.relevancy.get(in_memory(places.start)..in_memory(places.end));
        let unranked = vec![FULL_SCORE; in_memory(places.end - places.start)];
        esearch::name(out.buffer(), "RELEVANCY");
        out.buffer().push(b'(');
        for (i, piece) in scores.unwrap_or(&unranked).chunks(PIECE).enumerate() {
            esearch::scores(out.buffer(), piece, i > 0);
            out.settle()?;
        }
        out.buffer().push(b')');
        Ok(())
    }

    /// How the client names these messages.
    fn numbers(&self, uids: &UidSet) -> Result<UidSet, Stop> {
        if self.uid { Ok(uids.clone()) } else { seqs_of(self.view, uids) }
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
