//! A segment: the postings of some messages, never changed once made.
//!
//! Laws
//! - Its folder holds tantivy's files, `words` and `docs`; all are durable, and so is the folder's name,
//!   when `build` or `merge` returns. What it leaves behind when it fails, the next one there removes.
//! - Documents are in the order of EmailIds; EmailIds of a segment are disjoint from those of others.
//! - Bytes on disk never make it panic.

mod build;
mod forward;
mod guard;
mod merge;
mod reading;
mod schema;
mod stoppable;

pub(super) use guard::{guarded, io_failed};
pub(super) use schema::has_positions;

use super::docs::DocMap;
use super::emails::EmailSet;
use super::folded::Group;
use super::words::Words;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::types::EmailId;
use guard::failed;
use reading::Reading;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tantivy::directory::MmapDirectory;
use tantivy::{Index, InvertedIndexReader, SegmentReader};

const DOCS: &str = "docs";
const WORDS: &str = "words";

/// A segment in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    pub docs: u32,
    pub first: EmailId,
    pub last: EmailId,
    /// Of the folded texts: `Folded::text_bytes` of each.
    pub text_bytes: u64,
    /// Of its folder.
    pub disk_bytes: u64,
    /// Of all groups' vocabularies.
    pub terms: u64,
}

/// An open segment.
pub struct Segment {
    dir: PathBuf,
    info: SegmentInfo,
    docs: DocMap,
    words: Words,
    part: tantivy::Segment,
    groups: Vec<Arc<InvertedIndexReader>>,
}

impl Segment {
    /// Opens what `build` or `merge` made.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        must_be_real(disk)?;
        let docs = DocMap::open(disk, &dir.join(DOCS))?;
        let words = Words::open(disk, &dir.join(WORDS))?;
        let (part, groups) = guarded(dir, || open_tantivy(disk, dir))?;
        if part.meta().max_doc() != docs.len() {
            return Err(Error::corrupt(
                dir.display().to_string(),
                "its files differ in how many messages they have",
            ));
        }
        let mut terms = 0;
        for (group, reader) in Group::ALL.into_iter().zip(&groups) {
            let count = reader.terms().num_terms() as u64;
            if u64::from(words.of(group)?.terms()) != count {
                return Err(Error::corrupt(
                    dir.display().to_string(),
                    "its files differ in how many terms they have",
                ));
            }
            terms += count;
        }
        let (Some(first), Some(last)) = (docs.first(), docs.last()) else {
            return Err(Error::corrupt(dir.display().to_string(), "it has no message"));
        };
        let disk_bytes = disk_bytes(disk, dir)?;
        let info =
            SegmentInfo { docs: docs.len(), first, last, text_bytes: docs.text_bytes(), disk_bytes, terms };
        Ok(Self { dir: dir.to_owned(), info, docs, words, part, groups })
    }

    #[must_use]
    pub fn info(&self) -> SegmentInfo {
        self.info
    }

    /// The messages it answers for.
    #[must_use]
    pub fn emails(&self) -> EmailSet {
        let mut emails = EmailSet::new();
        self.docs.join_emails(&self.docs.docs_of(None), &mut emails);
        emails
    }

    /// Reads every byte and says whether it is what was written.
    pub fn verify(&self, disk: &dyn Disk) -> Result<()> {
        DocMap::sizes(disk, &self.dir.join(DOCS))?;
        self.words.verify()?;
        // Mapped, not read into memory: a file may be large.
        let damaged = guarded(&self.dir, || {
            let mapped = MmapDirectory::open(&self.dir).map_err(|e| failed(&self.dir)(e.into()))?;
            let index = Index::open(mapped).map_err(failed(&self.dir))?;
            index.validate_checksum().map_err(failed(&self.dir))
        })?;
        match damaged.into_iter().next() {
            Some(file) => {
                Err(Error::corrupt(self.dir.join(file).display().to_string(), "its checksum is wrong"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn docs(&self) -> &DocMap {
        &self.docs
    }

    pub(super) fn words(&self) -> &Words {
        &self.words
    }

    pub(super) fn postings(&self, group: Group) -> Result<&InvertedIndexReader> {
        let reader = self.groups.get(group as usize);
        reader
            .map(|reader| &**reader)
            .ok_or_else(|| Error::corrupt(self.dir.display().to_string(), "a group is missing"))
    }
}

type Opened = (tantivy::Segment, Vec<Arc<InvertedIndexReader>>);

fn open_tantivy(disk: &dyn Disk, dir: &Path) -> Result<Opened> {
    let mapped = MmapDirectory::open(dir).map_err(|e| failed(dir)(e.into()))?;
    let opened = Reading::open(disk, dir, mapped)?;
    let index = Index::open(opened).map_err(failed(dir))?;
    if index.schema() != schema::schema() {
        return Err(Error::corrupt(dir.display().to_string(), "its fields are others than this version's"));
    }
    read_parts(dir, index)
}

fn read_parts(dir: &Path, index: Index) -> Result<Opened> {
    let mut parts = index.searchable_segments().map_err(failed(dir))?;
    let (Some(part), true) = (parts.pop(), parts.is_empty()) else {
        return Err(Error::corrupt(dir.display().to_string(), "it is not one tantivy segment"));
    };
    let reader = SegmentReader::open(&part).map_err(failed(dir))?;
    let mut groups = Vec::new();
    for group in Group::ALL {
        groups.push(reader.inverted_index(schema::field(group)).map_err(failed(dir))?);
    }
    Ok((part, groups))
}

/// tantivy maps its files: only a real disk has them.
fn must_be_real(disk: &dyn Disk) -> Result<()> {
    if disk.is_real() {
        return Ok(());
    }
    Err(Error::NotPossible("a text segment needs a real disk".to_owned()))
}

fn disk_bytes(disk: &dyn Disk, dir: &Path) -> Result<u64> {
    let sum = || -> std::io::Result<u64> {
        disk.list(dir)?.iter().map(|name| disk.open(&dir.join(name))?.len_bytes()).sum()
    };
    sum().map_err(|e| Error::io(format!("reading {}", dir.display()), e))
}
