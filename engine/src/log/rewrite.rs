//! Writing what recovery decided: survivors into a new segment, the rest into the quarantine.
//!
//! Laws
//! - A group keeps its LSN, predecessor, epoch and time; only its place is new. One that is not whole is written anew with the
//!   records it still has.
//! - Both are synced, names included, before the manifest that counts on them is written.

use super::footer::{Builder, GroupEntry, MessageEntry};
use super::group::{self, HEADER_BYTES as GROUP_HEADER_BYTES, padded};
use super::manifest::Segment;
use super::recover::Believed;
use super::segment::{HEADER_BYTES, Header, SegmentKind};
use super::shared::{NewSegmentPlace, create_segment};
use super::types::Room;
use super::walk::Reader;
use super::writer::sealed_segment;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::SegmentId;
use std::ops::Range;
use std::path::{Path, PathBuf};

const COPY_BYTES: u64 = 1 << 20;

/// A sealed segment made of what survived.
pub(super) struct Rewritten {
    pub(super) listed: Segment,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) messages: Vec<MessageEntry>,
}

/// Rewrites groups into the segment `header` describes, sealed and synced.
pub(super) fn survivors(
    place: &NewSegmentPlace,
    header: &Header,
    groups: &[Believed],
    reader: &mut Reader,
) -> Result<Rewritten> {
    let mut builder = Builder::default();
    let (mut entries, mut messages) = (Vec::new(), Vec::new());
    let mut at = HEADER_BYTES as u64;
    for believed in groups {
        let group = &believed.group;
        let entry = GroupEntry { offset: at as u32, ..group.group_entry() };
        builder.add_group(&entry, group.header.prev_lsn, group.header.time_ms);
        entries.push(entry);
        for message in group.message_entries() {
            let message = MessageEntry { offset: (at + believed.place_in(message.offset)) as u32, ..message };
            builder.add_message(&message);
            messages.push(message);
        }
        at += believed.whole_len();
    }
    let footer = builder.encode(header.store_id, header.id, at as u32);
    let bytes = at + footer.len() as u64;
    let new = create_segment(place, header, Some(bytes), Room::Compaction)?;
    let io = |e| Error::io("rewriting the end of the log", e);
    for (believed, entry) in groups.iter().zip(&entries) {
        let raw = believed.bytes(reader, header.id, entry.offset)?;
        new.file.write_all_at(&raw, u64::from(entry.offset)).map_err(io)?;
    }
    // A footer says that what is before it is durable.
    new.file.sync_data().map_err(io)?;
    new.file.write_all_at(&footer, at).map_err(io)?;
    new.file.truncate(bytes).map_err(io)?;
    new.file.sync_data().map_err(io)?;
    let listed = sealed_segment(SegmentKind::Log, bytes, builder.totals());
    Ok(Rewritten { listed, groups: entries, messages })
}

impl Believed {
    /// From its first byte to where the next group begins.
    fn whole_len(&self) -> u64 {
        match &self.pieces {
            None => self.group.header.whole_len(),
            Some(pieces) => {
                padded(GROUP_HEADER_BYTES as u64 + pieces.iter().map(|p| p.end - p.start).sum::<u64>())
            }
        }
    }

    /// Where in the group the record is that was at this place of the segment.
    fn place_in(&self, offset: u32) -> u64 {
        let Some(pieces) = &self.pieces else { return u64::from(offset - self.group.header.offset) };
        let before = pieces.iter().take_while(|p| p.start < u64::from(offset));
        GROUP_HEADER_BYTES as u64 + before.map(|p| p.end - p.start).sum::<u64>()
    }

    /// The group as it is written to another place.
    fn bytes(&self, reader: &mut Reader, segment: SegmentId, offset: u32) -> Result<Vec<u8>> {
        let mut header = group::Header { segment, offset, ..self.group.header };
        let Some(pieces) = &self.pieces else {
            let (from, len) = (u64::from(self.group.header.offset), header.whole_len());
            let mut raw = reader.raw(from, len as usize)?.to_vec();
            super::bytes::set(&mut raw, 0, &header.encode());
            return Ok(raw);
        };
        let mut raw = vec![0; GROUP_HEADER_BYTES];
        let mut crcs = crc32fast::Hasher::new();
        for piece in pieces {
            let record = reader.raw(piece.start, (piece.end - piece.start) as usize)?;
            // The crc32 field of a record.
            crcs.update(record.get(8..12).unwrap_or_default());
            raw.extend_from_slice(record);
        }
        header.len = (raw.len() - GROUP_HEADER_BYTES) as u32;
        header.records = pieces.len() as u32;
        header.records_crc32 = crcs.finalize();
        super::bytes::set(&mut raw, 0, &header.encode());
        raw.resize(padded(raw.len() as u64) as usize, 0);
        Ok(raw)
    }
}

