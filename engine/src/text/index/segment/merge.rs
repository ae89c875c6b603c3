//! Making one segment of several, without the dead.
//!
//! Laws
//! - The parts follow each other: the EmailIds of one are below those of the next, or at least the
//!   sequence of all that live ascends.

use super::super::docs::{DocMap, DocMapBuilder};
use super::super::emails::EmailSet;
use super::build::{finish, make};
use super::guard::failed;
use super::stoppable::Stoppable;
use super::{DOCS, Segment, SegmentInfo, schema};
use crate::error::Result;
use crate::sys::disk::Disk;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tantivy::directory::{MmapDirectory, OwnedBytes};
use tantivy::fastfield::{AliveBitSet, write_alive_bitset};
use tantivy::indexer::merge_filtered_segments;
use tantivy::{BitSet, Index};

impl Segment {
    /// Makes one of all; None when nothing lives, and then there is no folder.
    pub fn merge(
        disk: &dyn Disk,
        dir: &Path,
        parts: &[Arc<Segment>],
        live: &EmailSet,
    ) -> Result<Option<SegmentInfo>> {
        Self::merge_until(disk, dir, parts, live, &Arc::default())
    }

    /// The same, as long as nobody says stop; then it fails soon.
    pub fn merge_until(
        disk: &dyn Disk,
        dir: &Path,
        parts: &[Arc<Segment>],
        live: &EmailSet,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<SegmentInfo>> {
        let mut some = Vec::new();
        for part in parts {
            let living = part.docs.docs_of(Some(live));
            if !living.is_empty() {
                some.push((part, living));
            }
        }
        if some.is_empty() {
            return Ok(None);
        }
        let info = make(disk, dir, || {
            let mut map = DocMapBuilder::default();
            let mut segments = Vec::new();
            let mut filters = Vec::new();
            for (part, living) in &some {
                let sizes = DocMap::sizes(disk, &part.dir.join(DOCS))?;
                for ((doc, email), size) in part.docs.iter().zip(sizes) {
                    if living.contains(doc) {
                        map.push(email, size, part.docs.long.contains(doc), part.docs.opaque.contains(doc))?;
                    }
                }
                segments.push(part.part.clone());
                let all = living.count() == part.docs.len();
                filters.push(if all { None } else { Some(filter(part.docs.len(), living.iter(), dir)?) });
            }
            finish(disk, dir, merge(dir, &segments, filters, stop)?, &map)
        })?;
        Ok(Some(info))
    }
}

fn merge(
    dir: &Path,
    segments: &[tantivy::Segment],
    filters: Vec<Option<AliveBitSet>>,
    stop: &Arc<AtomicBool>,
) -> Result<Index> {
    let opened = MmapDirectory::open(dir).map_err(|e| failed(dir)(e.into()))?;
    let opened = Stoppable::new(opened, stop);
    merge_filtered_segments(segments, schema::settings(), filters, opened).map_err(failed(dir))
}

fn filter(len: u32, living: impl Iterator<Item = u32>, dir: &Path) -> Result<AliveBitSet> {
    let mut bits = BitSet::with_max_value(len);
    for doc in living {
        bits.insert(doc);
    }
    let mut bytes = Vec::new();
    write_alive_bitset(&bits, &mut bytes).map_err(|e| failed(dir)(e.into()))?;
    Ok(AliveBitSet::open(OwnedBytes::new(bytes)))
}
