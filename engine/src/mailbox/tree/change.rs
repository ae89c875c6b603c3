//! The changes of a tree, by path copy.
//!
//! Laws
//! - A change copies the nodes and chunks on its path unless nobody else holds them.
//! - Everything that can fail (loading) comes first; then nothing does: a failed change leaves the
//!   tree as it was.
//! - Merging small neighbours never reads the disk: a neighbour not in memory waits for next time.

use super::{Children, FANOUT, Node, Sums, Tree};
use crate::error::Result;
use crate::mailbox::chunk::{CHUNK_ROWS, Chunk};
use crate::mailbox::pager::{ChunkMeta, ChunkRef};
use crate::mailbox::row::Row;
use crate::types::UidSet;
use std::sync::Arc;

/// Neighbours that together have at most so many rows become one chunk.
pub(in crate::mailbox) const MERGE_ROWS: u32 = 128;
/// Neighbouring nodes that together have at most so many children become one node.
const MERGE_CHILDREN: usize = FANOUT / 2;

/// A change to some rows of a chunk, given their places.
pub(in crate::mailbox) type RowsChange<'a> = &'a mut dyn FnMut(&mut Chunk, &[usize]);

impl Tree {
    /// Puts a row after the last. `fresh` makes the chunk when there is none with room.
    pub fn append(&mut self, row: Row, fresh: impl FnOnce(Chunk) -> Arc<ChunkRef>) -> Result<()> {
        let last = self.find_place(self.count().saturating_sub(1)).map(|(_, chunk)| *chunk.meta());
        if let Some(last) = last.filter(|last| (last.count as usize) < CHUNK_ROWS) {
            let mut row = Some(row);
            let push =
                &mut |chunk: &mut Chunk, _: &[usize]| row.take().into_iter().for_each(|r| chunk.push(r));
            return self.change(&UidSet::from_uid(last.last_uid), push);
        }
        let mut chunk = Chunk::default();
        chunk.push(row);
        if let Some(sibling) = push_last(&mut self.root, fresh(chunk)) {
            self.root = Arc::new(Node::new(Children::Nodes(vec![self.root.clone(), sibling])));
        }
        Ok(())
    }

    /// Changes the rows of the set; those that are not there are passed over. `f` sees each chunk
    /// once, with the places of its rows.
    pub fn change(&mut self, set: &UidSet, f: RowsChange<'_>) -> Result<()> {
        prepare(&self.root, false, set)?;
        if touches(set, &self.root.sums) {
            change_node(&mut self.root, set, f)?;
        }
        self.shorten();
        Ok(())
    }

    /// Takes away levels that no longer part anything.
    fn shorten(&mut self) {
        loop {
            match &self.root.children {
                Children::Nodes(nodes) if nodes.is_empty() => *self = Self::default(),
                Children::Nodes(nodes) if nodes.len() == 1 => self.root = nodes[0].clone(),
                _ => return,
            }
        }
    }
}

fn touches(set: &UidSet, sums: &Sums) -> bool {
    sums.count > 0 && set.intersects(sums.first_uid.0, sums.last_uid.0)
}

/// Makes sure that the change cannot fail half way: afterwards each chunk it will change is either
/// held by this tree alone and dirty, or in memory for good.
fn prepare(node: &Arc<Node>, shared: bool, set: &UidSet) -> Result<()> {
    // Nobody can begin to share what only we hold, so a count of one stays one.
    let shared = shared || Arc::strong_count(node) > 1;
    match &node.children {
        Children::Nodes(nodes) => {
            nodes.iter().filter(|n| touches(set, &n.sums)).try_for_each(|n| prepare(n, shared, set))
        }
        Children::Chunks(chunks) => {
            for chunk in chunks.iter().filter(|c| touches(set, &Sums::of(c.meta()))) {
                let alone = !shared && Arc::strong_count(chunk) == 1 && chunk.is_dirty();
                if !alone && !chunk.load()?.indices_of(set).is_empty() {
                    chunk.supersede()?;
                }
            }
            Ok(())
        }
    }
}

