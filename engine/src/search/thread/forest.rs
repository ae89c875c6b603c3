//! Who is whose parent (RFC 5256 section 3, step 1).
//!
//! Laws
//! - No node is its own ancestor, at any time.
//! - A link is tried with a walk up from the parent, unless the child has no children: then it is nobody's
//!   ancestor. In mailboxes that are in order, or in reverse, that makes every link a step or two.

use super::NONE;
use super::names::Names;

/// How many messages are linked between two looks at whether anybody waits for them.
const MESSAGES_A_LOOK: usize = 1024;

#[derive(Debug, Clone)]
pub struct Forest {
    parents: Vec<u32>,
    /// How many children each node has.
    children: Vec<u32>,
}

impl Forest {
    /// Links messages and dummies by references. None when cancelled.
    pub fn link(names: &Names, is_cancelled: &dyn Fn() -> bool) -> Option<Self> {
        let mut forest = Self { parents: vec![NONE; names.nodes], children: vec![0; names.nodes] };
        for row in 0..names.messages() {
            if row % MESSAGES_A_LOOK == 0 && is_cancelled() {
                return None;
            }
            let references = names.references(row);
            for (parent, child) in references.iter().zip(references.iter().skip(1)) {
                forest.link_orphan(*child, *parent); // (1) (A)
            }
            forest.relink(row as u32, references.last().copied()); // (1) (B)
        }
        Some(forest)
    }

    pub fn parent(&self, node: u32) -> u32 {
        self.parents.get(node as usize).copied().unwrap_or(NONE)
    }

    fn link_orphan(&mut self, child: u32, parent: u32) {
        if self.parent(child) == NONE && !self.would_loop(child, parent) {
            self.set_parent(child, parent);
        }
    }

    fn relink(&mut self, child: u32, parent: Option<u32>) {
        if parent == Some(self.parent(child)) {
            return;
        }
        self.set_parent(child, NONE);
        if let Some(parent) = parent.filter(|parent| !self.would_loop(child, *parent)) {
            self.set_parent(child, parent);
        }
    }

    fn set_parent(&mut self, child: u32, parent: u32) {
        let Some(cell) = self.parents.get_mut(child as usize) else { return };
        let old = std::mem::replace(cell, parent);
        // NONE is past the end.
        if let Some(count) = self.children.get_mut(old as usize) {
            *count -= 1;
        }
        if let Some(count) = self.children.get_mut(parent as usize) {
            *count += 1;
        }
    }

    /// Whether the child is the parent or an ancestor of it.
    fn would_loop(&self, child: u32, parent: u32) -> bool {
        if child == parent {
            return true;
        }
        if self.children.get(child as usize).is_none_or(|count| *count == 0) {
            return false;
        }
        let mut at = self.parent(parent);
        while at != NONE {
            if at == child {
                return true;
            }
            at = self.parent(at);
        }
        false
    }
}
