//! The questions a mailbox answers. Each loads at most the chunks it must.

use super::chunk::Chunk;
use super::flags::{FlagId, RowFlags};
use super::pager::{ChunkMeta, ChunkRef};
use super::row::Row;
use super::tree::MERGE_ROWS;
use super::{Counters, Mailbox};
use crate::error::{Error, Result};
use crate::types::{ModSeq, Uid, UidSet};
use std::sync::Arc;

impl Mailbox {
    pub fn by_uid(&self, uid: Uid) -> Result<Option<Row>> {
        let Some((_, chunk)) = self.tree.find(uid) else { return Ok(None) };
        let chunk = chunk.load()?;
        Ok(chunk.index_of(uid).map(|i| chunk.row(i)))
    }

    /// The message with that sequence number, from 1.
    pub fn by_seq(&self, seq: u32) -> Result<Option<Row>> {
        let Some((before, chunk)) = self.at_seq(seq) else { return Ok(None) };
        Ok(Some(chunk.load()?.row((seq - 1 - before) as usize)))
    }

    pub fn uid_at(&self, seq: u32) -> Result<Option<Uid>> {
        let Some((before, chunk)) = self.at_seq(seq) else { return Ok(None) };
        let place = seq - 1 - before;
        if chunk.meta().is_dense() {
            return Ok(Some(Uid(chunk.meta().first_uid.0 + place)));
        }
        Ok(Some(chunk.load()?.uid(place as usize)))
    }

    fn at_seq(&self, seq: u32) -> Option<(u32, &Arc<ChunkRef>)> {
        self.tree.find_place(seq.checked_sub(1)?)
    }

    /// How many messages have a UID at or below the given one: the sequence number of that message
    /// if it is there.
    pub fn rank(&self, uid: Uid) -> Result<u32> {
        let Some((before, chunk)) = self.tree.find(uid) else {
            // The UID lies in a gap between chunks or past the end.
            return Ok(self
                .tree
                .walk(uid, Uid(u32::MAX))
                .next()
                .map_or(self.tree.count(), |(before, _)| before));
        };
        let meta = chunk.meta();
        let within = if meta.is_dense() || uid == meta.last_uid {
            (uid.0 - meta.first_uid.0 + 1).min(meta.count)
        } else {
            u32::try_from(chunk.load()?.rank(uid)).unwrap_or(u32::MAX)
        };
        Ok(before + within)
    }

    pub fn contains(&self, uid: Uid) -> Result<bool> {
        match self.tree.find(uid) {
            None => Ok(false),
            Some((_, chunk)) if chunk.meta().is_dense() => Ok(true),
            Some((_, chunk)) => Ok(chunk.load()?.index_of(uid).is_some()),
        }
    }

    pub fn first_uid(&self) -> Option<Uid> {
        (self.tree.count() > 0).then_some(self.tree.root.sums.first_uid)
    }

    pub fn last_uid(&self) -> Option<Uid> {
        (self.tree.count() > 0).then_some(self.tree.root.sums.last_uid)
    }

    pub fn uids(&self) -> Result<UidSet> {
        self.uids_between(Uid(0), Uid(u32::MAX))
    }

    /// The UIDs of the messages from one UID to another, both included.
    pub fn uids_between(&self, from: Uid, to: Uid) -> Result<UidSet> {
        let mut uids = UidSet::new();
        for (_, chunk) in self.tree.walk(from, to) {
            let meta = chunk.meta();
            if meta.is_dense() {
                let (first, last) = (meta.first_uid.max(from), meta.last_uid.min(to));
                if first <= last {
                    uids.insert_range(first.0, last.0);
                }
            } else {
                let chunk = chunk.load()?;
                uids.extend(chunk.uids().iter().filter(|u| (from..=to).contains(*u)).map(|u| u.0));
            }
        }
        Ok(uids)
    }

