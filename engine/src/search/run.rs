//! One search over what a session sees.

use super::key::Key;
use super::plan::{Cells, Test};
use super::texts::Texts;
use crate::error::{Error, Result};
use crate::mailbox::{Row, View};
use crate::types::{ModSeq, Uid, UidSet};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the bytes of messages come from.
pub trait Messages {
    /// Prefix and stored message.
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>>;
    /// At least the header block of that, with its empty line.
    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>>;
}

/// What the answer depends on beside the mailbox.
pub struct Context<'a> {
    /// The messages that are \Recent in this session.
    pub recent: &'a UidSet,
    /// Seconds since 1970, for OLDER and YOUNGER.
    pub now_s: i64,
    /// Set when nobody waits for the answer any more.
    pub cancel: &'a AtomicBool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Found {
    pub uids: UidSet,
    /// Of the messages found, when the key asked for MODSEQ and any were (RFC 7162 section 3.1.5).
    pub highest_modseq: Option<ModSeq>,
    /// Messages that could not be read and therefore are not in `uids`: damaged, or ghosts past
    /// their grace time.
    pub unreadable: UidSet,
}

/// The messages of the view that match. None when it was cancelled.
///
/// Reads chunks and messages: call it where blocking is allowed.
pub fn run(messages: &dyn Messages, view: &View, key: &Key, context: &Context<'_>) -> Result<Option<Found>> {
    let test = Test::new(key, view.latest(), context)?;
    let mut search = Search { messages, test, context, found: Found::default(), highest: ModSeq::default() };
    let scope = search.test.scope();
    let (first, last) = match &scope {
        Some(uids) => (uids.first().unwrap_or(1), uids.last().unwrap_or(0)),
        None => (1, u32::MAX),
    };
    if first <= last {
        for chunk in view.latest().chunks(Uid(first), Uid(last)) {
            let chunk = chunk?;
            for i in 0..chunk.len() {
                let verdict = search.test.by_row(Cells::Chunk(&chunk, i), context.recent);
                if verdict == Some(false) {
                    continue;
                }
                if !search.take(&chunk.row(i), verdict)? {
                    return Ok(None);
                }
            }
        }
    }
    for row in view.rows(&view.ghost_uids()) {
        let row = row?.row;
        let verdict = search.test.by_row(Cells::Row(&row), context.recent);
        if verdict != Some(false) && !search.take(&row, verdict)? {
            return Ok(None);
        }
    }
    let mut found = search.found;
    found.highest_modseq = (asks_modseq(key) && !found.uids.is_empty()).then_some(search.highest);
    Ok(Some(found))
}

struct Search<'a> {
    messages: &'a dyn Messages,
    test: Test,
    context: &'a Context<'a>,
    found: Found,
    highest: ModSeq,
}

impl Search<'_> {
    /// Takes a row whose columns did not rule it out. False when cancelled.
    fn take(&mut self, row: &Row, verdict: Option<bool>) -> Result<bool> {
        let matches = match verdict {
            Some(matches) => Ok(matches),
            None if self.context.cancel.load(Ordering::Relaxed) => return Ok(false),
            None => {
                let mut texts = Texts::new(self.messages, row);
                self.test.decide(row, self.context.recent, &mut |test| texts.matches(test))
            }
        };
        match matches {
            Ok(true) => {
                self.found.uids.insert_uid(row.uid);
                self.highest = self.highest.max(row.modseq);
            }
            Ok(false) => {}
            Err(Error::Damaged { .. } | Error::Expunged | Error::NoSuchMessage) => {
                self.found.unreadable.insert_uid(row.uid);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

fn asks_modseq(key: &Key) -> bool {
    match key {
        Key::ModSeq(_) => true,
        Key::And(keys) => keys.iter().any(asks_modseq),
        Key::Or(a, b) => asks_modseq(a) || asks_modseq(b),
        Key::Not(key) => asks_modseq(key),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
