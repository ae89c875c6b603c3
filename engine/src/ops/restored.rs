//! After a restore: numbers that the store's past may have given are not given again.
//!
//! Laws
//! - UIDNEXT, modseqs, EmailIds, MailboxIds, AccountIds and MessageNos jump past everything that is known of the past, and
//!   by a margin past what may not be known.
//! - A mailbox' HIGHESTMODSEQ jumps with its account's counter, the modseqs of its messages stay: what was told of it
//!   later is not told again of less, and nobody has to fetch everything anew.
//! - A mailbox that is known to have changed after the restored moment gets a new UIDVALIDITY, above all that were given.
//! - All of it is in the log, and doing it again only makes the numbers rise once more.

use super::Store;
use super::store::StoreOptions;
use crate::error::Result;
use crate::log::{Pin, Pinned};
use crate::mailbox::Mailbox;
use crate::sys::clock::Clock;
use crate::sys::disk::Disk;
use crate::txn::op::{self, Op};
use crate::types::{AccountId, EmailId, Lsn, MailboxId, ModSeq, Uid, UidSet, UidValidity};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How far 32-bit numbers jump past the newest that is known ...
const JUMP: u32 = 1 << 20;
/// ... and 64-bit ones.
const LONG_JUMP: u64 = 1 << 32;
/// An account's number.
const ACCOUNT_JUMP: u32 = 1 << 10;

/// What is known of the store's past after the restored moment.
#[derive(Debug, Clone, Default)]
pub struct Later {
    /// Nothing happened after the restored moment: no number jumps.
    pub nothing: bool,
    /// Not all of it is known: any mailbox may have changed.
    pub all_changed: bool,
    accounts: BTreeMap<AccountId, LaterAccount>,
}

#[derive(Debug, Clone, Default)]
struct LaterAccount {
    modseq: ModSeq,
    next_email: EmailId,
    next_mailbox: MailboxId,
    /// Changed mailboxes and the UIDs they may have given.
    mailboxes: BTreeMap<MailboxId, Uid>,
    /// UIDVALIDITY that names were given.
    names: BTreeMap<String, UidValidity>,
}

impl Later {
    /// Takes in a transaction of that past.
    pub fn note(&mut self, account: AccountId, payload: &[u8]) -> Result<()> {
        let of = self.accounts.entry(account).or_default();
        for op in op::decode(payload)? {
            of.note(&op);
        }
        Ok(())
    }
}

impl LaterAccount {
    fn note(&mut self, op: &Op) {
        match op {
            Op::PutAccount { .. } | Op::DeleteAccount | Op::Subscribe { .. } => {}
            Op::PutMailbox { mailbox, name, uid_validity, .. } => {
                self.next_mailbox = self.next_mailbox.max(mailbox.next());
                let last = self.names.entry(name.clone()).or_default();
                *last = (*last).max(*uid_validity);
                self.change(*mailbox, Uid(0));
            }
            Op::Append { mailbox, row } => {
                self.modseq = self.modseq.max(row.modseq);
                self.next_email = self.next_email.max(row.email.next());
                self.change(*mailbox, row.uid.next());
            }
            Op::Flags { mailbox, modseq, .. } | Op::Expunge { mailbox, modseq, .. } => {
                self.modseq = self.modseq.max(*modseq);
                self.change(*mailbox, Uid(0));
            }
            Op::DeleteMailbox { mailbox } | Op::Keyword { mailbox, .. } => self.change(*mailbox, Uid(0)),
            // Seen by nobody but the server.
            Op::Recent { .. } | Op::Delivered { .. } => {}
            // Of no account.
            Op::JumpStore { .. } => {}
            Op::Jump { modseq, next_email, next_mailbox } => {
                self.modseq = self.modseq.max(*modseq);
                self.next_email = self.next_email.max(*next_email);
                self.next_mailbox = self.next_mailbox.max(*next_mailbox);
            }
            Op::JumpMailbox { mailbox, uid_next, uid_validity } => {
                self.change(*mailbox, *uid_next);
                let last = self.names.entry(String::new()).or_default();
                *last = (*last).max(*uid_validity);
            }
        }
    }

    fn change(&mut self, mailbox: MailboxId, uid_next: Uid) {
        let last = self.mailboxes.entry(mailbox).or_default();
        *last = (*last).max(uid_next);
    }
}

/// A message that was of the restored moment but is in no backup.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unavailable {
    pub account: String,
    pub mailbox: String,
    pub uids: String,
}

impl Store {
    /// Opens a store that comes from a backup. Its groups are numbered from `lsn` on, or later.
    pub fn open_restoring(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
        lsn: Lsn,
    ) -> Result<Self> {
        let (catalog_disk, catalog_bytes) = (disk.clone(), options.catalog_cache_bytes);
        Self::open_from(disk, clock, dir, options, Some(lsn), || {
            crate::catalog::Catalog::open(&catalog_disk, &dir.join("catalog"), catalog_bytes)
        })
    }

