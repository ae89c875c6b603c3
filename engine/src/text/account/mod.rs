//! The text view of an account: which part of the index holds which emails, and what is not yet in
//! any of it.
//!
//! Laws
//! - Every live email below `covered` is in exactly one part, or in the list of unreadable ones. So what
//!   is not found here, and is below it, does not match.
//! - Parts ascend by EmailId and do not overlap. The last one is the open *tail*; the ones before it are
//!   *segments*, and tails that wait to become one.
//! - The view may be deleted while the store is closed. It is believed only as far as a MANIFEST
//!   names it, which is written after all that it names was synced; the open tail alone is not synced:
//!   each batch of it has its checksums, and a torn end is cut.
//! - A snapshot never changes. Files that no manifest names any more go when the last snapshot that
//!   reads them is dropped, at the latest at the next opening.
//! - Damage costs time, never an answer: what a part cannot say, it says `maybe` to.

mod batch;
mod files;
mod manifest;
mod open;
mod part;
mod scan;
mod settled;
mod snapshot;
mod tail;
mod texts;
mod view;
mod views;

pub use batch::Marks;
pub use manifest::{Expect, Figures};
pub use snapshot::AccountText;
pub use view::{BuildJob, MergeJob, TextView, Uncovered};
pub use views::TextViews;

/// How the text of messages is indexed. Nothing here is part of the format.
#[derive(Debug, Clone)]
pub struct TextOptions {
    /// Segments built or merged at a time: what bounds the memory.
    pub workers: usize,
    /// A tail of that much folded text is closed and becomes a segment.
    pub segment_text_bytes: u64,
    /// Up to that much folded text, the tail alone is the index.
    pub tail_only_bytes: u64,
    /// Text views of accounts that are held open.
    pub open_accounts: usize,
    /// Segments of an account before some are merged.
    pub segments_max: usize,
    /// How long the first stage waits for more mail before it looks at what came.
    pub gather_ms: u64,
    /// How long an account has to be quiet before a tail over `tail_only_bytes` becomes a segment.
    pub quiet_ms: u64,
    /// Appends slow down when an account has more messages that are not covered ...
    pub backlog_messages: u64,
    /// ... or more tails that wait to become a segment.
    pub backlog_tails: usize,
    /// Memory for the texts of small tails, store-wide.
    pub cache_bytes: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers: cores.saturating_sub(1).max(cores.min(2)).min(4),
            segment_text_bytes: 128 << 20,
            tail_only_bytes: 2 << 20,
            open_accounts: 256,
            segments_max: 8,
            gather_ms: 100,
            quiet_ms: 2_000,
            backlog_messages: 50_000,
            backlog_tails: 6,
            cache_bytes: 32 << 20,
        }
    }
}

impl TextOptions {
    /// Segments and merges with a few dozen messages.
    #[must_use]
    pub fn for_tests() -> Self {
        Self {
            workers: 2,
            segment_text_bytes: 16 << 10,
            tail_only_bytes: 4 << 10,
            segments_max: 3,
            gather_ms: 5,
            quiet_ms: 20,
            ..Self::default()
        }
    }
}
