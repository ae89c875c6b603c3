//! Replaying transactions that rest on lost ones: what they say is taken, and the rest made up in names
//! that say so.
//!
//! Laws
//! - Nothing that a transaction says is left out because the one before it is lost: an account, a mailbox
//!   or a keyword that it names is there afterwards.
//! - The same log gives the same state, however often it is replayed.

use super::apply::apply;
use super::numbers::Numbers;
use super::op::Op;
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::mailbox::{FlagId, Pager};
use crate::types::{AccountId, MailboxId};
use std::sync::Arc;

/// An account whose beginning is lost. Nobody can log in to it.
#[must_use]
pub fn lost_account(id: AccountId, is_taken: &dyn Fn(&str) -> bool) -> Account {
    let named = |n: u32| if n == 0 { format!("recovered-{id}") } else { format!("recovered-{id}-{n}") };
    let name = (0..u32::MAX).map(named).find(|name| !is_taken(name)).unwrap_or_default();
    Account::new(id, &name)
}

/// Applies an operation. Says what was missing under it, if something was.
pub fn apply_to_rest(
    account: &mut Account,
    op: &Op,
    pager: &Arc<Pager>,
    numbers: &mut Numbers,
) -> Result<Option<String>> {
    let mut missing = None;
    if let Op::Append { mailbox, .. } = op
        && account.mailbox(*mailbox).is_none()
    {
        missing = Some(format!("mailbox {mailbox} was made by a transaction that is lost"));
        begin_mailbox(account, *mailbox, pager, numbers)?;
    }
    match apply(account, op, pager) {
        Ok(()) => Ok(missing),
        Err(error) => {
            name_lost_keywords(account, op);
            // Still: it says why.
            apply(account, op, pager).map_err(|_| Error::corrupt("a transaction", error.to_string()))?;
            Ok(Some(error.to_string()))
        }
    }
}

/// The first mailbox of an account is its INBOX.
fn begin_mailbox(
    account: &mut Account,
    mailbox: MailboxId,
    pager: &Arc<Pager>,
    numbers: &mut Numbers,
) -> Result<()> {
    let is_inbox = mailbox == MailboxId(1) && account.mailbox_named("INBOX").is_none();
    let name = if is_inbox { "INBOX".to_owned() } else { format!("Recovered/mailbox {mailbox}") };
    let uid_validity = numbers.give_uid_validity(0);
    apply(account, &Op::PutMailbox { mailbox, name, uid_validity, special_use: None }, pager)
}

/// The keywords that the operation rests on get a name, and those after them keep their numbers.
fn name_lost_keywords(account: &mut Account, op: &Op) {
    let after_last = |flags: &[FlagId]| {
        flags.iter().filter_map(|flag| flag.keyword_index()).max().map_or(0, |last| last + 1)
    };
    let (id, known) = match op {
        Op::Keyword { mailbox, flag, .. } => (mailbox, flag.keyword_index().unwrap_or(0)),
        Op::Append { mailbox, row } => (mailbox, after_last(row.flags.as_slice())),
        Op::Flags { mailbox, set, clear, .. } => (mailbox, after_last(set).max(after_last(clear))),
        _ => return,
    };
    let Some(mailbox) = account.mailboxes.get_mut(id) else { return };
    let keywords = &mut Arc::make_mut(mailbox).header.keywords;
    for number in keywords.len()..known {
        keywords.add(&format!("lost-keyword-{number}"));
    }
}
