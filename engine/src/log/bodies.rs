//! Body segments: large messages, written and synced by their callers before the transaction that names them.
//!
//! Laws
//! - One writer at a time has a body segment; those not in use wait in a pool.
//! - A segment counts (is in the manifest) before a message in it can be committed.
//! - A message staged but not yet committed pins its segment: it is not offered for compaction.
//! - After a restart no body segment is written to again.

use super::group::padded;
use super::manifest::{Segment, State};
use super::segment::{HEADER_BYTES, SegmentKind};
use super::shared::Shared;
use super::stager::Place;
use super::types::Room;
use crate::error::{Error, Result};
use crate::sys::disk::File;
use crate::types::{MessageNo, SegmentId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type Pins = Arc<Mutex<HashMap<SegmentId, usize>>>;
type Pool = Arc<Mutex<Vec<OpenBody>>>;

/// Keeps a body segment from being compacted away.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Pins,
    segment: SegmentId,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        if let Some(count) = pins.get_mut(&self.segment) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.segment);
            }
        }
    }
}

struct OpenBody {
    id: SegmentId,
    file: Arc<dyn File>,
    end: u64,
    /// When the last message was written.
    newest_time_ms: u64,
}

#[derive(Default)]
pub(super) struct Bodies {
    idle: Pool,
    pins: Pins,
    /// Which messages Body records place in which segment, with their stored bytes.
    named: Mutex<BTreeMap<(SegmentId, MessageNo), u32>>,
}

impl Bodies {
    /// A writer at the end of some body segment; a new one when all are in use.
    pub(super) fn acquire(&self, shared: &Shared) -> Result<BodyWriter> {
        shared.check_writable()?;
        if !shared.admits(Room::Append) {
            return Err(Error::StoreFull);
        }
        let idle = self.idle.lock().pop();
        let open = match idle {
            Some(open) => open,
            None => {
                let new = shared.create_segment(SegmentKind::Body, None, Room::Append)?;
                shared.files.put(new.id, Arc::clone(&new.file));
                shared.update_manifest(|m| {
                    m.segments.insert(new.id, Segment::open(SegmentKind::Body));
                })?;
                OpenBody { id: new.id, file: new.file, end: HEADER_BYTES as u64, newest_time_ms: 0 }
            }
        };
        let start = padded(open.end);
        Ok(BodyWriter { at: start, start, open: Some(open), pool: Arc::clone(&self.idle) })
    }

    /// Nothing more is written to body segments that nobody writes to now: they may be compacted.
    pub(super) fn close_idle(&self, shared: &Shared) {
        let idle = std::mem::take(&mut *self.idle.lock());
        idle.iter().for_each(|open| retire(shared, open));
    }

    fn pin(&self, segment: SegmentId) -> Pin {
        *self.pins.lock().entry(segment).or_default() += 1;
        Pin { pins: Arc::clone(&self.pins), segment }
    }

    pub(super) fn is_pinned(&self, segment: SegmentId) -> bool {
        self.pins.lock().contains_key(&segment)
    }

    pub(super) fn name(&self, segment: SegmentId, message: MessageNo, stored_bytes: u32) {
        self.named.lock().insert((segment, message), stored_bytes);
    }

    /// The messages that lie in a body segment.
    pub(super) fn named_in(&self, segment: SegmentId) -> Vec<(MessageNo, u32)> {
        let named = self.named.lock();
        let range = (segment, MessageNo(0))..=(segment, MessageNo(u64::MAX));
        named.range(range).map(|((_, message), bytes)| (*message, *bytes)).collect()
    }

    pub(super) fn forget(&self, segment: SegmentId) {
        self.named.lock().retain(|(s, _), _| *s != segment);
    }
}

/// Writes one message into a body segment. Dropped unfinished, it gives the room back.
pub(super) struct BodyWriter {
    open: Option<OpenBody>,
    start: u64,
    at: u64,
    pool: Pool,
}

impl BodyWriter {
    fn file(&self) -> Result<&dyn File> {
        self.open.as_ref().map(|o| &*o.file).ok_or(Error::Closed)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let at = self.at;
        self.file()?.write_all_at(bytes, at).map_err(|e| Error::io("writing a large message", e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Writes the record behind its blocks and makes all of it durable.
    pub(super) fn finish(mut self, shared: &Shared, record: &[u8]) -> Result<Place> {
        let offset = self.at;
        self.write(record)?;
        shared.check_writable()?;
        if let Err(e) = self.file()?.sync_data() {
            shared.poison(&e);
            // Never written to again: its pages are in doubt.
            self.open = None;
            return Err(Error::io("syncing a large message", e));
        }
        let Some(mut open) = self.open.take() else { return Err(Error::Closed) };
        open.end = self.at;
        open.newest_time_ms = open.newest_time_ms.max(shared.clock.now_ms());
        let segment = open.id;
        shared.open_end.lock().insert(segment, open.end);
        let pin = shared.bodies.pin(segment);
        if open.end >= shared.options.segment_bytes {
            retire(shared, &open);
        } else {
            self.pool.lock().push(open);
        }
        Ok(Place::Body {
            segment,
            offset: offset as u32,
            stored_bytes: (self.at - self.start) as u32,
            _pin: pin,
        })
    }
}

/// The segment is written to no more. The manifest learns it with its next version; until then it counts as open, which a restart
/// puts right.
fn retire(shared: &Shared, open: &OpenBody) {
    let (id, bytes, newest_time_ms) = (open.id, open.end, open.newest_time_ms);
    shared.note_in_manifest(|m| {
        if let Some(segment) = m.segments.get_mut(&id) {
            segment.state = State::Sealed;
            segment.bytes = bytes;
            segment.newest_time_ms = newest_time_ms;
        }
    });
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.file.truncate(self.start.min(open.end.max(HEADER_BYTES as u64))).is_ok() {
            self.pool.lock().push(open);
        }
    }
}
