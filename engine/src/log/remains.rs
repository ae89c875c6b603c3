//! What repair needs of damaged bytes: strays, what can be proved of a message, and copies for the quarantine.
//!
//! Laws
//! - It reads, and adds files to `quarantine/`; nothing else is changed.
//! - A block is proved by its own checksum in the message's table, whether the table itself is proved or not: that both are
//!   wrong and fit each other does not happen.
//! - A length that is not proved is held against what is there before anything is read by it.

use super::block::{self, BLOCK_BYTES, ENTRY_BYTES, Entry};
use super::footer::GroupEntry;
use super::locations::Location;
use super::message::{self, Record};
use super::record::{HEAD_BYTES, MESSAGE_FIXED_BYTES};
use super::rewrite;
use super::segment::SegmentKind;
use super::shared::Shared;
use super::survey;
use super::types::{Damage, Remains, Stray};
use super::walk::{self, Expect, Reader};
use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::types::{Lsn, MessageNo, SegmentId};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// The messages of the hole's groups, as far as the groups can be read. An error is the disk's own.
pub(super) fn strays(shared: &Shared, hole: &Damage) -> Result<Vec<Stray>> {
    let mut out = Vec::new();
    if !hole.is_hole() {
        return Ok(out);
    }
    let manifest = shared.manifest.load_full();
    let reaches = |s: &super::manifest::Segment| s.first_lsn <= hole.last_lsn && s.last_lsn >= hole.first_lsn;
    for (id, segment) in manifest.of(SegmentKind::Log).filter(|(_, s)| reaches(s)) {
        let footer = match survey::of_segment(shared, SegmentKind::Log, id) {
            Ok(survey) => survey.footer,
            // Its file is gone.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(_) => continue,
        };
        let expect = Expect { store_id: shared.store_id, segment: id };
        let mut reader = Reader::new(shared.files.get(SegmentKind::Log, id)?, footer.content_end);
        let mut time_ms = segment.newest_time_ms;
        let hit = |g: &GroupEntry| (hole.first_lsn..=hole.last_lsn).contains(&g.lsn);
        let mut seen = Lsn::default();
        for (group, entry) in footer.messages_of(hit) {
            if group.lsn != seen
                && let Some(header) = walk::peek(&mut reader, expect, u64::from(group.offset))
            {
                time_ms = header.time_ms;
            }
            seen = group.lsn;
            match message::read(shared, entry.message).and_then(|m| m.verify()) {
                Ok(()) => {}
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(_) => continue,
            }
            let (message, accounts) = (entry.message, entry.accounts.clone());
            out.push(Stray { message, lsn: group.lsn, time_ms, accounts });
        }
    }
    out.sort_by_key(|stray| stray.message);
    out.dedup_by_key(|stray| stray.message);
    Ok(out)
}

/// A message's record as it lies there, believed or not.
struct Raw {
    segment: SegmentId,
    reader: Reader,
    /// Of the record, blocks not counted that stand before it.
    record: Range<u64>,
    /// Where its first block begins, as far as can be told.
    blocks_at: u64,
    /// Lenient: fields of a record that may be damaged.
    size_bytes: u64,
    header_len: u64,
    table: Vec<Entry>,
}

fn open_raw(shared: &Shared, segment: SegmentId, at: u64) -> Result<Raw> {
    let file = shared.file(segment)?;
    let end = file.len_bytes().map_err(|e| Error::io("reading a message", e))?;
    let mut reader = Reader::new(file, end);
    let fixed = reader.raw(at, MESSAGE_FIXED_BYTES)?.to_vec();
    let mut c = Decoder::new(&fixed, "a message record");
    c.raw(2)?;
    let blocks_before = c.u16_le()? & 1 == 1;
    let len = u64::from(c.u32_le()?).clamp(HEAD_BYTES as u64, end - at);
    c.raw(4 + 8)?;
    let size_bytes = c.u64_le()?;
    c.raw(32)?;
    let (header_len, blocks, accounts) = (c.u32_le()?, u64::from(c.u32_le()?), u64::from(c.u32_le()?));
    let table_at = at + MESSAGE_FIXED_BYTES as u64 + 4 * accounts;
    let mut table = Vec::new();
    for block in 0..blocks {
        let entry_at = table_at + block * ENTRY_BYTES as u64;
        let Ok(bytes) = reader.bytes(entry_at, ENTRY_BYTES) else { break };
        match Entry::read(&mut Decoder::new(bytes, "a message record")) {
            Ok(entry) => table.push(entry),
            // Where the next one's bytes lie is not known from here on.
            Err(_) => break,
        }
    }
    let stored: u64 = table.iter().map(|e| u64::from(e.stored_len)).sum();
    let table_end = table_at + blocks * ENTRY_BYTES as u64;
    let blocks_at = if blocks_before { at.saturating_sub(stored) } else { table_end };
    let record = at..(at + len);
    Ok(Raw { segment, reader, record, blocks_at, size_bytes, header_len: u64::from(header_len), table })
}

