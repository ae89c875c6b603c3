//! What SEARCH asks for (RFC 3501 section 6.4.4, RFC 7162 section 3.1.5).
//!
//! Laws
//! - Strings are UTF-8 whatever CHARSET was named: the parser converts or refuses.
//! - Nesting is at most `parse::search::DEPTH_MAX`, so recursion over a key is safe.

use super::SequenceSet;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub uid: bool,
    /// Several keys in the command are `And`.
    pub key: SearchKey,
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
    Flagged,
    From(String),
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
    On(i64),
    Or(Box<SearchKey>, Box<SearchKey>),
    Recent,
    Seen,
    SentBefore(i64),
    SentOn(i64),
    SentSince(i64),
    SequenceSet(SequenceSet),
    Since(i64),
    Smaller(u64),
    Subject(String),
    Text(String),
    To(String),
    Uid(SequenceSet),
    Unanswered,
    Undeleted,
    Undraft,
    Unflagged,
    Unkeyword(String),
    Unseen,
}

impl SearchKey {
    /// Whether MODSEQ occurs anywhere: the response then carries the highest one.
    #[must_use]
    pub fn uses_modseq(&self) -> bool {
        self.any(&|key| matches!(key, Self::ModSeq { .. }))
    }

    /// Whether the key, or a key inside it, is as asked.
    pub fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self)
            || match self {
                Self::And(keys) => keys.iter().any(|key| key.any(is)),
                Self::Not(key) => key.any(is),
                Self::Or(left, right) => left.any(is) || right.any(is),
                _ => false,
            }
    }
}
