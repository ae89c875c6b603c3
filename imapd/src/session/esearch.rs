//! What the ESEARCH responses of SEARCH and SORT have in common (RFC 4731 section 3, RFC 5267 section 3.1, RFC 6203
//! sections 4 and 6, RFC 9394 section 3).
//!
//! Laws
//! - The order of the results is the caller's: the first is MIN, the last is MAX.
//! - However much is found, at most a chunk of it is held as text.

use super::sink::{Gone, Out};
use super::stop::Stop;
use crate::proto::ast::{PartialRange, ReturnOptions};
use crate::proto::write::esearch::{self, Correlator};
use engine::mailbox::View;
use engine::search::Found;
use engine::types::{ModSeq, UidSet};

/// Numbers, ranges or scores written between two looks at the size of the buffer.
pub const PIECE: usize = 4096;

/// The score of a message that the engine did not rank.
pub const FULL_SCORE: u8 = 100;

/// Results in some order.
pub trait Extended {
    fn view(&self) -> &View;
    fn found(&self) -> &Found;
    /// Whether the client is told UIDs.
    fn is_uid(&self) -> bool;
    /// The first and the last result, as the client names them.
    fn ends(&self) -> Result<[Option<u32>; 2], Stop>;
    /// Writes all results as a set.
    fn all(&self, out: &mut Out) -> Result<(), Stop>;
    /// Writes those of a range as a set; `false` when there are none, and nothing was written.
    fn window(&self, range: PartialRange, out: &mut Out) -> Result<bool, Stop>;
    /// Writes the score of each message told, in the same order.
    fn scores(&self, partial: Option<PartialRange>, out: &mut Out) -> Result<(), Gone>;
    /// The messages that SAVE keeps.
    fn returned(&self, returns: &ReturnOptions) -> UidSet;

    /// The ESEARCH response.
    fn extended(
        &self,
        returns: &ReturnOptions,
        correlator: Correlator<'_>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let found = &self.found().uids;
        esearch::begin(out.buffer(), correlator, self.is_uid());
        if returns.min || returns.max {
            let [min, max] = self.ends()?;
            for (name, asked, end) in [("MIN", returns.min, min), ("MAX", returns.max, max)] {
                if let Some(number) = end.filter(|_| asked) {
                    esearch::value(out.buffer(), name, u64::from(number));
                }
            }
        }
        if returns.count {
            esearch::value(out.buffer(), "COUNT", found.len());
        }
        if returns.all && !found.is_empty() {
            esearch::name(out.buffer(), "ALL");
            self.all(out)?;
        }
        if let Some(range) = returns.partial {
            esearch::partial(out.buffer(), range);
            if !self.window(range, out)? {
                out.buffer().extend_from_slice(b"NIL");
            }
            out.buffer().push(b')');
        }
        if returns.relevancy {
            esearch::name(out.buffer(), "RELEVANCY");
            out.buffer().push(b'(');
            self.scores(returns.partial, out)?;
            out.buffer().push(b')');
        }
        if let Some(modseq) = self.modseq(returns)? {
            esearch::value(out.buffer(), "MODSEQ", modseq.0);
        }
        esearch::end(out.buffer());
        Ok(())
    }

    /// The highest of the messages returned, when the key asked for MODSEQ (RFC 4731 section 3.2, RFC 7162 section
    /// 3.1.10).
    fn modseq(&self, returns: &ReturnOptions) -> Result<Option<ModSeq>, Stop> {
        let highest = self.found().highest_modseq;
        if highest.is_none() || returns.returns_everything() {
            return Ok(highest);
        }
        let mut highest = None;
        for row in self.view().rows(&self.returned(returns)) {
            highest = highest.max(Some(row?.row.modseq));
        }
        Ok(highest)
    }
}

/// A place in a list that is in memory.
pub fn in_memory(place: u64) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
