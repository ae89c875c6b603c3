//! What lies in body segments and no Body record names: large messages that wait in vain, or whose Body record is lost.
//!
//! Laws
//! - What a readable Body record names is no orphan. Everything else is one: a message by its own record, or bytes that are
//!   none (any more).
//! - A record within the blocks of another is part of that message's text, whatever it looks like.
//! - Which orphans are dead the log does not know: it reads, and adds files to `quarantine/`.

use super::group::padded;
use super::manifest::State;
use super::message::{self, Record, StoredMessage};
use super::record::{Body, Head, MESSAGE_FIXED_BYTES, MessageHead};
use super::rewrite;
use super::segment::{HEADER_BYTES, SegmentKind};
use super::shared::Shared;
use super::walk::Reader;
use crate::error::{Error, Result};
use crate::types::{MessageNo, SegmentId};
use crate::work::{Unit, Work};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How the record of a message in a body segment begins: version, kind, blocks before it.
const BEGINS: [u8; 4] = [1, 1, 1, 0];
const WINDOW_BYTES: u64 = 1 << 20;
/// Piece of a message that is copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// Bytes of a body segment that nothing names.
#[derive(Debug, Clone)]
pub struct Orphan {
    segment: SegmentId,
    bytes: Range<u64>,
    /// Of a message: its record, and where that stands.
    record: Option<(u64, MessageHead)>,
    is_written: bool,
}

impl Orphan {
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// A message with an intact record; else only bytes.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.record.is_some()
    }

    /// Somebody may still commit it: its segment is being written, or waits for a transaction.
    #[must_use]
    pub fn is_being_written(&self) -> bool {
        self.is_written
    }
}

/// Whether something is lost that may have named messages in body segments.
pub(super) fn is_loss_known(shared: &Shared) -> bool {
    shared.blind.load(Ordering::Acquire) || !shared.manifest.load().damage.is_empty()
}

/// Whether a body segment has bytes that no footer names.
pub(super) fn has_any(shared: &Shared, id: SegmentId) -> bool {
    let named: u64 = shared.bodies.named_in(id).iter().map(|(_, stored)| padded(u64::from(*stored))).sum();
    content_end(shared, id).saturating_sub(HEADER_BYTES as u64 + named) >= MESSAGE_FIXED_BYTES as u64
}

fn content_end(shared: &Shared, id: SegmentId) -> u64 {
    let sealed = shared.manifest.load().segments.get(&id).map_or(0, |segment| segment.bytes);
    shared.open_end.lock().get(&id).copied().unwrap_or(sealed)
}

/// Looks for them in every body segment that counts. A segment that the disk does not give is passed over.
pub(super) fn find(shared: &Shared, work: &mut Work<'_>) -> Result<Vec<Orphan>> {
    let manifest = shared.manifest.load_full();
    let segments: Vec<_> = manifest.of(SegmentKind::Body).map(|(id, s)| (id, s.state)).collect();
    let mut found = Vec::new();
    for (done, (id, state)) in (0..).zip(&segments) {
        work.step(
            "looking for large messages that nothing names",
            done,
            segments.len() as u64,
            Unit::Objects,
        )?;
        // Asked first: what is committed from here on is named, or in a segment that is still written to.
        let is_written = *state == State::Open || shared.bodies.is_pinned(*id);
        match in_segment(shared, *id, is_written) {
            Ok(mut orphans) => found.append(&mut orphans),
            Err(error) => tracing::error!(segment = id.0, %error, "a body segment cannot be read through"),
        }
    }
    Ok(found)
}

fn in_segment(shared: &Shared, id: SegmentId, is_written: bool) -> Result<Vec<Orphan>> {
    let file = shared.files.get(SegmentKind::Body, id)?;
    let len = file.len_bytes().map_err(|e| Error::io("reading a body segment", e))?;
    let mut reader = Reader::new(file, content_end(shared, id).min(len));
    let named = named(shared, id, &mut reader);
    let mut orphans = Vec::new();
    let mut at = HEADER_BYTES as u64;
    for range in named.into_iter().chain(std::iter::once(reader.end()..reader.end())) {
        if range.start > at {
            in_gap(&mut reader, at..range.start, &mut |bytes, record| {
                orphans.push(Orphan { segment: id, bytes, record, is_written });
            })?;
        }
        at = at.max(padded(range.end).min(reader.end()));
    }
    Ok(orphans)
}

