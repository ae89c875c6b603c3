//! Which messages a set means (RFC 3501 sections 2.3.1 and 9, `sequence-set`).
//!
//! Laws
//! - A set is resolved once, against the session's view, before anything else is done; afterwards
//!   messages are known by UID.
//! - `$` means what the last SEARCH with SAVE kept, as far as the view still shows it (RFC 5182 section 2.1).
//! - A sequence number beyond EXISTS is BAD; a UID that is not there is nothing, without an error
//!   (section 6.4.8).

use super::state::Selected;
use super::stop::Stop;
use crate::proto::ast::{SeqNumber, SequenceSet};
use engine::mailbox::{Row, View};
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
        resolve(&self.view, &self.saved, set, uid)
    }

    /// Whether the client names a message that it cannot know of. `*` is always the last one, and a
    /// range that ends in it may begin anywhere.
    fn is_beyond(&self, set: &SequenceSet) -> bool {
        let exists = self.view.exists();
        set.ranges.iter().any(|ends| match ends {
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

/// The messages of a view that a set means; `saved` is what `$` stands for.
pub fn resolve(view: &View, saved: &UidSet, set: &SequenceSet, uid: bool) -> Result<UidSet, Stop> {
    let messages = match uid {
        true => view.present(&UidSet::from(set.resolve(view.last_uid().map(|uid| uid.0))))?,
        false => {
            let exists = view.exists();
            view.resolve(&set.resolve((exists > 0).then_some(exists)))?
        }
    };
    Ok(if set.saved { messages.union(&view.present(saved)?) } else { messages })
}
