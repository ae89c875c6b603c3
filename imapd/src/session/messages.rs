//! Which messages a set means (RFC 3501 sections 2.3.1 and 9, `sequence-set`).
//!
//! Laws
//! - A set is resolved once, against the session's view, before anything else is done; afterwards
//!   messages are known by UID.
//! - A sequence number beyond EXISTS is BAD; a UID that is not there is nothing, without an error
//!   (section 6.4.8).

use super::state::Selected;
use super::stop::Stop;
use crate::proto::ast::{SeqNumber, SequenceSet};
use engine::mailbox::Row;
use engine::types::UidSet;

impl Selected {
    /// The messages meant by sequence numbers, or by UIDs.
    pub fn messages(&self, set: &SequenceSet, uid: bool) -> Result<UidSet, Stop> {
        if !uid && self.is_beyond(set) {
            return Err(Stop::bad("A sequence number is beyond the last message"));
        }
        self.messages_or_none(set, uid)
    }

    /// The same for SEARCH, where a number beyond the last message just matches nothing.
    pub fn messages_or_none(&self, set: &SequenceSet, uid: bool) -> Result<UidSet, Stop> {
        let exists = self.view.exists();
        if uid {
            let largest = self.view.last_uid().map(|uid| uid.0);
            return Ok(self.view.present(&UidSet::from(set.resolve(largest)))?);
        }
        let largest = (exists > 0).then_some(exists);
        Ok(self.view.resolve(&set.resolve(largest))?)
    }

    /// Whether the client names a message that it cannot know of. `*` is always the last one, and a
    /// range that ends in it may begin anywhere.
    fn is_beyond(&self, set: &SequenceSet) -> bool {
        let exists = self.view.exists();
        set.0.iter().any(|ends| match ends {
            (SeqNumber::Number(a), SeqNumber::Number(b)) => *a.max(b) > exists,
            _ => false,
        })
    }

    /// The flags of a message as this session shows them, \Recent included.
    pub fn flag_names(&self, row: &Row) -> Vec<&str> {
        let mut names = self.view.latest().flag_names(&row.flags);
        if self.recent.contains_uid(row.uid) {
            names.push("\\Recent");
        }
        names
    }
}
