//! Which messages of an account are not covered.
//!
//! Laws
//! - EmailIds are given in the order of publication, and COPY and MOVE keep them: an email that is not
//!   covered was published after the last look, so every row of it lies at or past the mark that its
//!   mailbox had then.
//! - A window holds every live email from what is covered on to its end. Rows are values: no version of
//!   a mailbox is held while messages are read.

use crate::accounts::Account;
use crate::error::Result;
use crate::mailbox::{Chunk, Mailbox};
use crate::text::account::{Marks, Uncovered};
use crate::text::index::EmailSet;
use crate::types::{EmailId, MessageNo, Uid, UidSet};
use std::sync::Arc;

/// EmailIds looked at in one go: what bounds the memory of a look at a large account.
pub const WINDOW_EMAILS: u32 = 16 << 10;

/// A message that is to be indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub email: EmailId,
    pub message: MessageNo,
    pub prefix: Arc<[u8]>,
    pub size_bytes: u32,
}

#[derive(Debug)]
pub struct Window {
    /// Ascending by email, each once.
    pub rows: Vec<Waiting>,
    /// With these rows, all below is covered ...
    pub covered: EmailId,
    /// ... and these marks are right: the ones that moved.
    pub marks: Marks,
}

/// The next messages to index. `emails` is the width of the window.
pub fn window(account: &Account, from: &Uncovered, emails: u32) -> Result<Window> {
    let limit = EmailId(from.covered.0.saturating_add(emails)).min(account.next_email);
    let mut rows = Vec::new();
    let mut marks = Marks::new();
    // The lowest id past the window: below it nothing lives that is not in it.
    let mut beyond = account.next_email;
    for mailbox in account.mailboxes() {
        let mark = mark_of(from, mailbox);
        let mut next_mark = None;
        walk(mailbox, mark, |row| {
            if row.email >= limit {
                beyond = beyond.min(row.email);
                next_mark.get_or_insert(row.uid);
            } else if row.email >= from.covered {
                rows.push(row.waiting());
            }
        })?;
        let next_mark = next_mark.unwrap_or(mailbox.header.uid_next);
        if next_mark != mark {
            marks.insert(mailbox.header.id, next_mark);
        }
    }
    rows.sort_unstable_by_key(|row| row.email);
    rows.dedup_by_key(|row| row.email);
    Ok(Window { rows, covered: beyond, marks })
}

/// How many messages, each counted once a mailbox, are not covered.
pub fn count(account: &Account, from: &Uncovered) -> Result<u64> {
    let mut count = 0;
    for mailbox in account.mailboxes() {
        walk(mailbox, mark_of(from, mailbox), |row| count += u64::from(row.email >= from.covered))?;
    }
    Ok(count)
}

fn mark_of(from: &Uncovered, mailbox: &Mailbox) -> Uid {
    from.marks.get(&mailbox.header.id).copied().unwrap_or(Uid(1))
}

/// A row in its chunk.
struct Seen<'a> {
    chunk: &'a Chunk,
    at: usize,
    uid: Uid,
    email: EmailId,
}

impl Seen<'_> {
    fn waiting(&self) -> Waiting {
        Waiting {
            email: self.email,
            message: self.chunk.message(self.at),
            prefix: self.chunk.prefix(self.at).clone(),
            size_bytes: self.chunk.size_bytes(self.at),
        }
    }
}

fn walk(mailbox: &Mailbox, from: Uid, mut see: impl FnMut(&Seen<'_>)) -> Result<()> {
    if mailbox.header.uid_next <= from {
        return Ok(());
    }
    let wanted = UidSet::from_range(from.0, u32::MAX);
    for chunk in mailbox.chunks(from, Uid(u32::MAX)) {
        let chunk = chunk?;
        for at in chunk.indices_of(&wanted) {
            see(&Seen { chunk: &chunk, at, uid: chunk.uid(at), email: chunk.email(at) });
        }
    }
    Ok(())
}

/// Every live email.
pub fn live(account: &Account) -> Result<EmailSet> {
    let mut live = EmailSet::with_room(account.next_email);
    for mailbox in account.mailboxes() {
        walk(mailbox, Uid(1), |row| live.insert(row.email))?;
    }
    Ok(live)
}
