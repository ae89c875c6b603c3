//! Which chunks are in memory, and the handle by which a tree holds one.
//!
//! Laws
//! - A chunk is paged out only when the catalog has exactly this content: clean and not superseded.
//! - A superseded chunk (a newer one of the same number exists) stays in memory for the versions
//!   that still hold it and goes with the last of them: its place in the catalog is the newer one's.
//! - A load happens under the lock of that one chunk, so a chunk cannot be superseded, rewritten in
//!   the catalog and then loaded as if it were the old one.
//! - The pager's own lock is held for list work only: no load, no chunk's lock under it.

use super::chunk::Chunk;
use super::columns::count;
use super::flags::FlagId;
use super::object;
use crate::catalog::{Catalog, ObjectKey};
use crate::error::{Error, Result};
use crate::types::{ModSeq, Uid};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What the tree knows of a chunk without loading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkMeta {
    pub first_uid: Uid,
    pub last_uid: Uid,
    pub count: u32,
    pub seen: u32,
    pub deleted: u32,
    pub size_bytes: u64,
    pub max_modseq: ModSeq,
}

impl ChunkMeta {
    #[must_use]
    pub fn of(chunk: &Chunk) -> Self {
        let sizes = (0..chunk.len()).map(|i| u64::from(chunk.size_bytes(i)));
        Self {
            first_uid: chunk.uids().first().copied().unwrap_or_default(),
            last_uid: chunk.uids().last().copied().unwrap_or_default(),
            count: u32::try_from(chunk.len()).unwrap_or(u32::MAX),
            seen: count(&chunk.flag_bits(FlagId::SEEN)),
            deleted: count(&chunk.flag_bits(FlagId::DELETED)),
            size_bytes: sizes.sum(),
            max_modseq: chunk.max_modseq(),
        }
    }

    /// True when every UID between first and last is there: then the UIDs need no load.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.count > 0 && self.last_uid.0.checked_sub(self.first_uid.0) == Some(self.count - 1)
    }
}

/// A chunk as a tree holds it.
pub struct ChunkRef {
    number: u32,
    key: ObjectKey,
    meta: ChunkMeta,
    pager: Arc<Pager>,
    /// Read since the pager last looked: it gets another round.
    used: AtomicBool,
    cell: Mutex<Cell>,
}

struct Cell {
    chunk: Option<Arc<Chunk>>,
    /// The catalog does not have this content yet.
    dirty: bool,
    /// A newer chunk of this number exists.
    superseded: bool,
    /// What the pager counts for this chunk; 0 when it is not evictable.
    counted_bytes: u64,
}

impl Cell {
    fn is_evictable(&self) -> bool {
        self.chunk.is_some() && !self.dirty && !self.superseded
    }
}

impl ChunkRef {
    /// A new content that the catalog has not.
    pub(super) fn dirty(key: ObjectKey, chunk: Chunk, pager: Arc<Pager>) -> Self {
        let meta = ChunkMeta::of(&chunk);
        let cell = Cell { chunk: Some(Arc::new(chunk)), dirty: true, superseded: false, counted_bytes: 0 };
        Self::with_cell(key, meta, pager, cell)
    }

    /// A chunk that lies in the catalog.
    pub(super) fn stored(key: ObjectKey, meta: ChunkMeta, pager: Arc<Pager>) -> Self {
        let cell = Cell { chunk: None, dirty: false, superseded: false, counted_bytes: 0 };
        Self::with_cell(key, meta, pager, cell)
    }

    /// A new content under the same number; the caller has superseded this one.
    pub(super) fn replaced_by(&self, chunk: Chunk) -> Self {
        Self::dirty(self.key, chunk, self.pager.clone())
    }

    fn with_cell(key: ObjectKey, meta: ChunkMeta, pager: Arc<Pager>, cell: Cell) -> Self {
        let number = if let ObjectKey::Chunk(_, _, number) = key { number } else { 0 };
        Self { number, key, meta, pager, used: AtomicBool::new(true), cell: Mutex::new(cell) }
    }

    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    #[must_use]
    pub fn key(&self) -> ObjectKey {
        self.key
    }

    #[must_use]
    pub fn meta(&self) -> &ChunkMeta {
        &self.meta
    }

