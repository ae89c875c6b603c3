//! `STORE/scrub`: when the last pass ended and what came of it.
//!
//! Laws
//! - A hint: lost or damaged, the next pass is due at once.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use std::io;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"MCSCRUB1";
const BYTES: usize = 36;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    pub passes: u64,
    pub finished_ms: u64,
    pub findings: u64,
}

impl Record {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Encoder::with_capacity(BYTES);
        bytes.raw(MAGIC);
        for number in [self.passes, self.finished_ms, self.findings] {
            bytes.u64_le(number);
        }
        bytes.u32_le(crc32fast::hash(bytes.as_bytes()));
        bytes.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Decoder::new(bytes, "the scrub's record");
        let magic: [u8; 8] = c.array()?;
        let record = Self { passes: c.u64_le()?, finished_ms: c.u64_le()?, findings: c.u64_le()? };
        if magic != *MAGIC || c.u32_le()? != crc32fast::hash(bytes.get(..BYTES - 4).unwrap_or_default()) {
            return Err(c.bad("its checksum does not match"));
        }
        Ok(record)
    }

    pub fn load(disk: &Arc<dyn Disk>, dir: &Path) -> Self {
        let mut bytes = [0; BYTES];
        let read = disk.open(&dir.join("scrub")).and_then(|file| file.read_exact_at(&mut bytes, 0));
        match read.map_err(|e| Error::io("reading the scrub's record", e)).and_then(|()| Self::decode(&bytes))
        {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(%error, "nothing is known of an earlier scrub");
                Self::default()
            }
        }
    }

    pub fn store(self, disk: &Arc<dyn Disk>, dir: &Path) -> Result<()> {
        let (beside, path) = (dir.join("scrub.new"), dir.join("scrub"));
        let write = || -> io::Result<()> {
            if disk.exists(&beside) {
                disk.remove_file(&beside)?;
            }
            let file = disk.create(&beside)?;
            file.write_all_at(&self.encode(), 0)?;
            file.sync_data()?;
            disk.rename(&beside, &path)?;
            disk.sync_dir(dir)
        };
        write().map_err(|e| Error::io(format!("writing {}", path.display()), e))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::codec::golden;
    use crate::sys::sim::SimDisk;

    #[test]
    fn a_record_is_as_drawn_and_a_damaged_one_is_none() {
        let record = Record { passes: 3, finished_ms: 1_700_000_000_000, findings: 1 };
        let drawn = golden(include_str!("../../tests/data/format/drawn/scrub.hex"));
        assert_eq!(record.encode(), drawn);
        let sim = SimDisk::new(1);
        let (disk, dir): (Arc<dyn Disk>, _) = (Arc::new(sim.clone()), Path::new("/s"));
        disk.create_dir_all(dir).unwrap();
        assert_eq!(Record::load(&disk, dir), Record::default());
        for _ in 0..2 {
            record.store(&disk, dir).unwrap();
            assert_eq!(Record::load(&disk, dir), record);
        }
        for at in 0..drawn.len() as u64 {
            assert!(sim.flip_bit(&dir.join("scrub"), at, 5));
            assert_eq!(Record::load(&disk, dir), Record::default(), "byte {at}");
            assert!(sim.flip_bit(&dir.join("scrub"), at, 5));
        }
    }
}
