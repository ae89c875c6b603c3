//! Siblings in order, and the threads written down (RFC 5256 section 3, steps 4 and 6).
//!
//! Laws
//! - Messages are dealt out to their parents in the order of their sent dates, so every set of siblings is
//!   in order without being sorted. A dummy stands where its first child would.

use super::NONE;
use super::prune::Pruned;
use crate::search::order::Threads;
use crate::search::ranking::Ranking;
use crate::types::Uid;

/// The root of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    pub node: u32,
    /// The message itself; of a dummy its first child.
    pub first: u32,
}

/// The roots by sent date. `order` has all messages so.
pub fn roots_in_order(pruned: &Pruned, order: &[u32]) -> Vec<Root> {
    let mut is_met = vec![false; pruned.dummies as usize];
    let mut roots = Vec::new();
    for &message in order {
        let parent = pruned.parent(message);
        if parent == NONE {
            roots.push(Root { node: message, first: message });
        } else if let Some(met) = is_met.get_mut((parent as usize).wrapping_sub(pruned.parents.len()))
            && !std::mem::replace(met, true)
        {
            roots.push(Root { node: parent, first: message });
        }
    }
    roots
}

/// The children of every node, in order.
pub struct Arranged {
    messages: usize,
    children: Vec<u32>,
    /// Where the children of each node end.
    ends: Vec<u32>,
}

impl Arranged {
    pub fn new(pruned: &Pruned, order: &[u32]) -> Self {
        let mut ends = vec![0_u32; pruned.nodes()];
        for parent in &pruned.parents {
            if let Some(count) = ends.get_mut(*parent as usize) {
                *count += 1;
            }
        }
        let mut total = 0;
        for end in &mut ends {
            // Where they begin, first; each that is dealt out moves it on to where they end.
            total += std::mem::replace(end, total);
        }
        let mut children = vec![0; total as usize];
        for &message in order {
            if let Some(end) = ends.get_mut(pruned.parent(message) as usize) {
                if let Some(cell) = children.get_mut(*end as usize) {
                    *cell = message;
                }
                *end += 1;
            }
        }
        Self { messages: pruned.parents.len(), children, ends }
    }

    fn children(&self, node: u32) -> &[u32] {
        let end = |node: usize| self.ends.get(node).map_or(0, |end| *end as usize);
        let start = (node as usize).checked_sub(1).map_or(0, end);
        self.children.get(start..end(node as usize)).unwrap_or_default()
    }

    /// The nodes of threads, parents before children.
    fn walk(&self, roots: impl DoubleEndedIterator<Item = u32>) -> impl Iterator<Item = u32> {
        let mut next: Vec<u32> = roots.rev().collect();
        std::iter::from_fn(move || {
            let node = next.pop()?;
            next.extend(self.children(node).iter().rev());
            Some(node)
        })
    }

    /// The roots by the latest sent date of their threads.
    pub fn by_latest(&self, roots: &[Root], sent: impl Fn(u32) -> i64 + Sync) -> Vec<u32> {
        let latest: Vec<i64> = roots
            .iter()
            .map(|root| {
                let thread = self.walk(std::iter::once(root.node));
                let messages = thread.filter(|node| (*node as usize) < self.messages);
                messages.map(&sent).max().unwrap_or_default()
            })
            .collect();
        let root = |at: u32| roots.get(at as usize);
        let mut ranking = Ranking::new(roots.len());
        ranking.by_number(|at| latest.get(at as usize).copied().unwrap_or_default(), false);
        ranking.by_number(|at| root(at).map_or(0, |root| root.first.into()), false);
        ranking.rows().filter_map(|at| root(at).map(|root| root.node)).collect()
    }

    pub fn write(&self, roots: &[u32], uid: impl Fn(u32) -> Option<Uid>) -> Threads {
        let mut threads = Threads::default();
        for node in self.walk(roots.iter().copied()) {
            threads.push(uid(node), self.children(node).len());
        }
        threads
    }
}
