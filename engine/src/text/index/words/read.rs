//! Reading the vocabularies: which terms hold, end with, or begin with a fragment.
//!
//! Laws
//! - Bytes past a CRC are ours, yet nothing they say is believed to be in range.

use super::page::{self, damaged};
use super::trigrams::{self, Trigram};
use super::{END, END_MAGIC, FOOTER_BYTES, HEADER_BYTES, MAGIC, PAGE_TERMS, VERSION, WHAT};
use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::text::index::folded::Group;
use memchr::{memchr, memchr_iter, memmem};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tantivy::postings::TermInfo;

/// Fragments of so many trigrams are not asked for more: the pages left are few.
const PAGES_FEW: u32 = 2;

/// Where in a term a fragment is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Match {
    Inside,
    AtEnd,
}

/// The file, open.
pub(in super::super) struct Words {
    file: Box<dyn File>,
    groups: Vec<Index>,
}

/// What memory holds of a group.
#[derive(Default)]
struct Index {
    terms: u32,
    pages: Vec<TermPage>,
    lists: Vec<ListPage>,
    top: Option<Place>,
}

struct TermPage {
    first: Box<[u8]>,
    place: Place,
}

struct ListPage {
    first: Trigram,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    disk_bytes: u64,
}

impl Words {
    pub(in super::super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let failed = |e| Error::io(format!("opening {}", path.display()), e);
        let file = disk.open(path).map_err(failed)?;
        let footer_at = file.len_bytes().map_err(failed)?.saturating_sub(FOOTER_BYTES as u64);
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0).map_err(failed)?;
        let mut from = Decoder::new(&header, WHAT);
        if &from.array::<8>()? != MAGIC || from.u32_le()? != VERSION || from.u32_le()? != PAGE_TERMS {
            return Err(from.bad("it is none, or of another version"));
        }
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at).map_err(failed)?;
        let mut groups = Vec::new();
        for at in read_footer(&footer, footer_at)? {
            let bytes = page::read_there(&*file, at, footer_at)?;
            groups.push(Index::read(&bytes, at)?);
        }
        Ok(Self { file, groups })
    }

    /// The vocabulary of a group.
    pub(in super::super) fn of(&self, group: Group) -> Result<WordsOf<'_>> {
        let index = self.groups.get(group as usize).ok_or_else(|| damaged("a group is missing"))?;
        Ok(WordsOf { file: &*self.file, index })
    }

    /// Reads every page.
    pub(in super::super) fn verify(&self) -> Result<()> {
        for index in &self.groups {
            let terms = index.pages.iter().map(|page| page.place);
            let lists = index.lists.iter().map(|list| list.place);
            for place in terms.chain(lists).chain(index.top) {
                page::read(&*self.file, place.at, place.disk_bytes)?;
            }
        }
        Ok(())
    }
}

fn read_footer(bytes: &[u8], footer_at: u64) -> Result<Vec<u64>> {
    let mut from = Decoder::new(bytes, WHAT);
    let magic = from.array::<8>()?;
    let mut indexes = Vec::new();
    for _ in Group::ALL {
        indexes.push(from.u64_le()?);
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes.get(..FOOTER_BYTES - 4).unwrap_or_default());
    crc.update(&footer_at.to_le_bytes());
    if &magic != END_MAGIC || from.u32_le()? != crc.finalize() {
        return Err(from.bad("its footer is wrong"));
    }
    Ok(indexes)
}

impl Index {
    /// `end` is where the group's pages end.
    fn read(bytes: &[u8], end: u64) -> Result<Self> {
        let mut from = Decoder::new(bytes, WHAT);
        let terms = from.u32()?;
        let mut at = from.uint()?;
        let mut place = |from: &Decoder<'_>, disk_bytes: u64| {
            let place = Place { at, disk_bytes };
            at = at
                .checked_add(disk_bytes)
                .filter(|at| *at <= end)
                .ok_or_else(|| from.bad("a page is behind its index"))?;
            Ok::<_, Error>(place)
        };
        let mut pages = Vec::new();
        for _ in 0..terms.div_ceil(PAGE_TERMS) {
            let first = from.bytes()?.into();
            let disk_bytes = from.uint()?;
            pages.push(TermPage { first, place: place(&from, disk_bytes)? });
        }
        let mut lists = Vec::new();
        for _ in 0..from.count(2)? {
            let first = from.u32()?;
            let disk_bytes = from.uint()?;
            lists.push(ListPage { first, place: place(&from, disk_bytes)? });
        }
        let top_bytes = from.uint()?;
        let top = if top_bytes == 0 { None } else { Some(place(&from, top_bytes)?) };
        from.finish()?;
        Ok(Self { terms, pages, lists, top })
    }
}