/// Where the bytes of a message lie: the place of its Message record, in its body segment when it has one.
fn place_of(shared: &Shared, message: MessageNo) -> Result<(Location, Location)> {
    let at = shared.locations.get(message).ok_or(Error::NoSuchMessage)?;
    match message::record_at(shared, message, at) {
        Ok(Record::Body(body)) => Ok((at, Location { segment: body.segment, offset: body.offset })),
        _ => Ok((at, at)),
    }
}

pub(super) fn remains(shared: &Shared, message: MessageNo) -> Result<Remains> {
    let (_, at) = place_of(shared, message)?;
    let intact = message::read(shared, message).ok();
    let mut raw = match open_raw(shared, at.segment, u64::from(at.offset)) {
        Ok(raw) => raw,
        Err(Error::Corrupt { .. }) => return Ok(nothing_of(message, at.segment)),
        Err(e) => return Err(e),
    };
    let (size_bytes, header_len_bytes, digest) = match &intact {
        Some(m) => (m.size_bytes(), m.header_len_bytes(), Some(m.digest())),
        None => {
            let told: u64 = raw.table.iter().map(|e| u64::from(e.raw_len)).sum();
            // A size that is not proved is not believed where it is impossible.
            let most = raw.table.len() as u64 * BLOCK_BYTES as u64;
            (if raw.size_bytes <= most { raw.size_bytes.max(told) } else { told }, raw.header_len, None)
        }
    };
    let mut pieces = Vec::new();
    let (mut from, mut stored_at) = (0, raw.blocks_at);
    for entry in &raw.table {
        let to = from + u64::from(entry.raw_len);
        let mut bytes = Vec::new();
        let stored = raw.reader.bytes(stored_at, entry.stored_len as usize);
        let is_proved = stored.and_then(|s| block::decode(entry, s, &mut bytes)).is_ok();
        pieces.push((from..to, is_proved.then_some(bytes)));
        (from, stored_at) = (to, stored_at + u64::from(entry.stored_len));
    }
    if from < size_bytes {
        pieces.push((from..size_bytes, None));
    }
    let header = header_of(&pieces, header_len_bytes);
    let segment = raw.segment;
    let is_record_intact = intact.is_some();
    Ok(Remains { message, segment, is_record_intact, size_bytes, header_len_bytes, digest, header, pieces })
}

fn nothing_of(message: MessageNo, segment: SegmentId) -> Remains {
    Remains {
        message,
        segment,
        is_record_intact: false,
        size_bytes: 0,
        header_len_bytes: 0,
        digest: None,
        header: None,
        pieces: Vec::new(),
    }
}

/// The first `len` bytes, if all of them are proved.
fn header_of(pieces: &[(Range<u64>, Option<Vec<u8>>)], len: u64) -> Option<Vec<u8>> {
    let mut header = Vec::new();
    for (range, bytes) in pieces.iter().take_while(|(range, _)| range.start < len) {
        if range.end > len {
            return None;
        }
        header.extend_from_slice(bytes.as_ref()?);
    }
    (header.len() as u64 == len && len > 0).then_some(header)
}

/// Copies the record and the blocks of a message into the quarantine.
pub(super) fn quarantine_message(shared: &Shared, message: MessageNo, reason: &str) -> Result<PathBuf> {
    let (named, at) = place_of(shared, message)?;
    let mut ranges = vec![(at.segment, stored_range(shared, at)?)];
    if named != at {
        ranges.insert(0, (named.segment, stored_range(shared, named)?));
    }
    let mut readers = Vec::new();
    for (segment, range) in ranges {
        let file = shared.file(segment)?;
        let end = file.len_bytes().map_err(|e| Error::io("reading a message", e))?;
        readers.push((Reader::new(Arc::clone(&file), end), range.start.min(end)..range.end.min(end)));
    }
    tracing::warn!(message = message.0, segment = at.segment.0, reason, "a message goes to the quarantine");
    rewrite::quarantine_parts(&*shared.disk, &shared.dir, &format!("message-{message}.bytes"), &mut readers)
}

/// All bytes of a record and its blocks: as the footer says, else as the record does.
fn stored_range(shared: &Shared, at: Location) -> Result<Range<u64>> {
    let from = u64::from(at.offset);
    let kind = shared.manifest.load().kind(at.segment).ok_or(Error::NoSuchMessage)?;
    if kind != SegmentKind::Body
        && let Ok(survey) = survey::of_segment(shared, kind, at.segment)
        && let Some(entry) = survey.footer.messages.iter().find(|m| m.offset == at.offset && m.body.is_none())
    {
        return Ok(from..from + u64::from(entry.stored_bytes));
    }
    let raw = open_raw(shared, at.segment, from)?;
    Ok(raw.blocks_at.min(from)..raw.record.end)
}
