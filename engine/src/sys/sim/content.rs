//! What one simulated file holds: as a reader sees it, and as the platter has it.
//!
//! Laws
//! - A write is seen at once and is durable after `sync`.
//! - At a power cut each 4 KiB page written since the last sync is there, is not there, or is torn at
//!   512-byte sectors, each by itself; so is the change of length.
//! - A failed sync marks the pages clean without writing them, as Linux does: readers go on seeing bytes
//!   that no later sync makes durable.
//! - A bad place stays unreadable, whatever becomes of the power, until it is written again.
//! - A page never written costs nothing, and copies of a file share the pages that are alike: a disk is
//!   cheap to copy at every step of a run.

use super::rng::Rng;
use super::weather::{Fault, FaultCounts};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

type Page = [u8; PAGE_BYTES];

/// Bytes by page; what has no page is zeros. Past the end all is zeros.
#[derive(Debug, Clone, Default)]
struct Pages {
    pages: BTreeMap<usize, Arc<Page>>,
    len: usize,
}

impl Pages {
    fn page(&self, number: usize) -> Option<&Page> {
        self.pages.get(&number).map(|page| &**page)
    }

    fn page_mut(&mut self, number: usize) -> &mut Page {
        Arc::make_mut(self.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE_BYTES])))
    }

    fn read(&self, buf: &mut [u8], offset: usize) {
        for (number, within, part) in parts(offset, buf.len()) {
            let bytes = &mut buf[part];
            match self.page(number) {
                Some(page) => bytes.copy_from_slice(&page[within..within + bytes.len()]),
                None => bytes.fill(0),
            }
        }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        for (number, within, part) in parts(offset, bytes.len()) {
            let bytes = &bytes[part];
            self.page_mut(number)[within..within + bytes.len()].copy_from_slice(bytes);
        }
        if !bytes.is_empty() {
            self.len = self.len.max(offset + bytes.len());
        }
    }

    fn resize(&mut self, len: usize) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE_BYTES)));
            let within = len % PAGE_BYTES;
            if within > 0 && self.pages.contains_key(&(len / PAGE_BYTES)) {
                self.page_mut(len / PAGE_BYTES)[within..].fill(0);
            }
        }
        self.len = len;
    }

    /// Makes the page what it is in `from`, as far as this length reaches.
    fn take_page(&mut self, from: &Self, number: usize) {
        match from.pages.get(&number) {
            Some(page) => self.pages.insert(number, page.clone()),
            None => self.pages.remove(&number),
        };
        self.clear_past_end(number);
    }

    fn take_sector(&mut self, from: &Self, number: usize, sector: usize) {
        let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        match from.page(number) {
            Some(page) => self.page_mut(number)[range.clone()].copy_from_slice(&page[range]),
            None => self.page_mut(number)[range].fill(0),
        }
        self.clear_past_end(number);
    }

    fn clear_past_end(&mut self, number: usize) {
        let start = number * PAGE_BYTES;
        if start >= self.len {
            self.pages.remove(&number);
        } else if self.len - start < PAGE_BYTES && self.pages.contains_key(&number) {
            let within = self.len - start;
            self.page_mut(number)[within..].fill(0);
        }
    }
}

/// The pieces of a range: page, where in the page, where in the range.
fn parts(offset: usize, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (number, within) = ((offset + done) / PAGE_BYTES, (offset + done) % PAGE_BYTES);
        let part = done..(done + PAGE_BYTES - within).min(len);
        done = part.end;
        Some((number, within, part))
    })
}

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    seen: Pages,
    durable: Pages,
    dirty_pages: BTreeSet<usize>,
    /// What cannot be read.
    bad: Vec<Range<u64>>,
}

impl Content {
    pub(super) fn len_bytes(&self) -> u64 {
        self.seen.len as u64
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> bool {
        let fits = offset.checked_add(buf.len() as u64).is_some_and(|end| end <= self.len_bytes());
        if fits {
            self.seen.read(buf, offset as usize);
        }
        fits
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let offset = offset as usize;
        let (before, end) = (self.seen.len, offset + bytes.len());
        self.seen.write(bytes, offset);
        self.heal(offset as u64..end as u64);
        self.touch(offset.min(before), end);
    }

    pub(super) fn resize(&mut self, len: usize) {
        let (low, high) = (len.min(self.seen.len), len.max(self.seen.len));
        self.seen.resize(len);
        self.heal(len as u64..u64::MAX);
        self.touch(low, high);
    }

    pub(super) fn spoil(&mut self, range: Range<u64>) {
        self.bad.push(range);
    }

    pub(super) fn is_bad(&self, range: &Range<u64>) -> bool {
        self.bad.iter().any(|bad| bad.start < range.end && range.start < bad.end)
    }

    fn heal(&mut self, range: Range<u64>) {
        let parts =
            |bad: &Range<u64>| [bad.start..bad.end.min(range.start), bad.start.max(range.end)..bad.end];
        self.bad = self.bad.iter().flat_map(parts).filter(|part| part.start < part.end).collect();
    }

    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty_pages.extend(from / PAGE_BYTES..=(to - 1) / PAGE_BYTES);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.seen.len);
        for page in std::mem::take(&mut self.dirty_pages) {
            self.durable.take_page(&self.seen, page);
        }
    }

    pub(super) fn sync_failed(&mut self) {
        self.dirty_pages.clear();
    }

    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) {
        let offset = offset as usize;
        for bytes in [&mut self.seen, &mut self.durable] {
            if offset < bytes.len {
                bytes.page_mut(offset / PAGE_BYTES)[offset % PAGE_BYTES] ^= 1 << (bit & 7);
            }
        }
    }

    /// The file as it is found after the power came back.
    pub(super) fn after_power_cut(&self, rng: &mut Rng, counts: &mut FaultCounts) -> Self {
        let mut left = self.durable.clone();
        if left.len != self.seen.len && !rng.one_in(2) {
            left.resize(self.seen.len);
        }
        for page in &self.dirty_pages {
            match rng.below(4) {
                0 => counts.count(Fault::LostPage),
                1 => {
                    counts.count(Fault::TornPage);
                    for sector in 0..PAGE_BYTES / SECTOR_BYTES {
                        if rng.one_in(2) {
                            left.take_sector(&self.seen, *page, sector);
                        }
                    }
                }
                _ => left.take_page(&self.seen, *page),
            }
        }
        let bad = self.bad.clone();
        Self { durable: left.clone(), seen: left, dirty_pages: BTreeSet::new(), bad }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against plain vectors.
    #[test]
    fn pages_are_what_a_plain_file_is() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for _ in 0..60 {
                let (at, len) = (rng.below(20_000) as usize, rng.below(6_000) as usize);
                match rng.below(4) {
                    0 => {
                        content.resize(at);
                        plain.resize(at, 0);
                    }
                    1 => content.sync(),
                    _ => {
                        let bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
                        content.write(&bytes, at as u64);
                        if len > 0 {
                            plain.resize(plain.len().max(at + len), 0);
                            plain[at..at + len].copy_from_slice(&bytes);
                        }
                    }
                }
                let mut read = vec![0; plain.len()];
                assert!(content.read(&mut read, 0) && read == plain, "seed {seed}");
                assert!(!content.read(&mut [0], plain.len() as u64), "seed {seed}");
            }
            content.sync();
            let after = content.after_power_cut(&mut rng, &mut FaultCounts::default());
            let mut read = vec![0; plain.len()];
            assert!(after.read(&mut read, 0) && read == plain, "seed {seed}: it was synced");
        }
    }
}
