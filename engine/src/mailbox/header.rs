//! What a mailbox knows without looking at a message: names, counters, next numbers.
//!
//! Laws
//! - SELECT and STATUS are answered from here alone; no chunk is loaded for them.
//! - `uid_next`, `highest_modseq`, `recent_uid` and `next_chunk_no` only rise.
//! - The counters equal a recount of the rows at every version (`Mailbox::recount`).

use super::flags::Keywords;
use super::names::SpecialUse;
use super::tombstones::Tombstones;
use crate::types::{AccountId, Lsn, MailboxId, ModSeq, Uid, UidValidity};
use std::sync::Arc;

/// Cheap to clone: a published version of a mailbox carries its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub account: AccountId,
    pub id: MailboxId,
    /// UTF-8, levels parted by '/', `INBOX` in capitals.
    pub name: Arc<str>,
    pub uid_validity: UidValidity,
    pub uid_next: Uid,
    pub highest_modseq: ModSeq,
    pub created_modseq: ModSeq,
    pub exists: u32,
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Sum of the sizes of the messages (STATUS=SIZE, quota).
    pub size_bytes: u64,
    /// The highest UID that some session was told of as recent.
    pub recent_uid: Uid,
    pub special_use: Option<SpecialUse>,
    pub keywords: Keywords,
    pub tombstones: Tombstones,
    /// The number the next new chunk gets; numbers are not used twice, so that an object of the
    /// catalog never means two chunks.
    pub next_chunk_no: u32,
    /// The group that changed the mailbox last, since it was loaded; 0 before. Not stored: a mailbox
    /// as it lies in the catalog has nothing to be written.
    pub changed_lsn: Lsn,
}

impl Header {
    /// An empty mailbox.
    #[must_use]
    pub fn new(
        account: AccountId,
        id: MailboxId,
        name: &str,
        uid_validity: UidValidity,
        modseq: ModSeq,
    ) -> Self {
        Self {
            account,
            id,
            name: name.into(),
            uid_validity,
            uid_next: Uid(1),
            highest_modseq: modseq,
            created_modseq: modseq,
            exists: 0,
            unseen: 0,
            deleted: 0,
            size_bytes: 0,
            recent_uid: Uid(0),
            special_use: None,
            keywords: Keywords::default(),
            tombstones: Tombstones::default(),
            next_chunk_no: 0,
            changed_lsn: Lsn(0),
        }
    }

    /// True when both say the same of the mailbox; how its rows are cut into chunks does not count.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let said = |header: &Self| Self { next_chunk_no: 0, changed_lsn: Lsn(0), ..header.clone() };
        said(self) == said(other)
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            exists: self.exists,
            unseen: self.unseen,
            deleted: self.deleted,
            size_bytes: self.size_bytes,
        }
    }

    /// Takes recounted counters over (rebuild).
    pub fn set_counters(&mut self, counters: Counters) {
        self.exists = counters.exists;
        self.unseen = counters.unseen;
        self.deleted = counters.deleted;
        self.size_bytes = counters.size_bytes;
    }
}

/// What is counted from rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    pub exists: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub size_bytes: u64,
}

impl Counters {
    /// Counts one more message.
    pub fn add(&mut self, seen: bool, deleted: bool, size_bytes: u32) {
        self.exists += 1;
        self.unseen += u32::from(!seen);
        self.deleted += u32::from(deleted);
        self.size_bytes += u64::from(size_bytes);
    }
}
