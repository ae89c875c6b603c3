//! What an administrator or a delivery process may do with a store, wherever the store is.
//!
//! Laws
//! - One trait, two implementations: the store in this process (`local`), the owner behind
//!   engine.sock (`client`). A tool's code exists once and cannot tell which it has.
//! - Every method that changes something returns after the change is durable.
//! - Messages stream both ways; nothing here needs a whole message in memory.

use crate::accounts::route::Route;
use crate::check::CheckReport;
use crate::error::Result;
use crate::indexer::IndexStats;
use crate::log::Pinned;
use crate::ops::{AccountInfo, Appended, Delivered, Kept, KeptMailbox, NewAccount, Recipient, Stats};
use crate::repair::{Plan, Repaired};
use crate::search::{Found, Key};
use crate::txn::compact::{CompactOptions, CompactReport};
use crate::types::{AccountId, MailboxId, ModSeq, Uid, UidValidity, ZonedTime};
use crate::work::Work;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// The most messages, and the most bytes (beside a first message of any size), that one append
/// should hold: it is one commit, and one group's worth of memory for the owner.
pub const APPEND_MESSAGES_MAX: usize = 256;
pub const APPEND_BYTES_MAX: u64 = 8 * 1024 * 1024;

pub trait Admin: Send + Sync {
    fn accounts(&self) -> Result<Vec<AccountInfo>>;
    fn account_id(&self, name: &str) -> Result<Option<AccountId>>;
    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountId>;
    fn delete_account(&self, account: AccountId) -> Result<()>;
    fn set_password(&self, account: AccountId, password: &str) -> Result<()>;
    fn set_quota(&self, account: AccountId, quota_bytes: Option<u64>) -> Result<()>;

    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxInfo>>;
    fn create_mailbox(&self, account: AccountId, name: &str) -> Result<MailboxId>;
    fn delete_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<()>;

    /// Appends in order, all or none, as one commit.
    fn append(&self, account: AccountId, mailbox: MailboxId, messages: &mut [NewMessage])
    -> Result<Appended>;
    /// The same for messages that keep numbers of theirs; UIDs have to rise.
    fn append_kept(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
        kept: &[Kept],
    ) -> Result<Appended>;
    /// Makes a mailbox, under a name for the time being, for mail that keeps its numbers.
    fn create_kept_mailbox(&self, account: AccountId, kept: &KeptMailbox) -> Result<MailboxId>;
    /// Gives it its name and numbers, once its mail is there.
    fn finish_kept_mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        kept: &KeptMailbox,
        uid_next: Uid,
    ) -> Result<()>;
    /// The next rows of the mailbox as it is now, from that UID on; none at the end.
    fn rows(&self, account: AccountId, mailbox: MailboxId, from: Uid) -> Result<Vec<RowInfo>>;
    /// Writes a whole message, checked against its digest; returns its size. After an error, `out`
    /// may hold a part of the message.
    fn read(&self, account: AccountId, mailbox: MailboxId, uid: Uid, out: &mut dyn Write) -> Result<u64>;
    fn search(&self, account: AccountId, mailbox: MailboxId, key: &Key) -> Result<Found>;

    fn stats(&self) -> Result<Stats>;
    /// Drops the text index of the account and has it made again, in the background.
    fn reindex(&self, account: AccountId) -> Result<()>;
    /// The text index of the account in numbers: how far it is.
    fn index_stats(&self, account: AccountId) -> Result<IndexStats>;
    /// Compares the views with the log; `deep` reads every message too.
    fn check(&self, deep: bool, work: &mut Work<'_>) -> Result<CheckReport>;
    /// What a repair would do. Nothing is changed.
    fn repair_plan(&self, work: &mut Work<'_>) -> Result<Plan>;
    /// Does what is planned.
    fn repair(&self, plan: &Plan, work: &mut Work<'_>) -> Result<Repaired>;
    /// Moves what lives out of segments that are mostly dead, and drops those.
    fn compact(&self, options: CompactOptions, work: &mut Work<'_>) -> Result<CompactReport>;

    /// Holds the files of this moment still for a backup, until the answer is dropped.
    fn pin(&self) -> Result<Held>;
    /// An account with the password hash it had elsewhere.
    fn create_account_again(&self, again: &AccountAgain) -> Result<AccountId>;

    /// The account that an address is for, and what room it has: a hint, checked again at delivery.
    fn destination(&self, address: &str) -> Result<Option<Destination>>;
    /// Begins a message to deliver.
    fn begin_delivery(&self) -> Result<Box<dyn Delivery>>;

    /// Ends the use of the store: when this process owns it, it is closed cleanly.
    fn close(&self) -> Result<()>;
}

/// The files of a store, held still.
pub struct Held {
    pub pinned: Pinned,
    /// What holds them.
    pub(super) _by: Box<dyn Send>,
}

/// An account that comes back from a backup. Has no `Debug`: it holds what a password is checked with.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccountAgain {
    pub name: String,
    /// Argon2id in PHC form.
    pub password_hash: Option<String>,
    pub quota_bytes: Option<u64>,
}

/// A message on its way to its recipients. Dropping it delivers nothing.
pub trait Delivery: Send {
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// Delivers, with a verdict for each recipient in their order. The outer error is everybody's.
    fn deliver(self: Box<Self>, sender: &str, recipients: Vec<Recipient>) -> Result<Vec<Result<Delivered>>>;
}

/// A message to append.
pub struct NewMessage {
    pub body: Box<dyn Body>,
    pub flags: Vec<String>,
    /// `None`: now.
    pub internal_date: Option<ZonedTime>,
}

/// A message's bytes, which can be read from their start again: when a store changes hands, what had
/// not been begun is sent to the new owner.
pub trait Body: Send {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxInfo {
    pub id: MailboxId,
    pub name: String,
    pub special_use: Option<String>,
    pub subscribed: bool,
    pub messages: u32,
    pub unseen: u32,
    pub size_bytes: u64,
    pub uid_validity: UidValidity,
    pub uid_next: Uid,
    pub highest_modseq: ModSeq,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowInfo {
    pub uid: Uid,
    pub modseq: ModSeq,
    pub flags: Vec<String>,
    pub internal_date: ZonedTime,
    pub save_date_s: i64,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    pub route: Route,
    pub quota_bytes: Option<u64>,
    pub used_bytes: u64,
}

impl Destination {
    /// True when a message of that size would not fit now.
    #[must_use]
    pub fn would_exceed_quota(&self, size_bytes: u64) -> bool {
        self.quota_bytes.is_some_and(|limit| self.used_bytes.saturating_add(size_bytes) > limit)
    }
}
