//! The sequence numbers of a set of messages, as a set.
//!
//! Laws
//! - No row is made and no UID looked up alone: ranges of UIDs become ranges of numbers, and a chunk
//!   whose UIDs have no gap is not loaded.

use super::read::touched;
use super::view::View;
use super::{Chunk, ChunkMeta, Mailbox};
use crate::error::Result;
use crate::types::{Uid, UidSet};

impl Mailbox {
    /// The sequence numbers that messages of the set have in this version; UIDs that are not here
    /// have none.
    pub fn seqs_of(&self, set: &UidSet) -> Result<UidSet> {
        let mut seqs = UidSet::new();
        let mut from = 0;
        for (before, chunk) in touched(self, set) {
            let meta = chunk.meta();
            // Chunks ascend: what lies below this one is done with.
            let ahead = set.ranges().get(from..).unwrap_or_default();
            from += ahead.iter().take_while(|r| r.1 < meta.first_uid.0).count();
            let ahead = set.ranges().get(from..).unwrap_or_default();
            let here = ahead.iter().take_while(|r| r.0 <= meta.last_uid.0);
            if meta.is_dense() {
                here.for_each(|&range| push_dense(&mut seqs, before, meta, range));
            } else {
                let chunk = chunk.load()?;
                here.for_each(|&range| push_sparse(&mut seqs, before, &chunk, range));
            }
        }
        Ok(seqs)
    }
}

fn push_dense(seqs: &mut UidSet, before: u32, meta: &ChunkMeta, (first, last): (u32, u32)) {
    let place = |uid: u32| before + (uid - meta.first_uid.0) + 1;
    seqs.push_range(place(first.max(meta.first_uid.0)), place(last.min(meta.last_uid.0)));
}

fn push_sparse(seqs: &mut UidSet, before: u32, chunk: &Chunk, (first, last): (u32, u32)) {
    let rank = |uid: u32| u32::try_from(chunk.rank(Uid(uid))).unwrap_or(u32::MAX);
    // Rows up to the one before the range, and up to its end.
    let (below, up_to) = (first.checked_sub(1).map_or(0, rank), rank(last));
    if below < up_to {
        seqs.push_range(before + below + 1, before + up_to);
    }
}

impl View {
    /// The sequence numbers of the messages of the set that the session sees, ghosts included.
    pub fn seqs_of(&self, set: &UidSet) -> Result<UidSet> {
        let live = self.latest().seqs_of(set)?;
        if self.ghost_uids().is_empty() {
            return Ok(live);
        }
        // How many messages of the version stand before each ghost.
        let ranks = self.ghost_ranks()?;
        let mut seqs = Vec::new();
        for (ghosts_before, (uid, rank)) in (0..).zip(&ranks) {
            if set.contains_uid(*uid) {
                let seq = rank + ghosts_before + 1;
                seqs.push((seq, seq));
            }
        }
        let mut passed = 0;
        for &(first, last) in live.ranges() {
            let mut from = first;
            // A ghost after `rank` messages moves all later ones up by one.
            while let Some((_, rank)) = ranks.get(passed).filter(|(_, rank)| *rank < last) {
                if *rank >= from {
                    seqs.push(moved(from, *rank, passed));
                    from = rank + 1;
                }
                passed += 1;
            }
            seqs.push(moved(from, last, passed));
        }
        Ok(UidSet::from(seqs))
    }
}

fn moved(first: u32, last: u32, by: usize) -> (u32, u32) {
    let by = u32::try_from(by).unwrap_or(u32::MAX);
    (first.saturating_add(by), last.saturating_add(by))
}
