//! Messages that were expunged while a session was not allowed to hear of it.
//!
//! Laws
//! - Ascending by UID, none twice. Each keeps the row as the session last saw it.

use super::row::Row;
use crate::types::Uid;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Ghost {
    pub row: Row,
    pub since_ms: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Ghosts(Vec<Arc<Ghost>>);

impl Ghosts {
    pub fn add(&mut self, rows: Vec<Row>, since_ms: u64) {
        if rows.is_empty() {
            return;
        }
        self.0.extend(rows.into_iter().map(|row| Arc::new(Ghost { row, since_ms })));
        self.0.sort_by_key(|ghost| ghost.row.uid);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    pub fn get(&self, uid: Uid) -> Option<&Arc<Ghost>> {
        let at = self.0.binary_search_by_key(&uid, |ghost| ghost.row.uid).ok()?;
        self.0.get(at)
    }

    /// The UID of the ghost in that place, from 0.
    pub fn at(&self, place: u32) -> Option<Uid> {
        self.0.get(place as usize).map(|ghost| ghost.row.uid)
    }

    /// How many have a UID at or below the given one.
    pub fn rank(&self, uid: Uid) -> u32 {
        u32::try_from(self.0.partition_point(|ghost| ghost.row.uid <= uid)).unwrap_or(u32::MAX)
    }

    pub fn uids(&self) -> impl DoubleEndedIterator<Item = Uid> + '_ {
        self.0.iter().map(|ghost| ghost.row.uid)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Ghost>> {
        self.0.iter()
    }
}
