//! MANIFEST of an account's summaries: which packs and which tail count.
//!
//! Laws
//! - It names a pack only after that is synced, by a checksum that holds for every byte of it.
//! - Packs ascend in EmailId and do not overlap; all of their emails are below `covered`.
//! - `stamp` says which code made the summaries: another store, version or Unicode, and nothing counts.

use super::files;
use super::pack::PackInfo;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::sys::disk::Disk;
use crate::text;
use crate::types::EmailId;
use std::path::Path;

const MAGIC: &[u8; 8] = b"MCSUMMA1";
/// Of what a summary is, and of the files of this room.
const VERSION: u32 = 1;
const NAME: &str = "MANIFEST";
const WHAT: &str = "the MANIFEST of the summaries";
/// More is no manifest: a million packs.
const BYTES_MAX: u64 = 32 << 20;

/// Whose summaries, and made by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(pub [u8; 30]);

impl Stamp {
    pub fn of(store_id: [u8; 16]) -> Self {
        let mut stamp = Encoder::with_capacity(30);
        stamp.raw(&store_id);
        stamp.u32_le(VERSION);
        stamp.u32_le(text::VERSION);
        for (major, minor, patch) in [char::UNICODE_VERSION, unicode_normalization::UNICODE_VERSION] {
            stamp.raw(&[major, minor, patch]);
        }
        let mut bytes = [0; 30];
        stamp.as_bytes().iter().zip(&mut bytes).for_each(|(from, to)| *to = *from);
        Self(bytes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Manifest {
    /// What the packs cover; the tail goes on from there.
    pub covered: EmailId,
    /// The number of the tail; files with a higher one are leftovers.
    pub tail: u32,
    pub packs: Vec<PackInfo>,
}

impl Manifest {
    pub fn encode(&self, stamp: Stamp) -> Vec<u8> {
        let mut body = Encoder::new();
        body.raw(&stamp.0);
        body.u32_le(self.covered.0);
        body.u32_le(self.tail);
        body.u32_le(u32::try_from(self.packs.len()).unwrap_or(u32::MAX));
        for pack in &self.packs {
            for number in [pack.number, pack.first.0, pack.last.0, pack.rows, pack.head_crc] {
                body.u32_le(number);
            }
            body.u64_le(pack.file_bytes);
        }
        let body = body.as_bytes();
        let mut out = Encoder::with_capacity(body.len() + 16);
        out.raw(MAGIC);
        out.u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.u32_le(crc32fast::hash(body));
        out.raw(body);
        out.into_bytes()
    }

    pub fn decode(bytes: &[u8], stamp: Stamp) -> Result<Self> {
        let mut c = Decoder::new(bytes, WHAT);
        if c.raw(8)? != MAGIC {
            return Err(c.bad("it is none of a known version"));
        }
        let (len, crc) = (c.u32_le()? as usize, c.u32_le()?);
        let body = c.raw(len)?;
        c.finish()?;
        if crc32fast::hash(body) != crc {
            return Err(c.bad("its checksum does not match"));
        }
        let mut c = Decoder::new(body, WHAT);
        if c.array()? != stamp.0 {
            return Err(c.bad("it is of another store or version"));
        }
        let (covered, tail) = (EmailId(c.u32_le()?), c.u32_le()?);
        let packs = (0..c.count_le(28)?)
            .map(|_| {
                let [number, first, last, rows, head_crc] =
                    [c.u32_le()?, c.u32_le()?, c.u32_le()?, c.u32_le()?, c.u32_le()?];
                let (first, last) = (EmailId(first), EmailId(last));
                Ok(PackInfo { number, first, last, rows, head_crc, file_bytes: c.u64_le()? })
            })
            .collect::<Result<Vec<_>>>()?;
        c.finish()?;
        let ascend = packs.iter().zip(packs.iter().skip(1)).all(|(a, b)| a.last < b.first);
        if !ascend || packs.last().is_some_and(|pack| pack.last >= covered) {
            return Err(c.bad("its packs are out of order"));
        }
        Ok(Self { covered, tail, packs })
    }

    /// None when there is none, or none that counts.
    pub fn load(disk: &dyn Disk, dir: &Path, stamp: Stamp) -> Result<Option<Self>> {
        let Some(bytes) = files::read(disk, &dir.join(NAME), BYTES_MAX)? else { return Ok(None) };
        match Self::decode(&bytes, stamp) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => {
                tracing::warn!(%error, "summaries are made again");
                Ok(None)
            }
        }
    }

    /// Replaces the manifest. The packs it names are synced already, names and all.
    pub fn store(&self, disk: &dyn Disk, dir: &Path, stamp: Stamp) -> Result<()> {
        files::replace(disk, dir, NAME, &self.encode(stamp))
    }

    /// Whether a file of the folder counts.
    pub fn names(&self, name: &str) -> bool {
        name == NAME
            || name == tail_name(self.tail)
            || self.packs.iter().any(|pack| name == pack_name(pack.number))
    }
}

pub(super) fn tail_name(number: u32) -> String {
    format!("tail-{number}")
}

pub(super) fn pack_name(number: u32) -> String {
    format!("{number}.pack")
}
