//! Writing what recovery decided: survivors into a new segment, the rest into the quarantine.
//!
//! Laws
//! - A group keeps its LSN, predecessor, epoch and time; only its place is new.
//! - Both are synced, names included, before the manifest that counts on them is written.

use super::footer::{Builder, GroupEntry, MessageEntry};
use super::group::{self, HEADER_BYTES as GROUP_HEADER_BYTES};
use super::manifest::Segment;
use super::segment::{HEADER_BYTES, Header, SegmentKind};
use super::shared::{NewSegmentPlace, create_segment};
use super::types::Room;
use super::walk::{Group, Reader};
use super::writer::sealed_segment;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
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
    groups: &[Group],
    reader: &mut Reader,
) -> Result<Rewritten> {
    let mut builder = Builder::default();
    let (mut entries, mut messages) = (Vec::new(), Vec::new());
    let mut at = HEADER_BYTES as u64;
    for group in groups {
        let moved = |offset: u32| (u64::from(offset - group.header.offset) + at) as u32;
        let entry = GroupEntry { offset: at as u32, ..group.group_entry() };
        builder.add_group(&entry, group.header.prev_lsn, group.header.time_ms);
        entries.push(entry);
        for message in group.message_entries() {
            let message = MessageEntry { offset: moved(message.offset), ..message };
            builder.add_message(&message);
            messages.push(message);
        }
        at += group.header.whole_len();
    }
    let footer = builder.encode(header.store_id, header.id, at as u32);
    let bytes = at + footer.len() as u64;
    let new = create_segment(place, header, Some(bytes), Room::Compaction)?;
    let io = |e| Error::io("rewriting the end of the log", e);
    for (group, entry) in groups.iter().zip(&entries) {
        let (from, len) = (u64::from(group.header.offset), group.header.whole_len());
        let mut raw = reader.bytes(from, len as usize)?.to_vec();
        let header = group::Header { segment: header.id, offset: entry.offset, ..group.header };
        super::bytes::set(&mut raw, 0, &header.encode());
        debug_assert!(raw.len() >= GROUP_HEADER_BYTES);
        new.file.write_all_at(&raw, u64::from(entry.offset)).map_err(io)?;
    }
    new.file.write_all_at(&footer, at).map_err(io)?;
    new.file.truncate(bytes).map_err(io)?;
    new.file.sync_data().map_err(io)?;
    let listed = sealed_segment(SegmentKind::Log, bytes, builder.totals());
    Ok(Rewritten { listed, groups: entries, messages })
}

/// Copies a range of a segment into the quarantine.
pub(super) fn quarantine(
    disk: &dyn Disk,
    dir: &Path,
    segment: SegmentId,
    reader: &mut Reader,
    range: &Range<u64>,
) -> Result<PathBuf> {
    let folder = dir.join("quarantine");
    let path = folder.join(format!("{segment}-{}.bytes", range.start));
    let io = |e| Error::io(format!("writing {}", path.display()), e);
    let mut copy = || -> Result<()> {
        if disk.exists(&path) {
            // From an open that was interrupted.
            disk.remove_file(&path).map_err(io)?;
        }
        let file = disk.create(&path).map_err(io)?;
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(COPY_BYTES);
            file.write_all_at(reader.bytes(at, len as usize)?, at - range.start).map_err(io)?;
            at += len;
        }
        file.sync_data().map_err(io)?;
        disk.sync_dir(&folder).map_err(io)
    };
    let copied = copy();
    if copied.is_err() {
        let _ = disk.remove_file(&path);
    }
    copied.map(|()| path)
}

/// Where a segment goes whole when there is no room to copy from it.
pub(super) fn quarantine_whole(dir: &Path, segment: SegmentId) -> PathBuf {
    dir.join("quarantine").join(format!("{segment}.seg"))
}
