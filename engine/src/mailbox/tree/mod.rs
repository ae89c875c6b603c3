//! The persistent tree over the chunks of a mailbox: its shape, and how a chunk is found.
//!
//! Laws
//! - Every leaf node is at the same depth; a node has 1 to `FANOUT` children, the root alone may have
//!   none. The sums of a node are those of its children.
//! - A published tree never changes: changes are in `change.rs`, by path copy.

mod change;
mod walk;

pub(super) use change::MERGE_ROWS;
pub(super) use walk::Walk;

use super::pager::{ChunkMeta, ChunkRef};
use crate::types::{ModSeq, Uid};
use std::sync::Arc;

/// The most children of a node.
const FANOUT: usize = 64;

/// What a node knows of everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::mailbox) struct Sums {
    pub first_uid: Uid,
    pub last_uid: Uid,
    pub count: u32,
    pub seen: u32,
    pub max_modseq: ModSeq,
}

impl Sums {
    fn of(meta: &ChunkMeta) -> Self {
        Self {
            first_uid: meta.first_uid,
            last_uid: meta.last_uid,
            count: meta.count,
            seen: meta.seen,
            max_modseq: meta.max_modseq,
        }
    }

    fn add(self, next: Self) -> Self {
        if self.count == 0 {
            return next;
        }
        Self {
            first_uid: self.first_uid,
            last_uid: next.last_uid,
            count: self.count + next.count,
            seen: self.seen + next.seen,
            max_modseq: self.max_modseq.max(next.max_modseq),
        }
    }
}

#[derive(Clone)]
pub(in crate::mailbox) struct Node {
    pub sums: Sums,
    pub children: Children,
}

#[derive(Clone)]
pub(in crate::mailbox) enum Children {
    Chunks(Vec<Arc<ChunkRef>>),
    Nodes(Vec<Arc<Node>>),
}

/// One child of a node.
#[derive(Clone, Copy)]
pub(in crate::mailbox) enum Child<'a> {
    Chunk(&'a Arc<ChunkRef>),
    Node(&'a Arc<Node>),
}

impl Child<'_> {
    pub fn sums(&self) -> Sums {
        match self {
            Child::Chunk(chunk) => Sums::of(chunk.meta()),
            Child::Node(node) => node.sums,
        }
    }
}

impl Children {
    fn len(&self) -> usize {
        match self {
            Self::Chunks(chunks) => chunks.len(),
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    pub fn get(&self, i: usize) -> Option<Child<'_>> {
        match self {
            Self::Chunks(chunks) => chunks.get(i).map(Child::Chunk),
            Self::Nodes(nodes) => nodes.get(i).map(Child::Node),
        }
    }

    /// The first child that reaches up to `uid`.
    pub fn reaching(&self, uid: Uid) -> usize {
        match self {
            Self::Chunks(chunks) => chunks.partition_point(|c| c.meta().last_uid < uid),
            Self::Nodes(nodes) => nodes.partition_point(|n| n.sums.last_uid < uid),
        }
    }
}

impl Node {
    fn new(children: Children) -> Self {
        let mut node = Self { sums: Sums::default(), children };
        node.sum_up();
        node
    }

    fn sum_up(&mut self) {
        self.sums = match &self.children {
            Children::Chunks(chunks) => {
                chunks.iter().map(|c| Sums::of(c.meta())).fold(Sums::default(), Sums::add)
            }
            Children::Nodes(nodes) => nodes.iter().map(|n| n.sums).fold(Sums::default(), Sums::add),
        };
    }

    /// How many levels of nodes there are from here down.
    pub fn height(&self) -> usize {
        match &self.children {
            Children::Chunks(_) => 1,
            Children::Nodes(nodes) => 1 + nodes.first().map_or(0, |n| n.height()),
        }
    }
}

#[derive(Clone)]
pub(in crate::mailbox) struct Tree {
    pub root: Arc<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: Arc::new(Node::new(Children::Chunks(Vec::new()))) }
    }
}

impl Tree {
    /// A tree over chunks in their order.
    pub fn from_chunks(chunks: Vec<Arc<ChunkRef>>) -> Self {
        if chunks.is_empty() {
            return Self::default();
        }
        let leaf = |c: &[Arc<ChunkRef>]| Arc::new(Node::new(Children::Chunks(c.to_vec())));
        let mut level: Vec<Arc<Node>> = chunks.chunks(FANOUT).map(leaf).collect();
        loop {
            if let [root] = level.as_slice() {
                return Self { root: root.clone() };
            }
            let node = |n: &[Arc<Node>]| Arc::new(Node::new(Children::Nodes(n.to_vec())));
            level = level.chunks(FANOUT).map(node).collect();
        }
    }

    pub fn count(&self) -> u32 {
        self.root.sums.count
    }

    /// The chunks that may hold a UID of `from..=to`, each with the number of rows before it.
    pub fn walk(&self, from: Uid, to: Uid) -> Walk<'_> {
        Walk::new(&self.root, from, to)
    }

    pub fn walk_all(&self) -> Walk<'_> {
        self.walk(Uid(0), Uid(u32::MAX))
    }

    /// The chunk in which a UID would lie, and the number of rows before it.
    pub fn find(&self, uid: Uid) -> Option<(u32, &Arc<ChunkRef>)> {
        let (before, chunk) = self.walk(uid, Uid(u32::MAX)).next()?;
        (chunk.meta().first_uid <= uid).then_some((before, chunk))
    }

    /// The chunk with the row of that place (from 0), and the number of rows before it.
    pub fn find_place(&self, place: u32) -> Option<(u32, &Arc<ChunkRef>)> {
        self.find_where(|before, sums| place - before < sums.count)
    }

    /// The first chunk with a row that lacks `\Seen`, and the number of rows before it.
    pub fn find_unseen(&self) -> Option<(u32, &Arc<ChunkRef>)> {
        self.find_where(|_, sums| sums.seen < sums.count)
    }

    /// Descends into the first child that is wanted, told the rows before it and its sums.
    fn find_where(&self, wanted: impl Fn(u32, &Sums) -> bool) -> Option<(u32, &Arc<ChunkRef>)> {
        let mut node = &self.root;
        let mut before = 0;
        let mut i = 0;
        loop {
            let child = node.children.get(i)?;
            let sums = child.sums();
            match child {
                _ if !wanted(before, &sums) => {
                    before += sums.count;
                    i += 1;
                }
                Child::Chunk(chunk) => return Some((before, chunk)),
                Child::Node(below) => (node, i) = (below, 0),
            }
        }
    }
}
