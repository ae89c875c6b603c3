//! Messages that cannot be proved: their rows go, and all that is known of them is kept.
//!
//! Laws
//! - A row goes only after its facts, and the bytes that are stored of its message, are durable in
//!   quarantine/; and in the transaction in which what is proved of it comes into `Recovered`.
//! - A message that can be proved by now is left alone, and so is one that somebody expunged or moved meanwhile.

use super::recovered::{Incoming, take_in};
use super::{Mend, Repair, quarantine, salvage};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{Mailbox, Row};
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, MessageNo, Uid, UidSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows, and bytes of what is recovered, in one transaction.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: u64 = 8 << 20;

/// The rows that name one message.
type Rows = Vec<(Arc<Mailbox>, Row)>;

/// What a transaction is to do.
#[derive(Default)]
struct Batch {
    messages: Vec<LostMessage>,
    rows: usize,
    bytes: u64,
}

struct LostMessage {
    message: MessageNo,
    rows: Vec<(MailboxId, Uid)>,
    incoming: Option<Incoming>,
}

impl Repair<'_, '_> {
    pub(super) fn lost_messages(&mut self) -> Result<()> {
        let mut planned: BTreeMap<AccountId, Vec<(MailboxId, &UidSet)>> = BTreeMap::new();
        for mend in self.plan.mends() {
            if let Mend::LostMessages { account, mailbox, uids } = mend {
                planned.entry(*account).or_default().push((*mailbox, uids));
            }
        }
        for (id, mailboxes) in planned {
            self.step("recovering messages")?;
            let account = match self.store.account(id) {
                Err(Error::NoSuchAccount) => continue,
                account => account?,
            };
            let steps = mailboxes.len() as u64;
            self.lost_of(&account, mailboxes)?;
            self.done.steps += steps;
        }
        Ok(())
    }

    fn lost_of(&mut self, account: &Account, mailboxes: Vec<(MailboxId, &UidSet)>) -> Result<()> {
        // A message may have rows in several mailboxes: it is recovered once.
        let mut lost: BTreeMap<MessageNo, (Error, Rows)> = BTreeMap::new();
        for (mailbox, uids) in mailboxes {
            let Some(mailbox) = account.mailbox(mailbox) else { continue };
            for row in mailbox.rows(uids) {
                let row = row?;
                if let Some((_, rows)) = lost.get_mut(&row.message) {
                    rows.push((mailbox.clone(), row));
                } else if let Some(why) = self.why_lost(row.message)? {
                    lost.insert(row.message, (why, vec![(mailbox.clone(), row)]));
                }
            }
        }
        let mut batch = Batch::default();
        for (message, (why, rows)) in lost {
            self.step("recovering messages")?;
            self.recover(account, message, &why, &rows, &mut batch)?;
            if batch.rows >= BATCH_ROWS || batch.bytes >= BATCH_BYTES {
                self.commit(account.id, std::mem::take(&mut batch))?;
            }
        }
        self.commit(account.id, batch)
    }

    /// Why it cannot be proved. Any other error says nothing about the message.
    fn why_lost(&self, message: MessageNo) -> Result<Option<Error>> {
        match self.store.core().log.read(message).and_then(|stored| stored.verify()) {
            Ok(()) => Ok(None),
            Err(error @ (Error::Damaged { .. } | Error::NoSuchMessage | Error::Corrupt { .. })) => {
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    fn recover(
        &mut self,
        account: &Account,
        message: MessageNo,
        why: &Error,
        rows: &[(Arc<Mailbox>, Row)],
        batch: &mut Batch,
    ) -> Result<()> {
        let Some((mailbox, row)) = rows.first() else { return Ok(()) };
        let raw = quarantine::message(self.store.core(), message, &why.to_string())?;
        let incoming = match self.bodies.get(&message) {
            Some(orphan) => Some(salvage::of_orphan(self.store, orphan, mailbox, row)?),
            None => salvage::recover(self.store, mailbox, row)?,
        };
        let places = rows.iter().map(|(mailbox, row)| (mailbox.header.id, row.uid)).collect();
        for (mailbox, row) in rows {
            let is_recovered = incoming.is_some();
            self.journal.row(account, mailbox, row, &why.to_string(), raw.as_deref(), is_recovered);
            batch.rows += 1;
        }
        self.done.quarantined.extend(raw);
        batch.bytes += incoming.as_ref().map_or(0, |one| u64::from(one.size_bytes));
        batch.messages.push(LostMessage { message, rows: places, incoming });
        Ok(())
    }

    fn commit(&mut self, id: AccountId, batch: Batch) -> Result<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        self.journal.make_durable(self.store.core())?;
        let (rows, recovered) = self.store.core().submit(move |head| {
            let of = head.writable(id, Room::Append)?;
            let mut gone: BTreeMap<MailboxId, UidSet> = BTreeMap::new();
            let (mut rows, mut incoming) = (0, Vec::new());
            for lost in batch.messages {
                let before = rows;
                for (mailbox, uid) in lost.rows {
                    let row = of.mailbox(mailbox).map(|of| of.by_uid(uid)).transpose()?.flatten();
                    // Somebody may have expunged or moved it meanwhile.
                    if row.is_some_and(|row| row.message == lost.message) {
                        gone.entry(mailbox).or_default().insert_uid(uid);
                        rows += 1;
                    }
                }
                incoming.extend(lost.incoming.filter(|_| rows > before));
            }
            let expunge = |of: &Account| {
                let modseq = of.modseq.next();
                gone.into_iter().map(|(mailbox, uids)| Op::Expunge { mailbox, uids, modseq }).collect()
            };
            take_in(head, id, expunge, &incoming)?;
            Ok((rows, incoming.len() as u64))
        })?;
        self.done.expunged += rows;
        self.done.recovered += recovered;
        Ok(())
    }
}
