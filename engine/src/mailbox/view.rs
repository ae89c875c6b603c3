//! What one session sees of a mailbox: a published version, and the ghosts it was not told of yet.
//!
//! Laws
//! - Sequence numbers run over the version and the ghosts together; they change only by what
//!   `advance` returns, in that order (RFC 3501 section 7.4.1).
//! - New messages and flag changes arrive at every `advance`, expunges only where it allows them.
//! - A UID appears at most once as new and at most once as expunged; one that came and went between
//!   two advances is never seen.
//! - An `advance` that fails changes nothing.

use super::Mailbox;
use super::diff::diff;
use super::ghosts::Ghosts;
use super::row::Row;
use crate::error::Result;
use crate::types::{Uid, UidSet};
use std::sync::Arc;

/// What the client has to be told, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `seq EXPUNGE`: the number counts with all earlier changes of the same list applied.
    Expunged { seq: u32, uid: Uid },
    /// `total EXISTS`.
    Exists(u32),
    /// The flags or modseq of a message the client knew already.
    Flags { seq: u32, row: Row },
}

/// A message as the session sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    pub seq: u32,
    pub row: Row,
    /// For a ghost, when the session first missed it.
    pub ghost_since_ms: Option<u64>,
}

impl ViewRow {
    /// Expunged, but the client was not told.
    #[must_use]
    pub fn is_ghost(&self) -> bool {
        self.ghost_since_ms.is_some()
    }
}

#[derive(Debug, Clone)]
pub struct View {
    latest: Arc<Mailbox>,
    ghosts: Ghosts,
}

impl View {
    #[must_use]
    pub fn open(latest: Arc<Mailbox>) -> Self {
        Self { latest, ghosts: Ghosts::default() }
    }

    /// The version underneath: for its header, and for preparing changes against it.
    #[must_use]
    pub fn latest(&self) -> &Arc<Mailbox> {
        &self.latest
    }

    /// Goes on to a later version and says what the client has to be told of.
    pub fn advance(&mut self, new: Arc<Mailbox>, now_ms: u64, allow_expunge: bool) -> Result<Vec<Change>> {
        if Arc::ptr_eq(&self.latest, &new) && (self.ghosts.is_empty() || !allow_expunge) {
            return Ok(Vec::new());
        }
        let diff = diff(&self.latest, &new)?;
        let mut next = Self { latest: new, ghosts: self.ghosts.clone() };
        next.ghosts.add(diff.removed, now_ms);
        let mut changes = Vec::new();
        if allow_expunge {
            // From the last to the first, so that each number stands whatever was announced before.
            for uid in next.ghosts.uids().rev() {
                changes.push(Change::Expunged { seq: next.rank(uid)?, uid });
            }
            next.ghosts = Ghosts::default();
        }
        if !diff.added.is_empty() {
            changes.push(Change::Exists(next.exists()));
        }
        for row in diff.changed {
            changes.push(Change::Flags { seq: next.rank(row.uid)?, row });
        }
        *self = next;
        Ok(changes)
    }

    /// How many messages the client counts.
    #[must_use]
    pub fn exists(&self) -> u32 {
        self.latest.header.exists + self.ghosts.len()
    }

    #[must_use]
    pub fn is_ghost(&self, uid: Uid) -> bool {
        self.ghosts.get(uid).is_some()
    }

    #[must_use]
    pub fn ghost_uids(&self) -> UidSet {
        self.ghosts.uids().collect()
    }

    /// How many messages, ghosts included, have a UID at or below the given one.
    fn rank(&self, uid: Uid) -> Result<u32> {
        Ok(self.latest.rank(uid)? + self.ghosts.rank(uid))
    }

    /// Each ghost, ascending, with the number of messages of the version before it.
    pub(super) fn ghost_ranks(&self) -> Result<Vec<(Uid, u32)>> {
        self.ghosts.uids().map(|uid| Ok((uid, self.latest.rank(uid)?))).collect()
    }

    pub fn seq_of(&self, uid: Uid) -> Result<Option<u32>> {
        let is_here = self.is_ghost(uid) || self.latest.contains(uid)?;
        is_here.then(|| self.rank(uid)).transpose()
    }

