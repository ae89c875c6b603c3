//! Writes what a sort came to: SORT (RFC 5256 section 4) and ESEARCH responses (RFC 5267 section 3.1, RFC
//! 6203 section 6, RFC 9394 section 3).
//!
//! Laws
//! - Results come in the order asked for: the first is MIN, the last is MAX.
//! - However much is found, at most a chunk of it is held as text.

use super::numbers::Numbers;
use crate::proto::ast::{PartialRange, ReturnOptions};
use crate::proto::write::esearch::{self, Correlator};
use crate::proto::write::{number, search};
use crate::session::sink::{Gone, Out};
use crate::session::stop::Stop;
use engine::mailbox::View;
use engine::search::Found;
use engine::types::{ModSeq, UidSet};
use std::collections::HashMap;

/// Numbers written between two looks at the size of the buffer.
const PIECE: usize = 4096;

/// The score of a message that the engine did not rank.
const FULL_SCORE: u8 = 100;

/// The results of one sort.
pub struct Sorted<'a> {
    pub view: &'a View,
    pub found: &'a Found,
    /// UIDs, in order; none where nobody asks for it.
    pub order: &'a [u32],
    pub numbers: &'a Numbers,
}

impl Sorted<'_> {
    /// The SORT response; MODSEQ is RFC 7162 section 3.1.9.
    pub fn plain(&self, out: &mut Out) -> Result<(), Gone> {
        search::begin_sort(out.buffer());
        for piece in self.order.chunks(PIECE) {
            search::numbers(out.buffer(), self.told(piece));
            out.settle()?;
        }
        search::end(out.buffer(), self.found.highest_modseq.map(|modseq| modseq.0));
        Ok(())
    }

    /// The ESEARCH response.
    pub fn extended(
        &self,
        returns: &ReturnOptions,
        correlator: Correlator<'_>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        esearch::begin(out.buffer(), correlator, self.numbers.is_uid());
        for (name, asked, result) in
            [("MIN", returns.min, self.order.first()), ("MAX", returns.max, self.order.last())]
        {
            if let Some(number) = result.filter(|_| asked).and_then(|&uid| self.numbers.of(uid)) {
                esearch::value(out.buffer(), name, u64::from(number));
            }
        }
        if returns.count {
            esearch::value(out.buffer(), "COUNT", self.found.uids.len());
        }
        if returns.all && !self.order.is_empty() {
            esearch::name(out.buffer(), "ALL");
            self.set(self.order, out)?;
        }
        if let Some(range) = returns.partial {
            esearch::partial(out.buffer(), range);
            match self.window(range) {
                [] => out.buffer().extend_from_slice(b"NIL"),
                window => self.set(window, out)?,
            }
            out.buffer().push(b')');
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

    /// The messages that SAVE keeps, as for SEARCH.
    pub fn returned(&self, returns: &ReturnOptions) -> UidSet {
        if returns.returns_everything() {
            return self.found.uids.clone();
        }
        let min = self.order.first().filter(|_| returns.min);
        let max = self.order.last().filter(|_| returns.max);
        let window = returns.partial.map_or(&[][..], |range| self.window(range));
        window.iter().chain(min).chain(max).copied().collect()
    }

    /// The highest of the messages returned, when the key asked for MODSEQ (RFC 7162 section 3.1.10).
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

    /// A score for each message told, in the same order.
    fn relevancy(&self, partial: Option<PartialRange>, out: &mut Out) -> Result<(), Gone> {
        let scores: HashMap<u32, u8> =
            self.found.uids.iter().zip(self.found.relevancy.iter().copied()).collect();
        esearch::name(out.buffer(), "RELEVANCY");
        out.buffer().push(b'(');
        let told = partial.map_or(self.order, |range| self.window(range));
        for (i, piece) in told.chunks(PIECE).enumerate() {
            let score = |uid| scores.get(uid).copied().unwrap_or(FULL_SCORE);
            let piece: Vec<u8> = piece.iter().map(score).collect();
            esearch::scores(out.buffer(), &piece, i > 0);
            out.settle()?;
        }
        out.buffer().push(b')');
        Ok(())
    }

    fn window(&self, range: PartialRange) -> &[u32] {
        let places = range.places(self.order.len() as u64);
        let place = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        self.order.get(place(places.start)..place(places.end)).unwrap_or_default()
    }

    /// As a set that keeps the order.
    fn set(&self, uids: &[u32], out: &mut Out) -> Result<(), Gone> {
        for (i, piece) in uids.chunks(PIECE).enumerate() {
            let numbers: Vec<u32> = self.told(piece).collect();
            number::ordered(out.buffer(), &numbers, i > 0);
            out.settle()?;
        }
        Ok(())
    }

    /// How the client names these messages.
    fn told<'a>(&'a self, uids: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        uids.iter().filter_map(|&uid| self.numbers.of(uid))
    }
}
