//! The head: everything sequenced, durable or not. Transactions are planned against it and change it
//! at once, so the next one sees them.
//!
//! Laws
//! - A plan reads first and changes last: an error before `commit` leaves no trace.
//! - Numbers (MessageNo, UID, modseq, EmailId, UIDVALIDITY) are given here and nowhere else.
//! - When a group fails the head falls back to what is published; the numbers it had given were
//!   never seen by anyone.

use super::apply::apply;
use super::core::Core;
use super::deliveries::DeliveredTo;
use super::numbers::Numbers;
use super::op::{self, DeliveryKey, Op};
use super::publish::{Failure, Reply, Staged};
use crate::accounts::{Account, route::fold_name};
use crate::error::{Error, Result};
use crate::log::{GroupBuilder, Room, StagedMessage};
use crate::types::{AccountId, Lsn, MessageNo, UidValidity};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A group on its way to the log writer.
pub struct SealedGroup {
    pub lsn: Lsn,
    pub builder: GroupBuilder,
    pub room: Room,
    pub staged: Staged,
    pub replies: Vec<Reply>,
}

pub struct Head {
    pub core: Arc<Core>,
    accounts: HashMap<AccountId, Account>,
    /// Names made or gone since they were published.
    names: HashMap<String, Option<AccountId>>,
    numbers: Numbers,
    /// The number of the open group.
    lsn: Lsn,
    open: Open,
    /// Deliveries of the group being written, by key.
    in_flight: HashMap<(AccountId, DeliveryKey), DeliveredTo>,
    /// Accounts that the group being written deletes: readers still see them.
    leaving: Vec<AccountId>,
    time_ms: u64,
}

/// What the open group has so far.
#[derive(Default)]
struct Open {
    builder: GroupBuilder,
    room: Option<Room>,
    touched: BTreeSet<AccountId>,
    deleted: Vec<AccountId>,
    deliveries: HashMap<(AccountId, DeliveryKey), (DeliveredTo, u64)>,
    replies: Vec<Reply>,
    broken: bool,
}

impl Head {
    #[must_use]
    pub fn new(core: Arc<Core>, numbers: Numbers, next_lsn: Lsn) -> Self {
        Self {
            core,
            accounts: HashMap::new(),
            names: HashMap::new(),
            numbers,
            lsn: next_lsn,
            open: Open::default(),
            in_flight: HashMap::new(),
            leaving: Vec::new(),
            time_ms: 0,
        }
    }

    /// Wall clock for people's dates; never falls.
    pub fn now_ms(&mut self) -> u64 {
        self.time_ms = self.time_ms.max(self.core.clock.now_ms());
        self.time_ms
    }

    /// The account as sequenced last.
    pub fn account(&mut self, id: AccountId) -> Result<&Account> {
        if self.is_leaving(id) {
            return Err(Error::NoSuchAccount);
        }
        if let std::collections::hash_map::Entry::Vacant(entry) = self.accounts.entry(id) {
            entry.insert((*self.core.registry.account(id)?).clone());
        }
        self.accounts.get(&id).ok_or(Error::NoSuchAccount)
    }

    /// It is deleted by a group that is not published yet.
    #[must_use]
    pub fn is_leaving(&self, id: AccountId) -> bool {
        self.open.deleted.contains(&id) || self.leaving.contains(&id)
    }

    /// The account, if it may be written and there is room for such a change.
    pub fn writable(&mut self, id: AccountId, room: Room) -> Result<&Account> {
        if self.core.registry.is_read_only(id) {
            return Err(Error::AccountReadOnly(id));
        }
        self.admit(room)?;
        self.account(id)
    }

    /// Says whether there is room on the disk for such a change, and that one is being made.
    pub fn admit(&mut self, room: Room) -> Result<()> {
        // A large message or a manifest that failed to be synced poisons the log before any group does.
        if self.core.health.is_poisoned() || self.core.log.is_poisoned() {
            self.core.health.poison();
            return Err(Error::Poisoned);
        }
        let pauses = room == Room::Append && self.core.health.appends_pause(self.core.clock.now_ms());
        if pauses || !self.core.log.admits(room) {
            return Err(Error::StoreFull);
        }
        self.open.room = Some(self.open.room.map_or(room, |present| present.min(room)));
        Ok(())
    }

    #[must_use]
    pub fn find_account(&self, name: &str) -> Option<AccountId> {
        let folded = fold_name(name);
        match self.names.get(&folded) {
            Some(sequenced) => *sequenced,
            None => self.core.registry.find(&folded),
        }
    }

    pub fn give_account_id(&mut self) -> AccountId {
        let id = self.numbers.next_account;
        self.numbers.next_account = id.next();
        id
    }

    /// No account gets that number or a lower one any more; the log says so by naming it.
    pub fn skip_accounts(&mut self, last: AccountId) {
        if self.numbers.next_account <= last {
            self.numbers.next_account = last.next();
            self.open.builder.push_txn(Some(last), &op::encode(&[Op::DeleteAccount]));
        }
    }

    /// What is given to the store as a whole jumps past everything possibly issued; the log says so.
    pub fn jump_store(&mut self) {
        let op = self.numbers.jump();
        self.numbers.note_jump(&op);
        self.open.builder.push_txn(None, &op::encode(&[op]));
    }

