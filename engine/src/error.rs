//! What can go wrong, in words that say what to do next.
//!
//! The daemons turn these into NO/BAD/BYE and LMTP replies in one place each; `label` is the
//! word used for it in logs and metrics.

use crate::types::{AccountId, MessageNo};
use std::io;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such account")]
    NoSuchAccount,
    #[error("no such mailbox")]
    NoSuchMailbox,
    #[error("no such message")]
    NoSuchMessage,
    /// An account or mailbox of that name exists already.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// The name cannot be used; the text says why.
    #[error("the name cannot be used: {0}")]
    InvalidName(String),
    /// The operation is not possible on this object (INBOX cannot be deleted, ...).
    #[error("{0}")]
    NotPossible(String),
    /// A limit of the store (keywords a mailbox, size of a message); the text says which.
    #[error("limit reached: {0}")]
    Limit(String),
    #[error("the account is over its quota")]
    OverQuota,
    /// The disk is full: writes resume when there is room again.
    #[error("the disk is full; free some space and try again")]
    StoreFull,
    /// A sync failed earlier: this process writes no more. Reads go on.
    #[error("an earlier write to disk failed; the store is read-only until it is restarted")]
    Poisoned,
    /// The group failed while being made durable: it may or may not be there after a restart.
    #[error("the write may or may not be durable; try again after a restart")]
    OutcomeUnknown,
    /// Damage in the log hit this account: what is there can be read and exported, nothing is written.
    #[error("account {0} is read-only because of damage in the log; run `mailcask repair`")]
    AccountReadOnly(AccountId),
    /// A stored message fails its checksum or digest. Others are served.
    #[error("message {message} is damaged ({what}); run `mailcask repair`")]
    Damaged { message: MessageNo, what: String },
    /// The message was expunged and its grace time is over (RFC 5530 EXPUNGEISSUED).
    #[error("the message was expunged by another session")]
    Expunged,
    /// Bytes of a view or of the log cannot be understood; the text says which.
    #[error("{what} is damaged: {why}")]
    Corrupt { what: String, why: String },
    /// Wrong name or password. Nothing says which.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// Another process owns the store.
    #[error("the store is owned by another process")]
    Owned,
    #[error("the store is closing")]
    Closed,
    /// Long work that was not wanted any more. What it had done stays done; it can be begun again.
    #[error("it was interrupted; run it again to go on")]
    Interrupted,
    #[error("{context}: {source}")]
    Io { context: String, source: io::Error },
}

impl Error {
    #[must_use]
    pub fn io(context: impl Into<String>, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull || source.kind() == io::ErrorKind::QuotaExceeded {
            return Self::StoreFull;
        }
        Self::Io { context: context.into(), source }
    }

    #[must_use]
    pub fn corrupt(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), why: why.into() }
    }

    /// One word for logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoSuchAccount => "no_such_account",
            Self::NoSuchMailbox => "no_such_mailbox",
            Self::NoSuchMessage => "no_such_message",
            Self::AlreadyExists(_) => "already_exists",
            Self::InvalidName(_) => "invalid_name",
            Self::NotPossible(_) => "not_possible",
            Self::Limit(_) => "limit",
            Self::OverQuota => "over_quota",
            Self::StoreFull => "store_full",
            Self::Poisoned => "poisoned",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::AccountReadOnly(_) => "account_read_only",
            Self::Damaged { .. } => "damaged",
            Self::Expunged => "expunged",
            Self::Corrupt { .. } => "corrupt",
            Self::AuthenticationFailed => "authentication_failed",
            Self::Owned => "owned",
            Self::Closed => "closed",
            Self::Interrupted => "interrupted",
            Self::Io { .. } => "io",
        }
    }
}
