//! Dummies go (RFC 5256 section 3, steps 2 and 3).
//!
//! Laws
//! - Afterwards a dummy is a root with two children or more, all of them messages.
//! - The way up from a dummy is walked once, whatever asks for it.

use super::NONE;
use super::forest::Forest;

/// Who is whose parent, without needless dummies.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Of each message; NONE for a root. Dummies have no parents.
    pub parents: Vec<u32>,
    /// How many dummies there are: their nodes follow those of the messages.
    pub dummies: u32,
}

impl Pruned {
    pub fn messages(&self) -> u32 {
        u32::try_from(self.parents.len()).unwrap_or(u32::MAX)
    }

    pub fn nodes(&self) -> usize {
        self.parents.len() + self.dummies as usize
    }

    pub fn is_dummy(&self, node: u32) -> bool {
        node as usize >= self.parents.len()
    }

    pub fn parent(&self, message: u32) -> u32 {
        self.parents.get(message as usize).copied().unwrap_or(NONE)
    }

    pub fn set_parent(&mut self, message: u32, parent: u32) {
        if let Some(cell) = self.parents.get_mut(message as usize) {
            *cell = parent;
        }
    }

    /// One more dummy.
    pub fn add_dummy(&mut self) -> u32 {
        self.dummies += 1;
        self.messages() + self.dummies - 1
    }
}

pub fn prune(forest: &Forest, messages: usize) -> Pruned {
    let mut climb = Climb { forest, messages, tops: Vec::new(), way: Vec::new() };
    let mut parents: Vec<u32> = (0..messages).map(|row| climb.from(forest.parent(row as u32))).collect();
    // Dummies that are left are roots. With one child they go too; the others get numbers without gaps.
    let mut children: Vec<u32> = Vec::new();
    let place = |node: u32| (node as usize).checked_sub(messages).filter(|_| node != NONE);
    for at in parents.iter().filter_map(|parent| place(*parent)) {
        if children.len() <= at {
            children.resize(at + 1, 0);
        }
        if let Some(count) = children.get_mut(at) {
            *count += 1;
        }
    }
    let mut dummies = 0;
    for count in &mut children {
        *count = if *count > 1 {
            dummies += 1;
            messages as u32 + dummies - 1
        } else {
            NONE
        };
    }
    for parent in &mut parents {
        if let Some(at) = place(*parent) {
            *parent = children.get(at).copied().unwrap_or(NONE);
        }
    }
    Pruned { parents, dummies }
}

struct Climb<'a> {
    forest: &'a Forest,
    messages: usize,
    /// Where the way up from each dummy ends, plus one; 0: not walked yet.
    tops: Vec<u32>,
    way: Vec<usize>,
}

impl Climb<'_> {
    /// The first message on the way up from a node, itself included; else the last dummy.
    fn from(&mut self, node: u32) -> u32 {
        let mut at = node;
        let top = loop {
            let Some(dummy) = (at as usize).checked_sub(self.messages).filter(|_| at != NONE) else {
                break at;
            };
            if let Some(known) = self.tops.get(dummy).filter(|top| **top > 0) {
                break known - 1;
            }
            self.way.push(dummy);
            match self.forest.parent(at) {
                NONE => break at,
                parent => at = parent,
            }
        };
        for dummy in self.way.drain(..) {
            if self.tops.len() <= dummy {
                self.tops.resize(dummy + 1, 0);
            }
            if let Some(cell) = self.tops.get_mut(dummy) {
                *cell = top + 1;
            }
        }
        top
    }
}
