//! Writing the vocabularies: a group after the other, its terms in order.
//!
//! Laws
//! - Memory holds a page of terms, the trigrams' lists of one group, and what the index page says.

use super::page;
use super::trigrams::{Builder, Trigram};
use super::{END, END_MAGIC, HEADER_BYTES, MAGIC, PAGE_TERMS, PAGES_READ_ALL, TOP_TERMS, VERSION, WHAT};
use crate::codec::Encoder;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use tantivy::postings::TermInfo;

pub(in super::super) struct WordsWriter {
    file: Box<dyn File>,
    at: u64,
    /// Where the index page of each finished group is.
    indexes: Vec<u64>,
    group: GroupWriter,
}

/// The group being written.
#[derive(Default)]
struct GroupWriter {
    terms: u32,
    page: PageWriter,
    /// (first term, bytes on disk)
    pages: Vec<(Vec<u8>, u64)>,
    trigrams: Option<Builder>,
    /// The first pages, while they may be all.
    early: Vec<Vec<u8>>,
    top: BinaryHeap<Reverse<Ranked>>,
}

/// A page of terms being filled.
#[derive(Default)]
struct PageWriter {
    first: Vec<u8>,
    /// Where the postings and the positions of the first term begin.
    starts: Option<(u64, u64)>,
    docs: Encoder,
    postings: Encoder,
    positions: Encoder,
    terms: Vec<u8>,
}

/// A term among the most frequent: by documents, then the first in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    docs: u32,
    order: Reverse<u32>,
    term: Vec<u8>,
    info: Vec<u8>,
}

