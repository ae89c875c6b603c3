//! APPEND (RFC 3501 section 6.3.11; RFC 3502 for several at once): all or nothing.

use super::Store;
use super::stage::{FlagNumbers, HeaderFacts};
use crate::error::{Error, Result};
use crate::log::{Room, StagedMessage};
use crate::mailbox::Row;
use crate::txn::op::Op;
use crate::types::{AccountId, EmailId, MailboxId, ModSeq, Uid, UidSet, UidValidity, ZonedTime};
use std::sync::Arc;

/// One message to be appended.
#[derive(Clone)]
pub struct AppendItem {
    pub message: StagedMessage,
    /// System flags and keywords, without \Recent.
    pub flags: Vec<String>,
    /// `None`: now.
    pub internal_date: Option<ZonedTime>,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Appended {
    pub uid_validity: UidValidity,
    /// In the order of the messages.
    pub uids: UidSet,
    pub modseq: ModSeq,
}

impl Store {
    /// Appends in order, all or none. Waits a moment for each message while the text index of the account
    /// is far behind; deliveries never do.
    pub fn append(&self, account: AccountId, mailbox: MailboxId, items: Vec<AppendItem>) -> Result<Appended> {
        self.indexer().pace(account, items.len());
        let facts = items.iter().map(|item| self.inner.header_facts(&item.message));
        let sizes = items.iter().map(|item| self.inner.served_size(&item.message, 0));
        let items: Vec<(AppendItem, HeaderFacts, u32)> = facts
            .zip(sizes)
            .zip(items.clone())
            .map(|((facts, size), item)| Ok((item, facts, size?)))
            .collect::<Result<_>>()?;
        self.core().submit(move |head| {
            let now_ms = head.now_ms();
            let now_s = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
            let first_message = head.next_message();
            let of = head.writable(account, Room::Append)?;
            let into = of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?;
            if of.would_exceed_quota(items.iter().map(|(_, _, size)| u64::from(*size)).sum()) {
                return Err(Error::OverQuota);
            }
            let modseq = of.modseq.next();
            let uid_validity = into.header.uid_validity;
            let mut numbers = FlagNumbers::of(into);
            let (mut uid, mut email) = (into.header.uid_next, of.next_email);
            check_room_for(uid, email, items.len())?;
            let mut message = first_message;
            let mut uids = UidSet::new();
            let mut rows = Vec::with_capacity(items.len());
            for (item, facts, size_bytes) in &items {
                let flags = numbers.give_all(item.flags.iter().map(String::as_str))?;
                rows.push(Op::Append {
                    mailbox,
                    row: Row {
                        uid,
                        modseq,
                        message,
                        email,
                        thread: facts.thread,
                        size_bytes: *size_bytes,
                        internal_date: item.internal_date.unwrap_or(ZonedTime::utc(now_s)),
                        save_date_s: now_s,
                        sent: facts.sent,
                        flags: flags.into_iter().collect(),
                        prefix: Arc::default(),
                    },
                });
                uids.insert_uid(uid);
                (uid, email, message) = (uid.next(), email.next(), message.next());
            }
            let mut ops = numbers.new;
            ops.extend(rows);
            for (item, _, _) in &items {
                head.store_message(&item.message, &[account]);
            }
            head.commit(account, ops)?;
            Ok(Appended { uid_validity, uids, modseq })
        })
    }
}

/// UIDs and EmailIds are 32 bits and never used twice: an exhausted counter refuses.
pub(super) fn check_room_for(uid_next: Uid, next_email: EmailId, more: usize) -> Result<()> {
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    // The last number is kept free, so that UIDNEXT can always be said.
    let fits = |next: u32| next.checked_add(more).is_some_and(|end| end < u32::MAX);
    if fits(uid_next.0) && fits(next_email.0) {
        return Ok(());
    }
    Err(Error::Limit("the mailbox or the account has used up its 32-bit numbers".into()))
}