    /// UIDVALIDITYs given from now on are above this one.
    pub fn raise_uid_validity(&mut self, given: UidValidity) {
        self.numbers.last_uid_validity = self.numbers.last_uid_validity.max(given);
    }

    pub fn give_uid_validity(&mut self) -> UidValidity {
        let now_ms = self.now_ms();
        self.numbers.give_uid_validity(now_ms)
    }

    /// Puts a message into the open group and gives it its number.
    pub fn store_message(&mut self, message: &StagedMessage, accounts: &[AccountId]) -> MessageNo {
        let number = self.numbers.next_message;
        self.numbers.next_message = number.next();
        self.open.builder.push_message(number, message, accounts);
        number
    }

    /// The number that the next stored message will have.
    #[must_use]
    pub fn next_message(&self) -> MessageNo {
        self.numbers.next_message
    }

    /// Was this delivery made before, durable or on its way?
    #[must_use]
    pub fn find_delivery(&self, account: AccountId, key: &DeliveryKey, now_ms: u64) -> Option<DeliveredTo> {
        let id = (account, *key);
        self.open
            .deliveries
            .get(&id)
            .map(|(to, _)| *to)
            .or_else(|| self.in_flight.get(&id).copied())
            .or_else(|| self.core.deliveries.lock().find(account, key, now_ms))
    }

    /// Begins an account that did not exist.
    pub fn insert_account(&mut self, account: Account) {
        self.names.insert(fold_name(&account.name), Some(account.id));
        self.accounts.insert(account.id, account);
    }

    /// Makes a planned transaction part of the open group and of the head.
    pub fn commit(&mut self, id: AccountId, mut ops: Vec<Op>) -> Result<()> {
        self.account(id)?;
        let recent = self.core.recent.take_pending(id);
        ops.extend(recent.into_iter().map(|(mailbox, uid)| Op::Recent { mailbox, uid }));
        let Some(account) = self.accounts.get_mut(&id) else { return Err(Error::NoSuchAccount) };
        account.last_lsn = self.lsn;
        for op in &ops {
            self.numbers.note(id, op);
            if op.removes() {
                self.core.metrics.removed();
            }
            if let Err(error) = apply(account, op, &self.core.pager) {
                self.open.broken = true;
                return Err(error);
            }
            match op {
                Op::Delivered { key, mailbox, uid, time_ms } => {
                    let to = DeliveredTo { mailbox: *mailbox, uid: *uid };
                    self.open.deliveries.insert((id, *key), (to, *time_ms));
                }
                Op::DeleteAccount => {
                    self.open.deleted.push(id);
                    self.names.insert(fold_name(&account.name), None);
                }
                _ => {}
            }
        }
        self.open.builder.push_txn(Some(id), &op::encode(&ops));
        self.open.touched.insert(id);
        Ok(())
    }

    /// The number of the open group.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The open group's records, for those that are no account's.
    pub fn builder(&mut self) -> &mut GroupBuilder {
        &mut self.open.builder
    }

    /// Answers when everything sequenced up to now is durable.
    pub fn reply_when_durable(&mut self, reply: Reply) {
        self.open.replies.push(reply);
    }

    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.open.builder.is_empty() || !self.open.replies.is_empty() || self.open.broken
    }

    #[must_use]
    pub fn open_bytes(&self) -> u64 {
        self.open.builder.len_bytes()
    }

    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.open.broken
    }

    /// Closes the open group and begins the next.
    pub fn seal(&mut self) -> SealedGroup {
        let open = std::mem::take(&mut self.open);
        let lsn = self.lsn;
        // Only records take a number: a group of mere replies waits for the one before it.
        if !open.builder.is_empty() {
            self.lsn = lsn.next();
        }
        let touched = open.touched.iter().filter(|id| !open.deleted.contains(id));
        let accounts = touched.filter_map(|id| self.accounts.get(id).cloned()).collect();
        open.deleted.iter().for_each(|id| {
            self.accounts.remove(id);
        });
        self.in_flight = open.deliveries.iter().map(|(id, (to, _))| (*id, *to)).collect();
        self.leaving.clone_from(&open.deleted);
        let deliveries = open.deliveries.into_iter().map(|((a, k), (to, t))| (a, k, to, t)).collect();
        SealedGroup {
            lsn,
            builder: open.builder,
            room: open.room.unwrap_or(Room::Shrink),
            staged: Staged { accounts, deleted: open.deleted, deliveries, numbers: self.numbers },
            replies: open.replies,
        }
    }

    /// An empty group, written so that the last acknowledgement is covered by a later `durable_lsn`.
    pub fn seal_marker(&mut self) -> SealedGroup {
        let mut group = self.seal();
        self.lsn = group.lsn.next();
        group.builder = GroupBuilder::new();
        group
    }

    /// The group that was being written is durable and published.
    pub fn group_published(&mut self) {
        self.in_flight.clear();
        self.leaving.clear();
        if self.open.deliveries.is_empty() && self.open.touched.is_empty() {
            self.names.clear();
        }
    }

    /// A group failed: answers everyone of the open one likewise and falls back to what is published.
    pub fn fall_back(&mut self, failure: Failure, failed: Lsn) {
        let open = std::mem::take(&mut self.open);
        open.replies.into_iter().for_each(|reply| reply(Err(failure)));
        self.accounts.clear();
        self.names.clear();
        self.in_flight.clear();
        self.leaving.clear();
        self.lsn = failed;
    }
}
