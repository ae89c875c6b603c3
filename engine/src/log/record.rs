//! Records: what a group is made of.
//!
//! Laws
//! - Twelve bytes of head: version, kind, flags, length, CRC32. The CRC covers the head and everything after it; of a
//!   Message everything up to its blocks, which have their own in the table.
//! - A Message's MessageNo and accounts stand before what the stager prepared (table and blocks), so the sequencer
//!   writes 72 bytes and copies the rest.
//! - A reader believes no field before the CRC matched.

use super::block::{ENTRY_BYTES, Entry};
use super::bytes::set;
use crate::codec::Decoder;
use crate::error::Result;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};

pub(super) const VERSION: u8 = 1;
pub(super) const HEAD_BYTES: usize = 12;
pub(super) const MESSAGE_FIXED_BYTES: usize = 72;
pub(super) const BODY_FIXED_BYTES: usize = 76;
pub(super) const TXN_FIXED_BYTES: usize = 24;
/// The account field of a transaction that belongs to the store as a whole.
pub(super) const NO_ACCOUNT: u32 = u32::MAX;

const MESSAGE: u8 = 1;
const TXN: u8 = 2;
const RELOCATE: u8 = 3;
const BODY: u8 = 4;
const BLOCKS_BEFORE: u16 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Txn,
    Relocate,
    Body,
}

/// The head of a record, before its CRC was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) blocks_before: bool,
    pub(super) len: u32,
    pub(super) crc32: u32,
}

impl Head {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Decoder::new(bytes, "a record");
        if c.u8()? != VERSION {
            return Err(c.bad("its version is unknown"));
        }
        let kind = match c.u8()? {
            MESSAGE => Kind::Message,
            TXN => Kind::Txn,
            RELOCATE => Kind::Relocate,
            BODY => Kind::Body,
            _ => return Err(c.bad("its kind is unknown")),
        };
        let flags = c.u16_le()?;
        let (len, crc32) = (c.u32_le()?, c.u32_le()?);
        if (len as usize) < HEAD_BYTES || flags & !BLOCKS_BEFORE != 0 {
            return Err(c.bad("its head is impossible"));
        }
        Ok(Self { kind, blocks_before: flags & BLOCKS_BEFORE != 0, len, crc32 })
    }
}

/// CRC of a record of which `covered` is everything the CRC covers, head included.
pub(super) fn crc_of(covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered.get(..8).unwrap_or_default());
    hasher.update(covered.get(HEAD_BYTES..).unwrap_or_default());
    hasher.finalize()
}

fn put_head(out: &mut Vec<u8>, kind: u8, flags: u16, len: usize) {
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Writes the CRC into the record that begins at `start` and whose covered part ends at `end`; returns it.
pub(super) fn finish(out: &mut [u8], start: usize, end: usize) -> u32 {
    let crc = crc_of(out.get(start..end).unwrap_or_default());
    set(out, start + 8, &crc.to_le_bytes());
    crc
}

/// Checks the covered bytes of a record against its head.
fn check(head: &Head, covered: &[u8]) -> Result<()> {
    if crc_of(covered) == head.crc32 {
        return Ok(());
    }
    Err(Decoder::new(covered, "a record").bad("its checksum does not match"))
}

fn put_accounts(out: &mut Vec<u8>, accounts: &[AccountId]) {
    for account in accounts {
        out.extend_from_slice(&account.0.to_le_bytes());
    }
}

fn read_accounts(c: &mut Decoder<'_>, count: usize) -> Result<Vec<AccountId>> {
    (0..count).map(|_| Ok(AccountId(c.u32_le()?))).collect()
}

/// A stored message but for its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MessageHead {
    pub(super) message: MessageNo,
    pub(super) size_bytes: u64,
    pub(super) digest: [u8; 32],
    pub(super) header_len: u32,
    pub(super) accounts: Vec<AccountId>,
    pub(super) table: Vec<Entry>,
    pub(super) blocks_before: bool,
}

impl MessageHead {
    /// Bytes of all blocks as stored.
    pub(super) fn blocks_len(&self) -> u64 {
        self.table.iter().map(|e| u64::from(e.stored_len)).sum()
    }

    /// Length of the record up to its blocks.
    pub(super) fn covered_len(&self) -> usize {
        MESSAGE_FIXED_BYTES + 4 * self.accounts.len() + ENTRY_BYTES * self.table.len()
    }

    /// Appends the record up to its blocks. `blocks_len` of them follow (or stand before it).
    pub(super) fn put(&self, out: &mut Vec<u8>) -> u32 {
        let mut table = Vec::with_capacity(self.table.len() * ENTRY_BYTES);
        self.table.iter().for_each(|e| e.put(&mut table));
        put_message(out, self, &table, self.blocks_len())
    }

