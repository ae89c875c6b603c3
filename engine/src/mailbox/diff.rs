//! What changed between two versions of a mailbox, found by comparing pointers.
//!
//! Laws
//! - A chunk that both versions share is never loaded, a node that both share at the same height not
//!   opened: the cost is that of the change, not of the mailbox.
//! - A shared chunk is recognised wherever it hangs: both walks go by last UID, and of two nodes the
//!   higher one is opened first.

use super::Mailbox;
use super::chunk::Chunk;
use super::pager::ChunkRef;
use super::row::Row;
use super::tree::{Child, Node};
use crate::error::Result;
use crate::types::Uid;
use std::cmp::Ordering;
use std::sync::Arc;

/// All ascending by UID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    pub added: Vec<Uid>,
    /// The rows as they last were.
    pub removed: Vec<Row>,
    /// The rows as they are now.
    pub changed: Vec<Row>,
}

/// What happened from one version to a later one of the same mailbox.
pub fn diff(old: &Mailbox, new: &Mailbox) -> Result<Diff> {
    let mut differing = Differing::default();
    differing.compare(Cursor::new(&old.tree.root), Cursor::new(&new.tree.root));
    let mut diff = Diff::default();
    let mut old_rows = Rows::new(differing.old);
    let mut new_rows = Rows::new(differing.new);
    loop {
        match (old_rows.peek()?, new_rows.peek()?) {
            (None, None) => return Ok(diff),
            (Some(_), None) => diff.removed.push(old_rows.take()),
            (None, Some(uid)) => {
                diff.added.push(uid);
                new_rows.skip();
            }
            (Some(was), Some(is)) => match was.cmp(&is) {
                Ordering::Less => diff.removed.push(old_rows.take()),
                Ordering::Greater => {
                    diff.added.push(is);
                    new_rows.skip();
                }
                Ordering::Equal => {
                    if old_rows.same_modseq(&new_rows) {
                        new_rows.skip();
                    } else {
                        diff.changed.push(new_rows.take());
                    }
                    old_rows.skip();
                }
            },
        }
    }
}

/// The chunks that only one of the two versions has.
#[derive(Default)]
struct Differing<'a> {
    old: Vec<&'a Arc<ChunkRef>>,
    new: Vec<&'a Arc<ChunkRef>>,
}

impl<'a> Differing<'a> {
    fn compare(&mut self, mut old: Cursor<'a>, mut new: Cursor<'a>) {
        loop {
            match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => old.open_into(&mut self.old),
                (None, Some(_)) => new.open_into(&mut self.new),
                (Some(a), Some(b)) if is_same(a, b) => {
                    old.skip();
                    new.skip();
                }
                (Some(a), Some(b)) => {
                    // The higher one may hold the other; among equals the one that ends first cannot
                    // come later in the other tree.
                    let order = height(b).cmp(&height(a)).then(a.sums().last_uid.cmp(&b.sums().last_uid));
                    if order != Ordering::Greater {
                        old.open_into(&mut self.old);
                    }
                    if order != Ordering::Less {
                        new.open_into(&mut self.new);
                    }
                }
            }
        }
    }
}

fn is_same(a: Child<'_>, b: Child<'_>) -> bool {
    match (a, b) {
        (Child::Chunk(a), Child::Chunk(b)) => Arc::ptr_eq(a, b),
        (Child::Node(a), Child::Node(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn height(child: Child<'_>) -> usize {
    match child {
        Child::Chunk(_) => 0,
        Child::Node(node) => node.height(),
    }
}

/// A walk through a tree that can pass over a whole node.
struct Cursor<'a> {
    root: Option<&'a Arc<Node>>,
    stack: Vec<(&'a Node, usize)>,
}

impl<'a> Cursor<'a> {
    fn new(root: &'a Arc<Node>) -> Self {
        Self { root: Some(root), stack: Vec::new() }
    }

    fn peek(&mut self) -> Option<Child<'a>> {
        if let Some(root) = self.root {
            return Some(Child::Node(root));
        }
        loop {
            let (node, i) = self.stack.last()?;
            let node: &'a Node = node;
            match node.children.get(*i) {
                Some(child) => return Some(child),
                None => {
                    self.stack.pop();
                }
            }
        }
    }

    fn skip(&mut self) {
        if self.root.take().is_none()
            && let Some((_, i)) = self.stack.last_mut()
        {
            *i += 1;
        }
    }

    /// Goes into the node, or past the chunk, which is then one of the differing.
    fn open_into(&mut self, differing: &mut Vec<&'a Arc<ChunkRef>>) {
        let child = self.peek();
        self.skip();
        match child {
            Some(Child::Node(node)) => self.stack.push((node, 0)),
            Some(Child::Chunk(chunk)) => differing.push(chunk),
            None => {}
        }
    }
}

/// The rows of some chunks, one after the other.
struct Rows<'a> {
    chunks: std::vec::IntoIter<&'a Arc<ChunkRef>>,
    chunk: Arc<Chunk>,
    at: usize,
}

impl<'a> Rows<'a> {
    fn new(chunks: Vec<&'a Arc<ChunkRef>>) -> Self {
        Self { chunks: chunks.into_iter(), chunk: Arc::default(), at: 0 }
    }

    /// The UID of the current row; loads the next chunk when one is used up.
    fn peek(&mut self) -> Result<Option<Uid>> {
        while self.at >= self.chunk.len() {
            let Some(next) = self.chunks.next() else { return Ok(None) };
            self.chunk = next.load()?;
            self.at = 0;
        }
        Ok(Some(self.chunk.uid(self.at)))
    }

    fn take(&mut self) -> Row {
        let row = self.chunk.row(self.at);
        self.skip();
        row
    }

    fn skip(&mut self) {
        self.at += 1;
    }

    fn same_modseq(&self, other: &Self) -> bool {
        self.chunk.modseq(self.at) == other.chunk.modseq(other.at)
    }
}
