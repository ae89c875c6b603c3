//! Walking a log segment group by group, in order, with one large buffer.
//!
//! Laws
//! - A group is given out whole or not at all: nothing of it before every record's CRC and the group's own matched.
//! - Blocks are skipped by length where only transactions are wanted, and checked where the end of the log is judged.
//! - Nothing read here panics: what is impossible is `Broken`, with as much as is known of it.

use super::block;
use super::footer::{GroupEntry, MessageEntry};
use super::group::{ALIGN, HEADER_BYTES, Header, MAGIC};
use super::record::{self, Body, HEAD_BYTES, Head, Kind, MessageHead, Relocate, Txn};
use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::sys::disk::File;
use crate::sys::patient::{BadPiece, BadPieces};
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use std::ops::Range;
use std::sync::Arc;

const BUFFER_BYTES: usize = 1 << 20;

/// What the disk cannot read is damaged like bytes that do not fit; only this tells them apart.
const UNREADABLE: &str = "a piece of the disk";

/// The disk fails to read.
pub(super) fn unreadable(why: &dyn std::fmt::Display) -> Error {
    Error::corrupt(UNREADABLE, format!("it cannot be read: {why}"))
}

/// Whether it is not the bytes that are wrong: the disk does not give them.
pub(super) fn is_unreadable(error: &Error) -> bool {
    matches!(error, Error::Corrupt { what, .. } if what == UNREADABLE)
}

/// Reads forward through a file, and around what of it cannot be read.
pub(super) struct Reader {
    file: Arc<dyn File>,
    end: u64,
    buffer: Vec<u8>,
    start: u64,
    bad: BadPieces,
}

impl Reader {
    pub(super) fn new(file: Arc<dyn File>, end: u64) -> Self {
        Self { file, end, buffer: Vec::new(), start: 0, bad: BadPieces::default() }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The bytes at a place; an error when they are past the end, or one of them cannot be read.
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        self.fill(at, len)?;
        if let Some(bad) = self.bad.within(&(at..at + len as u64)) {
            return Err(unreadable(&bad.why));
        }
        self.filled(at, len)
    }

    /// The same, with zeros for what cannot be read: to look for something, or to keep what there is.
    pub(super) fn raw(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        self.fill(at, len)?;
        self.filled(at, len)
    }

    /// What of a range, as far as it was read, could not be.
    pub(super) fn unreadable_in(&self, range: &Range<u64>) -> Option<&BadPiece> {
        self.bad.within(range)
    }

    /// All that could not be read so far.
    pub(super) fn bad_pieces(&self) -> &BadPieces {
        &self.bad
    }

    fn fill(&mut self, at: u64, len: usize) -> Result<()> {
        if at.checked_add(len as u64).is_none_or(|end| end > self.end) {
            return Err(too_short());
        }
        let have = self.start..self.start + self.buffer.len() as u64;
        if have.contains(&at) && at + len as u64 <= have.end {
            return Ok(());
        }
        let want = (self.end - at).min(BUFFER_BYTES.max(len) as u64) as usize;
        self.buffer.resize(want, 0);
        self.start = at;
        self.bad.read(&*self.file, &mut self.buffer, at).map_err(|e| {
            self.buffer.clear();
            Error::io("reading a segment", e)
        })
    }

    fn filled(&self, at: u64, len: usize) -> Result<&[u8]> {
        let from = (at - self.start) as usize;
        self.buffer.get(from..from + len).ok_or_else(too_short)
    }
}

fn too_short() -> Error {
    Error::corrupt("a segment", "it ends too early")
}

/// Whose group is expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expect {
    pub(super) store_id: [u8; 16],
    pub(super) segment: SegmentId,
}

/// A record of a group. Places count from the segment's beginning.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Message { head: MessageHead, offset: u32, stored_bytes: u32 },
    Body { body: Body, offset: u32 },
    Txn { account: Option<AccountId>, prev: Lsn, payload: Vec<u8> },
    Relocate(Relocate),
}

/// A group whose records are all intact.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) header: Header,
    pub(super) items: Vec<Item>,
    /// Messages of which a block is not (looked at only when asked for).
    pub(super) bad_messages: Vec<MessageNo>,
}

impl Group {
    pub(super) fn group_entry(&self) -> GroupEntry {
        let accounts = self.items.iter().filter_map(|item| match item {
            Item::Txn { account, .. } => Some(account.map_or(record::NO_ACCOUNT, |a| a.0)),
            _ => None,
        });
        GroupEntry { lsn: self.header.lsn, offset: self.header.offset, accounts: accounts.collect() }
    }

    pub(super) fn message_entries(&self) -> impl Iterator<Item = MessageEntry> + '_ {
        self.items.iter().filter_map(message_entry)
    }
}

