//! Reading a stored message by its number.
//!
//! Laws
//! - A range reads, checks and decompresses the blocks it touches, no others.
//! - What the disk cannot read is damaged too; it is never made up for by zeros.
//! - No byte is given out whose block's CRC did not match: then the message is `Damaged`, and only it.
//! - A message that moves while it is looked up is found at its new place; once opened it stays readable though
//!   its segment is dropped.

use super::block;
use super::locations::Location;
use super::record::{Body, HEAD_BYTES, Head, Kind, MESSAGE_FIXED_BYTES, MessageHead};
use super::shared::Shared;
use super::walk;
use crate::error::{Error, Result};
use crate::sys::disk::File;
use crate::sys::patient::BadPieces;
use crate::types::{MessageNo, SegmentId};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Read at once when a message is opened: most small messages lie in it whole.
const FIRST_READ_BYTES: usize = 4096;
/// How often a look-up follows a message that moves.
const TRIES: usize = 4;
/// A table larger than this is believed only if the file is that long.
const UNCHECKED_TABLE_BYTES: usize = 64 * 1024;

/// A message in the log. It stays readable for as long as this is held.
pub struct StoredMessage {
    message: MessageNo,
    head: MessageHead,
    file: Arc<dyn File>,
    blocks_at: u64,
    /// The first stored bytes from `blocks_at` on.
    ahead: Vec<u8>,
}

/// What a location leads to.
pub(super) enum Record {
    Message(StoredMessage),
    Body(Body),
}

fn damaged(message: MessageNo, e: Error) -> Error {
    match e {
        Error::Io { context, source } if source.kind() == io::ErrorKind::UnexpectedEof => {
            Error::Damaged { message, what: format!("{context}: the file ends too early") }
        }
        Error::Corrupt { what, why } => Error::Damaged { message, what: format!("{what}: {why}") },
        e => e,
    }
}

fn read_at(file: &dyn File, at: u64, len: usize) -> Result<Vec<u8>> {
    match read_up_to(file, at, len)? {
        (_, Some(why)) => Err(walk::unreadable(&why)),
        (bytes, None) => Ok(bytes),
    }
}

/// The bytes up to the first that cannot be read, and why that is so.
fn read_up_to(file: &dyn File, at: u64, len: usize) -> Result<(Vec<u8>, Option<String>)> {
    let mut bytes = vec![0; len];
    let mut bad = BadPieces::default();
    bad.read(file, &mut bytes, at).map_err(|e| Error::io("reading a message", e))?;
    let Some(first) = bad.all().first() else { return Ok((bytes, None)) };
    bytes.truncate((first.range.start - at) as usize);
    Ok((bytes, Some(first.why.clone())))
}

/// Reads the record at a place: for a message, all but its blocks (and some of them).
fn read_record(message: MessageNo, file: Arc<dyn File>, at: u64) -> Result<Record> {
    let (mut bytes, unreadable) = match read_up_to(&*file, at, FIRST_READ_BYTES) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
            let left = file.len_bytes().map_err(|e| Error::io("reading a message", e))?.saturating_sub(at);
            read_up_to(&*file, at, FIRST_READ_BYTES.min(left as usize))?
        }
        other => other?,
    };
    if let Some(why) = unreadable.filter(|_| bytes.len() < MESSAGE_FIXED_BYTES) {
        return Err(walk::unreadable(&why));
    }
    let head = Head::decode(&bytes)?;
    let needed = match head.kind {
        Kind::Message => MessageHead::covered_len_of(bytes.get(..MESSAGE_FIXED_BYTES).unwrap_or_default())?,
        Kind::Body => head.len as usize,
        Kind::Txn | Kind::Relocate => {
            return Err(Error::corrupt("a message record", "it is of another kind"));
        }
    };
    if needed > head.len as usize || needed < HEAD_BYTES {
        return Err(Error::corrupt("a message record", "its table does not fit"));
    }
    if needed > bytes.len() {
        let file_len = if needed > UNCHECKED_TABLE_BYTES { file.len_bytes().unwrap_or(0) } else { u64::MAX };
        if at.saturating_add(needed as u64) > file_len {
            return Err(Error::corrupt("a message record", "its table does not fit"));
        }
        bytes = read_at(&*file, at, needed)?;
    }
    let (covered, ahead) = bytes.split_at(needed);
    if head.kind == Kind::Body {
        return Ok(Record::Body(Body::decode(&head, covered)?));
    }
    let head = MessageHead::decode(&head, covered)?;
    let (blocks_at, ahead) = if head.blocks_before {
        let at = at.checked_sub(head.blocks_len());
        (at.ok_or_else(|| Error::corrupt("a message record", "its blocks do not fit"))?, Vec::new())
    } else {
        (at + needed as u64, ahead.to_vec())
    };
    Ok(Record::Message(StoredMessage { message, head, file, blocks_at, ahead }))
}

