//! What an operation does to an account. Used by the sequencer for new transactions and by recovery
//! for old ones, so that both come to the same state.
//!
//! Laws
//! - UIDNEXT, modseq, the id counters and what is kept of a name's UIDVALIDITY only rise here, whatever an operation says.
//! - An operation on an object that is no longer there does nothing: it was deleted later in
//!   sequence, or the object was lost and repair will say so.

use super::op::Op;
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::mailbox::{FlagId, Header, Mailbox, Pager};
use crate::types::{EmailId, MailboxId, ModSeq, Uid, UidValidity};
use std::sync::Arc;

/// Applies one operation of the group `account.last_lsn`.
pub fn apply(account: &mut Account, op: &Op, pager: &Arc<Pager>) -> Result<()> {
    match op {
        Op::PutAccount { name, password_hash, quota_bytes } => {
            account.name = name.as_str().into();
            account.password_hash = password_hash.as_deref().map(Arc::from);
            account.quota_bytes = *quota_bytes;
        }
        // The account as a whole goes: the one who holds the accounts sees to it.
        Op::DeleteAccount => {}
        Op::PutMailbox { mailbox, name, .. } => {
            put_mailbox(account, *mailbox, name, op, pager);
        }
        Op::DeleteMailbox { mailbox } => {
            if let Some(gone) = account.mailboxes.remove(mailbox) {
                account.names.remove(&*gone.header.name);
            }
        }
        Op::Subscribe { name, on } => {
            let subscriptions = Arc::make_mut(&mut account.subscriptions);
            if *on {
                subscriptions.insert(name.clone());
            } else {
                subscriptions.remove(name);
            }
        }
        Op::Jump { modseq, next_email, next_mailbox } => {
            account.modseq = account.modseq.max(*modseq);
            account.next_email = account.next_email.max(*next_email);
            account.next_mailbox = account.next_mailbox.max(*next_mailbox);
        }
        // Kept by the table of deliveries, and by the store, not by the account.
        Op::Delivered { .. } | Op::JumpStore { .. } => {}
        Op::Keyword { mailbox, .. }
        | Op::Append { mailbox, .. }
        | Op::Flags { mailbox, .. }
        | Op::Expunge { mailbox, .. }
        | Op::Recent { mailbox, .. }
        | Op::JumpMailbox { mailbox, .. } => return apply_in_mailbox(account, *mailbox, op),
    }
    Ok(())
}

fn put_mailbox(account: &mut Account, id: MailboxId, name: &str, op: &Op, pager: &Arc<Pager>) {
    let Op::PutMailbox { uid_validity, special_use, .. } = op else { return };
    if let Some(present) = account.mailboxes.get_mut(&id) {
        let mailbox = Arc::make_mut(present);
        account.names.remove(&*mailbox.header.name);
        mailbox.header.name = name.into();
        mailbox.header.uid_validity = *uid_validity;
        mailbox.header.special_use = *special_use;
        mailbox.header.changed_lsn = account.last_lsn;
    } else {
        let mut header = Header::new(account.id, id, name, *uid_validity, account.modseq);
        header.special_use = *special_use;
        header.changed_lsn = account.last_lsn;
        account.mailboxes.insert(id, Arc::new(Mailbox::new(header, pager.clone())));
        account.next_mailbox = account.next_mailbox.max(id.next());
    }
    account.names.insert(name.to_owned(), id);
    let gave = account.mailboxes.get(&id).is_some_and(|mailbox| mailbox.header.uid_next > Uid(1));
    note_validity(account, name.to_owned(), *uid_validity, gave);
}

/// A mailbox of that name has this UIDVALIDITY, and `gave` UIDs under it.
fn note_validity(account: &mut Account, name: String, uid_validity: UidValidity, gave: bool) {
    let of = account.name_validities.entry(name).or_default();
    of.last = of.last.max(uid_validity);
    if gave {
        of.given = of.given.max(uid_validity);
    }
}

fn apply_in_mailbox(account: &mut Account, id: MailboxId, op: &Op) -> Result<()> {
    let Some(mailbox) = account.mailboxes.get_mut(&id) else { return Ok(()) };
    let mailbox = Arc::make_mut(mailbox);
    mailbox.header.changed_lsn = account.last_lsn;
    let mut modseq = ModSeq(0);
    let mut next_email = EmailId(0);
    let mut gives_its_first = mailbox.header.uid_next == Uid(1);
    match op {
        Op::Keyword { flag, name, .. } => put_keyword(mailbox, *flag, name)?,
        Op::Append { row, .. } => {
            modseq = row.modseq;
            next_email = row.email.next();
            mailbox.append(row.clone())?;
        }
        Op::Flags { uids, set, clear, modseq: at, .. } => {
            modseq = *at;
            mailbox.set_flags(uids, set, clear, *at)?;
        }
        Op::Expunge { uids, modseq: at, .. } => {
            modseq = *at;
            mailbox.expunge(uids, *at)?;
        }
        Op::Recent { uid, .. } => mailbox.header.recent_uid = mailbox.header.recent_uid.max(*uid),
        Op::JumpMailbox { uid_next, uid_validity, .. } => {
            mailbox.header.uid_next = mailbox.header.uid_next.max(*uid_next).max(Uid(1));
            mailbox.header.uid_validity = mailbox.header.uid_validity.max(*uid_validity);
            gives_its_first = true;
        }
        _ => {}
    }
    if gives_its_first && mailbox.header.uid_next > Uid(1) {
        let (name, uid_validity) = (mailbox.header.name.to_string(), mailbox.header.uid_validity);
        note_validity(account, name, uid_validity, true);
    }
    account.modseq = account.modseq.max(modseq);
    account.next_email = account.next_email.max(next_email);
    Ok(())
}

fn put_keyword(mailbox: &mut Mailbox, flag: FlagId, name: &str) -> Result<()> {
    let mut keywords = mailbox.header.keywords.clone();
    if keywords.add(name) != Some(flag) {
        return Err(Error::corrupt("a transaction", "a keyword has another number here"));
    }
    mailbox.header.keywords = keywords;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::types::{AccountId, UidValidity};

    /// A mailbox takes the name of one that is gone; what its name was given before is not forgotten by a jump.
    #[test]
    fn the_uid_validity_of_a_name_never_falls() {
        let pager = Pager::new(Arc::new(Catalog::in_memory()), 0);
        let mut account = Account::new(AccountId(1), "a");
        let put = |mailbox, name: &str, uid_validity| Op::PutMailbox {
            mailbox: MailboxId(mailbox),
            name: name.to_owned(),
            uid_validity: UidValidity(uid_validity),
            special_use: None,
        };
        let jump = Op::JumpMailbox { mailbox: MailboxId(2), uid_next: Uid(0), uid_validity: UidValidity(0) };
        let gone = Op::DeleteMailbox { mailbox: MailboxId(1) };
        for op in [put(1, "x", 900), gone, put(2, "y", 100), put(2, "x", 100), jump] {
            apply(&mut account, &op, &pager).unwrap();
        }
        assert_eq!(account.name_validities["x"].last, UidValidity(900));
    }
}
