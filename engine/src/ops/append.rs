//! APPEND (RFC 3501 section 6.3.11; RFC 3502 for several at once): all or nothing.
//!
//! Law: UIDs rise, those that are kept from elsewhere too; a kept modseq is not above the account's counter.

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

/// What a message keeps from where it was before. `None`: it gets its own, as of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    pub uid: Option<Uid>,
    pub modseq: Option<ModSeq>,
    pub save_date_s: Option<i64>,
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
        let items = items.into_iter().map(|item| (item, Kept::default())).collect();
        self.append_kept(account, mailbox, items)
    }

    /// The same for messages that keep their numbers from elsewhere: see `create_kept_mailbox`.
    pub fn append_kept(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        items: Vec<(AppendItem, Kept)>,
    ) -> Result<Appended> {
        self.indexer().pace(account, items.len());
        let prepare = |(item, kept): (AppendItem, Kept)| {
            let facts = self.inner.header_facts(&item.message);
            let size_bytes = self.inner.served_size(&item.message, 0)?;
            Ok(Prepared { item, kept, facts, size_bytes })
        };
        let items: Vec<Prepared> = items.into_iter().map(prepare).collect::<Result<_>>()?;
        self.core().submit(move |head| {
            let now_s = i64::try_from(head.now_ms() / 1000).unwrap_or(i64::MAX);
            let first_message = head.next_message();
            let of = head.writable(account, Room::Append)?;
            let into = of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?;
            if of.would_exceed_quota(items.iter().map(|one| u64::from(one.size_bytes)).sum()) {
                return Err(Error::OverQuota);
            }
            let modseq = of.modseq.next();
            let uid_validity = into.header.uid_validity;
            let mut numbers = FlagNumbers::of(into);
            let (mut uid, mut email) = (into.header.uid_next, of.next_email);
            check_room_for(last_uid(uid, &items)?, email, items.len())?;
            let mut message = first_message;
            let mut uids = UidSet::new();
            let mut rows = Vec::with_capacity(items.len());
            for Prepared { item, kept, facts, size_bytes } in &items {
                let flags = numbers.give_all(item.flags.iter().map(String::as_str))?;
                uid = kept.uid.unwrap_or(uid);
                rows.push(Op::Append {
                    mailbox,
                    row: Row {
                        uid,
                        modseq: kept
                            .modseq
                            .filter(|kept| kept.0 > 0)
                            .map_or(modseq, |kept| kept.min(of.modseq)),
                        message,
                        email,
                        thread: facts.thread,
                        size_bytes: *size_bytes,
                        internal_date: item.internal_date.unwrap_or(ZonedTime::utc(now_s)),
                        save_date_s: kept.save_date_s.unwrap_or(now_s),
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
            for one in &items {
                head.store_message(&one.item.message, &[account]);
            }
            head.commit(account, ops)?;
            Ok(Appended { uid_validity, uids, modseq })
        })
    }
}

/// A message to be appended, with what its header says.
struct Prepared {
    item: AppendItem,
    kept: Kept,
    facts: HeaderFacts,
    size_bytes: u32,
}

/// The UID of the first message if they follow each other up to the last one's. Refuses kept UIDs that do not rise.
fn last_uid(uid_next: Uid, items: &[Prepared]) -> Result<Uid> {
    let mut uid = uid_next;
    for (kept, at) in items.iter().map(|one| one.kept.uid).zip(1..) {
        let this = kept.unwrap_or(uid);
        if this < uid || this.0 > u32::MAX - 2 {
            let why = format!("message {at} cannot keep UID {this}: the mailbox has given UIDs up to {uid}");
            return Err(Error::NotPossible(why));
        }
        uid = this.next();
    }
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    Ok(Uid(uid.0.saturating_sub(count)))
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