/// The record that a location names, checked to be that of `message`.
pub(super) fn record_at(shared: &Shared, message: MessageNo, at: Location) -> Result<Record> {
    let file = shared.file(at.segment)?;
    let record = read_record(message, file, u64::from(at.offset)).map_err(|e| damaged(message, e))?;
    let named = match &record {
        Record::Message(m) => m.head.message,
        Record::Body(b) => b.message,
    };
    if named != message {
        let what = format!("another message ({named}) stands in its place");
        return Err(Error::Damaged { message, what });
    }
    Ok(record)
}

/// Opens the message that a Body record names.
pub(super) fn open_body(shared: &Shared, body: &Body) -> Result<StoredMessage> {
    let file = shared.file(body.segment)?;
    let record =
        read_record(body.message, file, u64::from(body.offset)).map_err(|e| damaged(body.message, e))?;
    match record {
        Record::Message(m) if m.head.digest == body.digest && m.head.size_bytes == body.size_bytes => Ok(m),
        _ => Err(Error::Damaged {
            message: body.message,
            what: "its body segment holds something else".to_owned(),
        }),
    }
}

/// Whether the segment may have gone while we looked.
fn may_have_moved(e: &Error) -> bool {
    match e {
        Error::NoSuchMessage => true,
        Error::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// It has no place: it never was there, has died, or is known to be lost.
fn nowhere(shared: &Shared, message: MessageNo) -> Error {
    let manifest = shared.manifest.load();
    match manifest.damage.iter().find(|d| d.messages.contains(&message)) {
        Some(damage) => Error::Damaged { message, what: damage.what.clone() },
        None => Error::NoSuchMessage,
    }
}

/// Opens a message, following it when compaction moves it meanwhile.
pub(super) fn read(shared: &Shared, message: MessageNo) -> Result<StoredMessage> {
    let mut outcome = Err(Error::NoSuchMessage);
    for _ in 0..TRIES {
        let Some(at) = shared.locations.get(message) else { return Err(nowhere(shared, message)) };
        outcome = match record_at(shared, message, at) {
            Ok(Record::Message(m)) => Ok(m),
            Ok(Record::Body(body)) => open_body(shared, &body),
            Err(e) => Err(e),
        };
        match &outcome {
            Err(e) if may_have_moved(e) => {}
            _ => break,
        }
    }
    match outcome {
        // It has a place and the place is not there: that is damage, not absence.
        Err(e) if may_have_moved(&e) && shared.locations.get(message).is_some() => {
            Err(Error::Damaged { message, what: "its segment is missing".to_owned() })
        }
        outcome => outcome,
    }
}

impl StoredMessage {
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.head.size_bytes
    }

    /// Length of the header with its blank line.
    #[must_use]
    pub fn header_len_bytes(&self) -> u64 {
        u64::from(self.head.header_len)
    }

    /// BLAKE3 of the raw message, as it was when stored.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.head.digest
    }

    pub(super) fn head(&self) -> &MessageHead {
        &self.head
    }

    fn stored(&self, range: &Range<u64>) -> Result<Vec<u8>> {
        if let Some(bytes) = self.ahead.get(range.start as usize..range.end as usize) {
            return Ok(bytes.to_vec());
        }
        let len = (range.end - range.start) as usize;
        read_at(&*self.file, self.blocks_at + range.start, len).map_err(|e| damaged(self.message, e))
    }

    /// All blocks as they are stored.
    pub(super) fn stored_blocks(&self) -> Result<Vec<u8>> {
        self.stored(&(0..self.head.blocks_len()))
    }

    /// Checks and decompresses the blocks whose stored bytes are given.
    fn decode(&self, entries: Range<usize>, stored: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut left = stored;
        for entry in self.head.table.get(entries).unwrap_or_default() {
            let (block, rest) = left.split_at_checked(entry.stored_len as usize).unwrap_or((left, &[]));
            block::decode(entry, block, &mut out).map_err(|e| damaged(self.message, e))?;
            left = rest;
        }
        Ok(out)
    }

    /// The raw bytes of a range, as much of it as the message has.
    pub fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let range = range.start.min(self.size_bytes())..range.end.min(self.size_bytes());
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let span = block::span(&self.head.table, &range);
        let mut raw = self.decode(span.entries, &self.stored(&span.stored)?)?;
        raw.truncate((range.end - span.raw_start) as usize);
        raw.drain(..((range.start - span.raw_start) as usize).min(raw.len()));
        Ok(raw)
    }

    pub fn read_all(&self) -> Result<Vec<u8>> {
        self.read_range(0..self.size_bytes())
    }

    /// Reads all of it and compares the digest.
    pub fn verify(&self) -> Result<()> {
        self.verify_stored(&self.stored_blocks()?)
    }

    pub(super) fn verify_stored(&self, stored: &[u8]) -> Result<()> {
        let raw = self.decode(0..self.head.table.len(), stored)?;
        if *blake3::hash(&raw).as_bytes() != self.head.digest {
            let what = "its digest does not match".to_owned();
            return Err(Error::Damaged { message: self.message, what });
        }
        Ok(())
    }
}

