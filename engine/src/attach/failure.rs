//! Errors across engine.sock: what the owner answered, as the same typed error on the other side.
//!
//! Law: every error comes back as the variant it was, so a caller cannot tell a remote store from
//! its own. The one exception is the kind of an I/O error, of which the text is kept.

use crate::error::Error;
use crate::types::{AccountId, MessageNo};
use serde::{Deserialize, Serialize};
use std::io;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    NoSuchAccount,
    NoSuchMailbox,
    NoSuchMessage,
    AlreadyExists(String),
    InvalidName(String),
    NotPossible(String),
    Limit(String),
    OverQuota,
    StoreFull,
    Poisoned,
    OutcomeUnknown,
    AccountReadOnly(AccountId),
    Damaged { message: MessageNo, what: String },
    Expunged,
    Corrupt { what: String, why: String },
    AuthenticationFailed,
    Owned,
    Closed,
    Interrupted,
    Io { context: String, why: String },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchAccount => Self::NoSuchAccount,
            Error::NoSuchMailbox => Self::NoSuchMailbox,
            Error::NoSuchMessage => Self::NoSuchMessage,
            Error::AlreadyExists(name) => Self::AlreadyExists(name),
            Error::InvalidName(why) => Self::InvalidName(why),
            Error::NotPossible(why) => Self::NotPossible(why),
            Error::Limit(which) => Self::Limit(which),
            Error::OverQuota => Self::OverQuota,
            Error::StoreFull => Self::StoreFull,
            Error::Poisoned => Self::Poisoned,
            Error::OutcomeUnknown => Self::OutcomeUnknown,
            Error::AccountReadOnly(account) => Self::AccountReadOnly(account),
            Error::Damaged { message, what } => Self::Damaged { message, what },
            Error::Expunged => Self::Expunged,
            Error::Corrupt { what, why } => Self::Corrupt { what, why },
            Error::AuthenticationFailed => Self::AuthenticationFailed,
            Error::Owned => Self::Owned,
            Error::Closed => Self::Closed,
            Error::Interrupted => Self::Interrupted,
            Error::Io { context, source } => Self::Io { context, why: source.to_string() },
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSuchAccount => Self::NoSuchAccount,
            Failure::NoSuchMailbox => Self::NoSuchMailbox,
            Failure::NoSuchMessage => Self::NoSuchMessage,
            Failure::AlreadyExists(name) => Self::AlreadyExists(name),
            Failure::InvalidName(why) => Self::InvalidName(why),
            Failure::NotPossible(why) => Self::NotPossible(why),
            Failure::Limit(which) => Self::Limit(which),
            Failure::OverQuota => Self::OverQuota,
            Failure::StoreFull => Self::StoreFull,
            Failure::Poisoned => Self::Poisoned,
            Failure::OutcomeUnknown => Self::OutcomeUnknown,
            Failure::AccountReadOnly(account) => Self::AccountReadOnly(account),
            Failure::Damaged { message, what } => Self::Damaged { message, what },
            Failure::Expunged => Self::Expunged,
            Failure::Corrupt { what, why } => Self::Corrupt { what, why },
            Failure::AuthenticationFailed => Self::AuthenticationFailed,
            Failure::Owned => Self::Owned,
            Failure::Closed => Self::Closed,
            Failure::Interrupted => Self::Interrupted,
            Failure::Io { context, why } => Self::Io { context, source: io::Error::other(why) },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_error_comes_back_as_it_was() {
        let there = Error::Damaged { message: MessageNo(7), what: "block 3".into() };
        let said = there.to_string();
        let json = serde_json::to_vec(&Failure::from(there)).unwrap();
        let here = Error::from(serde_json::from_slice::<Failure>(&json).unwrap());
        assert_eq!((here.label(), here.to_string()), ("damaged", said));
        let io = Error::io("reading x", io::Error::other("broken cable"));
        assert_eq!(Error::from(Failure::from(io)).to_string(), "reading x: broken cable");
    }
}
