//! What a store consists of, apart from its folder: the manifest of a backup, and what may be made of it.
//!
//! Laws
//! - A store that is made from an image takes segment numbers, epoch and MessageNos that its past did not use.
//! - An image of a moment between two backups has the messages of both and the transactions up to that moment: the
//!   segment that goes beyond it ends right behind its last group, like one that was being written.

use super::footer::Builder;
use super::history::{Cut, HistorySegment};
use super::manifest::{self, Manifest, State};
use super::pin::{self, StoreFile};
use super::segment::{self, HEADER_BYTES, SegmentKind};
use super::walk::{self, Depth, Expect, Reader, Step};
use super::writer::sealed_segment;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::{Lsn, MessageNo, SegmentId};
use std::path::Path;
use std::sync::Arc;

/// The manifest of a store as of one group.
#[derive(Debug, Clone)]
pub struct Image {
    manifest: Manifest,
}

/// What a store uses up that its users do not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogNumbers {
    pub epoch: u32,
    pub next_segment: u32,
    pub highest_message: MessageNo,
}

impl Image {
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(Self { manifest: Manifest::decode(bytes)? })
    }

    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.manifest.store_id
    }

    /// The newest group.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.manifest.durable_lsn
    }

    #[must_use]
    pub fn numbers(&self) -> LogNumbers {
        LogNumbers {
            epoch: self.manifest.epoch,
            next_segment: self.manifest.next_segment,
            highest_message: self.manifest.highest_message,
        }
    }

    /// Goes on from these numbers.
    pub fn set_numbers(&mut self, numbers: LogNumbers) {
        self.manifest.epoch = numbers.epoch;
        self.manifest.next_segment = numbers.next_segment;
        self.manifest.highest_message = numbers.highest_message;
    }

    /// The files it consists of.
    #[must_use]
    pub fn files(&self) -> Vec<StoreFile> {
        pin::files(&self.manifest)
    }

    /// The log segments, in the order of their groups.
    #[must_use]
    pub fn history(&self) -> Vec<HistorySegment> {
        let log = self.manifest.of(SegmentKind::Log);
        log.map(|(id, s)| HistorySegment {
            file: StoreFile {
                folder: s.kind.folder().to_owned(),
                name: segment::file_name(id),
                bytes: s.bytes,
            },
            id,
            sealed: s.state == State::Sealed,
            last_lsn: s.last_lsn,
        })
        .collect()
    }

    /// The log segment that was being written, if `later` has none of that number: a restart rewrote it, and it may be
    /// gone since.
    #[must_use]
    pub fn left_open(&self, later: &Self) -> Option<HistorySegment> {
        let open = self.history().into_iter().find(|segment| !segment.sealed)?;
        (!later.manifest.segments.contains_key(&open.id)).then_some(open)
    }

    /// This store as it was later, at `cut`, of which `later` has the log. `sealed` is what was made of the segment that
    /// was left open.
    #[must_use]
    pub fn at(mut self, later: &Self, cut: &Cut, sealed: Option<&Sealed>) -> Self {
        let mut at = later.manifest.clone();
        if let Some(sealed) = sealed {
            self.manifest.segments.insert(sealed.id, sealed.segment);
        }
        for (id, segment) in self.manifest.segments {
            // Another that was being written went on in `later` under its number.
            if segment.state != State::Open {
                at.segments.entry(id).or_insert(segment);
            }
        }
        at.segments.retain(|id, s| {
            if s.kind != SegmentKind::Log {
                return s.state != State::Pending;
            }
            if *id == cut.segment {
                if s.state == State::Open || s.last_lsn != cut.lsn {
                    let begun = manifest::Segment { prev_lsn: s.prev_lsn, ..manifest::Segment::open(s.kind) };
                    *s = manifest::Segment { bytes: cut.end, ..begun };
                }
                return true;
            }
            s.state == State::Sealed && s.last_lsn <= cut.lsn
        });
        at.durable_lsn = cut.lsn;
        at.time_ms = cut.time_ms;
        at.highest_message = at.highest_message.max(self.manifest.highest_message);
        at.next_segment = at.next_segment.max(self.manifest.next_segment);
        at.epoch = at.epoch.max(self.manifest.epoch);
        at.damage.retain(|damage| damage.first_lsn <= cut.lsn);
        for damage in self.manifest.damage {
            at.add_damage(damage);
        }
        at.current_runs = self.manifest.current_runs;
        at.previous_runs = self.manifest.previous_runs;
        Self { manifest: at }
    }

    /// Makes the folder's FORMAT and MANIFEST: from then on its files count.
    pub fn write(&self, disk: &dyn Disk, dir: &Path, now_ms: u64) -> Result<()> {
        manifest::create_format(disk, dir, self.manifest.store_id, now_ms)?;
        self.manifest.store(disk, dir).map_err(manifest::Replace::into_error)
    }
}

/// A copy of a segment that was being written, and what seals it.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Comes behind its groups.
    pub footer: Vec<u8>,
    id: SegmentId,
    segment: manifest::Segment,
}

impl Sealed {
    /// Makes the footer that the segment in this copy would have got.
    pub fn of(disk: &dyn Disk, path: &Path, store_id: [u8; 16], segment: &HistorySegment) -> Result<Self> {
        let file = disk.open_read(path).map_err(|e| Error::io(format!("opening {}", path.display()), e))?;
        let file: Arc<dyn File> = Arc::from(file);
        let (id, end) = (segment.id, segment.file.bytes);
        let mut reader = Reader::new(file, end);
        let mut footer = Builder::default();
        let mut at = HEADER_BYTES as u64;
        while at < end {
            let step = walk::step(&mut reader, Expect { store_id, segment: id }, at, Depth::Records)?;
            let Step::Whole(group) = step else {
                return Err(Error::corrupt(path.display().to_string(), "a group in it is damaged"));
            };
            footer.add_group(&group.group_entry(), group.header.prev_lsn, group.header.time_ms);
            group.message_entries().for_each(|entry| footer.add_message(&entry));
            at += group.header.whole_len();
        }
        let at = u32::try_from(end).map_err(|_| Error::corrupt("a segment", "it is too long"))?;
        let bytes = footer.encode(store_id, id, at);
        let listed = sealed_segment(SegmentKind::Log, end + bytes.len() as u64, footer.totals());
        Ok(Self { footer: bytes, id, segment: listed })
    }

    /// The file it is of.
    #[must_use]
    pub fn file_name(&self) -> String {
        segment::file_name(self.id)
    }
}
