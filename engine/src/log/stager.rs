//! Preparing a message: framed, compressed and digested by the caller, before the sequencer hears of it.
//!
//! Laws
//! - Memory is bounded: past the threshold the message goes to a body segment block by block.
//! - `finish` leaves nothing to do that is not a copy: a small message is its encoded table and blocks, a large one is
//!   synced where it lies.
//! - A stager dropped before `finish` leaves nothing that counts; a `StagedMessage` never committed leaves at most an orphan in
//!   a body segment, which stays pinned for as long as somebody may still commit it.

use super::block::{self, BLOCK_BYTES, Entry, header_end};
use super::bodies::{BodyWriter, Pin};
use super::record::MessageHead;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::types::{MessageNo, SegmentId};
use std::sync::Arc;

/// How much of a header is kept in memory with a staged message.
const HEADER_KEPT_BYTES: usize = 256 * 1024;
/// The largest message the format can hold (lengths and offsets are 32 bits).
const MESSAGE_MAX_BYTES: u64 = 1 << 31;

/// Where the bytes of a staged message wait.
#[derive(Debug)]
pub(super) enum Place {
    Inline { table: Vec<u8>, blocks: Vec<u8> },
    Body { segment: SegmentId, offset: u32, stored_bytes: u32, _pin: Pin },
}

#[derive(Debug)]
struct Staged {
    header: Vec<u8>,
    header_len: u64,
    place: Place,
}

/// A message ready to be committed. Clones share it; it may be committed again when its group failed.
#[derive(Debug, Clone)]
pub struct StagedMessage {
    pub size_bytes: u64,
    /// BLAKE3 of the raw bytes.
    pub digest: [u8; 32],
    staged: Arc<Staged>,
}

impl StagedMessage {
    /// The raw header with its blank line; its first 256 KiB when it is longer.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.staged.header
    }

    #[must_use]
    pub fn header_len_bytes(&self) -> u64 {
        self.staged.header_len
    }

    pub(super) fn place(&self) -> &Place {
        &self.staged.place
    }
}

/// Takes a message in pieces.
pub struct MessageStager {
    shared: Arc<Shared>,
    hasher: blake3::Hasher,
    size_bytes: u64,
    /// Not yet cut into blocks.
    pending: Vec<u8>,
    /// Length of the header, once its end was seen.
    header_len: Option<u64>,
    /// Where in `pending` the search for the header's end goes on.
    searched: usize,
    header: Vec<u8>,
    large: Option<Large>,
}

/// A message that went past the threshold.
struct Large {
    writer: BodyWriter,
    table: Vec<Entry>,
    raw_bytes: u64,
}

impl MessageStager {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            hasher: blake3::Hasher::new(),
            size_bytes: 0,
            pending: Vec::new(),
            header_len: None,
            searched: 0,
            header: Vec::new(),
            large: None,
        }
    }

    /// Takes the next bytes of the message.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > MESSAGE_MAX_BYTES {
            return Err(Error::Limit("a message of more than 2 GiB cannot be stored".to_owned()));
        }
        self.hasher.update(bytes);
        self.pending.extend_from_slice(bytes);
        if self.large.is_none() && self.pending.len() as u64 <= self.shared.options.body_threshold_bytes {
            return Ok(());
        }
        self.find_header_end();
        self.spill(BLOCK_BYTES)
    }

    /// Notes where the header ends once its blank line is among the pending bytes.
    fn find_header_end(&mut self) {
        if self.header_len.is_some() {
            return;
        }
        let before = self.large.as_ref().map_or(0, |l| l.raw_bytes);
        // After some of the header was spilled, `searched` is at least 2, so the search never takes the
        // beginning of what is pending for the beginning of the message.
        self.header_len = header_end(&self.pending, self.searched).map(|end| before + end as u64);
        self.searched = self.pending.len();
    }

    /// Writes every block of at least `least` bytes that is complete.
    fn spill(&mut self, least: usize) -> Result<()> {
        let mut large = match self.large.take() {
            Some(large) => large,
            None => {
                Large { writer: self.shared.bodies.acquire(&self.shared)?, table: Vec::new(), raw_bytes: 0 }
            }
        };
        let mut done = 0;
        loop {
            let left = self.pending.len() - done;
            let header_left = self.header_len.and_then(|h| h.checked_sub(large.raw_bytes)).filter(|h| *h > 0);
            let len = match header_left {
                Some(header_left) => left.min(BLOCK_BYTES).min(header_left as usize),
                // Two bytes stay behind while the blank line may still begin in them.
                None if self.header_len.is_none() && least > 1 => left.saturating_sub(2).min(BLOCK_BYTES),
                None => left.min(BLOCK_BYTES),
            };
            let complete = len >= least || header_left == Some(len as u64);
            if len == 0 || !complete {
                break;
            }
            let raw = &self.pending[done..done + len];
            if self.header_len.is_none_or(|h| large.raw_bytes < h) {
                let room = HEADER_KEPT_BYTES.saturating_sub(self.header.len()).min(len);
                self.header.extend_from_slice(&raw[..room]);
            }
            let mut stored = Vec::with_capacity(len);
            large.table.push(block::encode(raw, &mut stored));
            large.raw_bytes += len as u64;
            done += len;
            large.writer.write(&stored)?;
        }
        self.pending.drain(..done);
        self.searched = self.pending.len();
        self.large = Some(large);
        Ok(())
    }

    /// The message is complete. A large one is synced here.
    pub fn finish(mut self) -> Result<StagedMessage> {
        let digest = *self.hasher.finalize().as_bytes();
        self.find_header_end();
        if self.large.is_none() {
            return Ok(self.finish_inline(digest));
        }
        self.spill(1)?;
        let Some(Large { writer, table, .. }) = self.large.take() else { return Err(Error::Closed) };
        let header_len = self.header_len.unwrap_or(self.size_bytes);
        let head = MessageHead {
            message: MessageNo(0),
            size_bytes: self.size_bytes,
            digest,
            header_len: header_len as u32,
            accounts: Vec::new(),
            table,
            blocks_before: true,
        };
        let mut record = Vec::new();
        head.put(&mut record);
        let place = writer.finish(&self.shared, &record)?;
        let staged = Staged { header: std::mem::take(&mut self.header), header_len, place };
        Ok(StagedMessage { size_bytes: self.size_bytes, digest, staged: Arc::new(staged) })
    }

    fn finish_inline(self, digest: [u8; 32]) -> StagedMessage {
        let raw = &self.pending;
        let header_len = self.header_len.unwrap_or(self.size_bytes);
        let (header, body) = raw.split_at((header_len as usize).min(raw.len()));
        let (mut table, mut blocks) = (Vec::new(), Vec::new());
        for chunk in header.chunks(BLOCK_BYTES).chain(body.chunks(BLOCK_BYTES)) {
            block::encode(chunk, &mut blocks).put(&mut table);
        }
        let header = header[..header.len().min(HEADER_KEPT_BYTES)].to_vec();
        let staged = Staged { header, header_len, place: Place::Inline { table, blocks } };
        StagedMessage { size_bytes: self.size_bytes, digest, staged: Arc::new(staged) }
    }
}