    /// True when the catalog does not have this content yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.cell.lock().dirty
    }

    /// The chunk if it is in memory.
    #[must_use]
    pub fn resident(&self) -> Option<Arc<Chunk>> {
        self.cell.lock().chunk.clone()
    }

    /// The chunk, from the catalog if it is not in memory.
    pub fn load(self: &Arc<Self>) -> Result<Arc<Chunk>> {
        self.used.store(true, Ordering::Relaxed);
        let mut cell = self.cell.lock();
        if let Some(chunk) = &cell.chunk {
            return Ok(chunk.clone());
        }
        let chunk = self.fetch(&mut cell)?;
        self.pager.count(&mut cell);
        drop(cell);
        self.pager.admit(self);
        Ok(chunk)
    }

    /// The chunk, which stays in memory from now on: a newer one is about to take its place.
    pub(super) fn supersede(&self) -> Result<Arc<Chunk>> {
        let mut cell = self.cell.lock();
        let chunk = match &cell.chunk {
            Some(chunk) => chunk.clone(),
            None => self.fetch(&mut cell)?,
        };
        cell.superseded = true;
        self.pager.discount(&mut cell);
        Ok(chunk)
    }

    fn fetch(&self, cell: &mut Cell) -> Result<Arc<Chunk>> {
        let what = || format!("{:?} in the catalog", self.key);
        let object = self.pager.catalog.get(&self.key)?;
        let object = object.ok_or_else(|| Error::corrupt(what(), "it is missing"))?;
        let chunk = object::decode_chunk(&object.bytes)?;
        if ChunkMeta::of(&chunk) != self.meta {
            return Err(Error::corrupt(what(), "it is another version than its mailbox names"));
        }
        self.pager.loads.fetch_add(1, Ordering::Relaxed);
        let chunk = Arc::new(chunk);
        cell.chunk = Some(chunk.clone());
        Ok(chunk)
    }

    /// The catalog has this content now: it may be paged out, unless it was superseded.
    pub fn mark_clean(self: &Arc<Self>) {
        {
            let mut cell = self.cell.lock();
            cell.dirty = false;
            if !cell.is_evictable() || cell.counted_bytes > 0 {
                return;
            }
            self.pager.count(&mut cell);
        }
        self.pager.admit(self);
    }

    /// The content and meta of a dirty chunk that only the caller holds, to be changed in place;
    /// `None` when it has to be copied.
    pub(super) fn in_place(&mut self) -> Option<(&mut Chunk, &mut ChunkMeta)> {
        let cell = self.cell.get_mut();
        match &mut cell.chunk {
            Some(chunk) if cell.dirty && !cell.superseded => Some((Arc::make_mut(chunk), &mut self.meta)),
            _ => None,
        }
    }
}

impl Drop for ChunkRef {
    fn drop(&mut self) {
        let cell = self.cell.get_mut();
        self.pager.discount(cell);
    }
}

/// Numbers for `stats` and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PagerStats {
    pub budget_bytes: u64,
    /// Chunks that may be paged out; dirty ones and those of older versions come on top.
    pub evictable_bytes: u64,
    pub loads: u64,
    pub evictions: u64,
}

/// Keeps the clean chunks in memory within a budget, the least recently used going first (by second
/// chance: a read marks its chunk and takes no shared lock, which strict recency would need).
pub struct Pager {
    catalog: Arc<Catalog>,
    budget_bytes: u64,
    evictable_bytes: AtomicU64,
    loads: AtomicU64,
    evictions: AtomicU64,
    queue: Mutex<VecDeque<Weak<ChunkRef>>>,
}

impl Pager {
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, budget_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            catalog,
            budget_bytes,
            evictable_bytes: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            queue: Mutex::new(VecDeque::new()),
        })
    }

    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    #[must_use]
    pub fn stats(&self) -> PagerStats {
        PagerStats {
            budget_bytes: self.budget_bytes,
            evictable_bytes: self.evictable_bytes.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    fn count(&self, cell: &mut Cell) {
        if let Some(chunk) = cell.chunk.as_ref().filter(|_| cell.is_evictable()) {
            cell.counted_bytes = chunk.heap_bytes() as u64;
            self.evictable_bytes.fetch_add(cell.counted_bytes, Ordering::Relaxed);
        }
    }

    fn discount(&self, cell: &mut Cell) {
        self.evictable_bytes.fetch_sub(cell.counted_bytes, Ordering::Relaxed);
        cell.counted_bytes = 0;
    }

    fn admit(&self, chunk: &Arc<ChunkRef>) {
        {
            let mut queue = self.queue.lock();
            queue.push_back(Arc::downgrade(chunk));
            // Places of chunks that are gone would pile up while the budget is never reached.
            if queue.len().is_power_of_two() {
                queue.retain(|c| c.strong_count() > 0);
            }
        }
        self.evict();
    }

    /// Pages out until the budget is kept, or everyone had their second chance.
    fn evict(&self) {
        let mut rounds = self.queue.lock().len() * 2;
        while rounds > 0 && self.evictable_bytes.load(Ordering::Relaxed) > self.budget_bytes {
            rounds -= 1;
            let Some(next) = self.queue.lock().pop_front() else { return };
            let Some(chunk) = next.upgrade() else { continue };
            let kept = chunk.used.swap(false, Ordering::Relaxed) || !self.try_evict(&chunk);
            if kept {
                self.queue.lock().push_back(next);
            }
        }
    }

    /// False when the chunk is busy and has to be asked again. One that is no longer evictable
    /// leaves the queue; it comes back when it is.
    fn try_evict(&self, chunk: &ChunkRef) -> bool {
        let Some(mut cell) = chunk.cell.try_lock() else { return false };
        if cell.is_evictable() {
            self.discount(&mut cell);
            cell.chunk = None;
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
        true
    }
}