/// Copies a range of a segment into the quarantine.
pub(super) fn quarantine(
    disk: &dyn Disk,
    dir: &Path,
    segment: SegmentId,
    reader: &mut Reader,
    range: &Range<u64>,
) -> Result<PathBuf> {
    let name = format!("{segment}-{}.bytes", range.start);
    write_to_quarantine(disk, dir, &name, &mut |file| copy_range(file, 0, reader, range).map(drop))
}

/// Copies ranges of segments, one after the other, into one file of the quarantine. Beside it is said what could not be
/// read.
pub(super) fn quarantine_parts(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    parts: &mut [(Reader, Range<u64>)],
) -> Result<PathBuf> {
    let path = write_to_quarantine(disk, dir, name, &mut |file| {
        let mut to = 0;
        for (reader, range) in parts.iter_mut() {
            to = copy_range(file, to, reader, range)?;
        }
        Ok(())
    })?;
    let is_bad = |(reader, range): &&(Reader, Range<u64>)| reader.unreadable_in(range).is_some();
    let note: String = parts.iter().filter(is_bad).map(|(reader, _)| reader.bad_pieces().note()).collect();
    if !note.is_empty() {
        write_to_quarantine(disk, dir, &format!("{name}.unreadable"), &mut |file| {
            file.write_all_at(note.as_bytes(), 0).map_err(|e| Error::io("writing to the quarantine", e))
        })?;
    }
    Ok(path)
}

/// What cannot be read is zeros in the copy.
fn copy_range(file: &dyn File, mut to: u64, reader: &mut Reader, range: &Range<u64>) -> Result<u64> {
    let mut at = range.start;
    while at < range.end {
        let len = (range.end - at).min(COPY_BYTES);
        let bytes = reader.raw(at, len as usize)?;
        file.write_all_at(bytes, to).map_err(|e| Error::io("writing to the quarantine", e))?;
        (at, to) = (at + len, to + len);
    }
    Ok(to)
}

/// A new file in the quarantine, durable with its name. What is there already is not touched: of the same bytes there is one
/// file, others get a name of their own.
pub(super) fn write_to_quarantine(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    write: &mut dyn FnMut(&dyn File) -> Result<()>,
) -> Result<PathBuf> {
    let folder = dir.join("quarantine");
    let beside = folder.join(format!("{name}.new"));
    let io = |e| Error::io(format!("writing {}", beside.display()), e);
    let mut copy = || -> Result<PathBuf> {
        if disk.exists(&beside) {
            disk.remove_file(&beside).map_err(io)?;
        }
        let file = disk.create(&beside).map_err(io)?;
        write(&*file)?;
        file.sync_data().map_err(io)?;
        for path in names(dir, name) {
            if !disk.exists(&path) {
                disk.rename(&beside, &path).map_err(io)?;
                disk.sync_dir(&folder).map_err(io)?;
                return Ok(path);
            }
            if is_same(&*file, &*disk.open(&path).map_err(io)?).map_err(io)? {
                disk.remove_file(&beside).map_err(io)?;
                disk.sync_dir(&folder).map_err(io)?;
                return Ok(path);
            }
        }
        Err(Error::Limit(format!("too many files {name} in quarantine/")))
    };
    let copied = copy();
    if copied.is_err() {
        let _ = disk.remove_file(&beside);
    }
    copied
}

fn is_same(a: &dyn File, b: &dyn File) -> std::io::Result<bool> {
    let len = a.len_bytes()?;
    if b.len_bytes()? != len {
        return Ok(false);
    }
    let mut at = 0;
    while at < len {
        let count = (len - at).min(COPY_BYTES) as usize;
        let (mut of_a, mut of_b) = (vec![0; count], vec![0; count]);
        a.read_exact_at(&mut of_a, at)?;
        b.read_exact_at(&mut of_b, at)?;
        if of_a != of_b {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// The names that a file of the quarantine may have: its own, and numbered ones.
fn names(dir: &Path, name: &str) -> impl Iterator<Item = PathBuf> {
    let path = dir.join("quarantine").join(name);
    let numbered = path.clone();
    let numbered = (1..u32::MAX).map(move |n| {
        let mut path = numbered.clone().into_os_string();
        path.push(format!(".{n}"));
        PathBuf::from(path)
    });
    std::iter::once(path).chain(numbered)
}

/// A name in the quarantine that is not taken.
pub(super) fn free_name(disk: &dyn Disk, dir: &Path, name: &str) -> PathBuf {
    names(dir, name).find(|path| !disk.exists(path)).unwrap_or_else(|| dir.join("quarantine").join(name))
}
