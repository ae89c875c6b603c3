//! Where each message lies: a view, rebuilt from the footers.
//!
//! Laws
//! - An entry appears once its group is durable, and only then.
//! - Numbers are dense, so the table is pages of plain words: 8 bytes a message.
//! - Readers take no lock that a writer holds for longer than a table look-up.

use crate::types::{MessageNo, SegmentId};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PAGE: usize = 4096;

type Page = Box<[AtomicU64]>;

/// A record's place. No segment has the number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: SegmentId,
    pub(super) offset: u32,
}

impl Location {
    fn pack(self) -> u64 {
        u64::from(self.segment.0) << 32 | u64::from(self.offset)
    }

    fn unpack(word: u64) -> Option<Self> {
        let segment = SegmentId((word >> 32) as u32);
        (segment.0 != 0).then_some(Self { segment, offset: word as u32 })
    }
}

#[derive(Default)]
pub(super) struct Locations {
    pages: RwLock<BTreeMap<u64, Arc<Page>>>,
    highest: AtomicU64,
}

fn place(message: MessageNo) -> (u64, usize) {
    (message.0 / PAGE as u64, (message.0 % PAGE as u64) as usize)
}

impl Locations {
    pub(super) fn get(&self, message: MessageNo) -> Option<Location> {
        let (page, slot) = place(message);
        let pages = self.pages.read();
        let word = pages.get(&page)?.get(slot)?.load(Ordering::Acquire);
        Location::unpack(word)
    }

    pub(super) fn set(&self, message: MessageNo, location: Location) {
        let (number, slot) = place(message);
        let known = self.pages.read().get(&number).cloned();
        let page = known.unwrap_or_else(|| {
            let fresh = || Arc::new((0..PAGE).map(|_| AtomicU64::new(0)).collect::<Page>());
            Arc::clone(self.pages.write().entry(number).or_insert_with(fresh))
        });
        if let Some(word) = page.get(slot) {
            word.store(location.pack(), Ordering::Release);
        }
        self.highest.fetch_max(message.0, Ordering::AcqRel);
    }

    /// Forgets the message if it still lies there.
    pub(super) fn clear(&self, message: MessageNo, location: Location) {
        let (page, slot) = place(message);
        if let Some(word) = self.pages.read().get(&page).and_then(|p| p.get(slot)) {
            let _ = word.compare_exchange(location.pack(), 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    pub(super) fn raise_highest(&self, message: MessageNo) {
        self.highest.fetch_max(message.0, Ordering::AcqRel);
    }

    pub(super) fn highest(&self) -> MessageNo {
        MessageNo(self.highest.load(Ordering::Acquire))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_moved_and_forgotten() {
        let table = Locations::default();
        let (a, b) =
            (Location { segment: SegmentId(1), offset: 64 }, Location { segment: SegmentId(9), offset: 8 });
        assert_eq!(table.get(MessageNo(5)), None);
        for no in [1, 4095, 4096, u64::MAX] {
            table.set(MessageNo(no), a);
            assert_eq!(table.get(MessageNo(no)), Some(a));
        }
        assert_eq!(table.highest(), MessageNo(u64::MAX));
        table.set(MessageNo(1), b);
        table.clear(MessageNo(1), a);
        assert_eq!(table.get(MessageNo(1)), Some(b), "it lies elsewhere now");
        table.clear(MessageNo(1), b);
        assert_eq!(table.get(MessageNo(1)), None);
    }
}
