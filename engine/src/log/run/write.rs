//! Writing a run.
//!
//! Laws
//! - Blocks are written as they fill; a writer holds one block and the index.
//! - A writer dropped before `finish` removes its file: nothing named it yet.

use super::format::{
    self, BlockKind, CONTENT_MAX_BYTES, Covers, FOOTER_BYTES, Footer, HEADER_BYTES, KEY_MAX_BYTES,
};
use crate::codec::Encoder;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::Lsn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a finished run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    pub bytes: u64,
    pub objects: u64,
}

pub struct RunWriter {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn File>,
    as_of: Lsn,
    /// Where the next block goes.
    at: u64,
    /// The block being filled, without its head.
    content: Vec<u8>,
    /// First key and place of each block of entries.
    index: Encoder,
    blocks: u64,
    last_key: Vec<u8>,
    objects: u64,
    is_finished: bool,
}

impl RunWriter {
    /// Begins a run of objects as of `as_of`. A leftover of that name is overwritten: a run that
    /// counts is never written again.
    pub fn create(disk: &Arc<dyn Disk>, path: &Path, as_of: Lsn, covers: Covers) -> Result<Self> {
        let failed = |e| Error::io(format!("creating {}", path.display()), e);
        if let Some(dir) = path.parent().filter(|dir| !disk.exists(dir)) {
            disk.create_dir_all(dir).map_err(failed)?;
            dir.parent().map_or(Ok(()), |above| disk.sync_dir(above)).map_err(failed)?;
        }
        let file = match disk.create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove_file(path).and_then(|()| disk.create(path))
            }
            created => created,
        }
        .map_err(failed)?;
        let mut writer = Self {
            disk: disk.clone(),
            path: path.to_owned(),
            file,
            as_of,
            at: 0,
            content: Vec::new(),
            index: Encoder::new(),
            blocks: 0,
            last_key: Vec::new(),
            objects: 0,
            is_finished: false,
        };
        writer.write(&format::header(as_of, covers))?;
        Ok(writer)
    }

    /// Appends an object; its key is greater than the one before. `None`: it is gone.
    pub fn put(&mut self, key: &[u8], as_of: Lsn, value: Option<&[u8]>) -> Result<()> {
        if key.is_empty()
            || key.len() > KEY_MAX_BYTES
            || (self.objects > 0 && key <= self.last_key.as_slice())
        {
            return Err(Error::corrupt("a snapshot run being written", "its keys are out of order"));
        }
        let head = entry_head(key, as_of, value);
        let value = value.unwrap_or_default();
        let whole = head.len().saturating_add(value.len());
        if self.content.len().saturating_add(whole) > CONTENT_MAX_BYTES {
            self.end_block(BlockKind::Entries)?;
        }
        if self.content.is_empty() {
            self.index_block(key);
        }
        self.content.extend_from_slice(&head);
        let room = CONTENT_MAX_BYTES.saturating_sub(self.content.len());
        let (here, beyond) = value.split_at_checked(room).unwrap_or((value, &[]));
        self.content.extend_from_slice(here);
        if !beyond.is_empty() {
            self.end_block(BlockKind::Entries)?;
            for part in beyond.chunks(CONTENT_MAX_BYTES) {
                self.content.extend_from_slice(part);
                self.end_block(BlockKind::Continuation)?;
            }
        }
        self.last_key = key.to_vec();
        self.objects = self.objects.saturating_add(1);
        Ok(())
    }

    /// Writes what is left and makes all of it durable, its name included.
    pub fn finish(mut self) -> Result<Finished> {
        self.end_block(BlockKind::Entries)?;
        let index_at = self.at;
        let mut index = Encoder::new();
        index.uint(self.blocks);
        index.raw(self.index.as_bytes());
        self.write(&format::block(BlockKind::Index, index.as_bytes()))?;
        let file_bytes = self.at.saturating_add(FOOTER_BYTES as u64);
        let footer = Footer { index_at, objects: self.objects, as_of: self.as_of, file_bytes };
        self.write(&footer.encode())?;
        let failed = |e| Error::io(format!("syncing {}", self.path.display()), e);
        self.file.sync_data().map_err(failed)?;
        if let Some(dir) = self.path.parent() {
            self.disk.sync_dir(dir).map_err(failed)?;
        }
        self.is_finished = true;
        Ok(Finished { bytes: file_bytes, objects: self.objects })
    }

    fn index_block(&mut self, first_key: &[u8]) {
        self.index.uint(self.at.saturating_sub(HEADER_BYTES as u64));
        self.index.bytes(first_key);
        self.blocks = self.blocks.saturating_add(1);
    }

    fn end_block(&mut self, kind: BlockKind) -> Result<()> {
        if self.content.is_empty() {
            return Ok(());
        }
        let block = format::block(kind, &self.content);
        self.content.clear();
        self.write(&block)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |e| Error::io(format!("writing {}", self.path.display()), e);
        self.file.write_all_at(bytes, self.at).map_err(failed)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

impl Drop for RunWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // Kept for the next open to remove when this fails too.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

/// An entry up to its value.
fn entry_head(key: &[u8], as_of: Lsn, value: Option<&[u8]>) -> Vec<u8> {
    let mut head = Encoder::with_capacity(key.len().saturating_add(24));
    head.bytes(key);
    head.uint(as_of.0);
    match value {
        None => head.u8(0),
        Some(value) => {
            head.u8(1);
            head.uint(value.len() as u64);
        }
    }
    head.into_bytes()
}