/// The vocabulary of one group.
#[derive(Clone, Copy)]
pub(in super::super) struct WordsOf<'a> {
    file: &'a dyn File,
    index: &'a Index,
}

impl WordsOf<'_> {
    pub(in super::super) fn terms(&self) -> u32 {
        self.index.terms
    }

    fn read(&self, place: Place) -> Result<Vec<u8>> {
        page::read(self.file, place.at, place.disk_bytes)
    }

    /// The terms that hold the fragment, in order, until it says false.
    pub(in super::super) fn find(
        &self,
        fragment: &[u8],
        place: Match,
        cancel: &AtomicBool,
        take: &mut dyn FnMut(TermInfo) -> Result<bool>,
    ) -> Result<()> {
        let mut wanted = fragment.to_vec();
        if place == Match::AtEnd {
            wanted.push(END);
        }
        let candidates = self.pages_of(&wanted)?;
        let finder = memmem::Finder::new(&wanted);
        for (number, page) in (0u32..).zip(&self.index.pages) {
            let is_candidate = candidates.as_ref().is_none_or(|bits| {
                bits.get((number / 8) as usize).is_some_and(|b| b >> (number % 8) & 1 == 1)
            });
            if !is_candidate {
                continue;
            }
            if cancel.load(Ordering::Relaxed) {
                break;
            }
            let bytes = self.read(page.place)?;
            let page = Page::of(&bytes)?;
            let mut found = Vec::new();
            each_match(page.terms, &finder, |nth| found.push(nth));
            if !found.is_empty() && !take_some(&page.infos()?, &found, take)? {
                break;
            }
        }
        Ok(())
    }

    /// The pages that may hold the bytes, as bits. None: all may.
    fn pages_of(&self, wanted: &[u8]) -> Result<Option<Vec<u8>>> {
        let pages = self.index.pages.len() as u32;
        let mut left: Option<Vec<u8>> = None;
        if self.index.lists.is_empty() {
            return Ok(None);
        }
        for trigram in trigrams::trigrams(wanted) {
            let at = self.index.lists.partition_point(|list| list.first <= trigram);
            let lists = at.checked_sub(1).and_then(|at| self.index.lists.get(at));
            let found = match lists {
                Some(lists) => trigrams::pages_of(&self.read(lists.place)?, trigram, pages)?,
                None => None,
            };
            let Some(found) = found else { return Ok(Some(Vec::new())) };
            let both = match left.take() {
                Some(mut left) => {
                    left.iter_mut().zip(&found).for_each(|(a, b)| *a &= b);
                    left
                }
                None => found,
            };
            let few = both.iter().map(|byte| byte.count_ones()).sum::<u32>() <= PAGES_FEW;
            left = Some(both);
            if few {
                break;
            }
        }
        Ok(left)
    }

    /// The terms that begin with the fragment, as a range of their numbers.
    pub(in super::super) fn beginning_with(&self, fragment: &[u8]) -> Result<Range<u32>> {
        let mut behind = fragment.to_vec();
        // The last byte of UTF-8 is less than 0xff: the next one up is behind all that begin so.
        match behind.last_mut() {
            Some(last) => *last = last.saturating_add(1),
            None => return Ok(0..self.index.terms),
        }
        Ok(self.terms_before(fragment)?..self.terms_before(&behind)?)
    }

    /// How many terms are less.
    fn terms_before(&self, key: &[u8]) -> Result<u32> {
        let pages = self.index.pages.partition_point(|page| &*page.first < key);
        let Some((before, page)) = pages.checked_sub(1).and_then(|at| Some((at, self.index.pages.get(at)?)))
        else {
            return Ok(0);
        };
        let bytes = self.read(page.place)?;
        let less = terms_of(Page::of(&bytes)?.terms).take_while(|term| *term < key).count();
        Ok(before as u32 * PAGE_TERMS + less as u32)
    }

    /// Those of the most frequent terms that hold the fragment, most frequent first, until it says
    /// false. A small vocabulary has none.
    pub(in super::super) fn frequent(
        &self,
        fragment: &[u8],
        take: &mut dyn FnMut(TermInfo) -> Result<bool>,
    ) -> Result<()> {
        let Some(place) = self.index.top else { return Ok(()) };
        let bytes = self.read(place)?;
        let page = Page::of(&bytes)?;
        let mut found = Vec::new();
        each_match(page.terms, &memmem::Finder::new(fragment), |nth| found.push(nth));
        take_some(&page.top_infos()?, &found, take)?;
        Ok(())
    }

    /// The terms of a range, in order, until it says false.
    pub(in super::super) fn each(
        &self,
        range: Range<u32>,
        take: &mut dyn FnMut(&[u8], TermInfo) -> Result<bool>,
    ) -> Result<()> {
        let first = range.start / PAGE_TERMS;
        for (number, page) in (first..).zip(self.index.pages.iter().skip(first as usize)) {
            if number.saturating_mul(PAGE_TERMS) >= range.end {
                break;
            }
            let bytes = self.read(page.place)?;
            let page = Page::of(&bytes)?;
            for (term, (bytes, info)) in (number * PAGE_TERMS..).zip(terms_of(page.terms).zip(page.infos()?))
            {
                if range.contains(&term) && !take(bytes, info)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Says those terms of a page; false when enough is known.
fn take_some(
    infos: &[TermInfo],
    found: &[u32],
    take: &mut dyn FnMut(TermInfo) -> Result<bool>,
) -> Result<bool> {
    for nth in found {
        let info = infos.get(*nth as usize).ok_or_else(|| damaged("a term has no numbers"))?;
        if !take(info.clone())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A page of terms, read.
struct Page<'a> {
    numbers: &'a [u8],
    /// Each with `END` behind.
    terms: &'a [u8],
}

impl<'a> Page<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self> {
        let mut from = Decoder::new(bytes, WHAT);
        let numbers = from.bytes()?;
        Ok(Self { numbers, terms: from.rest() })
    }

    /// Where the postings of each are: column by column, each term's behind those of the one before.
    fn infos(&self) -> Result<Vec<TermInfo>> {
        let mut from = Decoder::new(self.numbers, WHAT);
        let (mut postings, mut positions) = (from.len()?, from.len()?);
        let count = memchr_iter(END, self.terms).count();
        let mut infos = vec![TermInfo::default(); count];
        for info in &mut infos {
            info.doc_freq = from.u32()?;
        }
        for info in &mut infos {
            info.postings_range = next_range(&mut from, &mut postings)?;
        }
        for info in &mut infos {
            info.positions_range = next_range(&mut from, &mut positions)?;
        }
        from.finish()?;
        Ok(infos)
    }

    /// The same in the page of the most frequent: term by term.
    fn top_infos(&self) -> Result<Vec<TermInfo>> {
        let mut from = Decoder::new(self.numbers, WHAT);
        let mut infos = Vec::new();
        while !from.is_empty() {
            let doc_freq = from.u32()?;
            let mut at = from.len()?;
            let postings_range = next_range(&mut from, &mut at)?;
            let mut at = from.len()?;
            let positions_range = next_range(&mut from, &mut at)?;
            infos.push(TermInfo { doc_freq, postings_range, positions_range });
        }
        Ok(infos)
    }
}

/// A length, as the range that begins there.
fn next_range(from: &mut Decoder<'_>, at: &mut usize) -> Result<Range<usize>> {
    let start = *at;
    *at = start.checked_add(from.len()?).ok_or_else(|| from.bad("a length overflows"))?;
    Ok(start..*at)
}

/// The terms of a page.
fn terms_of(page: &[u8]) -> impl Iterator<Item = &[u8]> {
    page.strip_suffix(&[END]).unwrap_or(page).split(|byte| *byte == END)
}

/// Says which terms of a page hold the bytes, each once.
fn each_match(page: &[u8], finder: &memmem::Finder<'_>, mut found: impl FnMut(u32)) {
    let mut nth = 0;
    let mut counted = 0; // up to where ends of terms were counted
    let mut from = 0;
    while from < page.len() {
        let Some(at) = page.get(from..).and_then(|rest| finder.find(rest)) else { break };
        let at = from + at;
        nth += page.get(counted..at).map_or(0, |some| memchr_iter(END, some).count() as u32);
        found(nth);
        let Some(end) = page.get(at..).and_then(|rest| memchr(END, rest)) else { break };
        nth += 1;
        counted = at + end + 1;
        from = counted;
    }
}
