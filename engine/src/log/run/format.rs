//! The fixed parts of a run: header, block heads, footer.
//!
//! Laws
//! - Little-endian; what is called zero is zero; no length is believed before its CRC.

use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::types::Lsn;

pub(super) const HEADER_BYTES: usize = 32;
pub(super) const BLOCK_HEAD_BYTES: usize = 12;
pub(super) const FOOTER_BYTES: usize = 48;

/// Most content a block has, so that a block is at most 64 KiB. The index is not bound by it.
pub(super) const CONTENT_MAX_BYTES: usize = 64 * 1024 - BLOCK_HEAD_BYTES;
pub(super) const KEY_MAX_BYTES: usize = 1024;

const HEADER_MAGIC: &[u8; 8] = b"MCSNPRUN";
const FOOTER_MAGIC: &[u8; 8] = b"MCSNPEND";
/// Without what it covers.
const VERSION_1: u8 = 1;
const VERSION: u8 = 2;
const WHOLE: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Entries; the value of the last may go on in continuation blocks.
    Entries = 1,
    /// More of the value that the block before ended in.
    Continuation = 2,
    Index = 3,
}

/// What of the catalog is in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// Every object.
    Whole,
    /// Those that changed after this group.
    Since(Lsn),
}

pub(super) fn header(as_of: Lsn, covers: Covers) -> Vec<u8> {
    let mut bytes = Encoder::with_capacity(HEADER_BYTES);
    bytes.raw(HEADER_MAGIC);
    let (flags, since) = match covers {
        Covers::Whole => (WHOLE, 0),
        Covers::Since(lsn) => (0, lsn.0),
    };
    bytes.raw(&[VERSION, flags]);
    // Six bytes: more groups no log ever has.
    bytes.raw(since.to_le_bytes().get(..6).unwrap_or_default());
    bytes.u64_le(as_of.0);
    bytes.raw(&[0; 4]);
    seal(bytes)
}

/// The LSN of a header, and what the run covers; version 1 does not say that.
pub(super) fn read_header(bytes: &[u8], what: &str) -> Result<(Lsn, Option<Covers>)> {
    let mut cursor = unseal(bytes, HEADER_MAGIC, what)?;
    let covers = match cursor.u8()? {
        VERSION_1 => {
            cursor.zeros(7)?;
            None
        }
        VERSION => {
            let flags = cursor.u8()?;
            let mut since = [0; 8];
            let (low, _) = since.split_at_mut(6);
            low.copy_from_slice(cursor.raw(6)?);
            match flags {
                0 => Some(Covers::Since(Lsn(u64::from_le_bytes(since)))),
                WHOLE => Some(Covers::Whole),
                _ => return Err(cursor.bad("its flags are not known")),
            }
        }
        _ => return Err(cursor.bad("its version is not known")),
    };
    let as_of = Lsn(cursor.u64_le()?);
    cursor.zeros(4)?;
    Ok((as_of, covers))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub index_at: u64,
    pub objects: u64,
    pub as_of: Lsn,
    /// Of the whole file.
    pub file_bytes: u64,
}

impl Footer {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Encoder::with_capacity(FOOTER_BYTES);
        bytes.raw(FOOTER_MAGIC);
        for number in [self.index_at, self.objects, self.as_of.0, self.file_bytes] {
            bytes.u64_le(number);
        }
        bytes.raw(&[0; 4]);
        seal(bytes)
    }

    pub(super) fn read(bytes: &[u8], what: &str) -> Result<Self> {
        let mut cursor = unseal(bytes, FOOTER_MAGIC, what)?;
        let footer = Self {
            index_at: cursor.u64_le()?,
            objects: cursor.u64_le()?,
            as_of: Lsn(cursor.u64_le()?),
            file_bytes: cursor.u64_le()?,
        };
        cursor.zeros(4)?;
        Ok(footer)
    }
}

/// A block around its content.
pub(super) fn block(kind: BlockKind, content: &[u8]) -> Vec<u8> {
    let mut bytes = Encoder::with_capacity(BLOCK_HEAD_BYTES.saturating_add(content.len()));
    bytes.u32_le(u32::try_from(content.len()).unwrap_or(u32::MAX));
    bytes.raw(&[kind as u8, 0, 0, 0]);
    let crc = block_crc(bytes.as_bytes(), content);
    bytes.u32_le(crc);
    bytes.raw(content);
    bytes.into_bytes()
}

/// A block's head as read: its content is not yet known to be whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockHead {
    kind: BlockKind,
    pub content_bytes: u32,
    crc: u32,
}

impl BlockHead {
    pub(super) fn read(bytes: &[u8], what: &str) -> Result<Self> {
        let mut cursor = Decoder::new(bytes, what);
        let content_bytes = cursor.u32_le()?;
        let kind = match cursor.u8()? {
            1 => BlockKind::Entries,
            2 => BlockKind::Continuation,
            3 => BlockKind::Index,
            _ => return Err(cursor.bad("the kind of a block is not known")),
        };
        cursor.zeros(3)?;
        Ok(Self { kind, content_bytes, crc: cursor.u32_le()? })
    }

    /// Says that the content is what was written, and of that kind.
    pub(super) fn check(self, kind: BlockKind, content: &[u8], what: &str) -> Result<()> {
        let mut head = self.content_bytes.to_le_bytes().to_vec();
        head.extend_from_slice(&[self.kind as u8, 0, 0, 0]);
        let cursor = Decoder::new(content, what);
        if block_crc(&head, content) != self.crc {
            return Err(cursor.bad("the CRC of a block is wrong"));
        }
        if self.kind != kind {
            return Err(cursor.bad("a block is of another kind than what comes next"));
        }
        Ok(())
    }
}

fn block_crc(head: &[u8], content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(content);
    crc.finalize()
}

/// Ends a header or footer with its CRC.
fn seal(mut bytes: Encoder) -> Vec<u8> {
    let crc = crc32fast::hash(bytes.as_bytes());
    bytes.u32_le(crc);
    bytes.into_bytes()
}

/// Checks CRC and magic; what comes between is left to read.
fn unseal<'a>(bytes: &'a [u8], magic: &[u8; 8], what: &'a str) -> Result<Decoder<'a>> {
    let mut whole = Decoder::new(bytes, what);
    let covered = whole.raw(bytes.len().saturating_sub(4))?;
    if whole.u32_le()? != crc32fast::hash(covered) {
        return Err(whole.bad("the CRC of its header or footer is wrong"));
    }
    let mut cursor = Decoder::new(covered, what);
    if &cursor.array::<8>()? != magic {
        return Err(cursor.bad("it is no snapshot run"));
    }
    Ok(cursor)
}
