//! COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315 section 3).
//!
//! Laws
//! - All of the messages are copied or moved in one transaction, or none: a message that is gone
//!   makes the whole command NO.
//! - A UID that the session never had is ignored without an error (RFC 3501 section 6.4.8).

use super::Session;
use super::sink::Out;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::SequenceSet;
use crate::proto::write::{self, Code, Status};
use engine::Error;
use engine::ops::Copied;
use engine::types::{AccountId, MailboxId, UidSet};

/// What COPY and MOVE are about to do.
struct Transfer {
    account: AccountId,
    from: MailboxId,
    uids: UidSet,
    to: MailboxId,
}

impl Session {
    /// RFC 3501 section 6.4.7.
    pub(super) fn copy(&mut self, set: &SequenceSet, uid: bool, to: &str) -> Answer {
        let Some(transfer) = self.transfer(set, uid, to)? else { return Ok(Done::plain()) };
        let Transfer { account, from, uids, to } = transfer;
        let copied = self.shared.store.copy(account, from, &uids, to).map_err(try_create)?;
        Ok(Done::with(copy_uid(&copied)))
    }

    /// RFC 6851 section 3.3: COPYUID goes out untagged before the EXPUNGEs that follow.
    pub(super) fn move_messages(&mut self, set: &SequenceSet, uid: bool, to: &str, out: &mut Out) -> Answer {
        if self.state.selected()?.1.read_only {
            return Err(Stop::no(Code::ReadOnly, "The mailbox is read-only"));
        }
        let Some(transfer) = self.transfer(set, uid, to)? else { return Ok(Done::plain()) };
        let Transfer { account, from, uids, to } = transfer;
        let moved = self.shared.store.move_messages(account, from, &uids, to).map_err(try_create)?;
        write::untagged(out.buffer(), Status::Ok, Some(&copy_uid(&moved)), "Moved");
        Ok(Done::with(Code::HighestModSeq(moved.modseq.0)))
    }

    /// What is meant; `None` when a UID set names nothing.
    fn transfer(&mut self, set: &SequenceSet, uid: bool, to: &str) -> Result<Option<Transfer>, Stop> {
        let (login, selected) = self.state.selected()?;
        let (account, from) = (login.account, selected.mailbox);
        let uids = selected.messages(set, uid)?;
        if !uids.intersect(&selected.view.ghost_uids()).is_empty() {
            return Err(Error::Expunged.into());
        }
        let to = match self.mailbox_named(to) {
            Ok(to) => to.header.id,
            Err(stop) => return Err(no_such_target(stop)),
        };
        Ok((!uids.is_empty()).then_some(Transfer { account, from, uids, to }))
    }
}

fn copy_uid(copied: &Copied) -> Code {
    Code::CopyUid {
        uid_validity: copied.uid_validity.0,
        from: copied.from.iter().map(|uid| uid.0).collect(),
        to: copied.to.iter().map(|uid| uid.0).collect(),
    }
}

/// The target is what may be missing: the client may create it and try again.
fn try_create(error: Error) -> Stop {
    match error {
        Error::NoSuchMailbox => Stop::no(Code::TryCreate, "No such mailbox"),
        error => error.into(),
    }
}

fn no_such_target(stop: Stop) -> Stop {
    match stop {
        Stop::No(Some(Code::NonExistent), text) => Stop::No(Some(Code::TryCreate), text),
        stop => stop,
    }
}
