//! What SEARCH and ESEARCH ask for (RFC 3501 section 6.4.4, RFC 7162 section 3.1.5, RFC 5032,
//! RFC 6203, RFC 7377, RFC 8474 section 6, RFC 8514 section 4.3).
//!
//! Laws
//! - Strings are UTF-8 whatever CHARSET was named: the parser converts or refuses.
//! - Nesting is at most `parse::search::DEPTH_MAX`, so recursion over a key is safe.

use super::{ReturnOptions, SequenceSet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub uid: bool,
    /// `None`: the answer is a SEARCH response (RFC 4731 section 3.1).
    pub returns: Option<ReturnOptions>,
    /// Several keys in the command are `And`.
    pub key: SearchKey,
}

/// ESEARCH (RFC 7377 section 2): UIDs, mailbox by mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiSearch {
    /// Not empty; `Selected` where the client gave none.
    pub sources: Vec<Source>,
    /// `ALL` where the client gave none.
    pub returns: ReturnOptions,
    pub key: SearchKey,
}

/// Which mailboxes (RFC 7377 section 2.2, RFC 5465 section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Selected,
    Inboxes,
    Personal,
    Subscribed,
    Subtree(Vec<String>),
    /// One level down.
    SubtreeOne(Vec<String>),
    Mailboxes(Vec<String>),
}

/// Days are days since 1970-01-01, as `ZonedTime::local_day` gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    All,
    And(Vec<SearchKey>),
    Answered,
    Bcc(String),
    Before(i64),
    Body(String),
    Cc(String),
    Deleted,
    Draft,
    /// EMAILID, as sent: an identifier that is none of ours matches nothing.
    EmailId(String),
    Flagged,
    From(String),
    /// RFC 6203 section 3.
    Fuzzy(Box<SearchKey>),
    Header(String, String),
    Keyword(String),
    Larger(u64),
    /// RFC 7162 section 3.1.5. A server that keeps one modseq a message, as this one, "MUST ignore"
    /// the entry; it is here so that the command is whole.
    ModSeq {
        entry: Option<String>,
        at_least: u64,
    },
    New,
    Not(Box<SearchKey>),
    Old,
    /// Seconds (RFC 5032 section 3); not zero.
    Older(u32),
    On(i64),
    Or(Box<SearchKey>, Box<SearchKey>),
    Recent,
    SavedBefore(i64),
    /// RFC 8514 section 4.3.
    SaveDateSupported,
    SavedOn(i64),
    SavedSince(i64),
    Seen,
    SentBefore(i64),
    SentOn(i64),
    SentSince(i64),
    SequenceSet(SequenceSet),
    Since(i64),
    Smaller(u64),
    Subject(String),
    Text(String),
    /// THREADID, as sent.
    ThreadId(String),
    To(String),
    Uid(SequenceSet),
    Unanswered,
    Undeleted,
    Undraft,
    Unflagged,
    Unkeyword(String),
    Unseen,
    /// Seconds; not zero.
    Younger(u32),
}

impl SearchKey {
    /// Whether MODSEQ occurs anywhere: the response then carries the highest one.
    #[must_use]
    pub fn uses_modseq(&self) -> bool {
        self.any(&|key| matches!(key, Self::ModSeq { .. }))
    }

    /// Whether FUZZY occurs anywhere: what is found is then ranked.
    #[must_use]
    pub fn uses_fuzzy(&self) -> bool {
        self.any(&|key| matches!(key, Self::Fuzzy(_)))
    }

    /// Whether the key, or a key inside it, is as asked.
    pub fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self)
            || match self {
                Self::And(keys) => keys.iter().any(|key| key.any(is)),
                Self::Fuzzy(key) | Self::Not(key) => key.any(is),
                Self::Or(left, right) => left.any(is) || right.any(is),
                _ => false,
            }
    }
}