/// What the footer says of a record.
pub(super) fn message_entry(item: &Item) -> Option<MessageEntry> {
    match item {
        Item::Message { head, offset, stored_bytes } => Some(MessageEntry {
            message: head.message,
            offset: *offset,
            stored_bytes: *stored_bytes,
            body: None,
            accounts: head.accounts.clone(),
        }),
        Item::Body { body, offset } => Some(MessageEntry {
            message: body.message,
            offset: *offset,
            stored_bytes: body.stored_bytes,
            body: Some(body.segment),
            accounts: body.accounts.clone(),
        }),
        Item::Txn { .. } | Item::Relocate(_) => None,
    }
}

/// What stands at a place where a group is expected.
#[derive(Debug)]
pub(super) enum Step {
    Whole(Box<Group>),
    /// With its header when at least that can be believed.
    Broken {
        header: Option<Header>,
        why: Error,
    },
    /// The segment's content ends here.
    End,
}

/// How much of a group is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Records only; message blocks are skipped by length.
    Records,
    /// The blocks' checksums as well.
    Blocks,
    /// And the digests of messages.
    Digests,
}

/// The header at a place, if it is a header and belongs there.
fn header_at(reader: &mut Reader, expect: Expect, at: u64) -> Result<Header> {
    let header = Header::decode(reader.bytes(at, HEADER_BYTES)?)?;
    if !header.is_at(expect.store_id, expect.segment, at) || at + header.whole_len() > reader.end() {
        return Err(Error::corrupt("a group header", "it does not belong here"));
    }
    Ok(header)
}

/// Only the header at a place that is known to hold a group, for skipping it.
pub(super) fn peek(reader: &mut Reader, expect: Expect, at: u64) -> Option<Header> {
    header_at(reader, expect, at).ok()
}

/// Reads the group at `at`. I/O errors are errors; bytes that cannot be understood are `Broken`.
pub(super) fn step(reader: &mut Reader, expect: Expect, at: u64, depth: Depth) -> Result<Step> {
    if at + HEADER_BYTES as u64 > reader.end() {
        return Ok(Step::End);
    }
    let header = match header_at(reader, expect, at) {
        Ok(header) => header,
        Err(Error::Io { context, source }) => return Err(Error::Io { context, source }),
        // What begins like no header is none, whatever follows where nothing can be read.
        Err(why) if is_unreadable(&why) && reader.bytes(at, MAGIC.len()).is_ok_and(|m| m != MAGIC) => {
            return Ok(Step::Broken { header: None, why: Error::corrupt("a group header", "there is none") });
        }
        Err(why) => return Ok(Step::Broken { header: None, why }),
    };
    match read_records(reader, &header, at, depth) {
        Ok((items, bad_messages)) => Ok(Step::Whole(Box::new(Group { header, items, bad_messages }))),
        Err(Error::Io { context, source }) => Err(Error::Io { context, source }),
        Err(why) => Ok(Step::Broken { header: Some(header), why }),
    }
}

fn read_records(
    reader: &mut Reader,
    header: &Header,
    at: u64,
    depth: Depth,
) -> Result<(Vec<Item>, Vec<MessageNo>)> {
    let (mut items, mut bad_messages) = (Vec::new(), Vec::new());
    let mut crcs = crc32fast::Hasher::new();
    let mut place = at + HEADER_BYTES as u64;
    let end = place + u64::from(header.len);
    while place < end {
        let head = Head::decode(reader.bytes(place, HEAD_BYTES)?)?;
        if place + u64::from(head.len) > end {
            return Err(Error::corrupt("a record", "it is longer than its group"));
        }
        let item = read_record(reader, &head, place)?;
        if let Item::Message { head, offset, .. } = &item
            && !is_whole(reader, head, u64::from(*offset) + head.covered_len() as u64, depth)?
        {
            bad_messages.push(head.message);
        }
        crcs.update(&head.crc32.to_le_bytes());
        items.push(item);
        place += u64::from(head.len);
    }
    if items.len() != header.records as usize || crcs.finalize() != header.records_crc32 {
        return Err(Error::corrupt("a group", "its records are not those it was written with"));
    }
    Ok((items, bad_messages))
}

/// Reads one record but for a message's blocks.
pub(super) fn read_record(reader: &mut Reader, head: &Head, place: u64) -> Result<Item> {
    let offset = u32::try_from(place).map_err(|_| Error::corrupt("a record", "it is out of reach"))?;
    let len = head.len as usize;
    Ok(match head.kind {
        Kind::Message => {
            let covered =
                MessageHead::covered_len_of(reader.bytes(place, record::MESSAGE_FIXED_BYTES.min(len))?)?;
            if covered > len || head.blocks_before {
                return Err(Error::corrupt("a message record", "its table does not fit"));
            }
            let message = MessageHead::decode(head, reader.bytes(place, covered)?)?;
            Item::Message { head: message, offset, stored_bytes: head.len }
        }
        Kind::Body => Item::Body { body: Body::decode(head, reader.bytes(place, len)?)?, offset },
        Kind::Txn => {
            let txn = Txn::decode(head, reader.bytes(place, len)?)?;
            Item::Txn { account: txn.account, prev: txn.prev, payload: txn.payload.to_vec() }
        }
        Kind::Relocate => Item::Relocate(Relocate::decode(head, reader.bytes(place, len)?)?),
    })
}

