//! The tail: summaries that no pack holds yet, appended record by record and never synced.
//!
//! Laws
//! - A record says from which EmailId up to which it covers, and the first begins where the packs end: a
//!   chain of good records is true however much of the file a power cut took. It ends at the first that is
//!   not good, and what follows is cut off.
//! - A record's CRC32 runs over the stamp and the tail's number too: a record of another tail is not good.

use super::Summary;
use super::manifest::Stamp;
use super::row;
use crate::codec::{Decoder, Delta, Encoder};
use crate::error::Result;
use crate::types::EmailId;

const HEAD_BYTES: usize = 8;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const ZSTD_LEVEL: i32 = 1;
/// What no record has: a batch of the indexer is some thousand rows.
const RAW_BYTES_MAX: usize = 256 << 20;
const WHAT: &str = "a record of a summary tail";

/// What the records of a tail say.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub rows: Vec<(EmailId, Summary)>,
    pub covered: EmailId,
    /// Where the good records end.
    pub good_bytes: usize,
}

/// One record. `rows` lie in `from..covered` and ascend.
pub(super) fn record(
    stamp: Stamp,
    number: u32,
    from: EmailId,
    covered: EmailId,
    rows: &[(EmailId, Summary)],
) -> Vec<u8> {
    let mut raw = Encoder::new();
    raw.uint(rows.len() as u64);
    let mut delta = Delta::default();
    for (email, summary) in rows {
        delta.put(&mut raw, u64::from(email.0));
        row::put(&mut raw, summary);
    }
    let raw = raw.as_bytes();
    let packed = zstd::bulk::compress(raw, ZSTD_LEVEL).ok().filter(|packed| packed.len() < raw.len());
    let mut payload = Encoder::with_capacity(raw.len() + 16);
    payload.u32_le(from.0);
    payload.u32_le(covered.0);
    payload.u8(if packed.is_some() { ZSTD } else { PLAIN });
    payload.uint(raw.len() as u64);
    payload.raw(packed.as_deref().unwrap_or(raw));
    let payload = payload.as_bytes();
    let mut out = Encoder::with_capacity(HEAD_BYTES + payload.len());
    out.u32_le(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    out.u32_le(crc(stamp, number, payload));
    out.raw(payload);
    out.into_bytes()
}

/// The good records of a tail whose first has to begin at `from`.
pub(super) fn read(stamp: Stamp, number: u32, from: EmailId, bytes: &[u8]) -> Content {
    let mut content = Content { covered: from, ..Content::default() };
    loop {
        let rest = bytes.get(content.good_bytes..).unwrap_or_default();
        let Ok((record, covered, mut rows)) = next(stamp, number, content.covered, rest) else {
            return content;
        };
        content.rows.append(&mut rows);
        content.covered = covered;
        content.good_bytes += record;
    }
}

type Record = (usize, EmailId, Vec<(EmailId, Summary)>);

fn next(stamp: Stamp, number: u32, from: EmailId, bytes: &[u8]) -> Result<Record> {
    let mut c = Decoder::new(bytes, WHAT);
    let (len, sum) = (c.u32_le()? as usize, c.u32_le()?);
    let payload = c.raw(len)?;
    if crc(stamp, number, payload) != sum {
        return Err(c.bad("its checksum does not match"));
    }
    let mut c = Decoder::new(payload, WHAT);
    if EmailId(c.u32_le()?) != from {
        return Err(c.bad("it does not go on where the one before ended"));
    }
    let covered = EmailId(c.u32_le()?);
    let (packing, raw_bytes) = (c.u8()?, c.len()?);
    if raw_bytes > RAW_BYTES_MAX {
        return Err(c.bad("it claims to be too long"));
    }
    let raw = match packing {
        PLAIN => c.rest().to_vec(),
        ZSTD => {
            zstd::bulk::decompress(c.rest(), raw_bytes).map_err(|_| c.bad("it cannot be decompressed"))?
        }
        _ => return Err(c.bad("its packing is unknown")),
    };
    let mut c = Decoder::new(&raw, WHAT);
    let mut delta = Delta::default();
    let rows = (0..c.count(1 + row::SUMMARY_BYTES_MIN)?)
        .map(|_| Ok((EmailId(delta.take_u32(&mut c)?), row::take(&mut c)?)))
        .collect::<Result<Vec<_>>>()?;
    c.finish()?;
    Ok((HEAD_BYTES + len, covered, rows))
}

fn crc(stamp: Stamp, number: u32, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&stamp.0);
    crc.update(&number.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}