    pub fn uid_at(&self, seq: u32) -> Result<Option<Uid>> {
        if seq == 0 || seq > self.exists() {
            return Ok(None);
        }
        // The ghosts before `seq`: their own numbers ascend, so the search halves.
        let (mut low, mut high) = (0, self.ghosts.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.ghosts.at(middle) {
                Some(uid) if self.rank(uid)? < seq => low = middle + 1,
                _ => high = middle,
            }
        }
        match self.ghosts.at(low) {
            Some(uid) if self.rank(uid)? == seq => Ok(Some(uid)),
            _ => self.latest.uid_at(seq - low),
        }
    }

    /// The highest UID the client knows: what `*` stands for in a set of UIDs.
    #[must_use]
    pub fn last_uid(&self) -> Option<Uid> {
        self.latest.last_uid().max(self.ghosts.uids().next_back())
    }

    /// The messages with these sequence numbers. Ranges may be given either way round; what lies
    /// past the end is passed over. `*` is the caller's to replace by `exists()`.
    pub fn resolve(&self, ranges: &[(u32, u32)]) -> Result<UidSet> {
        let mut uids = Vec::new();
        // As a set first, so that a message named twice is looked for once.
        for &(first, last) in UidSet::from(ranges.to_vec()).ranges() {
            let (first, last) = (first.max(1), last.min(self.exists()));
            if let (Some(from), Some(to)) = (self.uid_at(first)?, self.uid_at(last)?) {
                uids.extend_from_slice(self.uids_between(from, to)?.ranges());
            }
        }
        Ok(UidSet::from(uids))
    }

    /// Those of the given UIDs that the session sees, ghosts included.
    pub fn present(&self, set: &UidSet) -> Result<UidSet> {
        Ok(self.latest.present(set)?.union(&self.ghost_uids().intersect(set)))
    }

    pub fn uids(&self) -> Result<UidSet> {
        Ok(self.latest.uids()?.union(&self.ghost_uids()))
    }

    fn uids_between(&self, from: Uid, to: Uid) -> Result<UidSet> {
        // Ends of a range that lies past the end of the mailbox come in the wrong order.
        if from > to {
            return Ok(UidSet::new());
        }
        let ghosts = self.ghost_uids().intersect(&UidSet::from_range(from.0, to.0));
        Ok(self.latest.uids_between(from, to)?.union(&ghosts))
    }

    pub fn row(&self, uid: Uid) -> Result<Option<ViewRow>> {
        let (row, ghost_since_ms) = match self.ghosts.get(uid) {
            Some(ghost) => (Some(ghost.row.clone()), Some(ghost.since_ms)),
            None => (self.latest.by_uid(uid)?, None),
        };
        let Some(row) = row else { return Ok(None) };
        Ok(Some(ViewRow { seq: self.rank(uid)?, row, ghost_since_ms }))
    }

    /// The messages of the set, ascending; those the session does not see are passed over.
    pub fn rows<'a>(&'a self, set: &'a UidSet) -> impl Iterator<Item = Result<ViewRow>> + 'a {
        let mut live = self.latest.rows_with_seq(set).peekable();
        let mut ghosts = self.ghosts.iter().filter(|g| set.contains_uid(g.row.uid)).peekable();
        std::iter::from_fn(move || {
            let ghost_first = match (live.peek(), ghosts.peek()) {
                (Some(Ok((_, row))), Some(ghost)) => ghost.row.uid < row.uid,
                (None, Some(_)) => true,
                _ => false,
            };
            if ghost_first {
                return ghosts.next().map(|ghost| {
                    let (row, since) = (ghost.row.clone(), ghost.since_ms);
                    Ok(ViewRow { seq: self.rank(row.uid)?, row, ghost_since_ms: Some(since) })
                });
            }
            let found = live.next()?;
            Some(found.map(|(seq, row)| {
                let seq = seq + self.ghosts.rank(row.uid);
                ViewRow { seq, row, ghost_since_ms: None }
            }))
        })
    }
}
