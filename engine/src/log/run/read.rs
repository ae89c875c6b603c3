//! Reading a run: whole in order, or one key.
//!
//! Laws
//! - `open` reads header, footer and index; each block is checked when it is read.
//! - Blocks lie back to back from the header to the index: reading in order meets every byte, and a
//!   count of objects that does not come out is damage.

use super::format::{
    self, BLOCK_HEAD_BYTES, BlockHead, BlockKind, CONTENT_MAX_BYTES, Covers, FOOTER_BYTES, Footer,
    HEADER_BYTES, KEY_MAX_BYTES,
};
use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::sys::patient::is_unreadable;
use crate::types::Lsn;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// An object of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub as_of: Lsn,
    /// `None`: the object is gone.
    pub value: Option<Vec<u8>>,
}

pub struct RunReader {
    file: Box<dyn File>,
    /// The run's name, for errors.
    what: String,
    footer: Footer,
    covers: Option<Covers>,
    /// First key and place of each block of entries.
    index: Vec<(Vec<u8>, u64)>,
}

impl RunReader {
    pub fn open(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let what = format!("snapshot run {}", path.display());
        let file = disk.open(path).map_err(|e| Error::io(format!("opening {what}"), e))?;
        let file_bytes = file.len_bytes().map_err(|e| Error::io(format!("reading {what}"), e))?;
        let footer_at = file_bytes
            .checked_sub(FOOTER_BYTES as u64)
            .filter(|at| *at >= HEADER_BYTES as u64)
            .ok_or_else(|| Error::corrupt(&*what, "it is too short"))?;
        let mut footer = [0; FOOTER_BYTES];
        read_at(&*file, &mut footer, footer_at, &what)?;
        let footer = Footer::read(&footer, &what)?;
        let mut header = [0; HEADER_BYTES];
        read_at(&*file, &mut header, 0, &what)?;
        let (as_of, covers) = format::read_header(&header, &what)?;
        if as_of != footer.as_of || footer.file_bytes != file_bytes {
            return Err(Error::corrupt(what, "header, footer and length do not agree"));
        }
        let mut reader = Self { file, what, footer, covers, index: Vec::new() };
        let (index, end) = reader.read_block(footer.index_at, footer_at, BlockKind::Index)?;
        if end != footer_at {
            return Err(reader.bad("the index does not end at the footer"));
        }
        reader.index = read_index(&index, footer.index_at, &reader.what)?;
        Ok(reader)
    }

    /// The group of the log that the run's objects are as of.
    #[must_use]
    pub fn as_of(&self) -> Lsn {
        self.footer.as_of
    }

    #[must_use]
    pub fn objects(&self) -> u64 {
        self.footer.objects
    }

    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.footer.file_bytes
    }

    /// What of the catalog is in it; `None`: it is of version 1, which does not say.
    #[must_use]
    pub fn covers(&self) -> Option<Covers> {
        self.covers
    }

    /// Every object, in the order of the keys.
    #[must_use]
    pub fn iter(&self) -> RunIter<'_> {
        let next_at = HEADER_BYTES as u64;
        RunIter { run: self, block: Vec::new(), block_at: 0, next_at, last_key: None, seen: 0 }
    }

    /// One object. `None`: the run says nothing of it.
    pub fn get(&self, key: &[u8]) -> Result<Option<Entry>> {
        let after = self.index.partition_point(|(first, _)| first.as_slice() <= key);
        let Some((_, at)) = after.checked_sub(1).and_then(|before| self.index.get(before)) else {
            return Ok(None);
        };
        let mut iter = RunIter { next_at: *at, ..self.iter() };
        // Found in the block that may hold it, or not at all.
        iter.next_block()?;
        while !iter.at_block_end() {
            match iter.next_entry()? {
                Some(entry) if entry.key.as_slice() < key => {}
                Some(entry) => return Ok((entry.key == key).then_some(entry)),
                None => break,
            }
        }
        Ok(None)
    }

    /// Reads everything.
    pub fn verify(&self) -> Result<()> {
        self.iter().try_for_each(|entry| entry.map(drop))
    }

    /// A block's content, and where the block ends, which is at most at `limit`.
    fn read_block(&self, at: u64, limit: u64, kind: BlockKind) -> Result<(Vec<u8>, u64)> {
        let content_at = at
            .checked_add(BLOCK_HEAD_BYTES as u64)
            .filter(|content_at| at >= HEADER_BYTES as u64 && *content_at <= limit)
            .ok_or_else(|| self.bad("a block lies outside of it"))?;
        let mut head = [0; BLOCK_HEAD_BYTES];
        read_at(&*self.file, &mut head, at, &self.what)?;
        let head = BlockHead::read(&head, &self.what)?;
        let is_too_long = kind != BlockKind::Index && head.content_bytes as usize > CONTENT_MAX_BYTES;
        let end = content_at
            .checked_add(u64::from(head.content_bytes))
            .filter(|end| *end <= limit && !is_too_long)
            .ok_or_else(|| self.bad("a block is longer than it can be"))?;
        let mut content = vec![0; head.content_bytes as usize];
        read_at(&*self.file, &mut content, content_at, &self.what)?;
        head.check(kind, &content, &self.what)?;
        Ok((content, end))
    }

    fn bad(&self, why: &str) -> Error {
        Error::corrupt(&*self.what, why)
    }
}

