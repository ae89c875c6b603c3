//! What SORT and THREAD ask for (RFC 5256 section 5, RFC 5267 section 5, RFC 5957 section 5, RFC 6203 section
//! 7).
//!
//! Laws
//! - Criteria are as sent and in their order, at least one; a repeated one is legal and decides
//!   nothing.
//! - RELEVANCY comes with a FUZZY key only.

use super::{ReturnOptions, SearchKey};
use engine::search::{SortBy, SortKey, ThreadBy};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    pub uid: bool,
    pub returns: Option<ReturnOptions>,
    pub by: Vec<SortCriterion>,
    /// Several keys in the command are `And`.
    pub key: SearchKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortCriterion {
    Key(SortKey),
    /// RFC 6203 section 6.
    Relevancy {
        reverse: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    pub uid: bool,
    pub by: ThreadBy,
    pub key: SearchKey,
}

/// `sort-key`, by name.
pub const SORT_KEYS: [(&str, SortBy); 9] = [
    ("ARRIVAL", SortBy::Arrival),
    ("CC", SortBy::Cc),
    ("DATE", SortBy::Date),
    ("DISPLAYFROM", SortBy::DisplayFrom),
    ("DISPLAYTO", SortBy::DisplayTo),
    ("FROM", SortBy::From),
    ("SIZE", SortBy::Size),
    ("SUBJECT", SortBy::Subject),
    ("TO", SortBy::To),
];

/// `thread-alg`, by name: each is also a capability, `THREAD=name`.
pub const THREAD_ALGORITHMS: [(&str, ThreadBy); 3] = [
    ("ORDEREDSUBJECT", ThreadBy::OrderedSubject),
    ("REFERENCES", ThreadBy::References),
    ("REFS", ThreadBy::Refs),
];