/// Whether a message is whole as far as is asked: every block, and the digest. `at` is where the first block begins.
pub(super) fn is_whole(
    reader: &mut Reader,
    message: &MessageHead,
    mut at: u64,
    depth: Depth,
) -> Result<bool> {
    if depth == Depth::Records {
        return Ok(true);
    }
    let mut hasher = blake3::Hasher::new();
    let mut raw = Vec::new();
    for entry in &message.table {
        let stored = match reader.bytes(at, entry.stored_len as usize) {
            Err(Error::Corrupt { .. }) => return Ok(false),
            stored => stored?,
        };
        if depth == Depth::Digests {
            raw.clear();
            if block::decode(entry, stored, &mut raw).is_err() {
                return Ok(false);
            }
            hasher.update(&raw);
        } else if crc32fast::hash(stored) != entry.crc32 {
            return Ok(false);
        }
        at += u64::from(entry.stored_len);
    }
    Ok(depth != Depth::Digests || *hasher.finalize().as_bytes() == message.digest)
}

/// The next place from `from` on where the header of a group of this segment stands.
pub(super) fn next_header(reader: &mut Reader, expect: Expect, from: u64) -> Result<Option<u64>> {
    let mut at = from.next_multiple_of(ALIGN as u64);
    while at + HEADER_BYTES as u64 <= reader.end() {
        let len = (reader.end() - at).min(BUFFER_BYTES as u64) as usize;
        let chunk = reader.raw(at, len)?;
        let candidates: Vec<u64> = memchr::memmem::find_iter(chunk, MAGIC)
            .filter(|i| i % ALIGN == 0)
            .map(|i| at + i as u64)
            .collect();
        for candidate in candidates {
            match header_at(reader, expect, candidate) {
                Ok(_) => return Ok(Some(candidate)),
                Err(Error::Io { context, source }) => return Err(Error::Io { context, source }),
                Err(_) => {}
            }
        }
        at += len as u64 / ALIGN as u64 * ALIGN as u64;
    }
    Ok(None)
}

/// Where the last byte of `from..end` that is not zero ends; `from` when all are.
pub(super) fn content_end(reader: &mut Reader, from: u64) -> Result<u64> {
    let (mut at, mut last) = (from, from);
    while at < reader.end() {
        let len = (reader.end() - at).min(BUFFER_BYTES as u64) as usize;
        let chunk = reader.raw(at, len)?;
        if let Some(i) = chunk.iter().rposition(|b| *b != 0) {
            last = at + i as u64 + 1;
        }
        at += len as u64;
    }
    Ok(last)
}

/// Checks that a file is the segment it is taken for.
pub(super) fn check_segment_header(file: &dyn File, expect: Expect) -> Result<()> {
    let mut bytes = [0; super::segment::HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|e| Error::io(format!("reading the header of segment {}", expect.segment), e))?;
    let header = super::segment::Header::decode(&bytes)?;
    if header.id != expect.segment || header.store_id != expect.store_id {
        return Err(Decoder::new(&bytes, "a segment header").bad("the file belongs elsewhere"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::disk::Disk;
    use crate::sys::sim::SimDisk;
    use std::path::Path;

    /// At the end of a page behind which nothing can be read: zeros that no group begins with, and where one may begin.
    #[test]
    fn no_group_begins_with_zeros_whatever_cannot_be_read_behind_them() {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/s")).unwrap();
        let file = disk.create(Path::new("/s/f")).unwrap();
        file.write_all_at(&[0; 8192], 0).unwrap();
        file.write_all_at(MAGIC, 2048 - 16).unwrap();
        disk.bad_sector(Path::new("/s/f"), 4096, 512);
        let expect = Expect { store_id: [1; 16], segment: SegmentId(1) };
        let mut reader = Reader::new(Arc::from(file), 8192);
        let mut unreadable = |at| match step(&mut reader, expect, at, Depth::Blocks).unwrap() {
            Step::Broken { header: None, why } => is_unreadable(&why),
            other => panic!("{other:?}"),
        };
        assert!(!unreadable(4096 - 8) && !unreadable(4096 - 40) && !unreadable(2048 - 16));
        assert!(unreadable(4096) && unreadable(4096 + 8));
        disk.open(Path::new("/s/f")).unwrap().write_all_at(MAGIC, 4096 - 16).unwrap();
        let mut reader = Reader::new(Arc::from(disk.open(Path::new("/s/f")).unwrap()), 8192);
        let begins = step(&mut reader, expect, 4096 - 16, Depth::Blocks).unwrap();
        assert!(matches!(begins, Step::Broken { header: None, why } if is_unreadable(&why)));
    }
}
