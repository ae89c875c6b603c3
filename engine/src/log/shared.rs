//! What readers, stagers and the writer share.
//!
//! Laws
//! - Readers take no lock that is held over I/O: the manifest they see is a published version.
//! - A failed sync poisons: nothing is written any more by this process, reading goes on.

use super::bodies::Bodies;
use super::footer::MessageEntry;
use super::locations::Locations;
use super::manifest::{Manifest, Replace};
use super::pin::Pins;
use super::reserve::Reserve;
use super::segment::{self, Files, Header, SegmentKind};
use super::types::{LogOptions, Room};
use crate::error::{Error, Result};
use crate::sys::clock::Clock;
use crate::sys::disk::{Disk, File};
use crate::types::{Lsn, SegmentId};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dir: PathBuf,
    pub(super) options: LogOptions,
    pub(super) store_id: [u8; 16],
    pub(super) files: Files,
    pub(super) locations: Locations,
    pub(super) bodies: Bodies,
    pub(super) reserve: Reserve,
    pub(super) manifest: ArcSwap<Manifest>,
    /// Held while a new manifest is written.
    pub(super) manifest_writer: Mutex<()>,
    pub(super) poisoned: AtomicBool,
    /// Stopped in order: nothing is written any more.
    pub(super) closed: AtomicBool,
    /// The next group begins a new segment.
    pub(super) roll_wanted: AtomicBool,
    pub(super) durable_lsn: AtomicU64,
    pub(super) time_ms: AtomicU64,
    pub(super) dead_before: AtomicU64,
    /// End of the durable groups or messages of each segment being written.
    pub(super) open_end: Mutex<HashMap<SegmentId, u64>>,
    /// Something that names messages could not be read at the opening: what looks unnamed may not be.
    pub(super) blind: AtomicBool,
    /// What cold segments that wait for their Relocate hold.
    pub(super) pending_cold: Mutex<HashMap<SegmentId, Arc<Vec<MessageEntry>>>>,
    /// While held, no file goes.
    pub(super) pins: Pins,
    pub(super) _lock: Box<dyn Send + Sync>,
}

impl Shared {
    pub(super) fn check_writable(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if self.poisoned.load(Ordering::Acquire) { Err(Error::Poisoned) } else { Ok(()) }
    }

    pub(super) fn poison(&self, cause: &dyn std::fmt::Display) {
        self.poisoned.store(true, Ordering::Release);
        tracing::error!(%cause, "a sync failed; the store is read-only until it is restarted");
    }

    pub(super) fn admits(&self, room: Room) -> bool {
        self.check_writable().is_ok() && self.reserve.admits(&*self.disk, self.clock.now_ms(), room)
    }

    pub(super) fn epoch(&self) -> u32 {
        self.manifest.load().epoch
    }

    /// Publishes a changed manifest once it is durable.
    pub(super) fn update_manifest(&self, change: impl FnOnce(&mut Manifest)) -> Result<()> {
        let _one_at_a_time = self.manifest_writer.lock();
        self.check_writable()?;
        let mut next = Manifest::clone(&self.manifest.load());
        change(&mut next);
        next.version += 1;
        next.durable_lsn = next.durable_lsn.max(Lsn(self.durable_lsn.load(Ordering::Acquire)));
        next.time_ms = next.time_ms.max(self.time_ms.load(Ordering::Acquire));
        next.highest_message = next.highest_message.max(self.locations.highest());
        match next.store(&*self.disk, &self.dir) {
            Ok(()) => {
                self.manifest.store(Arc::new(next));
                Ok(())
            }
            Err(Replace::Failed(e)) => Err(e),
            Err(Replace::Unknown(e)) => {
                self.poison(&e);
                Err(e)
            }
        }
    }

    /// Changes the manifest in memory; the next one written carries it.
    pub(super) fn note_in_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let _one_at_a_time = self.manifest_writer.lock();
        let mut next = Manifest::clone(&self.manifest.load());
        change(&mut next);
        self.manifest.store(Arc::new(next));
    }

    pub(super) fn take_segment_id(&self) -> SegmentId {
        let mut id = SegmentId(0);
        self.note_in_manifest(|m| id = m.take_segment_id());
        id
    }

    /// The handle of a segment that may still be read; `NoSuchMessage` when it is gone.
    pub(super) fn file(&self, id: SegmentId) -> Result<Arc<dyn File>> {
        let kind = self.manifest.load().kind(id).ok_or(Error::NoSuchMessage)?;
        self.files.get(kind, id)
    }

    /// Makes a segment file with its header, name and room durable. It does not count yet: the manifest
    /// has to name it.
    pub(super) fn create_segment(
        &self,
        kind: SegmentKind,
        room_bytes: Option<u64>,
        room: Room,
    ) -> Result<NewSegment> {
        let id = self.take_segment_id();
        let made = create_segment(
            &NewSegmentPlace { disk: &*self.disk, dir: &self.dir, reserve: &self.reserve },
            &Header {
                kind,
                id,
                store_id: self.store_id,
                epoch: self.epoch(),
                created_ms: self.clock.now_ms(),
            },
            room_bytes,
            room,
        );
        if made.is_err() {
            // A disk that stays full is asked again and again: numbers must not run out by that.
            self.note_in_manifest(|m| m.give_back_segment_id(id));
        }
        made
    }
}

/// A segment file just made.
pub(super) struct NewSegment {
    pub(super) id: SegmentId,
    pub(super) file: Arc<dyn File>,
    /// Bytes below which writing does not run out of space.
    pub(super) allocated: u64,
}

/// Where segment files are made, before there is a `Shared`.
pub(super) struct NewSegmentPlace<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a std::path::Path,
    pub(super) reserve: &'a Reserve,
}

pub(super) fn create_segment(
    place: &NewSegmentPlace,
    header: &Header,
    room_bytes: Option<u64>,
    room: Room,
) -> Result<NewSegment> {
    let path = segment::path(place.dir, header.kind, header.id);
    let allocated = room_bytes.unwrap_or(0);
    let made = make_file(place, &path, allocated, room).and_then(|file| {
        let write = || {
            file.write_all_at(&header.encode(), 0)?;
            file.sync_data()?;
            place.disk.sync_dir(&place.dir.join(header.kind.folder()))
        };
        write().map_err(|e| Error::io(format!("making {}", path.display()), e))?;
        Ok(file)
    });
    match made {
        Ok(file) => Ok(NewSegment { id: header.id, file, allocated }),
        Err(e) => {
            let _ = place.disk.remove_file(&path);
            Err(e)
        }
    }
}

/// A new file with its room allocated; a reserved one when the disk is full and `room` allows.
fn make_file(
    place: &NewSegmentPlace,
    path: &std::path::Path,
    room_bytes: u64,
    room: Room,
) -> Result<Arc<dyn File>> {
    let fresh = || {
        let file = place.disk.create(path)?;
        if room_bytes > 0 {
            file.allocate(room_bytes)?;
        }
        Ok(Arc::from(file))
    };
    let made = fresh().map_err(|e| Error::io(format!("making {}", path.display()), e));
    let Err(Error::StoreFull) = made else { return made };
    let _ = place.disk.remove_file(path);
    place.reserve.take(place.disk, path, room)?;
    let reopen = || {
        let file = place.disk.open(path)?;
        file.truncate(room_bytes.max(segment::HEADER_BYTES as u64))?;
        file.allocate(room_bytes)?;
        Ok(Arc::from(file))
    };
    reopen().map_err(|e| Error::io(format!("making {}", path.display()), e))
}
