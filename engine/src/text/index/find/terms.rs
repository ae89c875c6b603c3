//! The terms a fragment is in, and the documents that have them.
//!
//! Laws
//! - A union stops when it has all that is asked for; the most frequent terms come first.

use super::super::bits::Docs;
use super::super::folded::Group;
use super::super::segment::{Segment, io_failed};
use super::super::words::{Match, WordsOf};
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use tantivy::InvertedIndexReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;

/// After how many terms a union looks whether it has all.
const LOOK_EVERY: usize = 256;

/// Fragments up to that long are in so many terms that the frequent ones are worth asking first.
const SHORT_BYTES: usize = 4;

/// Terms of a vocabulary.
pub(in super::super) enum Terms {
    List(Vec<TermInfo>),
    /// Those of these numbers.
    Range(Range<u32>),
    /// Those that hold a fragment: looked for when the frequent ones are not enough.
    Holding(String),
}

/// A group of a segment, being asked.
pub(in super::super) struct Asked<'a> {
    postings: &'a InvertedIndexReader,
    words: WordsOf<'a>,
    cancel: &'a AtomicBool,
    what: String,
}

impl<'a> Asked<'a> {
    pub(in super::super) fn of(segment: &'a Segment, group: Group, cancel: &'a AtomicBool) -> Result<Self> {
        let what = segment.dir().display().to_string();
        Ok(Self { postings: segment.postings(group)?, words: segment.words().of(group)?, cancel, what })
    }

    pub(in super::super) fn words(&self) -> WordsOf<'a> {
        self.words
    }

    pub(in super::super) fn postings(&self) -> &'a InvertedIndexReader {
        self.postings
    }

    pub(in super::super) fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(in super::super) fn failed(&self, e: std::io::Error) -> Error {
        io_failed(&self.what, &e)
    }

    pub(super) fn exact(&self, term: &str) -> Result<Terms> {
        let info = self.postings.terms().get(term.as_bytes()).map_err(|e| self.failed(e))?;
        Ok(Terms::List(info.into_iter().collect()))
    }

    pub(super) fn beginning_with(&self, fragment: &str) -> Result<Terms> {
        Ok(Terms::Range(self.words.beginning_with(fragment.as_bytes())?))
    }

    pub(super) fn ending_with(&self, fragment: &str) -> Result<Terms> {
        let mut list = Vec::new();
        self.words.find(fragment.as_bytes(), Match::AtEnd, self.cancel, &mut |info| {
            list.push(info);
            Ok(true)
        })?;
        Ok(Terms::List(list))
    }

    /// Calls for each of the terms until it says false.
    pub(super) fn each(&self, terms: &Terms, take: &mut dyn FnMut(TermInfo) -> Result<bool>) -> Result<()> {
        match terms {
            Terms::List(list) => {
                for info in list {
                    if self.is_cancelled() || !take(info.clone())? {
                        break;
                    }
                }
                Ok(())
            }
            Terms::Range(range) => {
                self.words.each(range.clone(), &mut |_, info| Ok(!self.is_cancelled() && take(info)?))
            }
            Terms::Holding(fragment) => {
                self.words.find(fragment.as_bytes(), Match::Inside, self.cancel, take)
            }
        }
    }

    /// The documents of `within` that have one of the terms.
    pub(in super::super) fn docs(&self, terms: &Terms, within: &Docs) -> Result<Docs> {
        let mut union = Union { asked: self, docs: None, within, found: blank(within), terms: 0 };
        if let Terms::Holding(fragment) = terms
            && fragment.len() <= SHORT_BYTES
        {
            self.words.frequent(fragment.as_bytes(), &mut |info| union.take(&info))?;
            if union.is_full() {
                return Ok(union.finish());
            }
        }
        self.each(terms, &mut |info| union.take(&info))?;
        Ok(union.finish())
    }
}

/// A set of the same length with nothing in it.
fn blank(like: &Docs) -> Docs {
    let mut docs = like.clone();
    docs.subtract(like);
    docs
}

struct Union<'a, 'b> {
    asked: &'b Asked<'a>,
    /// Made once, opened anew for each term.
    docs: Option<BlockSegmentPostings>,
    within: &'b Docs,
    found: Docs,
    terms: usize,
}

impl Union<'_, '_> {
    /// Adds the documents of a term. False when there is nothing left to find.
    fn take(&mut self, info: &TermInfo) -> Result<bool> {
        let postings = self.asked.postings;
        match &mut self.docs {
            Some(docs) => postings.reset_block_postings_from_terminfo(info, docs),
            None => postings
                .read_block_postings_from_terminfo(info, IndexRecordOption::Basic)
                .map(|docs| self.docs = Some(docs)),
        }
        .map_err(|e| self.asked.failed(e))?;
        if let Some(docs) = &mut self.docs {
            while docs.block_len() > 0 {
                docs.docs().iter().for_each(|doc| self.found.insert(*doc));
                docs.advance();
            }
        }
        self.terms += 1;
        let is_due = self.terms.is_multiple_of(LOOK_EVERY) || info.doc_freq as usize >= LOOK_EVERY * 64;
        Ok(!(is_due && self.is_full()))
    }

    fn is_full(&self) -> bool {
        self.found.holds(self.within)
    }

    fn finish(mut self) -> Docs {
        self.found.meet(self.within);
        self.found
    }
}
