//! Threads of one subject come together (RFC 5256 section 3, step 5).
//!
//! Laws
//! - Roots are taken in the order of step 4; subjects are the folded base subjects, and an empty one
//!   gathers nothing.
//! - Whatever has the subject in the table stays a root until a new dummy takes its place.

use super::arrange::Root;
use super::prune::Pruned;
use crate::summary::Texts;
use std::collections::HashMap;

pub fn gather(pruned: &mut Pruned, roots: &[Root], subjects: &Texts, replies: &[bool]) {
    let subject = |root: &Root| subjects.get(root.first as usize);
    let is_reply = |message: u32| replies.get(message as usize).copied().unwrap_or_default();
    let mut table: HashMap<&[u8], u32> = HashMap::with_capacity(roots.len());
    for root in roots.iter().filter(|root| !subject(root).is_empty()) {
        // (B)
        let held = table.entry(subject(root)).or_insert(root.node);
        let is_better = pruned.is_dummy(root.node) || (is_reply(*held) && !is_reply(root.node));
        if !pruned.is_dummy(*held) && is_better {
            *held = root.node;
        }
    }
    // Dummies whose children went over to another one.
    let mut emptied: HashMap<u32, u32> = HashMap::new();
    for root in roots {
        // (C)
        let Some(held) = table.get_mut(subject(root)).filter(|held| **held != root.node) else { continue };
        if pruned.is_dummy(root.node) {
            emptied.insert(root.node, *held);
        } else if pruned.is_dummy(*held) || (is_reply(root.node) && !is_reply(*held)) {
            pruned.set_parent(root.node, *held);
        } else {
            let dummy = pruned.add_dummy();
            pruned.set_parent(root.node, dummy);
            pruned.set_parent(*held, dummy);
            *held = dummy;
        }
    }
    if !emptied.is_empty() {
        for parent in &mut pruned.parents {
            *parent = emptied.get(parent).copied().unwrap_or(*parent);
        }
    }
}
