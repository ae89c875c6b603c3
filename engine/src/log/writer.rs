//! The one writer of the log.
//!
//! Laws
//! - A group is one write and one `fdatasync`; it exists for readers only after that.
//! - Room is found before a byte is written. When the write fails all the same, the file is cut back to the last durable
//!   byte and that is synced: a group that was refused can never come back.
//! - A failed sync or cut poisons: the outcome of that group is unknown, and no other is written by this process.
//! - A segment is named in the manifest before a group in it is acknowledged.

use super::footer::{Builder, GroupEntry, MessageEntry, TRAILER_BYTES};
use super::group::{self, GroupBuilder};
use super::locations::Location;
use super::manifest::{Manifest, Segment, State};
use super::segment::{self, HEADER_BYTES, SegmentKind};
use super::shared::{NewSegment, Shared};
use super::types::Room;
use crate::error::{Error, Result};
use crate::sys::disk::File;
use crate::types::{Lsn, SegmentId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// No group is larger: offsets are 32 bits.
const GROUP_MAX_BYTES: u64 = 1 << 30;

/// The segment being written.
pub(super) struct OpenSegment {
    id: SegmentId,
    file: Arc<dyn File>,
    /// End of the last durable group.
    end: u64,
    allocated: u64,
    footer: Builder,
    sealed: bool,
}

impl OpenSegment {
    pub(super) fn new(new: NewSegment) -> Self {
        Self {
            id: new.id,
            file: new.file,
            end: HEADER_BYTES as u64,
            allocated: new.allocated,
            footer: Builder::default(),
            sealed: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.footer.totals().groups == 0
    }
}

/// What the manifest says of a sealed segment.
pub(super) fn sealed_segment(kind: SegmentKind, bytes: u64, totals: super::footer::Totals) -> Segment {
    Segment {
        kind,
        state: State::Sealed,
        bytes,
        first_lsn: totals.first_lsn,
        last_lsn: totals.last_lsn,
        prev_lsn: totals.prev_lsn,
        messages: u64::from(totals.messages),
        newest_time_ms: totals.newest_time_ms,
    }
}

/// Appends groups. There is one for a `Log`.
pub struct LogWriter {
    shared: Arc<Shared>,
    segment: OpenSegment,
    /// Made for the next roll, not in the manifest yet.
    prepared: Option<NewSegment>,
    /// LSN of the group written last.
    last_lsn: Lsn,
    next_lsn: Lsn,
    /// Newest LSN of each account.
    account_lsn: HashMap<u32, Lsn>,
}

impl LogWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        segment: OpenSegment,
        last_lsn: Lsn,
        next_lsn: Lsn,
        account_lsn: HashMap<u32, Lsn>,
    ) -> Self {
        shared.open_end.lock().insert(segment.id, segment.end);
        Self { shared, segment, prepared: None, last_lsn, next_lsn, account_lsn }
    }

    /// What the next group must be called.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next_lsn
    }

    /// Numbering goes on here, or where it was if that is higher: the past of a restored store may have gone on.
    pub fn raise_next_lsn(&mut self, lsn: Lsn) {
        self.next_lsn = self.next_lsn.max(lsn);
    }

    /// Whether a group for `room` may be written now, as far as the reserve is concerned.
    #[must_use]
    pub fn admits(&self, room: Room) -> bool {
        self.shared.admits(room)
    }

    /// Makes a group durable and its messages readable. `durable` is the newest LSN known to be durable.
    ///
    /// `StoreFull` and `Io`: nothing was written, the LSN is free again. `OutcomeUnknown`: it may be there after a
    /// restart; from then on `Poisoned`.
    pub fn append(&mut self, lsn: Lsn, durable: Lsn, mut group: GroupBuilder, room: Room) -> Result<()> {
        self.shared.check_writable()?;
        if lsn != self.next_lsn
            || durable > self.last_lsn.max(Lsn(self.shared.durable_lsn.load(Ordering::Acquire)))
        {
            let why = format!("group {lsn} (durable {durable}) does not follow {}", self.last_lsn);
            return Err(Error::NotPossible(why));
        }
        if group.len_bytes() > GROUP_MAX_BYTES {
            return Err(Error::Limit(
                "more than 1 GiB in one transaction; send fewer messages at once".to_owned(),
            ));
        }
        if !self.shared.admits(room) {
            return Err(Error::StoreFull);
        }
        self.roll_when_wanted(room)?;
        self.make_room(&group, room)?;
        let time_ms = self.shared.clock.now_ms().max(self.shared.time_ms.load(Ordering::Acquire));
        let header = group::Header {
            store_id: self.shared.store_id,
            epoch: self.shared.epoch(),
            segment: self.segment.id,
            offset: self.segment.end as u32,
            len: 0,
            lsn,
            prev_lsn: self.last_lsn,
            durable_lsn: durable,
            time_ms,
            records: 0,
            records_crc32: 0,
        };
        let len = {
            let bytes = group.seal(header, &self.account_lsn);
            if let Err(e) = self.segment.file.write_all_at(bytes, self.segment.end) {
                self.cut_back()?;
                return Err(Error::io("writing the log", e));
            }
            bytes.len() as u64
        };
        if let Err(e) = self.segment.file.sync_data() {
            self.shared.poison(&e);
            return Err(Error::OutcomeUnknown);
        }
        self.publish(&group, lsn, time_ms, len);
        Ok(())
    }

    /// After a write that failed: as if it had not been tried.
    fn cut_back(&mut self) -> Result<()> {
        let file = &self.segment.file;
        match file.truncate(self.segment.end).and_then(|()| file.sync_data()) {
            Ok(()) => {
                self.segment.allocated = self.segment.end;
                Ok(())
            }
            Err(e) => {
                self.shared.poison(&e);
                Err(Error::OutcomeUnknown)
            }
        }
    }

    /// The group is durable: readers may see its messages.
    fn publish(&mut self, group: &GroupBuilder, lsn: Lsn, time_ms: u64, len: u64) {
        let (id, at) = (self.segment.id, self.segment.end as u32);
        let effects = &group.effects;
        let entry = GroupEntry { lsn, offset: at, accounts: effects.txns.clone() };
        self.segment.footer.add_group(&entry, self.last_lsn, time_ms);
        for message in &effects.messages {
            let entry = MessageEntry { offset: at + message.offset, ..message.clone() };
            self.segment.footer.add_message(&entry);
            if let Some(body) = entry.body {
                self.shared.bodies.name(body, entry.message, entry.stored_bytes);
            }
            self.shared.locations.set(entry.message, Location { segment: id, offset: entry.offset });
        }
        for account in &effects.txns {
            self.account_lsn.insert(*account, lsn);
        }
        self.segment.end += len;
        self.last_lsn = lsn;
        self.next_lsn = lsn.next();
        {
            // Together: a pin takes both.
            let mut ends = self.shared.open_end.lock();
            ends.insert(id, self.segment.end);
            self.shared.durable_lsn.fetch_max(lsn.0, Ordering::AcqRel);
            self.shared.time_ms.store(time_ms, Ordering::Release);
        }
        for relocate in &effects.relocates {
            super::cold::apply_relocate(&self.shared, relocate);
        }
    }

    /// Compaction wants what is in the open segment. Without room for another one it stays open.
    fn roll_when_wanted(&mut self, room: Room) -> Result<()> {
        if !self.shared.roll_wanted.swap(false, Ordering::AcqRel) || self.segment.is_empty() {
            return Ok(());
        }
        match self.roll(self.shared.options.segment_bytes, room) {
            Err(Error::StoreFull) if !self.segment.sealed => Ok(()),
            rolled => rolled,
        }
    }

    /// Makes sure that the group and the footer after it fit below what is allocated.
    fn make_room(&mut self, group: &GroupBuilder, room: Room) -> Result<()> {
        let effects = &group.effects;
        let mentions = effects.account_mentions();
        let with_footer = |segment: &OpenSegment| {
            let footer = segment.footer.bytes_with(effects.txns.len(), effects.messages.len(), mentions);
            segment.end + group.len_bytes() + footer
        };
        let wanted = self.shared.options.segment_bytes;
        let need = with_footer(&self.segment);
        if !self.segment.sealed && (self.segment.is_empty() || need <= wanted) {
            if need <= self.segment.allocated {
                return Ok(());
            }
            let room_bytes = need.max(wanted);
            match self.segment.file.allocate(room_bytes) {
                Ok(()) => {
                    self.segment.allocated = room_bytes;
                    return Ok(());
                }
                // The reserve may still have a whole segment for what frees space.
                Err(e) => match Error::io("allocating a log segment", e) {
                    Error::StoreFull if room != Room::Append && !self.segment.is_empty() => {}
                    e => return Err(e),
                },
            }
        }
        self.roll(with_footer(&self.fresh_estimate()).max(wanted), room)
    }

    /// A segment without content, to tell how much a group needs in one.
    fn fresh_estimate(&self) -> OpenSegment {
        OpenSegment {
            id: self.segment.id,
            file: Arc::clone(&self.segment.file),
            end: HEADER_BYTES as u64,
            allocated: 0,
            footer: Builder::default(),
            sealed: false,
        }
    }

    /// Goes on in a new segment. Each step is kept when a later one fails, and not done again.
    fn roll(&mut self, room_bytes: u64, room: Room) -> Result<()> {
        if self.prepared.as_ref().is_none_or(|p| p.allocated < room_bytes) {
            self.discard_prepared();
            self.prepared = Some(self.shared.create_segment(SegmentKind::Log, Some(room_bytes), room)?);
        }
        self.seal()?;
        let Some(id) = self.prepared.as_ref().map(|p| p.id) else { return Err(Error::Closed) };
        let (old, bytes, totals) = (self.segment.id, self.segment.end, self.segment.footer.totals());
        let prev_lsn = self.last_lsn;
        // First, so that nobody who finds it listed takes it for one that was closed.
        self.shared.open_end.lock().insert(id, HEADER_BYTES as u64);
        self.shared.update_manifest(|m| {
            m.segments.insert(old, sealed_segment(SegmentKind::Log, bytes, totals));
            m.segments.insert(id, Segment { prev_lsn, ..Segment::open(SegmentKind::Log) });
        })?;
        if let Some(new) = self.prepared.take() {
            self.shared.files.put(new.id, Arc::clone(&new.file));
            self.segment = OpenSegment::new(new);
            self.shared.open_end.lock().remove(&old);
        }
        Ok(())
    }

    fn discard_prepared(&mut self) {
        if let Some(unused) = self.prepared.take() {
            let path = segment::path(&self.shared.dir, SegmentKind::Log, unused.id);
            let _ = self.shared.disk.remove_file(&path);
        }
    }

    /// Writes the footer. Its room was kept free by every group before.
    fn seal(&mut self) -> Result<()> {
        if self.segment.sealed {
            return Ok(());
        }
        let at = self.segment.end;
        let footer = self.segment.footer.encode(self.shared.store_id, self.segment.id, at as u32);
        if let Err(e) = self.segment.file.write_all_at(&footer, at) {
            self.cut_back()?;
            return Err(Error::io("sealing a log segment", e));
        }
        let end = at + footer.len() as u64;
        if let Err(e) = self.segment.file.truncate(end).and_then(|()| self.segment.file.sync_data()) {
            self.shared.poison(&e);
            return Err(Error::Poisoned);
        }
        debug_assert!(footer.len() >= TRAILER_BYTES);
        self.segment.end = end;
        self.segment.sealed = true;
        Ok(())
    }

    /// Stops in order: the next open finds nothing to recover.
    pub fn close_clean(mut self) -> Result<()> {
        let durable = self.last_lsn;
        if !self.segment.is_empty() && !self.segment.sealed {
            self.append(self.next_lsn, durable, GroupBuilder::new(), Room::Compaction)?;
        }
        let empty = self.segment.is_empty();
        if !empty {
            self.seal()?;
        }
        self.discard_prepared();
        let (id, bytes, totals) = (self.segment.id, self.segment.end, self.segment.footer.totals());
        let boot_id = self.shared.clock.boot_id();
        self.shared.update_manifest(|m: &mut Manifest| {
            if empty {
                m.segments.remove(&id);
            } else {
                m.segments.insert(id, sealed_segment(SegmentKind::Log, bytes, totals));
            }
            m.clean = true;
            m.boot_id = boot_id;
        })?;
        if empty {
            self.shared.files.forget(id);
            let path = segment::path(&self.shared.dir, SegmentKind::Log, id);
            self.shared.disk.remove_file(&path).map_err(|e| Error::io("removing an empty segment", e))?;
        }
        self.shared.closed.store(true, Ordering::Release);
        Ok(())
    }
}
