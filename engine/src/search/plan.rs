//! A key made ready for one mailbox: patterns folded once, flags looked up, the cheapest tests first.
//!
//! Laws
//! - The order of a node's children is settled here and kept everywhere: whoever looks at one row
//!   later asks what was asked of all rows, in the same order.
//! - What rows answer stands before what texts answer, as one node: it is one pass over the columns.

use super::explain::{Label, Step};
use super::key::{DateIs, DateOf, Key};
use super::leaf::{Leaf, TextTest};
use super::row_test::RowTest;
use crate::error::{Error, Result};
use crate::mailbox::{Mailbox, Row};
use crate::types::{UidSet, civil};

/// How deep keys nest. Parsers have narrower limits; this one guards the stack from the rest.
const DEPTH_MAX: usize = 200;

pub struct Plan {
    pub root: Node,
    /// Every text key once, by number.
    pub leaves: Vec<Leaf>,
    /// A step for every node, in the order in which they are asked.
    pub steps: Vec<Step>,
}

pub struct Node {
    pub kind: Kind,
    /// Its place in `steps`.
    pub step: usize,
    /// Some text stands below.
    pub has_text: bool,
    label: Label,
}

pub enum Kind {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Row(RowTest),
    /// The number of a leaf.
    Text(usize),
}

impl Plan {
    pub fn new(key: &Key, mailbox: &Mailbox, now_s: i64) -> Result<Self> {
        let mut planner = Planner { mailbox, now_s, leaves: Vec::new() };
        let mut root = planner.node(key, false, 0)?;
        let mut steps = Vec::new();
        root.number(0, &mut steps);
        Ok(Self { root, leaves: planner.leaves, steps })
    }

    /// The UIDs outside of which nothing can match, where the key says so at once.
    pub fn scope(&self) -> Option<UidSet> {
        self.root.scope()
    }
}

struct Planner<'a> {
    mailbox: &'a Mailbox,
    now_s: i64,
    leaves: Vec<Leaf>,
}