    /// Those of the given UIDs that are here.
    pub fn present(&self, set: &UidSet) -> Result<UidSet> {
        let mut present = Vec::new();
        for &(first, last) in set.ranges() {
            present.extend_from_slice(self.uids_between(Uid(first), Uid(last))?.ranges());
        }
        Ok(UidSet::from(present))
    }

    /// The chunks that may hold a UID of `from..=to`, in order.
    pub fn chunks(&self, from: Uid, to: Uid) -> impl Iterator<Item = Result<Arc<Chunk>>> + '_ {
        self.tree.walk(from, to).map(|(_, chunk)| chunk.load())
    }

    /// The messages of the set, ascending.
    pub fn rows<'a>(&'a self, set: &'a UidSet) -> impl Iterator<Item = Result<Row>> + 'a {
        self.rows_with_seq(set).map(|found| found.map(|(_, row)| row))
    }

    /// The messages of the set, ascending, each with its sequence number in this version.
    pub fn rows_with_seq<'a>(&'a self, set: &'a UidSet) -> impl Iterator<Item = Result<(u32, Row)>> + 'a {
        self.hits(set).flat_map(|found| {
            let (hits, error) = match found {
                Ok(hits) => (Some(hits), None),
                Err(e) => (None, Some(Err(e))),
            };
            hits.into_iter().flat_map(Hits::into_rows).map(Ok).chain(error)
        })
    }

    fn hits<'a>(&'a self, set: &'a UidSet) -> impl Iterator<Item = Result<Hits>> + 'a {
        touched(self, set).filter_map(|(before, chunk)| match chunk.load() {
            Ok(chunk) => {
                let rows = chunk.indices_of(set);
                (!rows.is_empty()).then_some(Ok(Hits { before, chunk, rows }))
            }
            Err(e) => Some(Err(e)),
        })
    }

    /// The sequence number of the first message without `\Seen` (RFC 3501 section 7.1, UNSEEN).
    pub fn first_unseen_seq(&self) -> Result<Option<u32>> {
        let Some((before, chunk)) = self.tree.find_unseen() else { return Ok(None) };
        let chunk = chunk.load()?;
        let place = (0..chunk.len()).find(|&i| !chunk.has_flag(i, FlagId::SEEN));
        Ok(place.and_then(|i| u32::try_from(i).ok()).map(|i| before + i + 1))
    }

    /// The messages that were added or changed after `since`, ascending. Chunks without any are not
    /// loaded.
    pub fn changed_since(&self, since: ModSeq) -> Result<Vec<Uid>> {
        let mut changed = Vec::new();
        for (_, chunk) in self.tree.walk_all().filter(|(_, c)| c.meta().max_modseq > since) {
            let chunk = chunk.load()?;
            changed.extend((0..chunk.len()).filter(|&i| chunk.modseq(i) > since).map(|i| chunk.uid(i)));
        }
        Ok(changed)
    }

    /// Those of the `known` UIDs that were expunged after `since` (RFC 7162 section 3.2.5.1). From
    /// below the tombstones' floor that is every known UID which is not here.
    pub fn vanished_since(&self, since: ModSeq, known: &UidSet) -> Result<UidSet> {
        if let Some(gone) = self.header.tombstones.since(since) {
            return Ok(gone.intersect(known));
        }
        let given = match self.header.uid_next.0 {
            0 | 1 => UidSet::new(),
            next => UidSet::from_range(1, next - 1),
        };
        Ok(known.intersect(&given).difference(&self.uids()?))
    }

    /// The names of flags, in the order of their numbers.
    #[must_use]
    pub fn flag_names(&self, flags: &RowFlags) -> Vec<&str> {
        flags.iter().filter_map(|flag| self.header.keywords.name(flag)).collect()
    }

    /// The number of a flag or keyword that is known here.
    #[must_use]
    pub fn flag_id(&self, name: &str) -> Option<FlagId> {
        self.header.keywords.id(name)
    }

    /// Loads what a change of these messages will touch, and the small neighbours it may merge with,
    /// so that the sequencer finds them in memory.
    pub fn warm(&self, set: &UidSet) -> Result<()> {
        let mut previous: Option<&Arc<ChunkRef>> = None;
        let mut was_touched = false;
        for (_, chunk) in self.tree.walk_all() {
            let is_touched = is_touched(set, chunk.meta());
            if is_touched {
                chunk.load()?;
                if let Some(neighbour) = previous.filter(|p| p.meta().count <= MERGE_ROWS) {
                    neighbour.load()?;
                }
            } else if was_touched && chunk.meta().count <= MERGE_ROWS {
                chunk.load()?;
            }
            previous = Some(chunk);
            was_touched = is_touched;
        }
        Ok(())
    }

    /// Loads the chunk that the next append goes to.
    pub fn warm_end(&self) -> Result<()> {
        match self.tree.find_place(self.tree.count().saturating_sub(1)) {
            Some((_, last)) => last.load().map(drop),
            None => Ok(()),
        }
    }

    /// Counts the rows, and proves on the way that each chunk is what the tree says of it and that
    /// UIDs ascend.
    pub fn recount(&self) -> Result<Counters> {
        let mut counters = Counters::default();
        let mut last_uid = Uid(0);
        for (before, chunk_ref) in self.tree.walk_all() {
            let chunk = chunk_ref.load()?;
            let ascends = chunk.uids().iter().all(|&uid| std::mem::replace(&mut last_uid, uid) < uid);
            if !ascends || last_uid >= self.header.uid_next {
                return Err(self.damage(chunk_ref, "its UIDs are out of order"));
            }
            if before != counters.exists || ChunkMeta::of(&chunk) != *chunk_ref.meta() {
                return Err(self.damage(chunk_ref, "its sums are not those of its rows"));
            }
            for i in 0..chunk.len() {
                let (seen, deleted) = (chunk.has_flag(i, FlagId::SEEN), chunk.has_flag(i, FlagId::DELETED));
                counters.add(seen, deleted, chunk.size_bytes(i));
            }
        }
        Ok(counters)
    }

    fn damage(&self, chunk: &ChunkRef, why: &str) -> Error {
        Error::corrupt(format!("{:?}", chunk.key()), why)
    }

    /// Every chunk, in order, by the handle that knows its number, key and sums.
    pub fn chunk_refs(&self) -> impl Iterator<Item = &Arc<ChunkRef>> {
        self.tree.walk_all().map(|(_, chunk)| chunk)
    }

    /// The chunks in whose range some UID of the set lies.
    pub fn chunk_refs_of<'a>(&'a self, set: &'a UidSet) -> impl Iterator<Item = &'a Arc<ChunkRef>> {
        touched(self, set).map(|(_, chunk)| chunk)
    }

    /// The chunks that the catalog has not.
    pub fn dirty_chunks(&self) -> impl Iterator<Item = &Arc<ChunkRef>> {
        self.chunk_refs().filter(|chunk| chunk.is_dirty())
    }
}

/// Some rows of one chunk.
struct Hits {
    before: u32,
    chunk: Arc<Chunk>,
    rows: Vec<usize>,
}

impl Hits {
    fn into_rows(self) -> impl Iterator<Item = (u32, Row)> {
        let Self { before, chunk, rows } = self;
        rows.into_iter().map(move |i| (before + u32::try_from(i).unwrap_or(u32::MAX) + 1, chunk.row(i)))
    }
}

fn is_touched(set: &UidSet, meta: &ChunkMeta) -> bool {
    set.intersects(meta.first_uid.0, meta.last_uid.0)
}

/// The chunks in whose range some UID of the set lies.
pub(super) fn touched<'a>(
    mailbox: &'a Mailbox,
    set: &'a UidSet,
) -> impl Iterator<Item = (u32, &'a Arc<ChunkRef>)> {
    let (from, to) = (set.first().unwrap_or(u32::MAX), set.last().unwrap_or(0));
    mailbox.tree.walk(Uid(from), Uid(to)).filter(|(_, chunk)| is_touched(set, chunk.meta()))
}