impl WordsWriter {
    pub(in super::super) fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = disk.create(path).map_err(|e| Error::io(format!("creating {}", path.display()), e))?;
        let mut writer = Self { file, at: 0, indexes: Vec::new(), group: GroupWriter::default() };
        let mut header = Encoder::with_capacity(HEADER_BYTES as usize);
        header.raw(MAGIC);
        header.u32_le(VERSION);
        header.u32_le(PAGE_TERMS);
        writer.append(header.as_bytes())?;
        Ok(writer)
    }

    /// The next term of the group at hand, and where its postings are.
    pub(in super::super) fn term(&mut self, term: &[u8], info: &TermInfo) -> Result<()> {
        let group = &mut self.group;
        group.page.push(term, info);
        group.rank(term, info);
        let terms = group.terms.checked_add(1);
        group.terms = terms.ok_or_else(|| Error::Limit("words of a text segment".to_owned()))?;
        if group.terms.is_multiple_of(PAGE_TERMS) { self.end_page() } else { Ok(()) }
    }

    fn end_page(&mut self) -> Result<()> {
        let page = std::mem::take(&mut self.group.page);
        if page.terms.is_empty() {
            return Ok(());
        }
        self.group.index(&page.terms);
        let disk_bytes = self.append_page(&page.encode())?;
        self.group.pages.push((page.first, disk_bytes));
        Ok(())
    }

    /// Ends the group at hand and begins the next.
    pub(in super::super) fn end_group(&mut self) -> Result<()> {
        let start = self.at - self.group.pages.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.end_page()?;
        let group = std::mem::take(&mut self.group);
        let mut index = Encoder::new();
        index.uint(u64::from(group.terms));
        index.uint(start);
        for (first, disk_bytes) in &group.pages {
            index.bytes(first);
            index.uint(*disk_bytes);
        }
        let lists: Vec<(Trigram, Vec<u8>)> = match group.trigrams {
            Some(builder) => builder.finish(group.pages.len() as u32)?,
            None => Vec::new(),
        };
        index.uint(lists.len() as u64);
        for (first, list) in &lists {
            let disk_bytes = self.append_page(list)?;
            index.uint(u64::from(*first));
            index.uint(disk_bytes);
        }
        let top = top_page(group.terms, group.top);
        index.uint(if top.is_empty() { 0 } else { self.append_page(&top)? });
        self.indexes.push(self.at);
        self.append_page(index.as_bytes())?;
        Ok(())
    }

    /// Ends the file: it is durable but for its name.
    pub(in super::super) fn finish(mut self) -> Result<()> {
        let mut footer = Encoder::new();
        footer.raw(END_MAGIC);
        for at in &self.indexes {
            footer.u64_le(*at);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(footer.as_bytes());
        crc.update(&self.at.to_le_bytes());
        footer.u32_le(crc.finalize());
        self.append(footer.as_bytes())?;
        self.file.sync_data().map_err(|e| Error::io(format!("syncing {WHAT}"), e))
    }

    fn append_page(&mut self, raw: &[u8]) -> Result<u64> {
        let bytes = page::encode(raw)?;
        self.append(&bytes)?;
        Ok(bytes.len() as u64)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, self.at).map_err(|e| Error::io(format!("writing {WHAT}"), e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

impl PageWriter {
    fn push(&mut self, term: &[u8], info: &TermInfo) {
        if self.terms.is_empty() {
            self.first = term.to_vec();
            self.starts = Some((info.postings_range.start as u64, info.positions_range.start as u64));
        }
        self.docs.uint(u64::from(info.doc_freq));
        self.postings.uint(info.postings_range.len() as u64);
        self.positions.uint(info.positions_range.len() as u64);
        self.terms.extend_from_slice(term);
        self.terms.push(END);
    }

    fn encode(&self) -> Vec<u8> {
        let mut numbers = Encoder::new();
        let (postings, positions) = self.starts.unwrap_or_default();
        numbers.uint(postings);
        numbers.uint(positions);
        for column in [&self.docs, &self.postings, &self.positions] {
            numbers.raw(column.as_bytes());
        }
        let mut page = Encoder::with_capacity(numbers.as_bytes().len() + self.terms.len() + 4);
        page.bytes(numbers.as_bytes());
        page.raw(&self.terms);
        page.into_bytes()
    }
}

impl GroupWriter {
    /// Keeps the term if it is one of the most frequent.
    fn rank(&mut self, term: &[u8], info: &TermInfo) {
        if self.top.len() >= TOP_TERMS {
            if self.top.peek().is_some_and(|Reverse(least)| info.doc_freq <= least.docs) {
                return;
            }
            self.top.pop();
        }
        let mut place = Encoder::new();
        place.uint(u64::from(info.doc_freq));
        for range in [&info.postings_range, &info.positions_range] {
            place.uint(range.start as u64);
            place.uint(range.len() as u64);
        }
        let (term, info_bytes) = (term.to_vec(), place.into_bytes());
        self.top.push(Reverse(Ranked {
            docs: info.doc_freq,
            order: Reverse(self.terms),
            term,
            info: info_bytes,
        }));
    }

    /// Adds a page to the trigrams' lists; a vocabulary of few pages has none.
    fn index(&mut self, terms: &[u8]) {
        let page = self.pages.len() as u32;
        match &mut self.trigrams {
            Some(builder) => builder.page(page, terms),
            None if self.early.len() < PAGES_READ_ALL => self.early.push(terms.to_vec()),
            None => {
                let mut builder = Builder::new();
                for (page, early) in (0..).zip(self.early.drain(..)) {
                    builder.page(page, &early);
                }
                builder.page(page, terms);
                self.trigrams = Some(builder);
            }
        }
    }
}

/// The most frequent terms, most frequent first; empty when they would be most of all.
fn top_page(terms: u32, top: BinaryHeap<Reverse<Ranked>>) -> Vec<u8> {
    if terms as usize <= 2 * TOP_TERMS {
        return Vec::new();
    }
    let sorted = top.into_sorted_vec();
    let mut numbers = Encoder::new();
    for Reverse(ranked) in &sorted {
        numbers.raw(&ranked.info);
    }
    let mut page = Encoder::new();
    page.bytes(numbers.as_bytes());
    for Reverse(ranked) in &sorted {
        page.raw(&ranked.term);
        page.u8(END);
    }
    page.into_bytes()
}
