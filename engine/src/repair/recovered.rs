//! The mailbox `Recovered`: where what is recovered comes in, under numbers of its own.

use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::StagedMessage;
use crate::mailbox::{FlagId, Row};
use crate::txn::head::Head;
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, MessageNo, ThreadId, Uid, ZonedTime};
use std::sync::Arc;

/// The mailbox's name.
pub const RECOVERED: &str = "Recovered";

/// Where the bytes of a message are.
pub enum Source {
    /// In the log already.
    Stored(MessageNo),
    Staged(StagedMessage),
}

/// A message that comes in.
pub struct Incoming {
    pub source: Source,
    /// As it is served, prefix included.
    pub size_bytes: u32,
    pub thread: ThreadId,
    pub sent: Option<ZonedTime>,
    pub internal_date: ZonedTime,
    pub flags: Vec<FlagId>,
    pub prefix: Arc<[u8]>,
}

/// Commits `ops` and takes the messages in, as one transaction. Quotas do not count here: what is
/// recovered was the account's already.
pub fn take_in(
    head: &mut Head,
    account: AccountId,
    ops: impl FnOnce(&Account) -> Vec<Op>,
    incoming: &[Incoming],
) -> Result<()> {
    let uid_validity = head.give_uid_validity();
    let now_s = i64::try_from(head.now_ms() / 1000).unwrap_or(i64::MAX);
    let mut next_message = head.next_message();
    let of = head.account(account)?;
    let modseq = of.modseq.next();
    let mut ops = ops(of);
    let (mailbox, mut uid) = match of.mailbox_named(RECOVERED) {
        Some(present) => (present.header.id, present.header.uid_next),
        None => (of.next_mailbox, Uid(1)),
    };
    let is_new = of.mailbox(mailbox).is_none();
    let mut email = of.next_email;
    let count = u32::try_from(incoming.len()).unwrap_or(u32::MAX);
    if uid.0.max(email.0).checked_add(count).is_none_or(|end| end == u32::MAX)
        || mailbox == MailboxId(u32::MAX)
    {
        return Err(Error::Limit("the account has used up its 32-bit numbers".to_owned()));
    }
    if is_new && !incoming.is_empty() {
        let name = RECOVERED.to_owned();
        ops.push(Op::PutMailbox { mailbox, name: name.clone(), uid_validity, special_use: None });
        ops.push(Op::Subscribe { name, on: true });
    }
    for one in incoming {
        let message = match &one.source {
            Source::Stored(message) => *message,
            Source::Staged(_) => {
                let given = next_message;
                next_message = given.next();
                given
            }
        };
        ops.push(Op::Append {
            mailbox,
            row: Row {
                uid,
                modseq,
                message,
                email,
                thread: one.thread,
                size_bytes: one.size_bytes,
                internal_date: one.internal_date,
                save_date_s: now_s,
                sent: one.sent,
                flags: one.flags.iter().copied().collect(),
                prefix: one.prefix.clone(),
            },
        });
        (uid, email) = (uid.next(), email.next());
    }
    for one in incoming {
        if let Source::Staged(message) = &one.source {
            head.store_message(message, &[account]);
        }
    }
    if ops.is_empty() { Ok(()) } else { head.commit(account, ops) }
}
