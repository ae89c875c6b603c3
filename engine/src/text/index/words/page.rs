//! A page: some bytes, compressed where it pays, and their CRC.

use super::WHAT;
use crate::codec::Encoder;
use crate::error::{Error, Result};
use crate::sys::disk::File;

const HEAD_BYTES: usize = 12;
const ZSTD_LEVEL: i32 = 1;
/// More than any page has: what says more is damaged.
const RAW_MAX_BYTES: u32 = 1 << 28;

/// The page as it lies on disk.
pub(super) fn encode(raw: &[u8]) -> Result<Vec<u8>> {
    let raw_bytes = u32::try_from(raw.len()).ok().filter(|len| *len <= RAW_MAX_BYTES);
    let raw_bytes = raw_bytes.ok_or_else(|| Error::Limit("words of a text segment".to_owned()))?;
    let packed = zstd::bulk::compress(raw, ZSTD_LEVEL).unwrap_or_default();
    let stored = if packed.is_empty() || packed.len() >= raw.len() { raw } else { &packed };
    let mut out = Encoder::with_capacity(HEAD_BYTES + stored.len());
    out.u32_le(stored.len() as u32);
    out.u32_le(raw_bytes);
    out.u32_le(crc(raw_bytes, stored));
    out.raw(stored);
    Ok(out.into_bytes())
}

/// Reads a page of a known length on disk.
pub(super) fn read(file: &dyn File, at: u64, disk_bytes: u64) -> Result<Vec<u8>> {
    let len = usize::try_from(disk_bytes).ok().filter(|len| *len <= RAW_MAX_BYTES as usize + HEAD_BYTES);
    let len = len.ok_or_else(|| damaged("a page is too long"))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, at).map_err(|e| Error::io(format!("reading {WHAT}"), e))?;
    decode(&bytes)
}

/// Reads a page whose length only its head says.
pub(super) fn read_there(file: &dyn File, at: u64, before: u64) -> Result<Vec<u8>> {
    let mut head = [0; 4];
    file.read_exact_at(&mut head, at).map_err(|e| Error::io(format!("reading {WHAT}"), e))?;
    let disk_bytes = u64::from(u32::from_le_bytes(head)) + HEAD_BYTES as u64;
    if at.checked_add(disk_bytes).is_none_or(|end| end > before) {
        return Err(damaged("a page ends behind the file"));
    }
    read(file, at, disk_bytes)
}

fn decode(bytes: &[u8]) -> Result<Vec<u8>> {
    let (head, stored) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| damaged("a page is too short"))?;
    let mut head = crate::codec::Decoder::new(head, WHAT);
    let (stored_bytes, raw_bytes, sum) = (head.u32_le()?, head.u32_le()?, head.u32_le()?);
    if stored_bytes as usize != stored.len() || raw_bytes > RAW_MAX_BYTES || sum != crc(raw_bytes, stored) {
        return Err(damaged("the CRC of a page is wrong"));
    }
    if stored_bytes == raw_bytes {
        return Ok(stored.to_vec());
    }
    let raw = zstd::bulk::decompress(stored, raw_bytes as usize).map_err(|e| damaged(&e.to_string()))?;
    if raw.len() != raw_bytes as usize {
        return Err(damaged("a page is of another length than it says"));
    }
    Ok(raw)
}

fn crc(raw_bytes: u32, stored: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&raw_bytes.to_le_bytes());
    crc.update(stored);
    crc.finalize()
}

pub(super) fn damaged(why: &str) -> Error {
    Error::corrupt(WHAT, why)
}
