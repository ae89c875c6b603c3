//! Message-IDs become nodes (RFC 5256 section 3, step 1).
//!
//! Laws
//! - The first message with an id has it; a later one with the same, or one without, is a node that no
//!   reference means. An id that no message has is one dummy, however often it is referred to.
//! - An id belongs to one of two halves by its first bit, and each half has its own table and thread, with no
//!   lock: nothing is asked across them.

use crate::summary::Ids;
use std::sync::atomic::{AtomicU32, Ordering};

/// Fewer messages than that are not worth a second thread.
const MESSAGES_FOR_TWO: usize = 16 * 1024;

/// The references of each message as nodes.
pub struct Names {
    /// How many nodes there are, messages and dummies.
    pub nodes: usize,
    references: Vec<u32>,
    /// Where the references of each message end.
    ends: Vec<u32>,
}

impl Names {
    pub fn new(ids: &[u64], references: &Ids) -> Self {
        let mut end = 0_usize;
        let mut ends = Vec::with_capacity(ids.len());
        for row in 0..ids.len() {
            end += references.get(row).len();
            ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        }
        let nodes: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default).take(end).collect();
        let dummies = if ids.len() < MESSAGES_FOR_TWO {
            Half { number: 0, of: 1 }.name(ids, references, &nodes)
        } else {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| Half { number: 1, of: 2 }.name(ids, references, &nodes));
                let ours = Half { number: 0, of: 2 }.name(ids, references, &nodes);
                2 * ours.max(other.join().unwrap_or_default())
            })
        };
        let references = nodes.into_iter().map(AtomicU32::into_inner).collect();
        Self { nodes: ids.len() + dummies, references, ends }
    }

    pub fn messages(&self) -> usize {
        self.ends.len()
    }

    /// The references of a message, oldest first.
    pub fn references(&self, row: usize) -> &[u32] {
        let end = |row: usize| self.ends.get(row).map_or(0, |end| *end as usize);
        let start = if row == 0 { 0 } else { end(row - 1) };
        self.references.get(start..end(row)).unwrap_or_default()
    }
}

/// The ids that one table has.
#[derive(Clone, Copy)]
struct Half {
    number: u32,
    of: u32,
}

impl Half {
    fn has(self, id: u64) -> bool {
        self.of == 1 || (id >> 63) as u32 == self.number
    }

    /// Puts the nodes of this half's references in their places; answers how many dummies that took.
    fn name(self, ids: &[u64], references: &Ids, nodes: &[AtomicU32]) -> usize {
        let mut table = IdTable::for_ids(ids.len() / self.of as usize);
        for (id, row) in ids.iter().zip(0_u32..) {
            if *id != 0 && self.has(*id) {
                table.get_or_insert(*id, || row);
            }
        }
        let messages = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let mut dummies = 0_u32;
        let mut places = nodes.iter();
        for row in 0..ids.len() {
            for (id, place) in references.get(row).iter().zip(&mut places) {
                if self.has(*id) {
                    let node = table.get_or_insert(*id, || {
                        dummies += 1;
                        messages + self.number + (dummies - 1) * self.of
                    });
                    place.store(node, Ordering::Relaxed);
                }
            }
        }
        dummies as usize
    }
}

/// Ids are digests already: their own bits say where they lie. The slot after the last is the first.
struct IdTable {
    /// (id, node); id 0 is an empty slot. A power of two of them, at least twice the ids.
    slots: Vec<(u64, u32)>,
    used: usize,
}

impl IdTable {
    fn for_ids(ids: usize) -> Self {
        Self { slots: vec![(0, 0); (ids * 2).next_power_of_two().max(64)], used: 0 }
    }

    fn get_or_insert(&mut self, id: u64, node: impl FnOnce() -> u32) -> u32 {
        let mut at = self.first_slot(id);
        loop {
            match self.slots.get_mut(at) {
                Some((0, _)) => break,
                Some((taken, node)) if *taken == id => return *node,
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
        let node = node();
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (id, node);
        }
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            self.grow();
        }
        node
    }

    fn first_slot(&self, id: u64) -> usize {
        // Masked: it fits.
        (id & (self.slots.len() as u64 - 1)) as usize
    }

    fn grow(&mut self) {
        let larger = vec![(0, 0); self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, larger);
        self.used = 0;
        for (id, node) in old.into_iter().filter(|(id, _)| *id != 0) {
            self.get_or_insert(id, || node);
        }
    }
}
