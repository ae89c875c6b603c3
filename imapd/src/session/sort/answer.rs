//! Writes what a sort came to: SORT (RFC 5256 section 4) and what is in ESEARCH responses (RFC 5267 section 3.1, RFC
//! 6203 section 6, RFC 9394 section 3).
//!
//! Laws
//! - Results come in the order asked for: the first is MIN, the last is MAX.
//! - However much is found, at most a chunk of it is held as text.

use super::numbers::Numbers;
use crate::proto::ast::{PartialRange, ReturnOptions};
use crate::proto::write::{esearch, number, search};
use crate::session::esearch::{Extended, FULL_SCORE, PIECE, in_memory};
use crate::session::sink::{Gone, Out};
use crate::session::stop::Stop;
use engine::mailbox::View;
use engine::search::Found;
use engine::types::UidSet;
use std::collections::HashMap;

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

    fn in_range(&self, range: PartialRange) -> &[u32] {
        let places = range.places(self.order.len() as u64);
        self.order.get(in_memory(places.start)..in_memory(places.end)).unwrap_or_default()
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

impl Extended for Sorted<'_> {
    fn view(&self) -> &View {
        self.view
    }

    fn found(&self) -> &Found {
        self.found
    }

    fn is_uid(&self) -> bool {
        self.numbers.is_uid()
    }

    fn ends(&self) -> Result<[Option<u32>; 2], Stop> {
        let named = |uid: Option<&u32>| uid.and_then(|&uid| self.numbers.of(uid));
        Ok([named(self.order.first()), named(self.order.last())])
    }

    fn all(&self, out: &mut Out) -> Result<(), Stop> {
        Ok(self.set(self.order, out)?)
    }

    fn window(&self, range: PartialRange, out: &mut Out) -> Result<bool, Stop> {
        let window = self.in_range(range);
        self.set(window, out)?;
        Ok(!window.is_empty())
    }

    fn scores(&self, partial: Option<PartialRange>, out: &mut Out) -> Result<(), Gone> {
        let scores: HashMap<u32, u8> =
            self.found.uids.iter().zip(self.found.relevancy.iter().copied()).collect();
        let told = partial.map_or(self.order, |range| self.in_range(range));
        for (i, piece) in told.chunks(PIECE).enumerate() {
            let score = |uid| scores.get(uid).copied().unwrap_or(FULL_SCORE);
            let piece: Vec<u8> = piece.iter().map(score).collect();
            esearch::scores(out.buffer(), &piece, i > 0);
            out.settle()?;
        }
        Ok(())
    }

    /// As for SEARCH.
    fn returned(&self, returns: &ReturnOptions) -> UidSet {
        if returns.returns_everything() {
            return self.found.uids.clone();
        }
        let min = self.order.first().filter(|_| returns.min);
        let max = self.order.last().filter(|_| returns.max);
        let window = returns.partial.map_or(&[][..], |range| self.in_range(range));
        window.iter().chain(min).chain(max).copied().collect()
    }
}
