//! A part of a view: an open segment, or a tail.

use super::files;
use super::manifest::{Kind, PartInfo};
use super::tail::Tail;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::text::index::{EmailSet, Segment};
use crate::types::EmailId;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A segment that is open. Its folder is removed with its last user once it is doomed.
pub struct OpenSegment {
    pub segment: Arc<Segment>,
    pub emails: EmailSet,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    doomed: AtomicBool,
}

impl OpenSegment {
    pub fn open(disk: &Arc<dyn Disk>, dir: PathBuf) -> Result<Self> {
        let opened = Segment::open(&**disk, &dir).map_err(|error| match error {
            Error::Io { context, source } if source.kind() == io::ErrorKind::NotFound => {
                Error::corrupt(context, "a file is missing")
            }
            error => error,
        });
        let segment = opened?;
        let emails = segment.emails();
        Ok(Self {
            segment: Arc::new(segment),
            emails,
            disk: disk.clone(),
            dir,
            doomed: AtomicBool::new(false),
        })
    }

    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }
}

impl Drop for OpenSegment {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Relaxed)
            && let Err(error) = files::remove(&*self.disk, &self.dir)
        {
            tracing::warn!(%error, "a segment that is not needed any more stays until the next start");
        }
    }
}

#[derive(Clone)]
pub enum Part {
    Segment(Arc<OpenSegment>),
    Tail(Tail),
}

impl Part {
    pub fn doom(&self) {
        match self {
            Self::Segment(segment) => segment.doom(),
            Self::Tail(tail) => tail.file.doom(),
        }
    }

    /// Finds its files; with `deep` reads every byte of them.
    pub fn verify(&self, disk: &dyn Disk, deep: bool) -> Result<()> {
        match self {
            Self::Segment(open) if deep => open.segment.verify(disk),
            Self::Segment(open) if disk.exists(&open.dir) => Ok(()),
            Self::Segment(_) => Err(Error::corrupt("a segment of a text view", "it is not there")),
            Self::Tail(tail) => tail.verify(deep),
        }
    }

    /// Adds the emails that are in it.
    pub fn tell(&self, emails: &mut EmailSet) {
        match self {
            Self::Segment(segment) => emails.join(&segment.emails),
            Self::Tail(tail) => tail_emails(tail).for_each(|email| emails.insert(email)),
        }
    }
}

pub fn tail_emails(tail: &Tail) -> impl Iterator<Item = EmailId> + '_ {
    tail.batches.iter().flat_map(|batch| batch.entries.iter().map(|entry| entry.email))
}

pub fn segment_dir(dir: &Path, number: u32) -> PathBuf {
    dir.join(number.to_string())
}

/// What the manifest says of a closed tail.
pub fn tail_info(tail: &Tail) -> Option<PartInfo> {
    let (first, last) = tail.range()?;
    Some(PartInfo {
        kind: Kind::Tail,
        number: tail.file.number,
        first,
        last,
        messages: tail.messages,
        text_bytes: tail.text_bytes,
        disk_bytes: tail.end,
        terms: 0,
        generation: 0,
    })
}
