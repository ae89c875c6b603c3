//! `STORE/scrub`: when the last pass ended, what came of it, and how far the one under way is.
//!
//! Laws
//! - A hint: lost or damaged, a pass is due at once, from the beginning.
//! - A record of version 1, which knows of no pass under way, is read.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::types::SegmentId;
use std::io;
use std::path::Path;
use std::sync::Arc;

const MAGIC_1: &[u8; 8] = b"MCSCRUB1";
const MAGIC: &[u8; 8] = b"MCSCRUB2";
const BYTES_1: usize = 36;
const BYTES: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Record {
    pub passes: u64,
    pub finished_ms: u64,
    pub findings: u64,
    pub under_way: Option<UnderWay>,
}

/// A pass that has not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// The segment read last: those before it were read too.
    pub segment: SegmentId,
    pub findings: u64,
}

impl Record {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Encoder::with_capacity(BYTES);
        bytes.raw(MAGIC);
        let (segment, found) = self.under_way.map_or((0, 0), |pass| (pass.segment.0, pass.findings));
        for number in [self.passes, self.finished_ms, self.findings] {
            bytes.u64_le(number);
        }
        bytes.u32_le(segment);
        bytes.u64_le(found);
        bytes.u32_le(crc32fast::hash(bytes.as_bytes()));
        bytes.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut c = Decoder::new(bytes, "the scrub's record");
        let magic: [u8; 8] = c.array()?;
        let (passes, finished_ms, findings) = (c.u64_le()?, c.u64_le()?, c.u64_le()?);
        let under_way = match &magic {
            MAGIC => Some(UnderWay { segment: SegmentId(c.u32_le()?), findings: c.u64_le()? }),
            MAGIC_1 => None,
            _ => return Err(c.bad("its version is not known")),
        };
        let content = bytes.len().saturating_sub(4);
        if c.u32_le()? != crc32fast::hash(bytes.get(..content).unwrap_or_default()) {
            return Err(c.bad("its checksum does not match"));
        }
        c.finish()?;
        let under_way = under_way.filter(|pass| pass.segment > SegmentId(0));
        Ok(Self { passes, finished_ms, findings, under_way })
    }

    pub fn load(disk: &Arc<dyn Disk>, dir: &Path) -> Self {
        let read = || -> io::Result<Vec<u8>> {
            let file = disk.open(&dir.join("scrub"))?;
            let mut bytes = vec![0; if file.len_bytes()? == BYTES_1 as u64 { BYTES_1 } else { BYTES }];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let read = read().map_err(|e| Error::io("reading the scrub's record", e));
        match read.and_then(|bytes| Self::decode(&bytes)) {
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
        let ended = Record { passes: 3, finished_ms: 1_700_000_000_000, findings: 1, under_way: None };
        let first = golden(include_str!("../../tests/data/format/drawn/scrub.hex"));
        assert_eq!(Record::decode(&first).unwrap(), ended);
        assert!((0..first.len()).all(|len| Record::decode(&first[..len]).is_err()));
        let record = Record { under_way: Some(UnderWay { segment: SegmentId(258), findings: 2 }), ..ended };
        let drawn = golden(include_str!("../../tests/data/format/drawn/scrub-2.hex"));
        assert_eq!(record.encode(), drawn);
        assert_eq!(Record::decode(&ended.encode()).unwrap(), ended);
        let sim = SimDisk::new(1);
        let (disk, dir): (Arc<dyn Disk>, _) = (Arc::new(sim.clone()), Path::new("/s"));
        disk.create_dir_all(dir).unwrap();
        assert_eq!(Record::load(&disk, dir), Record::default());
        for _ in 0..2 {
            record.store(&disk, dir).unwrap();
            assert_eq!(Record::load(&disk, dir), record);
        }
        let file = disk.open(&dir.join("scrub")).unwrap();
        file.truncate(0).unwrap();
        file.write_all_at(&first, 0).unwrap();
        assert_eq!(Record::load(&disk, dir), ended);
        record.store(&disk, dir).unwrap();
        for at in 0..drawn.len() as u64 {
            assert!(sim.flip_bit(&dir.join("scrub"), at, 5));
            assert_eq!(Record::load(&disk, dir), Record::default(), "byte {at}");
            assert!(sim.flip_bit(&dir.join("scrub"), at, 5));
        }
    }
}
