//! The names of things: identifiers that every floor shares.
//!
//! Laws
//! - An identifier is never reused and never revived (law 3 of `docs/architecture.md`).
//! - `MessageNo` is the only reference to a stored message; no offset is known above `log/`.
//! - Everything here is plain data: no I/O, no clock, no lock.

pub mod civil;
mod uid_set;

pub use uid_set::UidSet;

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl $name {
            /// The next identifier in sequence (saturating: an exhausted counter is an error of
            /// the sequencer, never a wrap).
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// An account, store-wide. Never reused.
    AccountId, u32
);
id!(
    /// A mailbox within its account; survives RENAME (RFC 8474 MAILBOXID). Never reused.
    MailboxId, u32
);
id!(
    /// An email within its account: (account, prefix, message). COPY and MOVE keep it (RFC 8474).
    EmailId, u32
);
id!(
    /// A thread: keyed hash of the root reference (RFC 8474 THREADID).
    ThreadId, u64
);
id!(
    /// A stored message, store-wide, given by the sequencer.
    MessageNo, u64
);
id!(
    /// A unique identifier within a mailbox (RFC 3501 section 2.3.1.1). Zero is never given.
    Uid, u32
);
id!(
    /// A modification sequence, one counter an account (RFC 7162). Zero is never given.
    ModSeq, u64
);
id!(
    /// A mailbox's unique identifier validity value (RFC 3501 section 2.3.1.1).
    UidValidity, u32
);
id!(
    /// The number of a group in the log: rising, by one a group but where something was lost.
    Lsn, u64
);

impl Lsn {
    /// How far numbering goes up where groups are lost, or may be: theirs are never given again.
    pub const LOSS_JUMP: u64 = 1 << 32;

    /// Where numbering goes on when groups up to this one may have been given.
    #[must_use]
    pub fn past_loss(self) -> Self {
        Self(self.0.saturating_add(Self::LOSS_JUMP))
    }

    /// Whether this group, the next one after `before`, tells of a loss between the two.
    #[must_use]
    pub fn follows_loss(self, before: Self) -> bool {
        self.0.saturating_sub(before.0) >= Self::LOSS_JUMP
    }
}
id!(
    /// The number of a segment file, store-wide over log, bodies and cold.
    SegmentId, u32
);

/// A moment with the zone it was written in: INTERNALDATE and the Date header keep their zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ZonedTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub unix_s: i64,
    /// Offset from UTC in minutes, -1439..=1439.
    pub offset_minutes: i16,
}

impl ZonedTime {
    /// The given second in UTC.
    #[must_use]
    pub fn utc(unix_s: i64) -> Self {
        Self { unix_s, offset_minutes: 0 }
    }

    /// Days since 1970-01-01 in the zone it was written in: what SEARCH's dates compare
    /// ("disregarding time and timezone", RFC 3501 section 6.4.4).
    #[must_use]
    pub fn local_day(self) -> i64 {
        (self.unix_s + i64::from(self.offset_minutes) * 60).div_euclid(86_400)
    }
}
