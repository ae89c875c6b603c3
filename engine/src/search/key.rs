//! What is searched for, as the session hands it over: sequence numbers resolved, strings decoded.

use crate::types::{EmailId, ModSeq, ThreadId, UidSet};
use serde::{Deserialize, Serialize};

/// A search key. Its text form is IMAP's; this is what crosses `engine.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    All,
    /// All of them; none at all is ALL.
    And(Vec<Key>),
    Or(Box<Key>, Box<Key>),
    Not(Box<Key>),
    /// UID, and sequence sets once the session has resolved them.
    Uids(UidSet),
    /// ANSWERED (`\Answered`), KEYWORD and the like: the name as in FLAGS. Their UN- forms are Not.
    Flag(String),
    Recent,
    /// RECENT UNSEEN
    New,
    /// NOT RECENT
    Old,
    /// BEFORE, ON, SINCE and their SENT- and SAVED- forms. `day` counts from 1970-01-01
    /// (`types::civil`).
    Date {
        of: DateOf,
        is: DateIs,
        day: i64,
    },
    /// OLDER: seconds (RFC 5032).
    Older(u32),
    /// YOUNGER: seconds.
    Younger(u32),
    Larger(u64),
    Smaller(u64),
    /// MODSEQ: at least that (RFC 7162 section 3.1.5).
    ModSeq(ModSeq),
    /// RFC 8474 section 4.3.
    EmailId(EmailId),
    ThreadId(ThreadId),
    /// SAVEDATESUPPORTED (RFC 8514): always true here.
    SaveDateSupported,
    /// HEADER, and FROM, TO, CC, BCC, SUBJECT. An empty string asks whether the field is there.
    Header {
        name: String,
        string: String,
    },
    Body(String),
    Text(String),
    /// FUZZY (RFC 6203): the key may match what is like it, and the answer is ranked.
    Fuzzy(Box<Key>),
}

/// Which date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOf {
    /// INTERNALDATE
    Internal,
    /// The Date field.
    Sent,
    /// SAVEDATE, in UTC.
    Saved,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateIs {
    Before,
    On,
    Since,
}

impl Key {
    /// The opposite; `UNSEEN` is `Key::not(Key::Flag("\\Seen"))`.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "NOT is the key's name")]
    pub fn not(key: Self) -> Self {
        Self::Not(Box::new(key))
    }

    #[must_use]
    pub fn or(a: Self, b: Self) -> Self {
        Self::Or(Box::new(a), Box::new(b))
    }

    /// FROM, TO, CC, BCC, SUBJECT.
    #[must_use]
    pub fn header(name: &str, string: &str) -> Self {
        Self::Header { name: name.to_owned(), string: string.to_owned() }
    }
}