    /// How many bytes from the record's beginning are covered by its CRC, told by the fixed part alone.
    pub(super) fn covered_len_of(fixed: &[u8]) -> Result<usize> {
        let mut c = Decoder::new(fixed, "a message record");
        c.raw(64)?;
        let (blocks, accounts) = (u64::from(c.u32_le()?), u64::from(c.u32_le()?));
        let len = MESSAGE_FIXED_BYTES as u64 + 4 * accounts + ENTRY_BYTES as u64 * blocks;
        usize::try_from(len).map_err(|_| c.bad("its table is impossible"))
    }

    /// Reads the covered part of a record.
    pub(super) fn decode(head: &Head, covered: &[u8]) -> Result<Self> {
        check(head, covered)?;
        let mut c = Decoder::new(covered, "a message record");
        c.raw(HEAD_BYTES)?;
        let message = MessageNo(c.u64_le()?);
        let size_bytes = c.u64_le()?;
        let digest = c.array()?;
        let (header_len, blocks, accounts) = (c.u32_le()?, c.u32_le()? as usize, c.u32_le()? as usize);
        if (4 * accounts as u64) + (ENTRY_BYTES * blocks) as u64 != c.left_bytes() as u64 {
            return Err(c.bad("its table does not fit"));
        }
        let accounts = read_accounts(&mut c, accounts)?;
        let table = (0..blocks).map(|_| Entry::read(&mut c)).collect::<Result<Vec<_>>>()?;
        let this = Self {
            message,
            size_bytes,
            digest,
            header_len,
            accounts,
            table,
            blocks_before: head.blocks_before,
        };
        let raw: u64 = this.table.iter().map(|e| u64::from(e.raw_len)).sum();
        let outside = if head.blocks_before { 0 } else { this.blocks_len() };
        if raw != size_bytes || covered.len() as u64 + outside != u64::from(head.len) {
            return Err(c.bad("its lengths do not agree"));
        }
        Ok(this)
    }
}

/// Appends a Message record up to its blocks, the table being encoded already; returns the CRC.
pub(super) fn put_message(out: &mut Vec<u8>, m: &MessageHead, table: &[u8], blocks_len: u64) -> u32 {
    let start = out.len();
    let covered = MESSAGE_FIXED_BYTES + 4 * m.accounts.len() + table.len();
    let (flags, len) =
        if m.blocks_before { (BLOCKS_BEFORE, covered) } else { (0, covered + blocks_len as usize) };
    put_head(out, MESSAGE, flags, len);
    out.extend_from_slice(&m.message.0.to_le_bytes());
    out.extend_from_slice(&m.size_bytes.to_le_bytes());
    out.extend_from_slice(&m.digest);
    out.extend_from_slice(&m.header_len.to_le_bytes());
    out.extend_from_slice(&((table.len() / ENTRY_BYTES) as u32).to_le_bytes());
    out.extend_from_slice(&(m.accounts.len() as u32).to_le_bytes());
    put_accounts(out, &m.accounts);
    out.extend_from_slice(table);
    let end = out.len();
    finish(out, start, end)
}

/// A message that lies in a body segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) message: MessageNo,
    pub(super) size_bytes: u64,
    pub(super) digest: [u8; 32],
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
    pub(super) stored_bytes: u32,
    pub(super) accounts: Vec<AccountId>,
}

impl Body {
    pub(super) fn len(&self) -> usize {
        BODY_FIXED_BYTES + 4 * self.accounts.len()
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        put_head(out, BODY, 0, self.len());
        out.extend_from_slice(&self.message.0.to_le_bytes());
        out.extend_from_slice(&self.size_bytes.to_le_bytes());
        out.extend_from_slice(&self.digest);
        for field in [self.segment.0, self.offset, self.stored_bytes, self.accounts.len() as u32] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        put_accounts(out, &self.accounts);
        let end = out.len();
        finish(out, start, end)
    }

    pub(super) fn decode(head: &Head, record: &[u8]) -> Result<Self> {
        check(head, record)?;
        let mut c = Decoder::new(record, "a body record");
        c.raw(HEAD_BYTES)?;
        let (message, size_bytes, digest) = (MessageNo(c.u64_le()?), c.u64_le()?, c.array()?);
        let (segment, offset, stored_bytes) = (SegmentId(c.u32_le()?), c.u32_le()?, c.u32_le()?);
        let count = c.count_le(4)?;
        let accounts = read_accounts(&mut c, count)?;
        Ok(Self { message, size_bytes, digest, segment, offset, stored_bytes, accounts })
    }
}

