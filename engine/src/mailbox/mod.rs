//! A mailbox in memory: a persistent tree of chunks, its header, and what sessions see of it.
//!
//! Laws
//! - A published version never changes. Cloning one is cheap; a change copies only the path and the
//!   chunks it touches, and those only once while nobody else holds them.
//! - UIDs ascend strictly in a mailbox; a row is found by UID or by sequence number in one descent.
//! - The counters of the header equal a recount of the rows, at every version.
//! - Header questions load no chunk. Readers may load chunks, one at a time, and say so by `Result`.
//! - A change that fails leaves the mailbox as it was.
//! - Dirty chunks, and chunks that only older versions hold, are never paged out: the catalog has
//!   not their content (not yet, or no longer).

mod checkpoint;
mod chunk;
mod columns;
mod diff;
mod edit;
mod flags;
mod ghosts;
mod header;
pub mod names;
mod object;
mod pager;
mod read;
mod row;
mod seqs;
#[cfg(test)]
mod tests;
mod tombstones;
mod tree;
mod view;

pub use checkpoint::{Checkpoint, Written};
pub use chunk::{CHUNK_ROWS, Chunk, FlagBits, Times};
pub use diff::{Diff, diff};
pub use edit::ExpungedTotals;
pub use flags::{FlagId, Keywords, MAX_KEYWORD_BYTES, MAX_KEYWORDS, RowFlags, is_keyword};
pub use header::{Counters, Header};
pub use names::SpecialUse;
pub use object::{chunk_numbers, decode_chunk, decode_header, encode_chunk, encode_header};
pub use pager::{ChunkMeta, ChunkRef, Pager, PagerStats};
pub use row::{MAX_PREFIX_BYTES, Row};
pub use tombstones::{MAX_RUNS, Run, Tombstones};
pub use view::{Change, View, ViewRow};

use std::sync::Arc;
use tree::Tree;

/// One version of a mailbox. A working copy is changed by the sequencer; a published one is shared.
#[derive(Clone)]
pub struct Mailbox {
    pub header: Header,
    tree: Tree,
    pager: Arc<Pager>,
}

impl Mailbox {
    /// A mailbox without messages.
    #[must_use]
    pub fn new(header: Header, pager: Arc<Pager>) -> Self {
        Self { header, tree: Tree::default(), pager }
    }

    fn from_tree(header: Header, tree: Tree, pager: Arc<Pager>) -> Self {
        Self { header, tree, pager }
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").field("header", &self.header).finish_non_exhaustive()
    }
}