fn change_node(node: &mut Arc<Node>, set: &UidSet, f: RowsChange<'_>) -> Result<()> {
    let node = Arc::make_mut(node);
    match &mut node.children {
        Children::Chunks(chunks) => {
            for slot in chunks.iter_mut().filter(|c| touches(set, &Sums::of(c.meta()))) {
                change_chunk(slot, set, f)?;
            }
            chunks.retain(|c| c.meta().count > 0);
            merge_chunks(chunks);
        }
        Children::Nodes(nodes) => {
            for slot in nodes.iter_mut().filter(|n| touches(set, &n.sums)) {
                change_node(slot, set, f)?;
            }
            nodes.retain(|n| n.sums.count > 0);
            merge_nodes(nodes);
        }
    }
    node.sum_up();
    Ok(())
}

fn change_chunk(slot: &mut Arc<ChunkRef>, set: &UidSet, f: RowsChange<'_>) -> Result<()> {
    if let Some((chunk, meta)) = Arc::get_mut(slot).and_then(ChunkRef::in_place) {
        let rows = chunk.indices_of(set);
        if !rows.is_empty() {
            f(chunk, &rows);
            *meta = ChunkMeta::of(chunk);
        }
        return Ok(());
    }
    let rows = slot.load()?.indices_of(set);
    if !rows.is_empty() {
        let mut chunk = (*slot.supersede()?).clone();
        f(&mut chunk, &rows);
        *slot = Arc::new(slot.replaced_by(chunk));
    }
    Ok(())
}

fn merge_chunks(chunks: &mut Vec<Arc<ChunkRef>>) {
    let mut i = 0;
    while i + 1 < chunks.len() {
        match merged(&chunks[i], &chunks[i + 1]) {
            Some(both) => {
                chunks[i] = Arc::new(both);
                chunks.remove(i + 1);
            }
            None => i += 1,
        }
    }
}

/// One chunk in place of two small ones, under the number of the first.
fn merged(a: &Arc<ChunkRef>, b: &Arc<ChunkRef>) -> Option<ChunkRef> {
    if a.meta().count + b.meta().count > MERGE_ROWS || a.resident().is_none() || b.resident().is_none() {
        return None;
    }
    let mut both = (*a.supersede().ok()?).clone();
    both.extend(&*b.supersede().ok()?);
    Some(a.replaced_by(both))
}

fn merge_nodes(nodes: &mut Vec<Arc<Node>>) {
    let mut i = 0;
    while i + 1 < nodes.len() {
        let next = nodes[i + 1].clone();
        let is_small = nodes[i].children.len() + next.children.len() <= MERGE_CHILDREN;
        if is_small && join(&mut nodes[i], &next.children) {
            nodes.remove(i + 1);
        } else {
            i += 1;
        }
    }
}

/// Puts the children of the next node into this one; neighbours are of one height.
fn join(node: &mut Arc<Node>, next: &Children) -> bool {
    let node = Arc::make_mut(node);
    match (&mut node.children, next) {
        (Children::Chunks(chunks), Children::Chunks(more)) => {
            chunks.extend_from_slice(more);
            merge_chunks(chunks);
        }
        (Children::Nodes(nodes), Children::Nodes(more)) => nodes.extend_from_slice(more),
        _ => return false,
    }
    node.sum_up();
    true
}

/// Adds a chunk at the end; a node that had no room for it comes back as a sibling.
fn push_last(node: &mut Arc<Node>, chunk: Arc<ChunkRef>) -> Option<Arc<Node>> {
    let node = Arc::make_mut(node);
    let sibling = match &mut node.children {
        Children::Chunks(chunks) if chunks.len() < FANOUT => {
            chunks.push(chunk);
            None
        }
        Children::Chunks(_) => Some(Children::Chunks(vec![chunk])),
        Children::Nodes(nodes) => {
            let added = nodes.last_mut().and_then(|last| push_last(last, chunk));
            match added {
                Some(added) if nodes.len() < FANOUT => {
                    nodes.push(added);
                    None
                }
                added => added.map(|added| Children::Nodes(vec![added])),
            }
        }
    };
    node.sum_up();
    sibling.map(|children| Arc::new(Node::new(children)))
}
