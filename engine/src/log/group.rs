//! Groups: the unit of all or nothing.
//!
//! Laws
//! - A group is built without I/O and without knowing where it will lie; the writer fills in place, LSN and times, and
//!   so may write the same records elsewhere after a failure.
//! - Several transactions may share a group; it is durable whole or not at all.
//! - The header names its own place and its predecessor.

use super::bytes::set;
use super::cold::ColdSegment;
use super::footer::MessageEntry;
use super::record::{self, Body, MessageHead, Relocate};
use super::stager::{Place, StagedMessage};
use crate::codec::Decoder;
use crate::error::Result;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use std::collections::HashMap;

pub(super) const HEADER_BYTES: usize = 88;
pub(super) const MAGIC: &[u8; 4] = b"MCGR";
const VERSION: u8 = 1;
/// Groups begin at multiples of this.
pub(super) const ALIGN: usize = 8;

/// The first 88 bytes of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) store_id: [u8; 16],
    pub(super) epoch: u32,
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) lsn: Lsn,
    pub(super) prev_lsn: Lsn,
    pub(super) durable_lsn: Lsn,
    pub(super) time_ms: u64,
    pub(super) records: u32,
    pub(super) records_crc32: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        set(&mut out, 0, MAGIC);
        set(&mut out, 4, &[VERSION]);
        set(&mut out, 8, &self.store_id);
        for (i, field) in [self.epoch, self.segment.0, self.offset, self.len].into_iter().enumerate() {
            set(&mut out, 24 + 4 * i, &field.to_le_bytes());
        }
        let words = [self.lsn.0, self.prev_lsn.0, self.durable_lsn.0, self.time_ms];
        for (i, field) in words.into_iter().enumerate() {
            set(&mut out, 40 + 8 * i, &field.to_le_bytes());
        }
        set(&mut out, 72, &self.records.to_le_bytes());
        set(&mut out, 76, &self.records_crc32.to_le_bytes());
        let crc = crc32fast::hash(&out[..84]);
        set(&mut out, 84, &crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Decoder::new(bytes, "a group header");
        if c.raw(4)? != MAGIC || c.u8()? != VERSION {
            return Err(c.bad("there is none"));
        }
        c.zeros(3)?;
        let this = Self {
            store_id: c.array()?,
            epoch: c.u32_le()?,
            segment: SegmentId(c.u32_le()?),
            offset: c.u32_le()?,
            len: c.u32_le()?,
            lsn: Lsn(c.u64_le()?),
            prev_lsn: Lsn(c.u64_le()?),
            durable_lsn: Lsn(c.u64_le()?),
            time_ms: c.u64_le()?,
            records: c.u32_le()?,
            records_crc32: c.u32_le()?,
        };
        c.zeros(4)?;
        if c.u32_le()? != crc32fast::hash(bytes.get(..84).unwrap_or_default()) {
            return Err(c.bad("its checksum does not match"));
        }
        Ok(this)
    }

    /// Whether it is the group of that store at that place.
    pub(super) fn is_at(&self, store_id: [u8; 16], segment: SegmentId, offset: u64) -> bool {
        self.store_id == store_id && self.segment == segment && u64::from(self.offset) == offset
    }

    /// From its first byte to where the next group begins.
    pub(super) fn whole_len(&self) -> u64 {
        padded(HEADER_BYTES as u64 + u64::from(self.len))
    }
}

pub(super) fn padded(len: u64) -> u64 {
    len.next_multiple_of(ALIGN as u64)
}

/// A transaction record in the making: its CRC waits for the account's previous LSN.
#[derive(Debug, Clone)]
struct PendingTxn {
    start: usize,
    end: usize,
    account: u32,
}

/// What the group does besides its transactions.
#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    /// Messages it stores; offsets count from the group's first byte.
    pub(super) messages: Vec<MessageEntry>,
    pub(super) relocates: Vec<Relocate>,
    /// Account of each transaction.
    pub(super) txns: Vec<u32>,
}

impl Effects {
    pub(super) fn account_mentions(&self) -> usize {
        self.messages.iter().map(|m| m.accounts.len()).sum()
    }
}

/// A group in the making. Filled by the sequencer; no I/O.
#[derive(Debug, Clone)]
pub struct GroupBuilder {
    bytes: Vec<u8>,
    records: u32,
    /// CRCs of all records in order; those of transactions are filled in at the end.
    crcs: Vec<u32>,
    txns: Vec<(usize, PendingTxn)>,
    pub(super) effects: Effects,
    /// Bodies named here stay pinned until the group is durable or given up.
    staged: Vec<StagedMessage>,
}

