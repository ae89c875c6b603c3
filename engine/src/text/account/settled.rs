//! SETTLED: a hint that saves a start from looking at every account.

use super::files;
use super::manifest::made_by;
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::types::Lsn;
use std::path::Path;

const MAGIC: &[u8; 8] = b"MCTEXTS1";
const NAME: &str = "SETTLED";

fn encode(store_id: [u8; 16], made_by: [u8; 8], lsn: Lsn) -> Vec<u8> {
    let mut body = Encoder::new();
    body.raw(&store_id);
    body.raw(&made_by);
    body.u64_le(lsn.0);
    files::frame(MAGIC, body.as_bytes())
}

fn decode(bytes: &[u8], store_id: [u8; 16], made_by: [u8; 8]) -> Result<Lsn> {
    let mut d = Decoder::new(files::unframe(MAGIC, bytes, NAME)?, NAME);
    if d.array::<16>()? != store_id || d.array::<8>()? != made_by {
        return Err(d.bad("it is of another store or version"));
    }
    let lsn = Lsn(d.u64_le()?);
    d.finish()?;
    Ok(lsn)
}

/// 0 when nothing is known.
pub fn read(disk: &dyn Disk, dir: &Path, store_id: [u8; 16]) -> Lsn {
    let bytes = files::read(disk, &dir.join(NAME));
    bytes.ok().flatten().and_then(|bytes| decode(&bytes, store_id, made_by()).ok()).unwrap_or_default()
}

pub fn write(disk: &dyn Disk, dir: &Path, store_id: [u8; 16], lsn: Lsn) -> Result<()> {
    disk.create_dir_all(dir).map_err(|e| Error::io(format!("making {}", dir.display()), e))?;
    files::replace(disk, dir, NAME, &encode(store_id, made_by(), lsn))
}

pub fn clear(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let path = dir.join(NAME);
    if !disk.exists(&path) {
        return Ok(());
    }
    files::remove(disk, &path)?;
    disk.sync_dir(dir).map_err(|e| Error::io(format!("syncing {}", dir.display()), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;

    #[test]
    fn settled_is_as_drawn() {
        let drawn = golden(include_str!("../../../tests/data/format/drawn/text-settled.hex"));
        let (store_id, made_by) = (std::array::from_fn(|n| n as u8), [2, 0, 17, 0, 0, 16, 0, 0]);
        assert_eq!(encode(store_id, made_by, Lsn(70_000)), drawn);
        assert_eq!(decode(&drawn, store_id, made_by).unwrap(), Lsn(70_000));
        assert!(decode(&drawn, [0; 16], made_by).is_err() && decode(&drawn, store_id, [0; 8]).is_err());
        assert!((0..drawn.len()).all(|len| decode(&drawn[..len], store_id, made_by).is_err()));
    }
}