/// A run read in order. After an error it ends.
pub struct RunIter<'r> {
    run: &'r RunReader,
    block: Vec<u8>,
    /// What has been read of the block.
    block_at: usize,
    next_at: u64,
    last_key: Option<Vec<u8>>,
    seen: u64,
}

impl RunIter<'_> {
    fn at_block_end(&self) -> bool {
        self.block_at >= self.block.len()
    }

    fn next_block(&mut self) -> Result<()> {
        (self.block, self.next_at) =
            self.run.read_block(self.next_at, self.run.footer.index_at, BlockKind::Entries)?;
        self.block_at = 0;
        Ok(())
    }

    fn next_entry(&mut self) -> Result<Option<Entry>> {
        while self.at_block_end() {
            if self.next_at == self.run.footer.index_at {
                return self.at_end();
            }
            self.next_block()?;
        }
        let block = std::mem::take(&mut self.block);
        let entry = self.read_entry(&block);
        self.block = block;
        let entry = entry?;
        if self.last_key.as_ref().is_some_and(|last| *last >= entry.key) {
            return Err(self.run.bad("its keys are out of order"));
        }
        self.last_key = Some(entry.key.clone());
        self.seen = self.seen.saturating_add(1);
        Ok(Some(entry))
    }

    fn at_end(&self) -> Result<Option<Entry>> {
        if self.seen == self.run.footer.objects {
            return Ok(None);
        }
        Err(self.run.bad("it does not hold as many objects as it says"))
    }

    fn read_entry(&mut self, block: &[u8]) -> Result<Entry> {
        let mut cursor = Decoder::new(block.get(self.block_at..).unwrap_or_default(), &self.run.what);
        let key_bytes = cursor.len()?;
        if key_bytes == 0 || key_bytes > KEY_MAX_BYTES {
            return Err(cursor.bad("the length of a key is out of range"));
        }
        let key = cursor.raw(key_bytes)?.to_vec();
        let as_of = Lsn(cursor.uint()?);
        let value = match cursor.u8()? {
            0 => None,
            1 => {
                let value_bytes = cursor.uint()?;
                let here = usize::try_from(value_bytes).unwrap_or(usize::MAX).min(cursor.left_bytes());
                let value = cursor.raw(here)?.to_vec();
                Some(self.read_rest_of_value(value, value_bytes)?)
            }
            _ => return Err(cursor.bad("the state of an object is not known")),
        };
        self.block_at = block.len().saturating_sub(cursor.left_bytes());
        Ok(Entry { key, as_of, value })
    }

    /// The part of a value that lies in continuation blocks.
    fn read_rest_of_value(&mut self, mut value: Vec<u8>, value_bytes: u64) -> Result<Vec<u8>> {
        while (value.len() as u64) < value_bytes {
            let limit = self.run.footer.index_at;
            let (content, end) = self.run.read_block(self.next_at, limit, BlockKind::Continuation)?;
            if content.is_empty() {
                return Err(self.run.bad("a block is empty"));
            }
            value.extend_from_slice(&content);
            self.next_at = end;
        }
        if value.len() as u64 != value_bytes {
            return Err(self.run.bad("a value is longer than it says"));
        }
        Ok(value)
    }
}

impl Iterator for RunIter<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.next_entry().transpose();
        if matches!(entry, Some(Err(_))) {
            self.block.clear();
            self.next_at = self.run.footer.index_at;
            self.seen = self.run.footer.objects;
        }
        entry
    }
}

/// First key and place of each block of entries.
fn read_index(bytes: &[u8], index_at: u64, what: &str) -> Result<Vec<(Vec<u8>, u64)>> {
    let mut cursor = Decoder::new(bytes, what);
    let blocks = cursor.uint()?;
    let mut index: Vec<(Vec<u8>, u64)> = Vec::new();
    for _ in 0..blocks {
        let at = cursor.uint()?.saturating_add(HEADER_BYTES as u64);
        let key = cursor.bytes()?.to_vec();
        let rises = index.last().is_none_or(|(last_key, last_at)| *last_key < key && *last_at < at);
        if !rises || at >= index_at {
            return Err(cursor.bad("its index is out of order"));
        }
        index.push((key, at));
    }
    cursor.finish()?;
    Ok(index)
}

fn read_at(file: &dyn File, buf: &mut [u8], at: u64, what: &str) -> Result<()> {
    file.read_exact_at(buf, at).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => Error::corrupt(what, "it ends too early"),
        _ if is_unreadable(&e) => Error::corrupt(what, format!("it cannot be read: {e}")),
        _ => Error::io(format!("reading {what}"), e),
    })
}
