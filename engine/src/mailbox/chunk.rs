//! Up to 256 neighbouring rows of a mailbox, as columns.
//!
//! Laws
//! - All columns have the same length; UIDs ascend strictly.
//! - Row numbers are places in this chunk, from 0; asking for one at or past `len` is a programming
//!   error and panics, as it does with a slice.
//! - Nothing outside this floor changes a chunk; published ones are shared and stay as they are.

pub use super::columns::{FlagBits, Times};
use super::columns::{FlagColumns, TimeColumn, retain};
use super::flags::{FlagId, RowFlags};
use super::row::Row;
use crate::types::{EmailId, MessageNo, ModSeq, ThreadId, Uid, UidSet, ZonedTime};
use std::ops::Range;
use std::sync::Arc;

/// The most rows a chunk holds.
pub const CHUNK_ROWS: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    uids: Vec<Uid>,
    modseqs: Vec<ModSeq>,
    messages: Vec<MessageNo>,
    emails: Vec<EmailId>,
    threads: Vec<ThreadId>,
    sizes_bytes: Vec<u32>,
    internal_dates: TimeColumn,
    save_dates_s: Vec<i64>,
    sent: TimeColumn,
    flags: FlagColumns,
    prefixes: Vec<Arc<[u8]>>,
}

impl Chunk {
    #[must_use]
    pub fn len(&self) -> usize {
        self.uids.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    #[must_use]
    pub fn uid(&self, i: usize) -> Uid {
        self.uids[i]
    }

    #[must_use]
    pub fn modseq(&self, i: usize) -> ModSeq {
        self.modseqs[i]
    }

    #[must_use]
    pub fn message(&self, i: usize) -> MessageNo {
        self.messages[i]
    }

    #[must_use]
    pub fn email(&self, i: usize) -> EmailId {
        self.emails[i]
    }

    #[must_use]
    pub fn thread(&self, i: usize) -> ThreadId {
        self.threads[i]
    }

    #[must_use]
    pub fn size_bytes(&self, i: usize) -> u32 {
        self.sizes_bytes[i]
    }

    #[must_use]
    pub fn internal_date(&self, i: usize) -> ZonedTime {
        self.internal_dates.get(i).unwrap_or(ZonedTime::utc(0))
    }

    #[must_use]
    pub fn save_date_s(&self, i: usize) -> i64 {
        self.save_dates_s[i]
    }

    #[must_use]
    pub fn sent(&self, i: usize) -> Option<ZonedTime> {
        self.sent.get(i)
    }

    #[must_use]
    pub fn prefix(&self, i: usize) -> &Arc<[u8]> {
        &self.prefixes[i]
    }

    #[must_use]
    pub fn flags(&self, i: usize) -> RowFlags {
        self.flags.of_row(i)
    }

    #[must_use]
    pub fn has_flag(&self, i: usize, flag: FlagId) -> bool {
        self.flags.has(i, flag)
    }

    /// The rows that have the flag; bits at and past `len` are zero.
    #[must_use]
    pub fn flag_bits(&self, flag: FlagId) -> FlagBits {
        self.flags.bits(flag)
    }

    pub(super) fn flag_columns(&self) -> &FlagColumns {
        &self.flags
    }

    #[must_use]
    pub fn max_modseq(&self) -> ModSeq {
        self.modseqs.iter().copied().max().unwrap_or_default()
    }

    #[must_use]
    pub fn row(&self, i: usize) -> Row {
        Row {
            uid: self.uid(i),
            modseq: self.modseq(i),
            message: self.message(i),
            email: self.email(i),
            thread: self.thread(i),
            size_bytes: self.size_bytes(i),
            internal_date: self.internal_date(i),
            save_date_s: self.save_date_s(i),
            sent: self.sent(i),
            flags: self.flags(i),
            prefix: self.prefix(i).clone(),
        }
    }
}

/// Whole columns, for those who test every row.
impl Chunk {
    #[must_use]
    pub fn uids(&self) -> &[Uid] {
        &self.uids
    }

    #[must_use]
    pub fn modseqs(&self) -> &[ModSeq] {
        &self.modseqs
    }

    #[must_use]
    pub fn emails(&self) -> &[EmailId] {
        &self.emails
    }

    #[must_use]
    pub fn threads(&self) -> &[ThreadId] {
        &self.threads
    }

    #[must_use]
    pub fn sizes_bytes(&self) -> &[u32] {
        &self.sizes_bytes
    }

    #[must_use]
    pub fn internal_dates(&self) -> Times<'_> {
        self.internal_dates.times()
    }

    #[must_use]
    pub fn save_dates_s(&self) -> &[i64] {
        &self.save_dates_s
    }

