//! Making a segment of folded texts.
//!
//! Laws
//! - Memory is bounded by what one segment is given; the caller says when it is enough.

use super::super::docs::DocMapBuilder;
use super::super::folded::{Folded, Group};
use super::super::tokens::Seen;
use super::super::words::WordsWriter;
use super::guard::{failed, guarded};
use super::{DOCS, Segment, SegmentInfo, WORDS, must_be_real, read_parts, schema};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use std::path::Path;
use std::sync::Arc;
use tantivy::directory::MmapDirectory;
use tantivy::{Index, SingleSegmentIndexWriter, TantivyDocument};

/// tantivy sizes its hash table by it: the largest it takes. It grows as it has to.
const TABLE_BUDGET_BYTES: usize = 15_000_000;

impl Segment {
    /// Makes a segment of some messages, in the order of their EmailIds.
    pub fn build(
        disk: &dyn Disk,
        dir: &Path,
        docs: &mut dyn Iterator<Item = Result<Folded>>,
    ) -> Result<SegmentInfo> {
        make(disk, dir, || {
            let (index, map) = write_tantivy(dir, docs)?;
            finish(disk, dir, index, &map)
        })
    }
}

/// Makes a folder and what is in it, or leaves none.
pub(super) fn make(
    disk: &dyn Disk,
    dir: &Path,
    f: impl FnOnce() -> Result<SegmentInfo>,
) -> Result<SegmentInfo> {
    must_be_real(disk)?;
    let io = |e| Error::io(format!("making {}", dir.display()), e);
    if disk.exists(dir) {
        disk.remove_dir_all(dir).map_err(io)?;
    }
    disk.create_dir_all(dir).map_err(io)?;
    guarded(dir, f).inspect_err(|_| {
        // The error is what matters; leftovers are removed when the folder is made again.
        if let Err(e) = disk.remove_dir_all(dir) {
            tracing::warn!(dir = %dir.display(), error = %e, "an unfinished text segment was left behind");
        }
    })
}

fn write_tantivy(
    dir: &Path,
    docs: &mut dyn Iterator<Item = Result<Folded>>,
) -> Result<(Index, DocMapBuilder)> {
    let seen = Arc::new(Seen::default());
    let opened = MmapDirectory::open(dir).map_err(|e| failed(dir)(e.into()))?;
    let mut writer: SingleSegmentIndexWriter = Index::builder()
        .schema(schema::schema())
        .settings(schema::settings())
        .tokenizers(schema::tokenizers(&seen))
        .single_segment_index_writer(opened, TABLE_BUDGET_BYTES)
        .map_err(failed(dir))?;
    let mut map = DocMapBuilder::default();
    for folded in docs {
        let folded = folded?;
        let text_bytes = folded.text_bytes();
        let mut document = TantivyDocument::default();
        for (group, text) in Group::ALL.into_iter().zip(folded.texts) {
            if !text.is_empty() {
                document.add_text(schema::field(group), text);
            }
        }
        writer.add_document(document).map_err(failed(dir))?;
        let (is_long, is_opaque) = seen.take();
        map.push(folded.email, text_bytes, is_long, is_opaque)?;
    }
    if map.len() == 0 {
        return Err(Error::NotPossible("there is no message to index".to_owned()));
    }
    Ok((writer.finalize().map_err(failed(dir))?, map))
}

/// Writes our own files beside tantivy's and makes all durable.
pub(super) fn finish(disk: &dyn Disk, dir: &Path, index: Index, map: &DocMapBuilder) -> Result<SegmentInfo> {
    let (_, groups) = read_parts(dir, index)?;
    let io = |e| Error::io(format!("writing {}", dir.display()), e);
    let mut words = WordsWriter::create(disk, &dir.join(WORDS))?;
    for group in groups {
        let mut terms = group.terms().stream().map_err(io)?;
        while let Some((term, info)) = terms.next() {
            words.term(term, info)?;
        }
        words.end_group()?;
    }
    words.finish()?;
    map.write(disk, &dir.join(DOCS))?;
    disk.sync_dir(dir).map_err(io)?;
    dir.parent().map_or(Ok(()), |above| disk.sync_dir(above)).map_err(io)?;
    Ok(Segment::open(disk, dir)?.info())
}