impl Planner<'_> {
    fn node(&mut self, key: &Key, fuzzy: bool, depth: usize) -> Result<Node> {
        if depth > DEPTH_MAX {
            return Err(Error::Limit(format!("search keys nest deeper than {DEPTH_MAX}")));
        }
        Ok(match key {
            Key::And(keys) => {
                let keys = keys.iter().map(|key| self.node(key, fuzzy, depth + 1));
                Node::gathered(Gather::All, keys.collect::<Result<_>>()?, &self.leaves)
            }
            Key::Or(a, b) => {
                let keys = vec![self.node(a, fuzzy, depth + 1)?, self.node(b, fuzzy, depth + 1)?];
                Node::gathered(Gather::Any, keys, &self.leaves)
            }
            Key::Not(key) => Node::not(self.node(key, fuzzy, depth + 1)?),
            Key::Fuzzy(key) => self.node(key, true, depth + 1)?,
            Key::New => {
                let unseen = Node::not(self.row(&Key::Flag("\\Seen".to_owned())));
                Node::gathered(Gather::All, vec![self.row(&Key::Recent), unseen], &self.leaves)
            }
            Key::Old => Node::not(self.row(&Key::Recent)),
            Key::Header { name, string } => {
                self.text(TextTest::Header(name.to_ascii_lowercase()), string, fuzzy)
            }
            // The empty string is in every text (RFC 3501 section 6.4.4 excepts only HEADER).
            Key::Body(string) if !string.is_empty() => self.text(TextTest::Body, string, fuzzy),
            Key::Text(string) if !string.is_empty() => self.text(TextTest::Text, string, fuzzy),
            key => self.row(key),
        })
    }

    fn text(&mut self, test: TextTest, string: &str, fuzzy: bool) -> Node {
        let leaf = Leaf::new(test, string, fuzzy);
        let label = leaf.label();
        self.leaves.push(leaf);
        Node { kind: Kind::Text(self.leaves.len() - 1), step: 0, has_text: true, label }
    }

    fn row(&self, key: &Key) -> Node {
        let test = match key {
            Key::Uids(uids) => RowTest::Uids(uids.clone()),
            Key::Flag(name) => self.mailbox.flag_id(name).map_or(RowTest::Const(false), RowTest::Flag),
            Key::Recent => RowTest::Recent,
            Key::Date { of, is, day } => RowTest::Date { of: *of, is: *is, day: *day },
            Key::Older(s) => RowTest::NotAfter(self.now_s.saturating_sub(i64::from(*s))),
            Key::Younger(s) => RowTest::NotBefore(self.now_s.saturating_sub(i64::from(*s))),
            Key::Larger(bytes) => RowTest::Larger(*bytes),
            Key::Smaller(bytes) => RowTest::Smaller(*bytes),
            Key::ModSeq(modseq) => RowTest::ModSeq(*modseq),
            Key::EmailId(email) => RowTest::EmailId(*email),
            Key::ThreadId(thread) => RowTest::ThreadId(*thread),
            // ALL, SAVEDATESUPPORTED and empty strings; the rest is never asked here.
            _ => RowTest::Const(true),
        };
        Node { kind: Kind::Row(test), step: 0, has_text: false, label: label_of_row(key) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gather {
    All,
    Any,
}

impl Node {
    fn not(node: Self) -> Self {
        Self { step: 0, has_text: node.has_text, label: Label::plain("NOT"), kind: Kind::Not(Box::new(node)) }
    }

    /// AND or OR, the cheapest first; a child of the same kind becomes part of it.
    fn gathered(how: Gather, children: Vec<Self>, leaves: &[Leaf]) -> Self {
        let mut flat = Vec::with_capacity(children.len());
        for child in children {
            match (how, child.kind) {
                (Gather::All, Kind::All(inner)) | (Gather::Any, Kind::Any(inner)) => flat.extend(inner),
                (_, kind) => flat.push(Self { kind, ..child }),
            }
        }
        if flat.len() == 1 {
            return flat.remove(0);
        }
        let (texts, rows): (Vec<Self>, Vec<Self>) = flat.into_iter().partition(|child| child.has_text);
        if texts.is_empty() {
            return Self::joined(how, rows, leaves);
        }
        let mut children = texts;
        match rows.len() {
            0 => {}
            1 => children.extend(rows),
            _ => children.push(Self::joined(how, rows, leaves)),
        }
        Self::joined(how, children, leaves)
    }

    fn joined(how: Gather, mut children: Vec<Self>, leaves: &[Leaf]) -> Self {
        children.sort_by_cached_key(|child| child.cost(leaves));
        let has_text = children.iter().any(|child| child.has_text);
        let (kind, word) = match how {
            Gather::All => (Kind::All(children), "AND"),
            Gather::Any => (Kind::Any(children), "OR"),
        };
        Self { kind, step: 0, has_text, label: Label::plain(word) }
    }

    fn cost(&self, leaves: &[Leaf]) -> u8 {
        match &self.kind {
            Kind::All(nodes) | Kind::Any(nodes) => {
                nodes.iter().map(|node| node.cost(leaves)).max().unwrap_or(0)
            }
            Kind::Not(node) => node.cost(leaves),
            Kind::Row(test) => test.cost(),
            Kind::Text(leaf) => leaves.get(*leaf).map_or(u8::MAX, Leaf::cost),
        }
    }

    fn number(&mut self, depth: u32, steps: &mut Vec<Step>) {
        self.step = steps.len();
        steps.push(Step::new(depth, self.label.clone(), self.has_text));
        match &mut self.kind {
            Kind::All(nodes) | Kind::Any(nodes) => {
                nodes.iter_mut().for_each(|node| node.number(depth + 1, steps));
            }
            Kind::Not(node) => node.number(depth + 1, steps),
            Kind::Row(_) | Kind::Text(_) => {}
        }
    }

    fn scope(&self) -> Option<UidSet> {
        match &self.kind {
            Kind::Row(RowTest::Uids(uids)) => Some(uids.clone()),
            Kind::All(nodes) => nodes.iter().filter_map(Self::scope).reduce(|a, b| a.intersect(&b)),
            _ => None,
        }
    }

    /// What is known of a row, `text` answering for the leaves as far as it can; None when a text
    /// that nobody looked at decides.
    pub fn of_row(
        &self,
        row: &Row,
        recent: &UidSet,
        text: &mut dyn FnMut(usize) -> Result<Option<bool>>,
    ) -> Result<Option<bool>> {
        Ok(match &self.kind {
            Kind::All(nodes) => return settled(nodes, false, &mut |node| node.of_row(row, recent, text)),
            Kind::Any(nodes) => return settled(nodes, true, &mut |node| node.of_row(row, recent, text)),
            Kind::Not(node) => node.of_row(row, recent, text)?.map(|value| !value),
            Kind::Row(test) => Some(test.of_row(row, recent)),
            Kind::Text(leaf) => return text(*leaf),
        })
    }
}

/// AND (`decisive` false) and OR (true) over what is known.
fn settled(
    nodes: &[Node],
    decisive: bool,
    answer: &mut dyn FnMut(&Node) -> Result<Option<bool>>,
) -> Result<Option<bool>> {
    let mut open = false;
    for node in nodes {
        match answer(node)? {
            Some(value) if value == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => open = true,
        }
    }
    Ok((!open).then_some(!decisive))
}

fn label_of_row(key: &Key) -> Label {
    let with = |word: &str, argument: String| Label::with(word, argument);
    match key {
        Key::Uids(uids) => with("UID", format!("{} in {} ranges", uids.len(), uids.ranges().len())),
        Key::Flag(name) => match name.strip_prefix('\\') {
            Some(system) => Label::plain(&system.to_ascii_uppercase()),
            None => Label::private("KEYWORD", name),
        },
        Key::Recent => Label::plain("RECENT"),
        Key::Date { of, is, day } => with(date_word(*of, *is), date(*day)),
        Key::Older(s) => with("OLDER", format!("{s} s")),
        Key::Younger(s) => with("YOUNGER", format!("{s} s")),
        Key::Larger(bytes) => with("LARGER", bytes.to_string()),
        Key::Smaller(bytes) => with("SMALLER", bytes.to_string()),
        Key::ModSeq(modseq) => with("MODSEQ", modseq.to_string()),
        Key::EmailId(email) => with("EMAILID", email.to_string()),
        Key::ThreadId(thread) => with("THREADID", thread.to_string()),
        Key::SaveDateSupported => Label::plain("SAVEDATESUPPORTED"),
        Key::Body(_) => Label::private("BODY", ""),
        Key::Text(_) => Label::private("TEXT", ""),
        _ => Label::plain("ALL"),
    }
}

fn date_word(of: DateOf, is: DateIs) -> &'static str {
    match (of, is) {
        (DateOf::Internal, DateIs::Before) => "BEFORE",
        (DateOf::Internal, DateIs::On) => "ON",
        (DateOf::Internal, DateIs::Since) => "SINCE",
        (DateOf::Sent, DateIs::Before) => "SENTBEFORE",
        (DateOf::Sent, DateIs::On) => "SENTON",
        (DateOf::Sent, DateIs::Since) => "SENTSINCE",
        (DateOf::Saved, DateIs::Before) => "SAVEDBEFORE",
        (DateOf::Saved, DateIs::On) => "SAVEDON",
        (DateOf::Saved, DateIs::Since) => "SAVEDSINCE",
    }
}

fn date(day: i64) -> String {
    // A day past any calendar is said as a number: reckoning it would overflow.
    if day.unsigned_abs() > 10_000_000 {
        return format!("day {day}");
    }
    let (year, month, day) = civil::civil(day);
    format!("{day}-{}-{year}", civil::month_name(month).unwrap_or("?"))
}
