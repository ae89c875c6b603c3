//! What a checkpoint writes of a mailbox: its header, its dirty chunks, and the removal of chunks
//! that are no more.
//!
//! Laws
//! - Header and chunks of a mailbox go to the catalog in one batch, so that the header never names a
//!   chunk of another version.
//! - Which chunks are to be removed is read off the header that the catalog has: nothing has to be
//!   remembered between checkpoints, and a missed removal is made up for by the next.

use super::object::{chunk_numbers, encode_chunk, encode_header};
use super::{ChunkRef, Mailbox};
use crate::catalog::{Change, ObjectKey};
use crate::error::{Error, Result};
use crate::types::Lsn;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The objects of one mailbox that the catalog lacks.
pub struct Checkpoint {
    /// For `Catalog::put_all`, all in one batch.
    pub changes: Vec<Change>,
    /// To be marked clean once the batch is written.
    pub written: Written,
}

/// Chunks that a batch carries.
#[derive(Default)]
pub struct Written(Vec<Arc<ChunkRef>>);

impl Written {
    /// The catalog has them now: they may be paged out.
    pub fn mark_clean(self) {
        for chunk in &self.0 {
            chunk.mark_clean();
        }
    }
}

impl Mailbox {
    /// What to write so that the catalog has this version, which was true at `as_of`.
    pub fn checkpoint(&self, as_of: Lsn) -> Result<Checkpoint> {
        let (account, id) = (self.header.account, self.header.id);
        let header_key = ObjectKey::Mailbox(account, id);
        let mut changes = vec![(header_key, as_of, Some(encode_header(self)))];
        let mut written = Written::default();
        for chunk in self.dirty_chunks() {
            changes.push((chunk.key(), as_of, Some(encode_chunk(&*chunk.load()?))));
            written.0.push(chunk.clone());
        }
        for number in self.stale_chunks(header_key)? {
            changes.push((ObjectKey::Chunk(account, id, number), as_of, None));
        }
        Ok(Checkpoint { changes, written })
    }

    /// The chunks that the catalog's header names and this version has no more.
    fn stale_chunks(&self, header_key: ObjectKey) -> Result<Vec<u32>> {
        let old = match self.pager.catalog().get(&header_key) {
            Ok(Some(object)) => chunk_numbers(&object.bytes),
            Ok(None) => return Ok(Vec::new()),
            Err(e) => Err(e),
        };
        match old {
            Ok(old) => {
                let live: BTreeSet<u32> = self.chunk_refs().map(|chunk| chunk.number()).collect();
                Ok(old.into_iter().filter(|number| !live.contains(number)).collect())
            }
            // What cannot be read is written over; at worst some chunks lie there unused.
            Err(Error::Corrupt { .. }) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}