/// The ranges that readable Body records name, in their order.
fn named(shared: &Shared, id: SegmentId, reader: &mut Reader) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    for (message, _) in shared.bodies.named_in(id) {
        let Some(at) = shared.locations.get(message) else { continue };
        let Ok(Record::Body(body)) = message::record_at(shared, message, at) else { continue };
        if body.segment != id {
            continue;
        }
        let offset = u64::from(body.offset);
        let end = match record_at(reader, offset, reader.end()) {
            Some(head) => offset + head.covered_len() as u64,
            // As long as it is at most by the message's size: a block more for the header, and one for what is left.
            None => {
                offset + (MESSAGE_FIXED_BYTES as u64 + 12 * (body.size_bytes / 65_536 + 2)).min(reader.end())
            }
        };
        let end = end.min(reader.end());
        ranges.push(end.saturating_sub(u64::from(body.stored_bytes))..end);
    }
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// The record of a message that stands there, if its checksum matches and it ends before `end`.
fn record_at(reader: &mut Reader, at: u64, end: u64) -> Option<MessageHead> {
    let fixed = reader.bytes(at, MESSAGE_FIXED_BYTES).ok()?;
    let head = Head::decode(fixed).ok().filter(|head| head.blocks_before)?;
    let covered = MessageHead::covered_len_of(fixed).ok().filter(|len| *len <= head.len as usize)?;
    if at.checked_add(covered as u64)? > end {
        return None;
    }
    MessageHead::decode(&head, reader.bytes(at, covered).ok()?).ok()
}

/// What lies in a range that nothing names.
fn in_gap(
    reader: &mut Reader,
    gap: Range<u64>,
    found: &mut dyn FnMut(Range<u64>, Option<(u64, MessageHead)>),
) -> Result<()> {
    let mut records = Vec::new();
    let mut at = gap.start;
    while at < gap.end {
        let len = (gap.end - at).min(WINDOW_BYTES);
        let window = reader.bytes(at, len as usize)?;
        let starts: Vec<u64> = memchr::memmem::find_iter(window, &BEGINS).map(|i| at + i as u64).collect();
        for start in starts {
            let head = record_at(reader, start, gap.end);
            records
                .extend(head.filter(|head| gap.start + head.blocks_len() <= start).map(|head| (start, head)));
        }
        // The beginning of one may stand across two windows.
        at += if at + len == gap.end { len } else { len - (BEGINS.len() as u64 - 1) };
    }
    // From the end: what stands within the blocks of a message is its text.
    let mut end = gap.end;
    let mut whole = Vec::new();
    while let Some((start, head)) = records.pop() {
        let bytes = start - head.blocks_len()..start + head.covered_len() as u64;
        if bytes.end > end {
            continue;
        }
        whole.extend(rest(reader, bytes.end..end)?.map(|rest| (rest, None)));
        end = bytes.start;
        whole.push((bytes, Some((start, head))));
    }
    whole.extend(rest(reader, gap.start..end)?.map(|rest| (rest, None)));
    whole.into_iter().rev().for_each(|(bytes, record)| found(bytes, record));
    Ok(())
}

/// What of a range is more than padding.
fn rest(reader: &mut Reader, range: Range<u64>) -> Result<Option<Range<u64>>> {
    let mut at = range.start;
    while at < range.end {
        let len = (range.end - at).min(WINDOW_BYTES);
        if reader.bytes(at, len as usize)?.iter().any(|byte| *byte != 0) {
            return Ok(Some(range));
        }
        at += len;
    }
    Ok(None)
}

/// Opens an orphan that is a message.
pub(super) fn read(shared: &Shared, orphan: &Orphan) -> Result<StoredMessage> {
    let Some((at, head)) = &orphan.record else { return Err(Error::NoSuchMessage) };
    message::open_body(
        shared,
        &Body {
            message: MessageNo(0),
            size_bytes: head.size_bytes,
            digest: head.digest,
            segment: orphan.segment,
            offset: u32::try_from(*at).map_err(|_| Error::NoSuchMessage)?,
            stored_bytes: 0,
            accounts: Vec::new(),
        },
    )
}

/// Copies an orphan into the quarantine: as a message where its digest proves it, else its bytes as they are stored.
pub(super) fn quarantine(shared: &Shared, orphan: &Orphan) -> Result<PathBuf> {
    let (disk, dir, id) = (&*shared.disk, &shared.dir, orphan.segment);
    match read(shared, orphan).and_then(|message| message.verify().map(|()| message)) {
        Ok(message) => {
            let name = format!("body-{id}-{}.eml", orphan.bytes.start);
            rewrite::write_to_quarantine(disk, dir, &name, &mut |file| {
                let mut at = 0;
                while at < message.size_bytes() {
                    let bytes = message.read_range(at..at + COPY_BYTES)?;
                    file.write_all_at(&bytes, at).map_err(|e| Error::io("writing to the quarantine", e))?;
                    at += bytes.len() as u64;
                }
                Ok(())
            })
        }
        Err(Error::Io { context, source }) => Err(Error::Io { context, source }),
        Err(_) => {
            let file = shared.files.get(SegmentKind::Body, id)?;
            let mut reader = Reader::new(Arc::clone(&file), orphan.bytes.end);
            rewrite::quarantine(disk, dir, id, &mut reader, &orphan.bytes)
        }
    }
}

/// Whether nothing says that the message does not lie in a body segment: its record is lost, or cannot be read.
pub(super) fn may_hold(shared: &Shared, message: MessageNo) -> bool {
    let Some(at) = shared.locations.get(message) else { return true };
    message::record_at(shared, message, at).is_err()
}
