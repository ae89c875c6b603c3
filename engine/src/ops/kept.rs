//! Mailboxes that keep their numbers: an import of what was exported with its UIDs and modseqs.
//!
//! Laws
//! - A UIDVALIDITY is kept only above every one that the name had in the account: else the same (name, UIDVALIDITY,
//!   UID) could mean two messages.
//! - The account's modseq counter is raised before any kept modseq is given to a row, so that whatever changes later
//!   is newer than what a client knows.
//! - In a mailbox UIDs only rise, kept ones too.

use super::Store;
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

impl Store {
    /// Makes a mailbox with the UIDVALIDITY and the modseqs of another one.
    pub fn create_kept_mailbox(&self, account: AccountId, kept: &KeptMailbox) -> Result<MailboxId> {
        let name = names::validate(&kept.name)?;
        let (uid_validity, highest_modseq) = (kept.uid_validity, kept.highest_modseq);
        let special_use = kept.special_use.as_deref().and_then(SpecialUse::parse);
        let subscribed = kept.subscribed;
        if highest_modseq.0 >= 1 << 62 {
            return Err(Error::NotPossible(format!(
                "HIGHESTMODSEQ {highest_modseq} leaves no room for changes"
            )));
        }
        self.core().submit(move |head| {
            let latest = head.now_ms() / 1000 + AHEAD_MAX_S;
            let of = head.writable(account, Room::Append)?;
            if of.mailbox_named(&name).is_some() {
                return Err(Error::AlreadyExists(format!("mailbox {name}")));
            }
            check_validity(uid_validity, of.name_validities.get(&name).copied(), latest)?;
            // A special use that another mailbox has stays there.
            let is_taken = |wanted| of.mailboxes().any(|mailbox| mailbox.header.special_use == Some(wanted));
            let special_use = special_use.filter(|wanted| !is_taken(*wanted));
            let mailbox = of.next_mailbox;
            let jump =
                Op::Jump { modseq: highest_modseq, next_email: EmailId(0), next_mailbox: MailboxId(0) };
            let mut ops =
                vec![jump, Op::PutMailbox { mailbox, name: name.clone(), uid_validity, special_use }];
            if subscribed && !of.subscriptions().contains(&name) {
                ops.push(Op::Subscribe { name, on: true });
            }
            head.commit(account, ops)?;
            Ok(mailbox)
        })
    }

    /// Has the mailbox's next message get this UID, or a greater one.
    pub fn raise_uid_next(&self, account: AccountId, mailbox: MailboxId, uid_next: Uid) -> Result<()> {
        self.core().submit(move |head| {
            let of = head.writable(account, Room::Append)?;
            let header = &of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?.header;
            if header.uid_next >= uid_next {
                return Ok(());
            }
            let uid_validity = header.uid_validity;
            head.commit(account, vec![Op::JumpMailbox { mailbox, uid_next, uid_validity }])
        })
    }
}

fn check_validity(wanted: UidValidity, last: Option<UidValidity>, latest_s: u64) -> Result<()> {
    if last.is_some_and(|last| wanted <= last) {
        let last = last.unwrap_or(wanted);
        return Err(Error::NotPossible(format!(
            "the UIDs cannot be kept: a mailbox of that name had UIDVALIDITY {last} already, and {wanted} is not above \
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
