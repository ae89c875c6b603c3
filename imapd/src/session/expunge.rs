//! EXPUNGE and UID EXPUNGE (RFC 3501 section 6.4.3, RFC 4315 section 2.1).
//!
//! Laws
//! - Only messages that have \Deleted at the time of the transaction go, whoever set it.
//! - EXPUNGE responses come from the session's view, so they agree with what it told before.

use super::Session;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::SequenceSet;
use crate::proto::write::Code;

impl Session {
    pub(super) fn expunge(&mut self, uids: Option<&SequenceSet>) -> Answer {
        let (login, selected) = self.state.selected()?;
        if selected.read_only {
            return Err(Stop::no(Code::ReadOnly, "The mailbox is read-only"));
        }
        let uids = uids.map(|set| selected.messages(set, true)).transpose()?;
        let expunged = self.shared.store.expunge(login.account, selected.mailbox, uids.as_ref())?;
        if expunged.uids.is_empty() || !login.condstore {
            return Ok(Done::plain());
        }
        Ok(Done::with(Code::HighestModSeq(expunged.modseq.0)))
    }
}
