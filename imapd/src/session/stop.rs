//! How a command ends, and the one place where an engine error becomes NO, BAD or BYE with its
//! response code (RFC 3501 section 7.1, RFC 5530).
//!
//! Laws
//! - Each `engine::Error` has one answer here; no other file looks at its variants to answer it.
//! - A reply never claims more than is known: when a write may or may not be durable the session
//!   ends with BYE and no tagged reply.
//! - The client sees no path and no internal detail; those go to the log, with the error's label.

use super::sink::Gone;
use crate::proto::write::Code;
use engine::Error;
use std::borrow::Cow;

type Text = Cow<'static, str>;

/// A command that did what it was asked.
#[derive(Debug)]
pub struct Done {
    pub code: Option<Code>,
    /// `None` says "XYZ completed".
    pub text: Option<Text>,
}

impl Done {
    pub fn plain() -> Self {
        Self { code: None, text: None }
    }

    pub fn with(code: Code) -> Self {
        Self { code: Some(code), text: None }
    }
}

/// A command that did not.
#[derive(Debug)]
pub enum Stop {
    /// Nobody is there to be answered.
    Gone,
    No(Option<Code>, Text),
    Bad(Text),
    /// The connection ends, without a tagged reply.
    Bye(Option<Code>, Text),
}

/// What a command handler comes to.
pub type Answer = Result<Done, Stop>;

impl Stop {
    pub fn no(code: Code, text: impl Into<Text>) -> Self {
        Self::No(Some(code), text.into())
    }

    pub fn bad(text: impl Into<Text>) -> Self {
        Self::Bad(text.into())
    }
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        log(&error);
        let text = || Text::from(error.to_string());
        match &error {
            Error::NoSuchMailbox => Self::no(Code::NonExistent, text()),
            Error::AlreadyExists(_) => Self::no(Code::AlreadyExists, text()),
            Error::InvalidName(_) | Error::NotPossible(_) => Self::no(Code::Cannot, text()),
            Error::Limit(_) => Self::no(Code::Limit, text()),
            Error::OverQuota => Self::no(Code::OverQuota, text()),
            Error::NoSuchMessage | Error::Expunged => Self::no(Code::ExpungeIssued, text()),
            Error::AuthenticationFailed => Self::no(Code::AuthenticationFailed, text()),
            Error::StoreFull | Error::Poisoned => Self::no(Code::Unavailable, text()),
            Error::AccountReadOnly(_) => {
                Self::no(Code::ContactAdmin, "the account is read-only because of damage")
            }
            Error::Damaged { .. } => Self::no(Code::Corruption, "the message is damaged"),
            Error::Corrupt { .. } => Self::no(Code::Corruption, "stored data is damaged"),
            Error::Io { .. } => Self::no(Code::ServerBug, "internal error, see the server's log"),
            Error::NoSuchAccount => Self::Bye(None, "The account no longer exists".into()),
            Error::OutcomeUnknown => {
                Self::Bye(Some(Code::Unavailable), "The outcome is unknown, connect again to see it".into())
            }
            // No command is long work; if one were, it would be the server that ends it.
            Error::Owned | Error::Closed | Error::Interrupted => {
                Self::Bye(Some(Code::Unavailable), "The server is closing".into())
            }
        }
    }
}

/// What an administrator should see is logged; what a client did to itself is not.
fn log(error: &Error) {
    match error {
        Error::StoreFull
        | Error::Poisoned
        | Error::OutcomeUnknown
        | Error::AccountReadOnly(_)
        | Error::Damaged { .. }
        | Error::Corrupt { .. }
        | Error::Io { .. } => tracing::error!(error = error.label(), "{error}"),
        _ => tracing::debug!(error = error.label(), "refused"),
    }
}