impl std::fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredMessage")
            .field("message", &self.message)
            .field("size_bytes", &self.head.size_bytes)
            .finish_non_exhaustive()
    }
}

/// Where a message's bytes are: the segment of its record, or of its body.
pub(super) fn segment_of(shared: &Shared, message: MessageNo) -> Option<SegmentId> {
    let at = shared.locations.get(message)?;
    match record_at(shared, message, at) {
        Ok(Record::Body(body)) => Some(body.segment),
        _ => Some(at.segment),
    }
}

/// What the message takes where its record lies, if that can be read.
pub(super) fn record_bytes(shared: &Shared, message: MessageNo) -> u64 {
    let Some(at) = shared.locations.get(message) else { return 0 };
    match record_at(shared, message, at) {
        Ok(Record::Message(stored)) => stored.head.covered_len() as u64 + stored.head.blocks_len(),
        Ok(Record::Body(body)) => body.len() as u64,
        Err(_) => 0,
    }
}

/// The segments that reading the message needs.
pub(super) fn places_of(shared: &Shared, message: MessageNo) -> Vec<SegmentId> {
    let Some(at) = shared.locations.get(message) else { return Vec::new() };
    match record_at(shared, message, at) {
        Ok(Record::Body(body)) => vec![at.segment, body.segment],
        _ => vec![at.segment],
    }
}

/// Whether nothing says that a message, which was placed in a body segment, is read from elsewhere.
pub(super) fn may_be_in_body(shared: &Shared, message: MessageNo, body: SegmentId) -> bool {
    let Some(at) = shared.locations.get(message) else { return true };
    match record_at(shared, message, at) {
        Ok(Record::Body(record)) => record.segment == body,
        Ok(Record::Message(_)) => false,
        Err(_) => true,
    }
}
