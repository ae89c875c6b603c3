//! The vocabularies of a segment, made for substrings: its file `words`.
//!
//! Laws
//! - Term n of a group here is term n of tantivy's dictionary of that group, and says where its postings
//!   are: that dictionary finds a whole term only.
//! - Terms lie in pages of `PAGE_TERMS`; of a file, memory holds what tells its pages apart and no more.
//! - A page is believed after its CRC only.
//! - Lists of trigrams say which pages may hold a term; the page says whether it does.

mod page;
mod read;
mod trigrams;
mod write;

pub(super) use read::{Match, Words, WordsOf};
pub(super) use write::WordsWriter;

use super::folded::Group;

const MAGIC: &[u8; 8] = b"MCTXWORD";
const END_MAGIC: &[u8; 8] = b"MCTXWEND";
const VERSION: u32 = 1;
const HEADER_BYTES: u64 = 16;
const FOOTER_BYTES: usize = 8 + 8 * Group::ALL.len() + 4;
const WHAT: &str = "words of a text segment";

/// Terms a page has; the last may have less.
const PAGE_TERMS: u32 = 1024;
/// Stands behind each term; no UTF-8 holds it.
const END: u8 = 0xff;
/// The most frequent terms of a group, kept apart.
const TOP_TERMS: usize = 4096;
/// Up to so many pages are read rather than told apart by trigrams.
const PAGES_READ_ALL: usize = 4;

#[cfg(test)]
mod tests;