    /// Holds the files of this moment still until the pin is dropped, and tells what they are. Everything that was
    /// acknowledged before is in them.
    pub fn pin(&self) -> Result<(Pin, Pinned)> {
        self.core().log.pin()
    }

    /// Moves every number past what the store's past may have given. Says how many mailboxes got a new UIDVALIDITY.
    pub fn jump_after_restore(&self, later: &Later) -> Result<u64> {
        if later.nothing {
            return Ok(0);
        }
        let restored: BTreeSet<AccountId> = self.core().registry.ids().into_iter().collect();
        let newest = restored.iter().chain(later.accounts.keys()).max().copied().unwrap_or_default();
        self.use_up_accounts(AccountId(newest.0.saturating_add(ACCOUNT_JUMP)))?;
        let given = later.accounts.values().flat_map(|of| of.names.values()).max().copied();
        let nothing = LaterAccount::default();
        let mut changed = 0;
        for id in restored {
            let known = later.accounts.get(&id).unwrap_or(&nothing).clone();
            changed += self.jump_account(id, known, later.all_changed, given.unwrap_or_default())?;
        }
        Ok(changed)
    }

    /// No account gets that number or a lower one any more.
    fn use_up_accounts(&self, last: AccountId) -> Result<()> {
        self.core().submit(move |head| {
            head.skip_accounts(last);
            Ok(())
        })
    }

    fn jump_account(
        &self,
        id: AccountId,
        known: LaterAccount,
        all_changed: bool,
        given: UidValidity,
    ) -> Result<u64> {
        self.core().submit(move |head| {
            head.raise_uid_validity(given);
            let account = head.account(id)?.clone();
            let mut next_mailbox =
                MailboxId(account.next_mailbox.max(known.next_mailbox).0.saturating_add(JUMP));
            let mut ops = Vec::new();
            // Names that had a UIDVALIDITY later: the next mailbox of that name has a higher one.
            for (name, uid_validity) in known.names.into_iter().filter(|(name, _)| !name.is_empty()) {
                if account.mailbox_named(&name).is_none() {
                    let mailbox = next_mailbox;
                    next_mailbox = next_mailbox.next();
                    ops.push(Op::PutMailbox { mailbox, name, uid_validity, special_use: None });
                    ops.push(Op::DeleteMailbox { mailbox });
                }
            }
            let modseq = ModSeq(account.modseq.max(known.modseq).0.saturating_add(LONG_JUMP));
            ops.push(Op::Jump {
                modseq,
                next_email: EmailId(account.next_email.max(known.next_email).0.saturating_add(JUMP)),
                next_mailbox,
            });
            let mut changed = 0;
            for mailbox in account.mailboxes() {
                let header = &mailbox.header;
                let later = known.mailboxes.get(&header.id);
                let uid_next = header.uid_next.max(later.copied().unwrap_or_default());
                let is_changed = all_changed || later.is_some();
                let uid_validity = if is_changed { head.give_uid_validity() } else { UidValidity(0) };
                let uid_next = Uid(uid_next.0.saturating_add(JUMP).min(u32::MAX - 1));
                changed += u64::from(is_changed);
                ops.push(Op::JumpMailbox { mailbox: header.id, uid_next, uid_validity });
                ops.push(Op::raise_modseq(header.id, modseq));
            }
            head.commit(id, ops)?;
            Ok(changed)
        })
    }

    /// Expunges the rows whose messages are nowhere, and names them. For a moment between two backups: what was expunged
    /// and compacted away before the second cannot be had again.
    pub fn give_up_unavailable(&self) -> Result<Vec<Unavailable>> {
        let mut out = Vec::new();
        for id in self.core().registry.ids() {
            let account = self.account(id)?;
            for mailbox in account.mailboxes() {
                let uids = self.unavailable(mailbox)?;
                if uids.is_empty() {
                    continue;
                }
                out.push(Unavailable {
                    account: account.name.to_string(),
                    mailbox: mailbox.header.name.to_string(),
                    uids: uids.to_string(),
                });
                let of = mailbox.header.id;
                self.core().submit(move |head| {
                    let modseq = head.account(id)?.modseq.next();
                    head.commit(id, vec![Op::Expunge { mailbox: of, uids, modseq }])
                })?;
            }
        }
        Ok(out)
    }

    fn unavailable(&self, mailbox: &Mailbox) -> Result<UidSet> {
        let mut uids = UidSet::new();
        for chunk in mailbox.chunks(Uid(0), Uid(u32::MAX)) {
            let chunk = chunk?;
            for row in (0..chunk.len()).filter(|row| !self.core().log.contains(chunk.message(*row))) {
                uids.insert_uid(chunk.uid(row));
            }
        }
        Ok(uids)
    }
}

/// How far MessageNos of a restored store are from its past.
#[must_use]
pub fn long_jump(from: u64) -> u64 {
    from.saturating_add(LONG_JUMP)
}
