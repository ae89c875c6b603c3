//! The version before a payload, and its packing.

use crate::codec::{Decoder, Encoder, decompress};
use crate::error::Result;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Fast, and all that columns of deltas leave to gain.
const ZSTD_LEVEL: i32 = 1;

/// Puts the version before a payload and compresses it where that pays.
pub(super) fn pack(raw: &[u8]) -> Vec<u8> {
    let frame = zstd::bulk::compress(raw, ZSTD_LEVEL).ok().filter(|frame| frame.len() < raw.len());
    let (packing, payload) = frame.as_deref().map_or((PLAIN, raw), |frame| (ZSTD, frame));
    let mut out = Encoder::with_capacity(payload.len().saturating_add(12));
    out.u8(VERSION);
    out.u8(packing);
    out.uint(raw.len() as u64);
    out.raw(payload);
    out.into_bytes()
}

/// The payload of an object, at most `max_bytes` of it.
pub(super) fn unpack(what: &str, bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>> {
    let mut reader = Decoder::new(bytes, what);
    if reader.u8()? != VERSION {
        return Err(reader.bad("its version is unknown"));
    }
    let packing = reader.u8()?;
    let length = reader.len()?;
    if length > max_bytes {
        return Err(reader.bad("it claims to be too long"));
    }
    let raw = match packing {
        PLAIN => reader.rest().to_vec(),
        ZSTD => decompress(reader.rest(), length).map_err(|_| reader.bad("it cannot be decompressed"))?,
        _ => return Err(reader.bad("its packing is unknown")),
    };
    if raw.len() != length {
        return Err(reader.bad("it is cut"));
    }
    Ok(raw)
}
