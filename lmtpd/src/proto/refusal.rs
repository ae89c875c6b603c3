//! Why a recipient or a message is refused, and the one place where that becomes a reply.
//!
//! Laws
//! - A permanent code (5yz) only where trying again cannot help; every fault of ours is 4yz, so
//!   the client's queue keeps the message (RFC 5321 section 4.2.1).

use super::reply::Reply;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NoSuchAccount,
    OverQuota,
    /// The message is larger than the store takes.
    TooBig,
    /// The account is read-only until it is repaired.
    ReadOnly,
    /// The disk is full.
    StoreFull,
    /// A fault that a retry mends: an I/O error, a store that closes, no process that owns it.
    Unavailable,
}

impl Refusal {
    /// RFC 5321 section 4.2.3 with the codes of RFC 3463. `about` names the recipient, if one.
    #[must_use]
    pub fn reply(self, about: Option<&dyn std::fmt::Display>) -> Reply {
        let (code, enhanced, text) = match self {
            Self::NoSuchAccount => (550, "5.1.1", "no such account"),
            Self::OverQuota => (552, "5.2.2", "over quota"),
            Self::TooBig => (552, "5.3.4", "message too big"),
            Self::ReadOnly => (450, "4.2.1", "not taking mail until repaired"),
            Self::StoreFull => (452, "4.3.1", "no space left; try again later"),
            Self::Unavailable => (451, "4.3.0", "local error; try again later"),
        };
        match about {
            Some(address) => Reply::new(code, enhanced, format!("<{address}> {text}")),
            None => Reply::new(code, enhanced, text),
        }
    }

    /// One word for logs and metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NoSuchAccount => "no_such_account",
            Self::OverQuota => "over_quota",
            Self::TooBig => "too_big",
            Self::ReadOnly => "account_read_only",
            Self::StoreFull => "store_full",
            Self::Unavailable => "unavailable",
        }
    }
}
