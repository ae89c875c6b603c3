//! Copying one file: only what its copy does not have yet.
//!
//! Laws
//! - A copy is named by the file's number and by bytes that tell it apart from any other of that number, so that two
//!   histories of one store lie side by side.
//! - Copied bytes are synced before they are noted.
//! - A copy of a file that cannot be read whole is of that one backup: no later one takes its zeros for the file.

use super::folder::Known;
use super::take::Rate;
use crate::error::{Error, Result};
use crate::log::StoreFile;
use crate::sys::disk::{Disk, File};
use crate::sys::patient::BadPieces;
use std::io;
use std::path::Path;

const CHUNK_BYTES: usize = 1 << 20;
/// A segment's header: with its store, number, epoch and time.
const HEAD_BYTES: u64 = 64;
/// A run's footer and (of) its index.
const TAIL_BYTES: u64 = 64 << 10;

/// The name of a file's copy.
pub(super) fn copy_name(file: &StoreFile, from: &dyn File) -> Result<String> {
    let is_run = file.folder == "snapshots";
    let len = file.bytes.min(if is_run { TAIL_BYTES } else { HEAD_BYTES });
    let at = if is_run { file.bytes - len } else { 0 };
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = BadPieces::default().read(from, &mut bytes, at);
    read.map_err(|e| Error::io(format!("reading {}", file.name), e))?;
    let (stem, extension) = file.name.rsplit_once('.').unwrap_or((&file.name, "file"));
    Ok(format!("{stem}-{:08x}.{extension}", crc32fast::hash(&bytes)))
}

/// What the name of a copy says whose file could not be read whole.
const UNREADABLE: &str = ".unreadable-";

/// The name for a copy that has zeros where nothing could be read.
pub(super) fn unreadable_name(copy: &str, as_of_ms: u64) -> String {
    let (stem, extension) = copy.rsplit_once('.').unwrap_or((copy, "file"));
    format!("{stem}{UNREADABLE}{as_of_ms}.{extension}")
}

/// Whether a copy has such a name.
pub(super) fn is_of_unreadable(copy: &Path) -> bool {
    copy.file_name().is_some_and(|name| name.to_string_lossy().contains(UNREADABLE))
}

/// One file on its way.
pub(super) struct Copying<'a> {
    pub(super) from: &'a dyn File,
    pub(super) to: Box<dyn File>,
    /// What the copy has, synced.
    pub(super) have: Known,
}

impl<'a> Copying<'a> {
    /// Opens the copy, at the end of what is known of it; from its beginning when it lost bytes.
    pub(super) fn begin(
        disk: &dyn Disk,
        path: &Path,
        known: Option<Known>,
        from: &'a dyn File,
    ) -> Result<Self> {
        let io = |e| Error::io(format!("writing {}", path.display()), e);
        let (to, len) = match disk.open(path) {
            Ok(file) => {
                let len = file.len_bytes().map_err(io)?;
                (file, len)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => (disk.create(path).map_err(io)?, 0),
            Err(e) => return Err(io(e)),
        };
        let mut have = known.unwrap_or_default();
        if len < have.bytes {
            tracing::warn!(path = %path.display(), "a copy has lost bytes and is made again");
            have = Known::default();
        }
        if len > have.bytes {
            to.truncate(have.bytes).map_err(io)?;
        }
        Ok(Self { from, to, have })
    }

    /// Copies up to `end`, and syncs. Returns what the copy has then; `None`, and it has no more than before: not all of
    /// that can be read.
    pub(super) fn copy_to(
        &mut self,
        end: u64,
        rate: &mut Rate,
        told: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Known>> {
        let reading = |e| Error::io("reading a file of the store", e);
        let writing = |e| Error::io("writing a copy", e);
        let mut hasher = crc32fast::Hasher::new_with_initial_len(self.have.crc32, self.have.bytes);
        let mut at = self.have.bytes;
        let mut chunk = vec![0; CHUNK_BYTES];
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let bytes = chunk.get_mut(..len).unwrap_or_default();
            let mut bad = BadPieces::default();
            bad.read(self.from, bytes, at).map_err(reading)?;
            if !bad.all().is_empty() {
                self.to.truncate(self.have.bytes).and_then(|()| self.to.sync_data()).map_err(writing)?;
                return Ok(None);
            }
            self.to.write_all_at(bytes, at).map_err(writing)?;
            hasher.update(bytes);
            at += len as u64;
            rate.spend(len as u64);
            told(len as u64)?;
        }
        self.to.sync_data().map_err(writing)?;
        self.have = Known { bytes: at, crc32: hasher.finalize() };
        Ok(Some(self.have))
    }

    /// Copies all that can be read into another copy: what this one has from here, the rest up to `end` from the file.
    pub(super) fn copy_readable(
        &self,
        other: &dyn File,
        end: u64,
        rate: &mut Rate,
        told: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<(u32, BadPieces)> {
        let reading = |e| Error::io("reading a file of the store", e);
        let writing = |e| Error::io("writing a copy", e);
        let (mut hasher, mut bad) = (crc32fast::Hasher::new(), BadPieces::default());
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = 0;
        while at < end {
            let limit = if at < self.have.bytes { self.have.bytes.min(end) } else { end };
            let len = usize::try_from(limit - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let bytes = chunk.get_mut(..len).unwrap_or_default();
            match at < self.have.bytes {
                true => self.to.read_exact_at(bytes, at).map_err(reading)?,
                false => bad.read(self.from, bytes, at).map_err(reading)?,
            }
            other.write_all_at(bytes, at).map_err(writing)?;
            hasher.update(bytes);
            at += len as u64;
            rate.spend(len as u64);
            told(len as u64)?;
        }
        other.sync_data().map_err(writing)?;
        Ok((hasher.finalize(), bad))
    }
}

/// The CRC32 of a file's first bytes.
pub(super) fn crc_of(file: &dyn File, bytes: u64, told: &mut dyn FnMut(u64) -> Result<()>) -> Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < bytes {
        let len = usize::try_from(bytes - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let piece = chunk.get_mut(..len).unwrap_or_default();
        file.read_exact_at(piece, at).map_err(|e| Error::io("reading a copy", e))?;
        hasher.update(piece);
        at += len as u64;
        told(len as u64)?;
    }
    Ok(hasher.finalize())
}
