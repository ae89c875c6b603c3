//! Messages that cannot be proved: their rows go, and all that is known of them is kept.
//!
//! Laws
//! - A row goes only after its facts, and the bytes that are stored of its message, are durable in
//!   quarantine/; and in the transaction in which what is proved of it comes into `Recovered`.
//! - A message that can be proved by now is left alone.

use super::recovered::{Incoming, take_in};
use super::{Mend, Repair, quarantine, salvage};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{Mailbox, Row};
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, MessageNo, UidSet};
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
    expunge: BTreeMap<MailboxId, UidSet>,
    incoming: Vec<Incoming>,
    rows: usize,
    bytes: u64,
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
        let incoming = salvage::recover(self.store, mailbox, row)?;
        for (mailbox, row) in rows {
            let is_recovered = incoming.is_some();
            self.journal.row(account, mailbox, row, &why.to_string(), raw.as_deref(), is_recovered);
            batch.expunge.entry(mailbox.header.id).or_default().insert_uid(row.uid);
            batch.rows += 1;
        }
        self.done.quarantined.extend(raw);
        batch.bytes += incoming.as_ref().map_or(0, |one| u64::from(one.size_bytes));
        batch.incoming.extend(incoming);
        Ok(())
    }

    fn commit(&mut self, id: AccountId, batch: Batch) -> Result<()> {
        if batch.rows == 0 {
            return Ok(());
        }
        self.journal.make_durable(self.store.core())?;
        let (rows, recovered) = (batch.rows as u64, batch.incoming.len() as u64);
        self.store.core().submit(move |head| {
            head.writable(id, Room::Append)?;
            let expunge = |of: &Account| {
                let modseq = of.modseq.next();
                let gone = batch.expunge.iter().filter(|(mailbox, _)| of.mailbox(**mailbox).is_some());
                gone.map(|(mailbox, uids)| Op::Expunge { mailbox: *mailbox, uids: uids.clone(), modseq })
                    .collect()
            };
            take_in(head, id, expunge, &batch.incoming)
        })?;
        self.done.expunged += rows;
        self.done.recovered += recovered;
        Ok(())
    }
}
