//! Holding the files of one moment still while somebody copies them.
//!
//! Laws
//! - While a pin is held no file goes that counted when it was taken: segments stay though they are dropped, snapshot
//!   runs though no set names them. Segments that were dropped before go when they are due; runs, once nobody holds a pin.
//! - A pin names bytes that are durable and that nothing changes any more: of a segment being written, those up to the
//!   end of its last durable group or message. It holds neither the log nor the store's lock.
//! - The manifest of a pin describes exactly its files, and proves its last group.

use super::manifest::{Manifest, Segment, State};
use super::segment::{self, HEADER_BYTES, SegmentKind};
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::types::{Lsn, SegmentId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Who holds the files of which moments still.
#[derive(Debug, Default, Clone)]
pub(super) struct Pins(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// By pin: the version of the manifest it is of; 0 while that is being looked for.
    since: BTreeMap<u64, u64>,
    next: u64,
    /// The version of the manifest that did without the segment.
    dropped: HashMap<SegmentId, u64>,
}

impl Pins {
    pub(super) fn are_held(&self) -> bool {
        !self.0.lock().since.is_empty()
    }

    /// A manifest of this version does without the segment.
    pub(super) fn note_dropped(&self, id: SegmentId, version: u64) {
        self.0.lock().dropped.insert(id, version);
    }

    /// Whether a dropped segment counted when a pin was taken that is still held. Asked after the look at the manifest that
    /// drops it: a pin that was missed then has looked at that one, or at a later one.
    pub(super) fn keep(&self, id: SegmentId) -> bool {
        let held = self.0.lock();
        let dropped = held.dropped.get(&id).copied().unwrap_or(0);
        held.since.values().any(|since| *since < dropped)
    }

    /// The segment's file is gone.
    pub(super) fn forget(&self, id: SegmentId) {
        self.0.lock().dropped.remove(&id);
    }

    fn hold(&self) -> Pin {
        let mut held = self.0.lock();
        held.next += 1;
        let number = held.next;
        held.since.insert(number, 0);
        Pin { pins: self.clone(), number }
    }
}

/// Keeps the files of its moment until it is dropped.
#[derive(Debug)]
pub struct Pin {
    pins: Pins,
    number: u64,
}

impl Pin {
    fn is_of(&self, version: u64) {
        self.pins.0.lock().since.insert(self.number, version);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.0.lock().since.remove(&self.number);
    }
}

/// The files of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    pub store_id: [u8; 16],
    pub epoch: u32,
    /// The newest group in them.
    pub lsn: Lsn,
    /// When it was written.
    pub time_ms: u64,
    /// What counts, for `Image::decode`.
    pub manifest: Vec<u8>,
    pub files: Vec<StoreFile>,
}

/// A file of a store, or its first bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StoreFile {
    /// `log`, `bodies`, `cold` or `snapshots`.
    pub folder: String,
    pub name: String,
    pub bytes: u64,
}

/// Takes a pin.
pub(super) fn pin(shared: &Shared) -> Result<(Pin, Pinned)> {
    if shared.closed.load(Ordering::Acquire) {
        return Err(Error::Closed);
    }
    // Before the look, so that nothing that is seen goes.
    let pin = shared.pins.hold();
    loop {
        let before = shared.manifest.load_full();
        let (ends, lsn, time_ms) = {
            let ends = shared.open_end.lock();
            let time_ms = shared.time_ms.load(Ordering::Acquire);
            (ends.clone(), shared.durable_lsn.load(Ordering::Acquire), time_ms)
        };
        // A segment that was sealed or begun meanwhile has its end in neither, or twice.
        if !Arc::ptr_eq(&before, &shared.manifest.load_full()) {
            continue;
        }
        pin.is_of(before.version);
        let mut manifest = Manifest::clone(&before);
        manifest.clean = false;
        manifest.boot_id.clear();
        manifest.doomed.clear();
        manifest.durable_lsn = Lsn(lsn);
        manifest.time_ms = manifest.time_ms.max(time_ms);
        manifest.highest_message = manifest.highest_message.max(shared.locations.highest());
        manifest.segments.retain(|id, segment| settle(segment, ends.get(id).copied()));
        let pinned = Pinned {
            store_id: manifest.store_id,
            epoch: manifest.epoch,
            lsn: manifest.durable_lsn,
            time_ms: manifest.time_ms,
            files: files(&manifest),
            manifest: manifest.encode(),
        };
        return Ok((pin, pinned));
    }
}

/// What a segment that is being written has for good. `false`: nothing.
fn settle(segment: &mut Segment, end: Option<u64>) -> bool {
    if segment.state != State::Open {
        return true;
    }
    segment.bytes = end.unwrap_or(0);
    if segment.kind == SegmentKind::Body {
        segment.state = State::Sealed;
    }
    segment.bytes > HEADER_BYTES as u64
}

/// The files that a manifest names.
pub(super) fn files(manifest: &Manifest) -> Vec<StoreFile> {
    let segments = manifest.segments.iter().map(|(id, s)| StoreFile {
        folder: s.kind.folder().to_owned(),
        name: segment::file_name(*id),
        bytes: s.bytes,
    });
    let runs = [&manifest.current_runs, &manifest.previous_runs].into_iter().flat_map(|set| &set.runs);
    let runs = runs.map(|run| StoreFile {
        folder: "snapshots".to_owned(),
        name: run.file.clone(),
        bytes: run.bytes,
    });
    let mut files: Vec<StoreFile> = segments.chain(runs).collect();
    files.sort();
    files.dedup();
    files
}
