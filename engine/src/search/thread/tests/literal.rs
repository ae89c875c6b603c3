//! The REFERENCES algorithm as RFC 5256 tells it, step by step and as slow as it comes.

use crate::summary::base_subject;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub struct Letter {
    pub id: Option<String>,
    pub references: Vec<String>,
    pub subject: String,
    pub sent_s: i64,
}

#[derive(Default, Clone)]
struct Node {
    message: Option<usize>,
    parent: Option<usize>,
    children: Vec<usize>,
}

struct Literal<'a> {
    letters: &'a [Letter],
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

/// The response, numbered from 1. Without subjects: REFS.
pub fn literal(letters: &[Letter], with_subjects: bool) -> String {
    let mut it = Literal { letters, nodes: Vec::new(), roots: Vec::new() };
    it.link();
    it.roots = (0..it.nodes.len()).filter(|n| it.nodes[*n].parent.is_none()).collect(); // (2)
    let roots = it.roots.clone();
    it.roots = it.prune(&roots, true);
    it.sort_roots(); // (4)
    if with_subjects {
        it.gather();
    }
    it.sort_siblings(); // (6)
    it.sort_roots();
    if !with_subjects {
        let mut roots = it.roots.clone();
        roots.sort_by_key(|root| (it.latest(*root), it.first(*root).1));
        it.roots = roots;
    }
    it.roots.iter().map(|root| format!("({})", it.written(*root))).collect()
}

impl Literal<'_> {
    fn link(&mut self) {
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        for (n, letter) in self.letters.iter().enumerate() {
            self.nodes.push(Node { message: Some(n), ..Node::default() });
            if let Some(id) = &letter.id {
                by_id.entry(id).or_insert(n);
            }
        }
        for (n, letter) in self.letters.iter().enumerate() {
            let mut before = None;
            for id in &letter.references {
                let node = *by_id.entry(id).or_insert_with(|| {
                    self.nodes.push(Node::default());
                    self.nodes.len() - 1
                });
                if let Some(before) = before.replace(node)
                    && self.nodes[node].parent.is_none()
                {
                    self.set_parent(node, before);
                }
            }
            if let Some(parent) = self.nodes[n].parent.take() {
                self.nodes[parent].children.retain(|child| *child != n);
            }
            if let Some(parent) = before {
                self.set_parent(n, parent);
            }
        }
    }

    fn set_parent(&mut self, child: usize, parent: usize) {
        let mut at = Some(parent);
        while let Some(ancestor) = at {
            if ancestor == child {
                return; // a loop
            }
            at = self.nodes[ancestor].parent;
        }
        self.nodes[child].parent = Some(parent);
        self.nodes[parent].children.push(child);
    }

    fn is_dummy(&self, node: usize) -> bool {
        self.nodes[node].message.is_none()
    }

    /// (3)
    fn prune(&mut self, siblings: &[usize], at_root: bool) -> Vec<usize> {
        let mut kept = Vec::new();
        for &node in siblings {
            let children = self.nodes[node].children.clone();
            let children = self.prune(&children, false);
            self.nodes[node].children = children.clone();
            if self.is_dummy(node) && (!at_root || children.len() < 2) {
                kept.extend(children);
            } else {
                kept.push(node);
            }
        }
        kept
    }

    fn first(&self, node: usize) -> (i64, usize) {
        match self.nodes[node].message {
            Some(n) => (self.letters[n].sent_s, n),
            None => self.nodes[node].children.iter().map(|child| self.first(*child)).min().unwrap(),
        }
    }

    fn latest(&self, node: usize) -> i64 {
        let own = self.nodes[node].message.map(|n| self.letters[n].sent_s);
        own.into_iter().chain(self.nodes[node].children.iter().map(|c| self.latest(*c))).max().unwrap()
    }

    fn sort_roots(&mut self) {
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_key(|root| self.first(*root));
        self.roots = roots;
    }

    fn sort_siblings(&mut self) {
        for node in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[node].children);
            children.sort_by_key(|child| self.first(*child));
            self.nodes[node].children = children;
        }
    }

    fn subject(&self, node: usize) -> String {
        let (_, n) = self.first(node);
        base_subject(&self.letters[n].subject).text.to_ascii_lowercase()
    }

    fn is_reply(&self, node: usize) -> bool {
        let of = |n: usize| base_subject(&self.letters[n].subject).is_reply_or_forward;
        self.nodes[node].message.is_some_and(of)
    }

    /// (5)
    fn gather(&mut self) {
        let mut table: BTreeMap<String, usize> = BTreeMap::new();
        for &node in &self.roots {
            let subject = self.subject(node);
            if subject.is_empty() {
                continue;
            }
            match table.get(&subject) {
                None => drop(table.insert(subject, node)),
                Some(&held) => {
                    let better = self.is_dummy(node) || (self.is_reply(held) && !self.is_reply(node));
                    if !self.is_dummy(held) && better {
                        table.insert(subject, node);
                    }
                }
            }
        }
        for node in self.roots.clone() {
            let subject = self.subject(node);
            let Some(&held) = table.get(&subject).filter(|held| **held != node) else { continue };
            self.roots.retain(|root| *root != node);
            if self.is_dummy(node) && self.is_dummy(held) {
                let children = std::mem::take(&mut self.nodes[node].children);
                self.nodes[held].children.extend(children);
            } else if self.is_dummy(held) || (self.is_reply(node) && !self.is_reply(held)) {
                self.nodes[held].children.push(node);
            } else {
                self.nodes.push(Node { children: vec![held, node], ..Node::default() });
                let dummy = self.nodes.len() - 1;
                self.roots.retain(|root| *root != held);
                self.roots.push(dummy);
                table.insert(subject, dummy);
            }
        }
    }

    fn written(&self, node: usize) -> String {
        let children = &self.nodes[node].children;
        let own = self.nodes[node].message.map(|n| (n + 1).to_string());
        let below = match children.as_slice() {
            [] => None,
            [one] => Some(self.written(*one)),
            many => Some(many.iter().map(|child| format!("({})", self.written(*child))).collect()),
        };
        [own, below].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
