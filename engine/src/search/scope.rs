//! The chunks of the view that a search looks at, and what stands outside of chunks: ghosts.
//!
//! Laws
//! - A search holds the handles of all its chunks and the content of one at a time: what is not in
//!   memory is loaded, and may be paged out, as it goes.

use super::bits::{Bits, Rows};
use crate::error::Result;
use crate::mailbox::{Chunk, ChunkMeta, ChunkRef, Row, View};
use crate::types::{ModSeq, Uid, UidSet};
use std::cell::OnceCell;
use std::sync::Arc;

pub struct Scope<'a> {
    pub chunks: Vec<&'a Arc<ChunkRef>>,
    /// All rows of the chunks.
    pub full: Rows,
    pub ghosts: Vec<Row>,
}

impl<'a> Scope<'a> {
    /// All of the view, or what may hold one of the given UIDs.
    pub fn new(view: &'a View, uids: Option<&'a UidSet>) -> Result<Self> {
        let chunks: Vec<_> = match uids {
            Some(uids) => view.latest().chunk_refs_of(uids).collect(),
            None => view.latest().chunk_refs().collect(),
        };
        let full = Rows(chunks.iter().map(|chunk| Bits::first(chunk.meta().count as usize)).collect());
        let ghost_uids = view.ghost_uids();
        let ghosts = view.rows(&ghost_uids).map(|found| Ok(found?.row)).collect::<Result<_>>()?;
        Ok(Self { chunks, full, ghosts })
    }

    /// A chunk's place, to be loaded when something asks.
    pub fn slot(&self, at: usize) -> Option<Slot<'a>> {
        self.chunks.get(at).map(|chunk| Slot { chunk, loaded: OnceCell::new() })
    }

    /// The UIDs of those rows.
    pub fn uids_of(&self, rows: &Rows) -> Result<UidSet> {
        let mut uids = UidSet::new();
        for (at, bits) in rows.chunks() {
            let Some(slot) = self.slot(at) else { continue };
            let meta = slot.meta();
            let first = meta.first_uid.0;
            if self.full.0.get(at) == Some(&bits) && meta.is_dense() {
                uids.push_range(first, meta.last_uid.0);
            } else if meta.is_dense() {
                // Places are at most 255.
                bits.runs()
                    .for_each(|(from, to)| uids.push_range(first + from as u32, first + to as u32 - 1));
            } else {
                let chunk = slot.chunk()?;
                bits.iter().for_each(|row| uids.push_range(chunk.uid(row).0, chunk.uid(row).0));
            }
        }
        Ok(uids)
    }

    pub fn highest_modseq(&self, rows: &Rows) -> Result<Option<ModSeq>> {
        let mut highest = None;
        for (at, bits) in rows.chunks() {
            let Some(slot) = self.slot(at) else { continue };
            let of_chunk = slot.meta().max_modseq;
            if highest >= Some(of_chunk) {
                continue;
            }
            if self.full.0.get(at) == Some(&bits) {
                highest = Some(of_chunk);
                continue;
            }
            let modseqs = slot.chunk()?.modseqs();
            highest = highest.max(bits.iter().filter_map(|row| modseqs.get(row)).max().copied());
        }
        Ok(highest)
    }
}

/// A chunk during one look at it.
pub struct Slot<'a> {
    chunk: &'a Arc<ChunkRef>,
    loaded: OnceCell<Arc<Chunk>>,
}

impl<'a> Slot<'a> {
    pub fn meta(&self) -> &'a ChunkMeta {
        self.chunk.meta()
    }

    pub fn chunk(&self) -> Result<&Chunk> {
        if let Some(chunk) = self.loaded.get() {
            return Ok(chunk);
        }
        let chunk = self.chunk.load()?;
        Ok(self.loaded.get_or_init(|| chunk))
    }

    /// The rows whose UID is in the set.
    pub fn rows_of(&self, uids: &UidSet) -> Result<Bits> {
        let meta = self.meta();
        let (first, last) = (meta.first_uid.0, meta.last_uid.0);
        let mut bits = Bits::NONE;
        for &(from, to) in uids.ranges_between(first, last) {
            let (from, to) = (from.max(first), to.min(last));
            if meta.is_dense() {
                bits.set_run((from - first) as usize, (to - first) as usize + 1);
            } else {
                let chunk = self.chunk()?;
                let below = from.checked_sub(1).map_or(0, |below| chunk.rank(Uid(below)));
                bits.set_run(below, chunk.rank(Uid(to)));
            }
        }
        Ok(bits)
    }
}
