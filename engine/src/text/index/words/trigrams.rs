//! Trigrams of bytes, and the pages whose terms have them.
//!
//! Laws
//! - A term's trigrams are those of its bytes with `END` behind: so an end is asked as a middle is.
//! - A list is the distances of its pages, or a bit for each page where that is shorter.

use super::END;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

pub(super) type Trigram = u32;

/// A page of lists is closed at this size.
const LISTS_BYTES: usize = 8 * 1024;

pub(super) fn trigrams(bytes: &[u8]) -> impl Iterator<Item = Trigram> + '_ {
    bytes.windows(3).map(|w| w.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// The lists of one group, being made.
pub(super) struct Builder {
    lists: HashMap<Trigram, List, BuildHasherDefault<Spread>>,
    /// A bit for each trigram there can be: those of the page at hand.
    seen: Vec<u64>,
    at_hand: Vec<Trigram>,
}

#[derive(Default)]
struct List {
    next: u32,
    distances: Encoder,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { lists: HashMap::default(), seen: vec![0; (1 << 24) / 64], at_hand: Vec::new() }
    }

    /// Takes all terms of a page, each with `END` behind.
    pub(super) fn page(&mut self, page: u32, terms: &[u8]) {
        for term in terms.split_inclusive(|byte| *byte == END) {
            for trigram in trigrams(term) {
                if let Some(word) = self.seen.get_mut((trigram / 64) as usize)
                    && *word >> (trigram % 64) & 1 == 0
                {
                    *word |= 1 << (trigram % 64);
                    self.at_hand.push(trigram);
                }
            }
        }
        for trigram in self.at_hand.drain(..) {
            if let Some(word) = self.seen.get_mut((trigram / 64) as usize) {
                *word = 0;
            }
            let list = self.lists.entry(trigram).or_default();
            list.distances.uint(u64::from(page - list.next));
            list.next = page + 1;
        }
    }

    /// (first trigram, content) of each page of lists, ascending.
    pub(super) fn finish(self, pages: u32) -> Result<Vec<(Trigram, Vec<u8>)>> {
        let mut lists: Vec<_> = self.lists.into_iter().collect();
        lists.sort_unstable_by_key(|(trigram, _)| *trigram);
        let mut out = Vec::new();
        let mut page = Encoder::new();
        let mut first = 0;
        let mut last = 0;
        for (trigram, list) in lists {
            if page.as_bytes().is_empty() {
                (first, last) = (trigram, 0);
            }
            page.uint(u64::from(trigram - last));
            last = trigram;
            let distances = list.distances.as_bytes();
            if distances.len() <= pages.div_ceil(8) as usize {
                page.uint((distances.len() as u64) << 1);
                page.raw(distances);
            } else {
                let bits = bits(distances, pages)?;
                page.uint((bits.len() as u64) << 1 | 1);
                page.raw(&bits);
            }
            if page.as_bytes().len() >= LISTS_BYTES {
                out.push((first, std::mem::take(&mut page).into_bytes()));
            }
        }
        if !page.as_bytes().is_empty() {
            out.push((first, page.into_bytes()));
        }
        Ok(out)
    }
}

/// A bit for each page.
fn bits(distances: &[u8], pages: u32) -> Result<Vec<u8>> {
    let mut bits = vec![0u8; pages.div_ceil(8) as usize];
    let mut from = Decoder::new(distances, super::WHAT);
    let mut next = 0u32;
    while !from.is_empty() {
        let page = next.checked_add(from.u32()?).filter(|page| *page < pages);
        let page = page.ok_or_else(|| from.bad("a list names a page there is not"))?;
        if let Some(byte) = bits.get_mut((page / 8) as usize) {
            *byte |= 1 << (page % 8);
        }
        next = page + 1;
    }
    Ok(bits)
}

/// The pages of a trigram as bits, out of a page of lists. None when no term has it.
pub(super) fn pages_of(lists: &[u8], trigram: Trigram, pages: u32) -> Result<Option<Vec<u8>>> {
    let mut from = Decoder::new(lists, super::WHAT);
    let mut last = 0u64;
    while !from.is_empty() {
        last += from.uint()? & 0xff_ffff;
        let kind = from.uint()?;
        let list = from.raw(usize::try_from(kind >> 1).unwrap_or(usize::MAX))?;
        match last.cmp(&u64::from(trigram)) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Greater => break,
            std::cmp::Ordering::Equal if kind & 1 == 0 => return bits(list, pages).map(Some),
            std::cmp::Ordering::Equal => return Ok(Some(list.to_vec())),
        }
    }
    Ok(None)
}

/// Trigrams are small numbers of our own: spreading them needs no secret.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        let mixed = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}
