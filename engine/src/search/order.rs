//! The orders that SORT and THREAD know.

use crate::types::Uid;
use serde::{Deserialize, Serialize};

/// One criterion of SORT (RFC 5256 section 3, RFC 5957).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    pub by: SortBy,
    /// REVERSE
    pub reverse: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// INTERNALDATE.
    Arrival,
    Cc,
    /// The Date field in UTC, else INTERNALDATE.
    Date,
    DisplayFrom,
    DisplayTo,
    From,
    Size,
    /// The base subject.
    Subject,
    To,
}

/// How THREAD groups messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadBy {
    OrderedSubject,
    /// RFC 5256 section 3, REFERENCES.
    References,
    /// As REFERENCES, without its gathering by subject.
    Refs,
}

/// Threads as THREAD answers them, flat, so that no depth can exhaust a stack: every message before its
/// children, and with each how many children it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Threads {
    nodes: Vec<ThreadNode>,
}

/// A message, or one that is not there and has answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadNode {
    /// None only at the root of a thread (RFC 5256 section 3, step 3).
    pub uid: Option<Uid>,
    pub children: u32,
}

/// What comes next in a THREAD response (RFC 5256 section 4): numbers that follow each other are parted by
/// a space, and so is a number from the `(` after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadPiece {
    Open,
    Message(Uid),
    Close,
}

impl Threads {
    /// A node and how many children follow it.
    pub(super) fn push(&mut self, uid: Option<Uid>, children: usize) {
        let children = u32::try_from(children).unwrap_or(u32::MAX);
        self.nodes.push(ThreadNode { uid, children });
    }

    /// Parents before children, in order.
    #[must_use]
    pub fn nodes(&self) -> &[ThreadNode] {
        &self.nodes
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The response, piece by piece: a thread is in parentheses, and so is each child of a message that has
    /// several.
    pub fn pieces(&self) -> impl Iterator<Item = ThreadPiece> + '_ {
        let mut nodes = self.nodes.iter();
        // Of every parenthesis that is open: how many children its last message still waits for.
        let mut waiting: Vec<u32> = Vec::new();
        let mut in_line = false;
        std::iter::from_fn(move || {
            while in_line {
                let node = nodes.next()?;
                in_line = node.children == 1;
                if !in_line {
                    waiting.push(node.children);
                }
                if let Some(uid) = node.uid {
                    return Some(ThreadPiece::Message(uid));
                }
            }
            match waiting.last_mut() {
                Some(0) => {
                    waiting.pop();
                    return Some(ThreadPiece::Close);
                }
                Some(left) => *left -= 1,
                None if nodes.as_slice().is_empty() => return None,
                None => {}
            }
            in_line = true;
            Some(ThreadPiece::Open)
        })
    }
}

/// The response with UIDs.
impl std::fmt::Display for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut after_number = false;
        for piece in self.pieces() {
            match piece {
                ThreadPiece::Open if after_number => f.write_str(" (")?,
                ThreadPiece::Open => f.write_str("(")?,
                ThreadPiece::Message(uid) if after_number => write!(f, " {uid}")?,
                ThreadPiece::Message(uid) => write!(f, "{uid}")?,
                ThreadPiece::Close => f.write_str(")")?,
            }
            after_number = matches!(piece, ThreadPiece::Message(_));
        }
        Ok(())
    }
}
