//! Mailboxes that keep their numbers: an import of what was exported with its UIDs and modseqs.
//!
//! Laws
//! - The mail comes into a mailbox of another name first. It gets its name, UIDVALIDITY and UIDNEXT in one transaction,
//!   once all of it is there: an import that was broken off has given no UID that clients know from elsewhere.
//! - A UIDVALIDITY is kept only above every one under which a mailbox of that name gave a UID in the account: else the
//!   same (name, UIDVALIDITY, UID) could mean two messages. A mailbox that never gave one may be replaced: so INBOX can
//!   come back in a new account.
//! - The account's modseq counter is raised before any kept modseq is given to a row, so that whatever changes later
//!   is newer than what a client knows.
//! - In a mailbox UIDs only rise, kept ones too.

use super::Store;
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{SpecialUse, names};
use crate::txn::op::Op;
use crate::types::{AccountId, EmailId, MailboxId, ModSeq, Uid, UidValidity};

/// A UIDVALIDITY is a time: one further in the future would leave none above it to give.
const AHEAD_MAX_S: u64 = 86_400;

/// What a mailbox keeps of the one it was exported from.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct KeptMailbox {
    pub name: String,
    pub uid_validity: UidValidity,
    pub highest_modseq: ModSeq,
    pub special_use: Option<String>,
    pub subscribed: bool,
}

impl KeptMailbox {
    /// The mailbox's name until all its mail is there: one that nobody else gives.
    #[must_use]
    pub fn working_name(&self) -> String {
        format!("{} (importing {})", self.name, self.uid_validity)
    }
}

impl Store {
    /// Makes the mailbox for the mail of an import that keeps numbers, under a name for the time being. What an import of
    /// the same mailbox left when it was broken off goes.
    pub fn create_kept_mailbox(&self, account: AccountId, kept: &KeptMailbox) -> Result<MailboxId> {
        let name = names::validate(&kept.name)?;
        let working = names::validate(&kept.working_name())?;
        let kept = kept.clone();
        if kept.highest_modseq.0 >= 1 << 62 {
            let modseq = kept.highest_modseq;
            return Err(Error::NotPossible(format!("HIGHESTMODSEQ {modseq} leaves no room for changes")));
        }
        self.core().submit(move |head| {
            let uid_validity = head.give_uid_validity();
            let latest_s = head.now_ms() / 1000 + AHEAD_MAX_S;
            let of = head.writable(account, Room::Append)?;
            replaceable(of, &name)?;
            check_validity(kept.uid_validity, given_validity(of, &name), latest_s)?;
            let mut ops = Vec::new();
            if let Some(left) = of.mailbox_named(&working) {
                ops.push(Op::DeleteMailbox { mailbox: left.header.id });
            }
            let modseq = kept.highest_modseq;
            ops.push(Op::Jump { modseq, next_email: EmailId(0), next_mailbox: MailboxId(0) });
            let mailbox = of.next_mailbox;
            ops.push(Op::PutMailbox { mailbox, name: working, uid_validity, special_use: None });
            head.commit(account, ops)?;
            Ok(mailbox)
        })
    }

    /// All its mail is there: the mailbox gets the name and the UIDVALIDITY, and its next message this UID or a greater
    /// one. A mailbox of that name that never gave a UID makes room.
    pub fn finish_kept_mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        kept: &KeptMailbox,
        uid_next: Uid,
    ) -> Result<()> {
        let name = names::validate(&kept.name)?;
        let uid_validity = kept.uid_validity;
        let special_use = kept.special_use.as_deref().and_then(SpecialUse::parse);
        let subscribed = kept.subscribed;
        self.core().submit(move |head| {
            let latest_s = head.now_ms() / 1000 + AHEAD_MAX_S;
            let of = head.writable(account, Room::Append)?;
            of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?;
            check_validity(uid_validity, given_validity(of, &name), latest_s)?;
            let mut ops = Vec::new();
            let replaced = replaceable(of, &name)?;
            if let Some((mailbox, _)) = replaced {
                ops.push(Op::DeleteMailbox { mailbox });
            }
            // A special use that a third mailbox has stays there.
            let others = || of.mailboxes().filter(|one| Some(one.header.id) != replaced.map(|(id, _)| id));
            let is_free = |wanted: &SpecialUse| others().all(|one| one.header.special_use != Some(*wanted));
            let special_use =
                special_use.filter(is_free).or(replaced.and_then(|(_, special_use)| special_use));
            ops.push(Op::PutMailbox { mailbox, name: name.clone(), uid_validity, special_use });
            ops.push(Op::JumpMailbox { mailbox, uid_next, uid_validity });
            if subscribed && !of.subscriptions().contains(&name) {
                ops.push(Op::Subscribe { name, on: true });
            }
            head.commit(account, ops)
        })
    }
}

/// The mailbox that has the name, if it never gave a UID, and its special use.
fn replaceable(of: &Account, name: &str) -> Result<Option<(MailboxId, Option<SpecialUse>)>> {
    let Some(present) = of.mailbox_named(name) else { return Ok(None) };
    if present.header.uid_next > Uid(1) {
        return Err(Error::AlreadyExists(format!("mailbox {name}")));
    }
    Ok(Some((present.header.id, present.header.special_use)))
}

/// The highest UIDVALIDITY under which the name gave a UID.
fn given_validity(of: &Account, name: &str) -> Option<UidValidity> {
    of.name_validities.get(name).map(|of| of.given)
}

fn check_validity(wanted: UidValidity, last: Option<UidValidity>, latest_s: u64) -> Result<()> {
    if last.is_some_and(|last| wanted <= last) {
        let last = last.unwrap_or(wanted);
        return Err(Error::NotPossible(format!(
            "the UIDs cannot be kept: a mailbox of that name gave UIDs under UIDVALIDITY {last} already, and {wanted} is not above \
             it; choose another name, or import without keeping them"
        )));
    }
    if wanted.0 == 0 || u64::from(wanted.0) > latest_s {
        return Err(Error::NotPossible(format!(
            "UIDVALIDITY {wanted} is no time in the past: it cannot be kept"
        )));
    }
    Ok(())
}
