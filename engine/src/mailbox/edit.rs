//! The changes of a mailbox. Only the transactions call these, on a working copy.

use super::chunk::Chunk;
use super::flags::{FlagId, MAX_KEYWORDS};
use super::pager::ChunkRef;
use super::row::{MAX_PREFIX_BYTES, Row};
use super::{Counters, Mailbox};
use crate::catalog::ObjectKey;
use crate::error::{Error, Result};
use crate::types::{ModSeq, UidSet};
use std::sync::Arc;

/// What an expunge took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpungedTotals {
    pub uids: UidSet,
    pub counters: Counters,
}

impl Mailbox {
    /// Adds a message. Its UID is at or above `uid_next`: a UID is never given twice.
    pub fn append(&mut self, row: Row) -> Result<()> {
        self.check_row(&row)?;
        let (uid, modseq, size_bytes) = (row.uid, row.modseq, u64::from(row.size_bytes));
        let (seen, deleted) = (row.flags.contains(FlagId::SEEN), row.flags.contains(FlagId::DELETED));
        let number = self.header.next_chunk_no;
        let key = ObjectKey::Chunk(self.header.account, self.header.id, number);
        let pager = &self.pager;
        let mut is_fresh = false;
        self.tree.append(row, |chunk| {
            is_fresh = true;
            Arc::new(ChunkRef::dirty(key, chunk, pager.clone()))
        })?;
        let header = &mut self.header;
        header.next_chunk_no += u32::from(is_fresh);
        header.uid_next = uid.next();
        header.highest_modseq = header.highest_modseq.max(modseq);
        header.exists += 1;
        header.unseen += u32::from(!seen);
        header.deleted += u32::from(deleted);
        header.size_bytes += size_bytes;
        Ok(())
    }

    /// Clears, then sets flags of the messages of the set that are there, and stamps each with `modseq`.
    pub fn set_flags(
        &mut self,
        uids: &UidSet,
        set: &[FlagId],
        clear: &[FlagId],
        modseq: ModSeq,
    ) -> Result<()> {
        self.check_flags(set)?;
        let mut before = Counters::default();
        let mut after = Counters::default();
        self.tree.change(uids, &mut |chunk, rows| {
            add_rows(&mut before, chunk, rows);
            chunk.change_flags(rows, set, clear, modseq);
            add_rows(&mut after, chunk, rows);
        })?;
        let header = &mut self.header;
        header.unseen = header.unseen - before.unseen + after.unseen;
        header.deleted = header.deleted - before.deleted + after.deleted;
        header.highest_modseq = header.highest_modseq.max(modseq);
        Ok(())
    }

    /// Takes the messages of the set away, flags regardless, and remembers them as vanished.
    pub fn expunge(&mut self, uids: &UidSet, modseq: ModSeq) -> Result<ExpungedTotals> {
        let mut totals = ExpungedTotals::default();
        self.tree.change(uids, &mut |chunk, rows| {
            totals.uids.extend(rows.iter().map(|&i| chunk.uid(i).0));
            add_rows(&mut totals.counters, chunk, rows);
            chunk.remove(rows);
        })?;
        let header = &mut self.header;
        header.exists -= totals.counters.exists;
        header.unseen -= totals.counters.unseen;
        header.deleted -= totals.counters.deleted;
        header.size_bytes -= totals.counters.size_bytes;
        header.highest_modseq = header.highest_modseq.max(modseq);
        header.tombstones.add(&totals.uids, modseq);
        Ok(totals)
    }

    /// A row that could not be read back, or would break a law, is not taken.
    fn check_row(&self, row: &Row) -> Result<()> {
        if row.uid < self.header.uid_next || row.uid.0 == u32::MAX {
            return Err(self.refuse(&format!("UID {} is given, {} is next", row.uid, self.header.uid_next)));
        }
        if row.prefix.len() > MAX_PREFIX_BYTES {
            return Err(self.refuse("a trace header is longer than 4096 bytes"));
        }
        let zones = [Some(row.internal_date), row.sent];
        if zones.into_iter().flatten().any(|t| t.offset_minutes.unsigned_abs() >= 24 * 60) {
            return Err(self.refuse("a date has an impossible zone"));
        }
        self.check_flags(row.flags.as_slice())
    }

    /// Every flag has a name here; one without could never be shown, nor read back.
    fn check_flags(&self, flags: &[FlagId]) -> Result<()> {
        match flags.iter().find(|flag| self.header.keywords.name(**flag).is_none()) {
            Some(flag) => Err(self.refuse(&format!("flag {} is unknown", flag.0))),
            None => Ok(()),
        }
    }

    /// What the sequencer never asks for: the change comes from a damaged record.
    fn refuse(&self, why: &str) -> Error {
        Error::corrupt(
            format!("a change of mailbox {} of account {}", self.header.id, self.header.account),
            why,
        )
    }

    /// The number of a flag by its name; a keyword that is new here is added.
    pub fn add_keyword(&mut self, name: &str) -> Result<FlagId> {
        self.header.keywords.add(name).ok_or_else(|| {
            if self.header.keywords.len() < MAX_KEYWORDS {
                Error::NotPossible(format!("{name:?} cannot be a keyword"))
            } else {
                Error::Limit(format!("a mailbox has at most {MAX_KEYWORDS} keywords"))
            }
        })
    }
}

fn add_rows(counters: &mut Counters, chunk: &Chunk, rows: &[usize]) {
    for &i in rows {
        counters.add(
            chunk.has_flag(i, FlagId::SEEN),
            chunk.has_flag(i, FlagId::DELETED),
            chunk.size_bytes(i),
        );
    }
}
