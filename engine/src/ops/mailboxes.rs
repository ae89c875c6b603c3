//! Mailboxes: made, deleted, renamed, subscribed (RFC 3501 section 6.3).

use super::Store;
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{Row, SpecialUse, names};
use crate::txn::head::Head;
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, ModSeq, Uid, UidValidity};

impl Store {
    /// CREATE (RFC 3501 section 6.3.3; RFC 6154 for the special use).
    pub fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        let name = names::validate(name)?;
        self.core().submit(move |head| {
            let uid_validity = head.give_uid_validity();
            let of = head.writable(account, Room::Append)?;
            if of.mailbox_named(&name).is_some() {
                return Err(Error::AlreadyExists(format!("mailbox {name}")));
            }
            let mailbox = of.next_mailbox;
            head.commit(account, vec![Op::PutMailbox { mailbox, name, uid_validity, special_use }])?;
            Ok(mailbox)
        })
    }

    /// DELETE (RFC 3501 section 6.3.4). Mailboxes below it stay.
    pub fn delete_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        self.core().submit(move |head| {
            let of = head.writable(account, Room::Shrink)?;
            let found = of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?;
            if names::is_inbox(&found.header.name) {
                return Err(Error::NotPossible("INBOX cannot be deleted".into()));
            }
            head.commit(account, vec![Op::DeleteMailbox { mailbox }])
        })
    }

    /// RENAME (RFC 3501 section 6.3.5): mailboxes below it move along; INBOX keeps its name and
    /// gives its messages away.
    pub fn rename_mailbox(&self, account: AccountId, mailbox: MailboxId, to: &str) -> Result<()> {
        let to = names::validate(to)?;
        self.core().submit(move |head| {
            let fresh = head.give_uid_validity();
            let now_s = i64::try_from(head.now_ms() / 1000).unwrap_or(i64::MAX);
            let of = head.writable(account, Room::Append)?;
            let from = of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?.header.name.to_string();
            if of.mailbox_named(&to).is_some() {
                return Err(Error::AlreadyExists(format!("mailbox {to}")));
            }
            let ops = if names::is_inbox(&from) {
                empty_inbox(of, mailbox, &to, fresh, now_s)?
            } else {
                if names::is_below(&to, &from) {
                    return Err(Error::NotPossible("a mailbox cannot be moved below itself".into()));
                }
                rename_tree(head, account, &from, &to)?
            };
            head.commit(account, ops)
        })
    }

    /// SUBSCRIBE and UNSUBSCRIBE: names, whether a mailbox has them or not (RFC 3501 section 6.3.6).
    pub fn subscribe(&self, account: AccountId, name: &str, on: bool) -> Result<()> {
        let name = names::validate(name)?;
        self.core().submit(move |head| {
            let of = head.writable(account, Room::Shrink)?;
            if of.subscriptions().contains(&name) == on {
                return Ok(());
            }
            head.commit(account, vec![Op::Subscribe { name, on }])
        })
    }

    /// Everything not yet recent to anyone is now recent to the caller: (first, last) UID, none when
    /// first is above last. Kept in memory; the account's next transaction carries it.
    pub fn claim_recent(&self, account: AccountId, mailbox: MailboxId) -> Result<(Uid, Uid)> {
        let header = &self.mailbox(account, mailbox)?.header;
        Ok(self.core().recent.claim(account, mailbox, header.recent_uid, header.uid_next))
    }

    /// The highest UID that some session was told of as recent (STATUS RECENT).
    pub fn recent_uid(&self, account: AccountId, mailbox: MailboxId) -> Result<Uid> {
        let known = self.mailbox(account, mailbox)?.header.recent_uid;
        Ok(self.core().recent.highest(account, mailbox, known))
    }
}

/// The mailbox and all below it get new names. A name that had as high a UIDVALIDITY before gives
/// its mailbox a new one, so that no client takes old UIDs for these messages.
fn rename_tree(head: &mut Head, account: AccountId, from: &str, to: &str) -> Result<Vec<Op>> {
    let of = head.account(account)?;
    let mut moved = Vec::new();
    for mailbox in of.mailboxes() {
        let header = &mailbox.header;
        let Some(rest) = header.name.strip_prefix(from) else { continue };
        if !rest.is_empty() && !rest.starts_with('/') {
            continue;
        }
        let name = names::validate(&format!("{to}{rest}"))?;
        if of.mailbox_named(&name).is_some() {
            return Err(Error::AlreadyExists(format!("mailbox {name}")));
        }
        let had = of.name_validities.get(&name).map_or(UidValidity(0), |of| of.last);
        moved.push((header.id, name, header.uid_validity, header.special_use, had));
    }
    let ops = moved.into_iter().map(|(mailbox, name, validity, special_use, had)| {
        let uid_validity = if had >= validity { head.give_uid_validity() } else { validity };
        Op::PutMailbox { mailbox, name, uid_validity, special_use }
    });
    Ok(ops.collect())
}

/// RENAME of INBOX: a new mailbox takes its messages; INBOX stays, empty.
fn empty_inbox(
    of: &Account,
    inbox: MailboxId,
    to: &str,
    uid_validity: UidValidity,
    now_s: i64,
) -> Result<Vec<Op>> {
    let source = of.mailbox(inbox).ok_or(Error::NoSuchMailbox)?;
    let target = of.next_mailbox;
    let modseq = ModSeq(of.modseq.0 + 1);
    let mut ops =
        vec![Op::PutMailbox { mailbox: target, name: to.to_owned(), uid_validity, special_use: None }];
    for name in source.header.keywords.iter() {
        let flag = source.header.keywords.id(name).ok_or(Error::NoSuchMailbox)?;
        ops.push(Op::Keyword { mailbox: target, flag, name: name.to_string() });
    }
    let uids = source.uids()?;
    for (uid, row) in (1..).zip(source.rows(&uids)) {
        let row = Row { uid: Uid(uid), modseq, save_date_s: now_s, ..row? };
        ops.push(Op::Append { mailbox: target, row });
    }
    if !uids.is_empty() {
        ops.push(Op::Expunge { mailbox: inbox, uids, modseq });
    }
    Ok(ops)
}
