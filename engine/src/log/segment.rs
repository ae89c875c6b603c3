//! Segment files: their names, their headers, and the handles that readers share.
//!
//! Laws
//! - A segment's number says nothing of where its file lies; its kind does, and the manifest knows the kind.
//! - A header names store, number and kind: a file that was moved or belongs to another store is not read.
//! - Handles are shared and bounded; a reader that holds one goes on reading though the name is gone.

use super::bytes::set;
use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::SegmentId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"MCSEGMNT";
const VERSION: u8 = 1;
/// Open handles kept at most.
const HANDLES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SegmentKind {
    Log,
    Body,
    Cold,
}

impl SegmentKind {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Body => 2,
            Self::Cold => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Log),
            2 => Some(Self::Body),
            3 => Some(Self::Cold),
            _ => None,
        }
    }

    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Body => "bodies",
            Self::Cold => "cold",
        }
    }
}

pub(super) fn file_name(id: SegmentId) -> String {
    format!("{}.seg", id.0)
}

pub(super) fn path(dir: &Path, kind: SegmentKind, id: SegmentId) -> PathBuf {
    dir.join(kind.folder()).join(file_name(id))
}

/// The first 64 bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: SegmentKind,
    pub(super) id: SegmentId,
    pub(super) store_id: [u8; 16],
    pub(super) epoch: u32,
    pub(super) created_ms: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        set(&mut out, 0, MAGIC);
        set(&mut out, 8, &[VERSION, self.kind.code()]);
        set(&mut out, 12, &self.id.0.to_le_bytes());
        set(&mut out, 16, &self.store_id);
        set(&mut out, 32, &self.epoch.to_le_bytes());
        set(&mut out, 40, &self.created_ms.to_le_bytes());
        let crc = crc32fast::hash(&out[..60]);
        set(&mut out, 60, &crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Decoder::new(bytes, "a segment header");
        if c.raw(8)? != MAGIC || c.u8()? != VERSION {
            return Err(c.bad("it is no segment of a known version"));
        }
        let kind = c.u8()?;
        c.zeros(2)?;
        let (id, store_id, epoch) = (SegmentId(c.u32_le()?), c.array()?, c.u32_le()?);
        c.zeros(4)?;
        let created_ms = c.u64_le()?;
        c.zeros(12)?;
        if c.u32_le()? != crc32fast::hash(bytes.get(..60).unwrap_or_default()) {
            return Err(c.bad("its checksum does not match"));
        }
        let kind = SegmentKind::from_code(kind).ok_or_else(|| c.bad("its kind is unknown"))?;
        Ok(Self { kind, id, store_id, epoch, created_ms })
    }
}

/// An open file, and when it was used last.
type Handle = (Arc<dyn File>, u64);

/// Shared handles of segment files, a bounded number of them.
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: Mutex<HashMap<SegmentId, Handle>>,
    uses: AtomicU64,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, open: Mutex::default(), uses: AtomicU64::new(0) }
    }

    /// The handle of a segment; opens it when need be, outside of the lock.
    pub(super) fn get(&self, kind: SegmentKind, id: SegmentId) -> Result<Arc<dyn File>> {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        if let Some((file, used)) = self.open.lock().get_mut(&id) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let path = path(&self.dir, kind, id);
        let file = self.disk.open(&path).map_err(|e| Error::io(format!("opening {}", path.display()), e))?;
        let file: Arc<dyn File> = Arc::from(file);
        self.put(id, Arc::clone(&file));
        Ok(file)
    }

    pub(super) fn put(&self, id: SegmentId, file: Arc<dyn File>) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock();
        if open.len() >= HANDLES
            && let Some(oldest) = open.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
        {
            open.remove(&oldest);
        }
        open.insert(id, (file, now));
    }

    pub(super) fn forget(&self, id: SegmentId) {
        self.open.lock().remove(&id);
    }
}
