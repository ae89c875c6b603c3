//! The text index of an account: segments of tantivy's postings with vocabularies beside them.
//!
//! Laws
//! - The index knows EmailIds and folded texts; it knows no mailbox, no flag and no file of the log.
//! - An answer is two sets: what the index proves, and what it cannot rule out. Nothing else matches.

mod bits;
mod docs;
mod emails;
mod find;
mod folded;
mod needle;
mod ranked;
mod segment;
mod tokens;
mod words;

pub use emails::EmailSet;
pub use folded::{Folded, Group, SEAM};
pub use needle::Needle;
pub use ranked::Query;
pub use segment::{Segment, SegmentInfo};

/// Where a pattern is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// TEXT: header and bodies.
    Text,
    /// BODY.
    Body,
    /// FROM, TO, CC, BCC, SUBJECT.
    Field(Group),
    /// Any other field of the header: the whole header is asked, so every hit is a `maybe`.
    AnyHeader,
}

/// What an index says of a pattern. The sets are disjoint.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    /// Proved to match.
    pub sure: EmailSet,
    /// May match: the text decides.
    pub maybe: EmailSet,
}
