//! Reading the groups of copied segments, in order, without opening a store.
//!
//! Laws
//! - A group is given out only when all its records are intact and it follows the one before: a chain without a hole.
//! - Where the chain ends before the end of the copies, it is said how: a hole, or a fork. A copy that is gone, cut short
//!   or damaged is a hole, and no error; a disk that fails is one.

use super::footer::Footer;
use super::pin::StoreFile;
use super::segment::HEADER_BYTES;
use super::walk::{self, Depth, Expect, Item, Reader, Step};
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::{AccountId, Lsn, SegmentId};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// A log segment of which there is a copy.
#[derive(Debug, Clone)]
pub struct HistorySegment {
    pub file: StoreFile,
    pub(super) id: SegmentId,
    pub(super) sealed: bool,
    pub(super) last_lsn: Lsn,
}

/// Where a group ends: the log may be cut here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub lsn: Lsn,
    pub time_ms: u64,
    pub(super) segment: SegmentId,
    pub(super) end: u64,
}

/// A group as history tells it.
#[derive(Debug)]
pub struct HistoryGroup<'a> {
    pub cut: Cut,
    /// Something may have happened between the group before and this one that is lost.
    pub follows_loss: bool,
    pub txns: Vec<(Option<AccountId>, &'a [u8])>,
}

/// How far a chain of groups reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Up to here, where it was said to stop or the copies end.
    Whole(Lsn),
    /// The groups after this one are not in these copies, or not intact.
    Hole(Lsn),
    /// The next group, of this time, follows an older one: the store was restored or lost its end, and its history went
    /// another way.
    Fork { time_ms: u64 },
}

/// Gives out the groups above `after`, until told to stop. `path` tells where the copy of a file is.
pub fn read_history(
    disk: &dyn Disk,
    store_id: [u8; 16],
    segments: &[HistorySegment],
    path: &dyn Fn(&StoreFile) -> Option<PathBuf>,
    after: Lsn,
    each: &mut dyn FnMut(&HistoryGroup<'_>) -> Result<ControlFlow<()>>,
) -> Result<Chain> {
    let mut last = after;
    for segment in segments {
        if segment.sealed && segment.last_lsn <= last {
            continue;
        }
        let Some(path) = path(&segment.file) else { return Ok(Chain::Hole(last)) };
        let file = disk.open_read(&path).map_err(|e| Error::io(format!("opening {}", path.display()), e));
        let Some(file) = unless_lost(file)? else { return Ok(Chain::Hole(last)) };
        let file: Arc<dyn File> = Arc::from(file);
        let end = if segment.sealed {
            let footer = unless_lost(Footer::read(&*file, store_id, segment.id))?;
            let Some(footer) = footer else { return Ok(Chain::Hole(last)) };
            footer.content_end
        } else {
            segment.file.bytes
        };
        let expect = Expect { store_id, segment: segment.id };
        let mut reader = Reader::new(file, end);
        let mut at = HEADER_BYTES as u64;
        while at < end {
            let group = match unless_lost(walk::step(&mut reader, expect, at, Depth::Records))? {
                Some(Step::End) => break,
                None | Some(Step::Broken { .. }) => return Ok(Chain::Hole(last)),
                Some(Step::Whole(group)) => group,
            };
            at += group.header.whole_len();
            if group.header.lsn <= last {
                continue;
            }
            if group.header.prev_lsn > last {
                return Ok(Chain::Hole(last));
            }
            let (lsn, time_ms) = (group.header.lsn, group.header.time_ms);
            if group.header.prev_lsn < last {
                return Ok(Chain::Fork { time_ms });
            }
            let txns = group.items.iter().filter_map(|item| match item {
                Item::Txn { account, payload, .. } => Some((*account, payload.as_slice())),
                _ => None,
            });
            let cut = Cut { lsn, time_ms, segment: segment.id, end: at };
            let follows_loss = lsn.follows_loss(group.header.prev_lsn);
            if each(&HistoryGroup { cut, follows_loss, txns: txns.collect() })?.is_break() {
                return Ok(Chain::Whole(last));
            }
            last = lsn;
        }
        if segment.sealed && last < segment.last_lsn {
            return Ok(Chain::Hole(last));
        }
    }
    Ok(Chain::Whole(last))
}

/// `None`: what there was of the copy to read is gone or damaged.
fn unless_lost<T>(read: Result<T>) -> Result<Option<T>> {
    let is_lost = |error: &Error| match error {
        Error::Corrupt { .. } => true,
        Error::Io { source, .. } => matches!(source.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof),
        _ => false,
    };
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_lost(&error) => {
            tracing::warn!(%error, "a copy of the log cannot be followed");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
