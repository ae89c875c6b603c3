//! THREAD responses (RFC 5256 section 4, BASE.7.2.THREAD).
//!
//! Laws
//! - Members come in preorder, each with the number of its children; how deep they nest costs a few
//!   bytes of heap a level and no stack.
//! - A child stands beside its parent (`3 6`) where it is the only one, else each child is a list of
//!   its own (`6 (4 23)(44)`).
//! - A member that is not there leaves no trace but what it joins, `((3)(5))`: it has two children or more,
//!   and is no only child.

use super::number::number;

/// One `* THREAD ..` being written in parts: `new`, `member` of each, `end`.
#[derive(Debug, Default)]
pub struct ThreadResponse {
    /// The members whose children are not all written.
    open: Vec<Level>,
    any: bool,
}

#[derive(Debug)]
struct Level {
    children_left: u32,
    /// Its children are lists of their own.
    forks: bool,
    /// It began a list, which ends after its last child.
    is_list: bool,
    /// Nothing stands directly before the next child that a space must part it from.
    is_bare: bool,
}

impl ThreadResponse {
    pub fn new(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"* THREAD");
        Self::default()
    }

    /// The next member; `None` is one that is not there, and joins two children or more.
    pub fn member(&mut self, out: &mut Vec<u8>, member: Option<u32>, children: u32) {
        let is_list = self.begin(out);
        if let Some(member) = member {
            number(out, u64::from(member));
        }
        let (forks, is_bare) = (children > 1, member.is_none());
        self.open.push(Level { children_left: children, forks, is_list, is_bare });
        self.close_done(out);
    }

    /// What stands before a member; whether that is the parenthesis of a list.
    fn begin(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(parent) = self.open.last_mut() else {
            out.extend_from_slice(if self.any { b"(" } else { b" (" });
            self.any = true;
            return true;
        };
        parent.children_left = parent.children_left.saturating_sub(1);
        if !std::mem::replace(&mut parent.is_bare, true) {
            out.push(b' ');
        }
        if parent.forks {
            out.push(b'(');
        }
        parent.forks
    }

    fn close_done(&mut self, out: &mut Vec<u8>) {
        while let Some(level) = self.open.pop_if(|level| level.children_left == 0) {
            if level.is_list {
                out.push(b')');
            }
        }
    }

    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
    }
}
