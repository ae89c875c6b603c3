//! What one simulated file holds: as a reader sees it, and as the platter has it.
//!
//! Laws
//! - A write is seen at once and is durable after `sync`.
//! - At a power cut each 4 KiB page written since the last sync is there, is not there, or is torn at
//!   512-byte sectors, each by itself; so is the change of length.
//! - A failed sync marks the pages clean without writing them, as Linux does: readers go on seeing bytes
//!   that no later sync makes durable.

use super::rng::Rng;
use std::collections::BTreeSet;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    dirty_pages: BTreeSet<usize>,
}

impl Content {
    pub(super) fn len_bytes(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> bool {
        let Some(from) = usize::try_from(offset).ok().and_then(|o| self.seen.get(o..)) else { return false };
        let Some(from) = from.get(..buf.len()) else { return false };
        buf.copy_from_slice(from);
        true
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        let offset = offset as usize;
        let end = offset + bytes.len();
        if end > self.seen.len() {
            self.resize(end);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        self.touch(offset, end);
    }

    pub(super) fn resize(&mut self, len: usize) {
        let (low, high) = (len.min(self.seen.len()), len.max(self.seen.len()));
        self.seen.resize(len, 0);
        self.touch(low, high);
    }

    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty_pages.extend(from / PAGE_BYTES..=(to - 1) / PAGE_BYTES);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for page in std::mem::take(&mut self.dirty_pages) {
            copy(&self.seen, &mut self.durable, page * PAGE_BYTES, PAGE_BYTES);
        }
    }

    pub(super) fn sync_failed(&mut self) {
        self.dirty_pages.clear();
    }

    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) {
        for bytes in [&mut self.seen, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset as usize) {
                *byte ^= 1 << (bit & 7);
            }
        }
    }

    /// The file as it is found after the power came back.
    pub(super) fn after_power_cut(&self, rng: &mut Rng) -> Self {
        let mut left = self.durable.clone();
        if left.len() != self.seen.len() && !rng.one_in(2) {
            left.resize(self.seen.len(), 0);
        }
        for page in &self.dirty_pages {
            let at = page * PAGE_BYTES;
            match rng.below(4) {
                0 => {}
                1 => {
                    for sector in 0..PAGE_BYTES / SECTOR_BYTES {
                        if rng.one_in(2) {
                            copy(&self.seen, &mut left, at + sector * SECTOR_BYTES, SECTOR_BYTES);
                        }
                    }
                }
                _ => copy(&self.seen, &mut left, at, PAGE_BYTES),
            }
        }
        Self { durable: left.clone(), seen: left, dirty_pages: BTreeSet::new() }
    }
}

/// Copies a page or sector where both have it; past the source's end the target reads as zeros.
fn copy(from: &[u8], to: &mut [u8], at: usize, len: usize) {
    let end = (at + len).min(to.len());
    if at >= end {
        return;
    }
    let have = end.min(from.len()).max(at);
    if at < from.len() {
        to[at..have].copy_from_slice(&from[at..have]);
    }
    to[have..end].fill(0);
}
