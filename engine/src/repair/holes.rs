//! Holes: transactions of an account are lost.
//!
//! Laws
//! - Whatever the lost transactions gave is not given again: the account's counters jump past it, and a
//!   client that trusts what it has of a mailbox finds a new UIDVALIDITY there.
//! - A stray comes in once: when a row names it, it is none.

use super::recovered::{Incoming, Source, take_in};
use super::{Mend, Repair, quarantine, strays};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::{Room, Stray};
use crate::ops::Store;
use crate::txn::head::Head;
use crate::txn::op::Op;
use crate::types::{AccountId, EmailId, MailboxId, ModSeq, Uid, UidValidity, ZonedTime};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How far counters jump.
const JUMP: u32 = 1 << 20;
/// Strays in one transaction.
const BATCH: usize = 256;

impl Repair<'_, '_> {
    pub(super) fn holes(&mut self) -> Result<()> {
        let core = self.store.core().clone();
        let planned: BTreeSet<AccountId> = self
            .plan
            .mends()
            .filter_map(|mend| match mend {
                Mend::Hole { account } => Some(*account),
                _ => None,
            })
            .collect();
        if planned.is_empty() {
            core.published.lock().lost.retain(&core.registry.ids());
            return Ok(());
        }
        let mut strays = match strays::find(&core) {
            // What the disk does not give now it may give the next time.
            Err(error @ Error::Io { .. }) => {
                self.leave(format!("accounts that a hole hit: {error}"));
                return Ok(());
            }
            strays => strays?,
        };
        let hit = core.published.lock().lost.hit();
        for id in planned {
            self.step("mending holes")?;
            if hit.contains(&id) {
                let strays = strays.remove(&id).unwrap_or_default();
                match self.hole(id, &strays) {
                    // Its holes went with it.
                    Err(Error::NoSuchAccount) => {}
                    Err(error @ Error::Io { .. }) => {
                        self.leave(format!("account {id}: {error}"));
                        continue;
                    }
                    mended => mended?,
                }
                // Known from here on only by the log, until the next checkpoint.
                core.published.lock().lost.mended(id);
                core.registry.set_writable(id);
            }
            self.did();
        }
        // Those of accounts that are gone by now are nobody's.
        core.published.lock().lost.retain(&core.registry.ids());
        Ok(())
    }

    fn hole(&mut self, id: AccountId, strays: &[Stray]) -> Result<()> {
        self.store.core().submit(move |head| jump(head, id))?;
        self.take_strays(id, strays)
    }

    /// Takes strays into `Recovered`.
    pub(super) fn take_strays(&mut self, id: AccountId, strays: &[Stray]) -> Result<()> {
        for batch in strays.chunks(BATCH) {
            self.step("bringing back messages that no mailbox names")?;
            let mut all: Vec<Incoming> = Vec::new();
            for stray in batch {
                match incoming(self.store, stray) {
                    Ok(incoming) => all.push(incoming),
                    // It was whole when it was found.
                    Err(error @ (Error::Damaged { .. } | Error::Corrupt { .. } | Error::NoSuchMessage)) => {
                        let why = error.to_string();
                        let raw = quarantine::message(self.store.core(), stray.message, &why)?;
                        self.done.quarantined.extend(raw);
                    }
                    Err(error) => return Err(error),
                }
            }
            let incoming = all;
            let count = incoming.len() as u64;
            self.store.core().submit(move |head| {
                head.admit(Room::Append)?;
                take_in(head, id, |_| Vec::new(), &incoming)
            })?;
            self.done.recovered += count;
        }
        Ok(())
    }
}

fn incoming(store: &Store, stray: &Stray) -> Result<Incoming> {
    let stored = store.core().log.read(stray.message)?;
    let header = stored.read_range(0..stored.header_len_bytes())?;
    let facts = store.facts_of_header(&header, &stored.digest());
    let size_bytes = u32::try_from(stored.size_bytes())
        .map_err(|_| Error::Limit("a message has less than 4 GiB".to_owned()))?;
    let arrived_s = i64::try_from(stray.time_ms / 1000).unwrap_or(i64::MAX);
    Ok(Incoming {
        source: Source::Stored(stray.message),
        size_bytes,
        thread: facts.thread,
        sent: facts.sent,
        internal_date: ZonedTime::utc(arrived_s),
        flags: Vec::new(),
        prefix: Arc::default(),
    })
}

/// Past everything possibly issued.
fn jump(head: &mut Head, id: AccountId) -> Result<()> {
    head.admit(Room::Shrink)?;
    let mailboxes: Vec<(MailboxId, Uid)> = {
        let account: &Account = head.account(id)?;
        account.mailboxes().map(|mailbox| (mailbox.header.id, mailbox.header.uid_next)).collect()
    };
    let validities: Vec<UidValidity> = mailboxes.iter().map(|_| head.give_uid_validity()).collect();
    let account = head.account(id)?;
    let mut ops = vec![Op::Jump {
        modseq: ModSeq(account.modseq.0.saturating_add(u64::from(JUMP))),
        next_email: EmailId(account.next_email.0.saturating_add(JUMP)),
        next_mailbox: MailboxId(account.next_mailbox.0.saturating_add(JUMP)),
    }];
    for ((mailbox, uid_next), uid_validity) in mailboxes.into_iter().zip(validities) {
        let uid_next = Uid(uid_next.0.saturating_add(JUMP));
        ops.push(Op::JumpMailbox { mailbox, uid_next, uid_validity });
    }
    head.commit(id, ops)
}
