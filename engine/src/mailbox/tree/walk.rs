//! Chunks of a tree in order.

use super::{Child, Node};
use crate::mailbox::pager::ChunkRef;
use crate::types::Uid;
use std::sync::Arc;

/// Chunks in order, each with the number of rows before it.
pub(in crate::mailbox) struct Walk<'a> {
    stack: Vec<(&'a Node, usize)>,
    before: u32,
    from: Uid,
    to: Uid,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Node, from: Uid, to: Uid) -> Self {
        let mut walk = Self { stack: Vec::new(), before: 0, from, to };
        walk.descend(root);
        walk
    }

    fn descend(&mut self, node: &'a Node) {
        let start = node.children.reaching(self.from);
        let skipped = (0..start).filter_map(|i| node.children.get(i));
        self.before += skipped.map(|child| child.sums().count).sum::<u32>();
        self.stack.push((node, start));
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (u32, &'a Arc<ChunkRef>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (node, i) = self.stack.last_mut()?;
            let Some(child) = node.children.get(*i) else {
                self.stack.pop();
                continue;
            };
            *i += 1;
            let sums = child.sums();
            if sums.first_uid > self.to {
                self.stack.clear();
                return None;
            }
            match child {
                Child::Chunk(chunk) => {
                    let before = self.before;
                    self.before += sums.count;
                    return Some((before, chunk));
                }
                Child::Node(below) => self.descend(below),
            }
        }
    }
}
