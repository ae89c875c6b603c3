//! EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1).

use super::Store;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{FlagId, Mailbox};
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, ModSeq, UidSet};

#[derive(Debug, Clone, Default)]
pub struct Expunged {
    pub uids: UidSet,
    /// The modseq of the expunge; zero when nothing was expunged.
    pub modseq: ModSeq,
}

impl Store {
    /// Removes the messages with \Deleted: of `within`, or all of them.
    pub fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        within: Option<&UidSet>,
    ) -> Result<Expunged> {
        deleted(&*self.mailbox(account, mailbox)?, within)?;
        let within = within.cloned();
        self.core().submit(move |head| {
            let of = head.writable(account, Room::Shrink)?;
            let from = of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?;
            let uids = deleted(from, within.as_ref())?;
            if uids.is_empty() {
                return Ok(Expunged::default());
            }
            let modseq = of.modseq.next();
            head.commit(account, vec![Op::Expunge { mailbox, uids: uids.clone(), modseq }])?;
            Ok(Expunged { uids, modseq })
        })
    }
}

/// The messages with \Deleted. Chunks that have none are not looked at.
fn deleted(of: &Mailbox, within: Option<&UidSet>) -> Result<UidSet> {
    let mut uids = UidSet::new();
    for chunk in of.chunk_refs() {
        if chunk.meta().deleted == 0 {
            continue;
        }
        let chunk = chunk.load()?;
        for row in (0..chunk.len()).filter(|row| chunk.has_flag(*row, FlagId::DELETED)) {
            let uid = chunk.uid(row);
            if within.is_none_or(|set| set.contains_uid(uid)) {
                uids.insert_uid(uid);
            }
        }
    }
    Ok(uids)
}
