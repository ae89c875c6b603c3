//! An object as pages: how a value of any length lives in rows of at most 3.5 KB.
//!
//! Laws
//! - A page's row key is the object's key, then the page number in two bytes, big-endian.
//! - Page 0 begins with a head of 18 bytes; the checksum covers LSN and object, so pages of two
//!   versions never pass for one object.
//!
//! ```text
//! page 0:  version u8 (1) | reserved u8 (0) | length u32 | LSN u64 | CRC32 u32 | object...
//! page n:  object...                                    (all little-endian)
//! ```

use super::key::ObjectKey;
use crate::error::{Error, Result};
use crate::types::Lsn;

/// sled keeps rows of 8 KB and more as one file each and leaks them; half of that leaves room.
pub(super) const PAGE_BYTES: usize = 3584;
const HEAD_BYTES: usize = 18;
const VERSION: u8 = 1;
/// An object that would need more pages than two bytes can count is refused.
const MAX_OBJECT_BYTES: usize = PAGE_BYTES * 60_000;

/// The head of page 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub length: usize,
    pub as_of: Lsn,
    crc: u32,
}

pub(super) fn row_key(key: &[u8], page: u16) -> Vec<u8> {
    let mut row = Vec::with_capacity(key.len() + 2);
    row.extend_from_slice(key);
    row.extend_from_slice(&page.to_be_bytes());
    row
}

/// How many pages an object of this length takes.
pub(super) fn page_count(length: usize) -> u16 {
    let pages = (length + HEAD_BYTES).div_ceil(PAGE_BYTES);
    u16::try_from(pages).unwrap_or(u16::MAX)
}

fn checksum(as_of: Lsn, object: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&as_of.0.to_le_bytes());
    hasher.update(object);
    hasher.finalize()
}

/// The pages of an object, in order.
pub(super) fn split(key: &ObjectKey, as_of: Lsn, object: &[u8]) -> Result<Vec<Vec<u8>>> {
    if object.len() > MAX_OBJECT_BYTES {
        return Err(Error::Limit(format!("{key:?} is too large for the catalog")));
    }
    let length = u32::try_from(object.len()).unwrap_or(u32::MAX);
    let mut all = Vec::with_capacity(HEAD_BYTES + object.len());
    all.extend_from_slice(&[VERSION, 0]);
    all.extend_from_slice(&length.to_le_bytes());
    all.extend_from_slice(&as_of.0.to_le_bytes());
    all.extend_from_slice(&checksum(as_of, object).to_le_bytes());
    all.extend_from_slice(object);
    Ok(all.chunks(PAGE_BYTES).map(<[u8]>::to_vec).collect())
}

/// Reads the head of page 0 and gives what follows it.
pub(super) fn head<'a>(key: &ObjectKey, page: &'a [u8]) -> Result<(Head, &'a [u8])> {
    let bad = |why: &str| Error::corrupt(format!("{key:?} in the catalog"), why);
    let (head, object) = page.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| bad("its head is cut"))?;
    let [version, _, l0, l1, l2, l3, n0, n1, n2, n3, n4, n5, n6, n7, c0, c1, c2, c3] = *head;
    if version != VERSION {
        return Err(bad("its version is unknown"));
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > MAX_OBJECT_BYTES {
        return Err(bad("its length is impossible"));
    }
    let as_of = Lsn(u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]));
    let crc = u32::from_le_bytes([c0, c1, c2, c3]);
    Ok((Head { length, as_of, crc }, object))
}

/// Proves that the joined pages are the object the head speaks of.
pub(super) fn prove(key: &ObjectKey, head: Head, object: &[u8]) -> Result<()> {
    if object.len() == head.length && checksum(head.as_of, object) == head.crc {
        return Ok(());
    }
    Err(Error::corrupt(format!("{key:?} in the catalog"), "its pages do not fit together"))
}
