//! What one backup consists of.
//!
//! Law: it is believed as a whole or not at all (CRC32), and names every file that a store as of its group needs.

use super::folder::FOLDERS;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::log::{Image, StoreFile};
use crate::types::Lsn;
use crate::types::civil::civil;

const MAGIC: &[u8; 8] = b"MCBACKUP";
const VERSION: u8 = 1;

/// A file of the store and its copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub file: StoreFile,
    /// The copy's name in the folder of the same name.
    pub copy: String,
    /// Of the first `file.bytes` bytes.
    pub crc32: u32,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub store_id: [u8; 16],
    pub epoch: u32,
    /// The newest group.
    pub lsn: Lsn,
    /// When that was written.
    pub time_ms: u64,
    /// Up to when the store is known to have been like this.
    pub as_of_ms: u64,
    pub manifest: Vec<u8>,
    pub files: Vec<Copied>,
}

impl Description {
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Encoder::new();
        body.u8(VERSION);
        body.raw(&self.store_id);
        body.u32_le(self.epoch);
        body.u64_le(self.lsn.0);
        body.u64_le(self.time_ms);
        body.u64_le(self.as_of_ms);
        body.bytes(&self.manifest);
        body.uint(self.files.len() as u64);
        for copied in &self.files {
            body.str(&copied.file.folder);
            body.str(&copied.file.name);
            body.str(&copied.copy);
            body.uint(copied.file.bytes);
            body.u32_le(copied.crc32);
        }
        let body = body.as_bytes();
        let mut out = Encoder::new();
        out.raw(MAGIC);
        out.u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.u32_le(crc32fast::hash(body));
        out.raw(body);
        out.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut d = Decoder::new(bytes, "the description of a backup");
        if d.raw(8)? != MAGIC {
            return Err(d.bad("it is none"));
        }
        let (len, crc32) = (d.u32_le()? as usize, d.u32_le()?);
        let body = d.raw(len)?;
        if crc32fast::hash(body) != crc32 || !d.is_empty() {
            return Err(d.bad("its checksum does not match"));
        }
        let mut d = Decoder::new(body, "the description of a backup");
        if d.u8()? != VERSION {
            return Err(d.bad("its version is not known; use a newer mailcask"));
        }
        let (store_id, epoch, lsn) = (d.array()?, d.u32_le()?, Lsn(d.u64_le()?));
        let (time_ms, as_of_ms) = (d.u64_le()?, d.u64_le()?);
        let manifest = d.bytes()?.to_vec();
        let files = (0..d.count(8)?).map(|_| read_copied(&mut d)).collect::<Result<_>>()?;
        d.finish()?;
        Ok(Self { store_id, epoch, lsn, time_ms, as_of_ms, manifest, files })
    }

    /// The file it is in: sorts by group.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{:016x}-{}.backup", self.lsn.0, compact_time(self.as_of_ms))
    }

    pub(super) fn image(&self) -> Result<Image> {
        Image::decode(&self.manifest)
    }

    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|copied| copied.file.bytes).sum()
    }
}

fn read_copied(d: &mut Decoder<'_>) -> Result<Copied> {
    let (folder, name, copy) = (file_name(d)?, file_name(d)?, file_name(d)?);
    if !FOLDERS.contains(&folder.as_str()) {
        return Err(d.bad("it names a folder that no store has"));
    }
    let file = StoreFile { folder, name, bytes: d.uint()? };
    Ok(Copied { file, copy, crc32: d.u32_le()? })
}

/// A name that stays in its folder.
fn file_name(d: &mut Decoder<'_>) -> Result<String> {
    let name = d.str()?;
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(d.bad("it names a file elsewhere"));
    }
    Ok(name.to_owned())
}

/// `20261123T040005Z`.
#[must_use]
pub fn compact_time(ms: u64) -> String {
    let s = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let ((year, month, day), second) = (civil(s.div_euclid(86_400)), s.rem_euclid(86_400));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;

    fn description() -> Description {
        let file = StoreFile { folder: "log".into(), name: "7.seg".into(), bytes: 300 };
        Description {
            store_id: [5; 16],
            epoch: 2,
            lsn: Lsn(0x0102),
            time_ms: 1_700_000_000_000,
            as_of_ms: 1_700_000_001_000,
            manifest: vec![1, 2, 3],
            files: vec![Copied { file, copy: "7-0a0b0c0d.seg".into(), crc32: 0x0403_0201 }],
        }
    }

    #[test]
    fn a_description_is_as_drawn_and_a_flipped_bit_is_seen() {
        let drawn = golden(include_str!("../../tests/data/format/drawn/backup.hex"));
        let bytes = description().encode();
        assert_eq!(bytes, drawn);
        assert_eq!(Description::decode(&drawn).unwrap(), description());
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            assert!(Description::decode(&bytes).is_err(), "byte {at}");
        }
        assert_eq!(description().file_name(), "0000000000000102-20231114T221321Z.backup");
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        for name in ["", "..", "../x", "a/b", ".hidden"] {
            let mut description = description();
            description.files[0].copy = name.into();
            assert!(Description::decode(&description.encode()).is_err(), "{name}");
        }
        let mut description = description();
        description.files[0].file.folder = "elsewhere".into();
        assert!(Description::decode(&description.encode()).is_err());
    }
}