    #[must_use]
    pub fn sent_dates(&self) -> Times<'_> {
        self.sent.times()
    }
}

impl Chunk {
    #[must_use]
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        self.uids.binary_search(&uid).ok()
    }

    /// How many rows have a UID at or below the given one.
    #[must_use]
    pub fn rank(&self, uid: Uid) -> usize {
        self.uids.partition_point(|u| *u <= uid)
    }

    /// The rows whose UID is in the set, ascending.
    #[must_use]
    pub fn indices_of(&self, set: &UidSet) -> Vec<usize> {
        let (Some(first), Some(last)) = (self.uids.first(), self.uids.last()) else { return Vec::new() };
        let range = |r: &(u32, u32)| -> Range<usize> {
            self.uids.partition_point(|u| u.0 < r.0)..self.uids.partition_point(|u| u.0 <= r.1)
        };
        set.ranges_between(first.0, last.0).iter().flat_map(range).collect()
    }

    /// Bytes this chunk takes in memory, roughly: what the pager's budget counts.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let per_row = 4 + 8 + 8 + 4 + 8 + 4 + 8 + size_of::<Arc<[u8]>>();
        let prefixes: usize = self.prefixes.iter().map(|p| p.len()).sum();
        size_of::<Self>()
            + self.uids.capacity() * per_row
            + self.internal_dates.heap_bytes()
            + self.sent.heap_bytes()
            + self.flags.heap_bytes()
            + prefixes
    }
}

/// Changes; for the tree and the codec only.
impl Chunk {
    /// Room for that many rows, and no column grown later.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            uids: Vec::with_capacity(rows),
            modseqs: Vec::with_capacity(rows),
            messages: Vec::with_capacity(rows),
            emails: Vec::with_capacity(rows),
            threads: Vec::with_capacity(rows),
            sizes_bytes: Vec::with_capacity(rows),
            internal_dates: TimeColumn::with_capacity(rows),
            save_dates_s: Vec::with_capacity(rows),
            sent: TimeColumn::with_capacity(rows),
            flags: FlagColumns::default(),
            prefixes: Vec::with_capacity(rows),
        }
    }

    /// Puts a row after the last; its UID is above all here, and there is room.
    pub(super) fn push(&mut self, row: Row) {
        let at = self.len();
        self.uids.push(row.uid);
        self.modseqs.push(row.modseq);
        self.messages.push(row.message);
        self.emails.push(row.email);
        self.threads.push(row.thread);
        self.sizes_bytes.push(row.size_bytes);
        self.internal_dates.push(Some(row.internal_date));
        self.save_dates_s.push(row.save_date_s);
        self.sent.push(row.sent);
        for flag in row.flags.iter() {
            self.flags.set(at, flag);
        }
        self.prefixes.push(row.prefix);
    }

    /// Changes the flags of some rows and stamps them.
    pub(super) fn change_flags(&mut self, rows: &[usize], set: &[FlagId], clear: &[FlagId], modseq: ModSeq) {
        for &i in rows {
            for &flag in clear {
                self.flags.clear(i, flag);
            }
            for &flag in set {
                self.flags.set(i, flag);
            }
            self.modseqs[i] = modseq;
        }
    }

    /// Takes some rows out.
    pub(super) fn remove(&mut self, rows: &[usize]) {
        let mut keep = vec![true; self.len()];
        for &i in rows {
            keep[i] = false;
        }
        retain(&mut self.uids, &keep);
        retain(&mut self.modseqs, &keep);
        retain(&mut self.messages, &keep);
        retain(&mut self.emails, &keep);
        retain(&mut self.threads, &keep);
        retain(&mut self.sizes_bytes, &keep);
        self.internal_dates.retain(&keep);
        retain(&mut self.save_dates_s, &keep);
        self.sent.retain(&keep);
        self.flags.retain(&keep);
        retain(&mut self.prefixes, &keep);
    }

    /// Puts the rows of the next chunk after the rows of this one.
    pub(super) fn extend(&mut self, next: &Self) {
        self.flags.extend(self.len(), &next.flags, next.len());
        self.uids.extend_from_slice(&next.uids);
        self.modseqs.extend_from_slice(&next.modseqs);
        self.messages.extend_from_slice(&next.messages);
        self.emails.extend_from_slice(&next.emails);
        self.threads.extend_from_slice(&next.threads);
        self.sizes_bytes.extend_from_slice(&next.sizes_bytes);
        self.internal_dates.extend(&next.internal_dates);
        self.save_dates_s.extend_from_slice(&next.save_dates_s);
        self.sent.extend(&next.sent);
        self.prefixes.extend_from_slice(&next.prefixes);
    }
}
