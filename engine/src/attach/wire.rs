//! The conversation on engine.sock.
//!
//! ```text
//! client                                   owner
//! Hello                                    Result<Welcome>
//! Request                                  Result<value>, one control frame
//! Append, then for each message:           Result<Appended>
//!   ItemHead, data..., end
//! Read                                     Result<()>, data..., end (or a failure in its place)
//! Deliver, data..., Envelope               Result<[Result<Delivered>]>
//! Check, Compact, RepairPlan, Repair       Told::Step..., then Told::Done(Result<value>)
//! Pin                                      Result<Pinned>; the files are held until the connection ends
//! HandOver                                 Result<()>, then the owner closes the store
//! ```
//!
//! Laws
//! - One request at a time on a connection; a client that wants more opens more.
//! - Both sides name the version of the protocol before anything else; another version is refused
//!   with words, not with confusion.
//! - A client that goes away in the middle of a request has changed nothing.
//! - An owner that ends says `Closed` in place of an answer it has not begun to work for; a
//!   connection that ends without a word leaves the outcome unknown.
//! - `Request` is never logged and has no `Debug`: it may hold a password.

use super::admin::AccountAgain;
use super::failure::Failure;
use crate::ops::{Kept, KeptMailbox, Recipient};
use crate::repair::Plan;
use crate::search::Key;
use crate::txn::compact::CompactOptions;
use crate::types::{AccountId, MailboxId, Uid, ZonedTime};
use crate::work::Step;
use serde::{Deserialize, Serialize};

/// Rises with every change of the frames or of what they hold.
pub const VERSION: u32 = 5;

pub type Answer<T> = std::result::Result<T, Failure>;

/// What comes in answer to long work: how far it is, at most a few times a second, and in the end its result.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told<T> {
    Step(Step),
    Done(Answer<T>),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's name, so that a stray connection is told apart.
    pub protocol: String,
    pub version: u32,
}

pub const PROTOCOL: &str = "mailcask-attach";

#[derive(Debug, Serialize, Deserialize)]
pub struct Welcome {
    pub version: u32,
    pub role: Role,
    pub pid: u32,
}

/// What kind of process owns the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// `mailcask serve` or `imapd`: keeps the store until it ends.
    Server,
    /// A tool: hands the store over when a server asks.
    Tool,
}

#[derive(Serialize, Deserialize)]
pub enum Request {
    Accounts,
    AccountId { name: String },
    CreateAccount { name: String, password: Option<String>, quota_bytes: Option<u64> },
    DeleteAccount { account: AccountId },
    SetPassword { account: AccountId, password: String },
    SetQuota { account: AccountId, quota_bytes: Option<u64> },
    Mailboxes { account: AccountId },
    CreateMailbox { account: AccountId, name: String },
    DeleteMailbox { account: AccountId, mailbox: MailboxId },
    Append { account: AccountId, mailbox: MailboxId, messages: usize },
    CreateKeptMailbox { account: AccountId, kept: KeptMailbox },
    FinishKeptMailbox { account: AccountId, mailbox: MailboxId, kept: KeptMailbox, uid_next: Uid },
    Rows { account: AccountId, mailbox: MailboxId, from: Uid },
    Read { account: AccountId, mailbox: MailboxId, uid: Uid },
    Search { account: AccountId, mailbox: MailboxId, key: Key },
    Stats,
    Reindex { account: AccountId },
    IndexStats { account: AccountId },
    Check { deep: bool },
    RepairPlan,
    Repair { plan: Plan },
    Pin,
    CreateAccountAgain { again: AccountAgain },
    Compact { options: CompactOptions },
    Destination { address: String },
    Deliver,
    HandOver,
}

#[derive(Serialize, Deserialize)]
pub struct ItemHead {
    pub flags: Vec<String>,
    pub internal_date: Option<ZonedTime>,
    pub kept: Kept,
}

#[derive(Serialize, Deserialize)]
pub struct Envelope {
    pub sender: String,
    pub recipients: Vec<Recipient>,
}
