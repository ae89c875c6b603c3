//! The messages that are to be put in order, as columns, and what their summaries say.
//!
//! Laws
//! - Rows stand in the order of their sequence numbers: a row's number decides between rows that are alike.
//! - A message whose summary is not in the view of summaries is read; one that cannot be read has an empty
//!   summary, as if its header were empty. No message is left out.
//! - Memory: 24 bytes a row, and what the columns asked for hold (a subject some 50, references some 30).

use super::run::Messages;
use crate::error::{Error, Result};
use crate::mailbox::{Chunk, Row, View};
use crate::summary::{Columns, Summaries, Summary, Table};
use crate::types::{AccountId, EmailId, Uid, UidSet, ZonedTime};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where messages and their summaries come from.
pub struct Sources<'a> {
    pub messages: &'a dyn Messages,
    pub summaries: &'a Summaries,
    pub account: AccountId,
    pub view: &'a View,
    /// Set when nobody waits for the answer any more.
    pub cancel: &'a AtomicBool,
}

impl Sources<'_> {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

/// The numbers of a row that have columns of their own.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    uid: Uid,
    email: EmailId,
    size_bytes: u32,
    arrival: ZonedTime,
    sent: Option<ZonedTime>,
}

/// See the laws above.
#[derive(Debug, Default)]
pub struct Rows {
    pub uids: Vec<Uid>,
    emails: Vec<EmailId>,
    sizes_bytes: Vec<u32>,
    /// INTERNALDATE.
    arrivals: Vec<i64>,
    /// The sent date (RFC 5256 section 2.2): of the Date field, else INTERNALDATE. In UTC.
    sents: Vec<i64>,
}

/// Which columns of the rows themselves are needed beside UID and EmailId.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    pub sizes: bool,
    pub arrivals: bool,
    pub sents: bool,
}

impl Rows {
    /// Those of the UIDs that the session sees. None when cancelled.
    pub fn collect(from: &Sources<'_>, uids: &UidSet, needs: Needs) -> Result<Option<Self>> {
        let (view, mut rows) = (from.view, Self::default());
        // Ghosts stand between the others by UID: mostly there are none.
        let ghost_uids = view.ghost_uids().intersect(uids);
        let mut ghosts: Vec<Row> = Vec::new();
        for ghost in view.rows(&ghost_uids) {
            ghosts.push(ghost?.row);
        }
        let mut ghosts = ghosts.iter().peekable();
        let (first, last) = (uids.first().unwrap_or(1), uids.last().unwrap_or(0));
        if first <= last {
            for chunk in view.latest().chunks(Uid(first), Uid(last)) {
                if from.is_cancelled() {
                    return Ok(None);
                }
                let chunk = chunk?;
                for i in chunk.indices_of(uids) {
                    let numbers = Numbers::of_chunk(&chunk, i);
                    while let Some(ghost) = ghosts.next_if(|ghost| ghost.uid < numbers.uid) {
                        rows.push(Numbers::of_row(ghost), needs);
                    }
                    rows.push(numbers, needs);
                }
            }
        }
        ghosts.for_each(|ghost| rows.push(Numbers::of_row(ghost), needs));
        Ok(Some(rows))
    }

    fn push(&mut self, row: Numbers, needs: Needs) {
        self.uids.push(row.uid);
        self.emails.push(row.email);
        if needs.sizes {
            self.sizes_bytes.push(row.size_bytes);
        }
        if needs.arrivals {
            self.arrivals.push(row.arrival.unix_s);
        }
        if needs.sents {
            self.sents.push(row.sent.unwrap_or(row.arrival).unix_s);
        }
    }

    pub fn len(&self) -> usize {
        self.uids.len()
    }

    pub fn size_bytes(&self, row: u32) -> u32 {
        self.sizes_bytes.get(row as usize).copied().unwrap_or_default()
    }

    pub fn arrival(&self, row: u32) -> i64 {
        self.arrivals.get(row as usize).copied().unwrap_or_default()
    }

    pub fn sent(&self, row: u32) -> i64 {
        self.sents.get(row as usize).copied().unwrap_or_default()
    }

    /// What the summaries of the rows say. None when cancelled.
    pub fn summaries(&self, from: &Sources<'_>, columns: Columns) -> Result<Option<Table>> {
        if columns.is_empty() {
            return Ok(Some(Table::default()));
        }
        let mut table = if self.emails.is_sorted() {
            from.summaries.read(from.account, &self.emails, columns, from.cancel)?
        } else {
            self.read_reordered(from, columns)?
        };
        for row in 0..self.len() {
            if table.found.get(row).copied().unwrap_or_default() {
                continue;
            }
            if from.is_cancelled() {
                return Ok(None);
            }
            let uid = self.uids.get(row).copied().unwrap_or_default();
            table.set(row, &computed(from, uid)?, columns);
        }
        Ok((!from.is_cancelled()).then_some(table))
    }

    /// The order of the EmailIds is not that of the UIDs where messages were copied or moved.
    fn read_reordered(&self, from: &Sources<'_>, columns: Columns) -> Result<Table> {
        let mut sorted: Vec<(EmailId, u32)> = self.emails.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let emails: Vec<EmailId> = sorted.iter().map(|(email, _)| *email).collect();
        let table = from.summaries.read(from.account, &emails, columns, from.cancel)?;
        let mut place_of = vec![0; sorted.len()];
        for ((_, row), place) in sorted.into_iter().zip(0..) {
            if let Some(cell) = place_of.get_mut(row as usize) {
                *cell = place;
            }
        }
        Ok(table.reordered(&place_of, columns))
    }
}

impl Numbers {
    fn of_chunk(chunk: &Chunk, i: usize) -> Self {
        Self {
            uid: chunk.uid(i),
            email: chunk.email(i),
            size_bytes: chunk.size_bytes(i),
            arrival: chunk.internal_date(i),
            sent: chunk.sent(i),
        }
    }

    fn of_row(row: &Row) -> Self {
        Self {
            uid: row.uid,
            email: row.email,
            size_bytes: row.size_bytes,
            arrival: row.internal_date,
            sent: row.sent,
        }
    }
}

/// The summary of a message that the view of summaries has not (yet, or no more).
fn computed(from: &Sources<'_>, uid: Uid) -> Result<Summary> {
    let Some(found) = from.view.row(uid)? else { return Ok(Summary::default()) };
    match from.messages.header_bytes(&found.row) {
        Ok(header) => Ok(Summary::of(&header)),
        Err(Error::Damaged { .. } | Error::Expunged | Error::NoSuchMessage) => Ok(Summary::default()),
        Err(error) => Err(error),
    }
}