impl Default for GroupBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl GroupBuilder {
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; HEADER_BYTES],
            records: 0,
            crcs: Vec::new(),
            txns: Vec::new(),
            effects: Effects::default(),
            staged: Vec::new(),
        }
    }

    /// Stores a message under its number. `accounts` says for whom it is first kept (a hint for compaction).
    pub fn push_message(&mut self, message: MessageNo, staged: &StagedMessage, accounts: &[AccountId]) {
        let offset = self.bytes.len() as u32;
        let accounts = accounts.to_vec();
        let (crc, stored_bytes, body) = match staged.place() {
            Place::Inline { table, blocks } => {
                let head = MessageHead {
                    message,
                    size_bytes: staged.size_bytes,
                    digest: staged.digest,
                    header_len: staged.header_len_bytes() as u32,
                    accounts: accounts.clone(),
                    table: Vec::new(),
                    blocks_before: false,
                };
                let crc = record::put_message(&mut self.bytes, &head, table, blocks.len() as u64);
                self.bytes.extend_from_slice(blocks);
                (crc, self.bytes.len() as u32 - offset, None)
            }
            Place::Body { segment, offset, stored_bytes, .. } => {
                let body = Body {
                    message,
                    size_bytes: staged.size_bytes,
                    digest: staged.digest,
                    segment: *segment,
                    offset: *offset,
                    stored_bytes: *stored_bytes,
                    accounts: accounts.clone(),
                };
                self.staged.push(staged.clone());
                (body.put(&mut self.bytes), *stored_bytes, Some(*segment))
            }
        };
        self.effects.messages.push(MessageEntry { message, offset, stored_bytes, body, accounts });
        self.pushed(crc);
    }

    /// Adds a transaction of an account, or of the store as a whole.
    pub fn push_txn(&mut self, account: Option<AccountId>, payload: &[u8]) {
        let start = self.bytes.len();
        record::put_txn(&mut self.bytes, account, payload);
        let account = account.map_or(record::NO_ACCOUNT, |a| a.0);
        self.txns.push((self.crcs.len(), PendingTxn { start, end: self.bytes.len(), account }));
        self.effects.txns.push(account);
        self.pushed(0);
    }

    /// From this group on the messages of `cold` are read there, but for those that `keep` denies: they died while it
    /// was written.
    pub fn push_relocate(&mut self, cold: &ColdSegment, keep: &dyn Fn(MessageNo) -> bool) {
        let left_out = cold.messages().filter(|m| !keep(*m)).collect();
        let relocate = Relocate { cold: cold.id, replaces: cold.replaces.clone(), left_out };
        let crc = relocate.put(&mut self.bytes);
        self.effects.relocates.push(relocate);
        self.pushed(crc);
    }

    fn pushed(&mut self, crc: u32) {
        self.crcs.push(crc);
        self.records += 1;
    }

    /// No record yet: appended as it is, it is a marker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes it will take in the log.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        padded(self.bytes.len() as u64)
    }

    /// Fills in what only the writer knows. `account_lsn` is the newest LSN of each account so far.
    pub(super) fn seal(&mut self, mut header: Header, account_lsn: &HashMap<u32, Lsn>) -> &[u8] {
        let mut seen: HashMap<u32, ()> = HashMap::new();
        for (record, txn) in &self.txns {
            let first = seen.insert(txn.account, ()).is_none();
            let before = account_lsn.get(&txn.account).copied().unwrap_or_default();
            record::set_txn_prev(&mut self.bytes, txn.start, if first { before } else { header.lsn });
            let crc = record::finish(&mut self.bytes, txn.start, txn.end);
            if let Some(slot) = self.crcs.get_mut(*record) {
                *slot = crc;
            }
        }
        let mut hasher = crc32fast::Hasher::new();
        self.crcs.iter().for_each(|crc| hasher.update(&crc.to_le_bytes()));
        header.len = (self.unpadded_len() - HEADER_BYTES) as u32;
        header.records = self.records;
        header.records_crc32 = hasher.finalize();
        set(&mut self.bytes, 0, &header.encode());
        let len = padded(self.bytes.len() as u64) as usize;
        self.bytes.resize(len, 0);
        &self.bytes
    }

    fn unpadded_len(&self) -> usize {
        self.bytes.len()
    }
}