/// Appends a Txn record whose account's previous LSN is filled in by [`set_txn_prev`]; its CRC is not yet right.
pub(super) fn put_txn(out: &mut Vec<u8>, account: Option<AccountId>, payload: &[u8]) {
    put_head(out, TXN, 0, TXN_FIXED_BYTES + payload.len());
    out.extend_from_slice(&account.map_or(NO_ACCOUNT, |a| a.0).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(payload);
}

pub(super) fn set_txn_prev(out: &mut [u8], start: usize, prev: Lsn) {
    set(out, start + 16, &prev.0.to_le_bytes());
}

/// A transaction as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Txn<'a> {
    pub(super) account: Option<AccountId>,
    pub(super) prev: Lsn,
    pub(super) payload: &'a [u8],
}

impl<'a> Txn<'a> {
    pub(super) fn decode(head: &Head, record: &'a [u8]) -> Result<Self> {
        check(head, record)?;
        let mut c = Decoder::new(record, "a transaction record");
        c.raw(HEAD_BYTES)?;
        let account = c.u32_le()?;
        let prev = Lsn(c.u64_le()?);
        let payload = c.rest();
        Ok(Self { account: (account != NO_ACCOUNT).then_some(AccountId(account)), prev, payload })
    }
}

/// Says that the messages of a cold segment are now to be read there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relocate {
    pub(super) cold: SegmentId,
    pub(super) replaces: Vec<SegmentId>,
    pub(super) left_out: Vec<MessageNo>,
}

impl Relocate {
    pub(super) fn put(&self, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        put_head(out, RELOCATE, 0, 24 + 4 * self.replaces.len() + 8 * self.left_out.len());
        for field in [self.cold.0, self.replaces.len() as u32, self.left_out.len() as u32] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        self.replaces.iter().for_each(|s| out.extend_from_slice(&s.0.to_le_bytes()));
        self.left_out.iter().for_each(|m| out.extend_from_slice(&m.0.to_le_bytes()));
        let end = out.len();
        finish(out, start, end)
    }

    pub(super) fn decode(head: &Head, record: &[u8]) -> Result<Self> {
        check(head, record)?;
        let mut c = Decoder::new(record, "a relocate record");
        c.raw(HEAD_BYTES)?;
        let cold = SegmentId(c.u32_le()?);
        let (replaces, left_out) = (c.u32_le()? as usize, c.u32_le()? as usize);
        if 4 * replaces as u64 + 8 * left_out as u64 != c.left_bytes() as u64 {
            return Err(c.bad("its lists do not fit"));
        }
        let replaces = (0..replaces).map(|_| Ok(SegmentId(c.u32_le()?))).collect::<Result<_>>()?;
        let left_out = (0..left_out).map(|_| Ok(MessageNo(c.u64_le()?))).collect::<Result<_>>()?;
        Ok(Self { cold, replaces, left_out })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> MessageHead {
        let entry = Entry { stored_len: 5, zstd: false, raw_len: 5, crc32: 1 };
        MessageHead {
            message: MessageNo(9),
            size_bytes: 10,
            digest: [7; 32],
            header_len: 5,
            accounts: vec![AccountId(3), AccountId(4)],
            table: vec![entry, entry],
            blocks_before: false,
        }
    }

    #[test]
    fn records_come_back() {
        let mut out = Vec::new();
        message().put(&mut out);
        let head = Head::decode(&out).unwrap();
        assert_eq!((head.kind, head.len as usize), (Kind::Message, out.len() + 10));
        assert_eq!(MessageHead::covered_len_of(&out).unwrap(), out.len());
        assert_eq!(MessageHead::decode(&head, &out).unwrap(), message());

        let relocate =
            Relocate { cold: SegmentId(5), replaces: vec![SegmentId(1)], left_out: vec![MessageNo(2)] };
        out.clear();
        relocate.put(&mut out);
        assert_eq!(Relocate::decode(&Head::decode(&out).unwrap(), &out).unwrap(), relocate);

        out.clear();
        put_txn(&mut out, Some(AccountId(8)), b"payload");
        set_txn_prev(&mut out, 0, Lsn(77));
        let end = out.len();
        finish(&mut out, 0, end);
        let txn = Txn { account: Some(AccountId(8)), prev: Lsn(77), payload: b"payload" };
        assert_eq!(Txn::decode(&Head::decode(&out).unwrap(), &out).unwrap(), txn);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_never_believed(at in 0usize..1000, bit in 0u8..8) {
            let mut out = Vec::new();
            message().put(&mut out);
            let at = at % out.len();
            out[at] ^= 1 << bit;
            let read = Head::decode(&out).and_then(|head| MessageHead::decode(&head, &out));
            prop_assert!(read.is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(mut head) = Head::decode(&bytes) {
                head.crc32 = crc_of(&bytes);
                let _ = MessageHead::decode(&head, &bytes);
                let _ = Body::decode(&head, &bytes);
                let _ = Txn::decode(&head, &bytes);
                let _ = Relocate::decode(&head, &bytes);
            }
            let _ = MessageHead::covered_len_of(&bytes);
        }
    }
}
