//! Small files that are read and replaced whole.

use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use std::io;
use std::path::Path;

/// Magic, length, checksum, body.
pub fn frame(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    let mut out = Encoder::with_capacity(body.len() + 16);
    out.raw(magic);
    // A body is built in memory from lists that are bounded far below 4 GiB.
    out.u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
    out.u32_le(crc32fast::hash(body));
    out.raw(body);
    out.into_bytes()
}

pub fn unframe<'a>(magic: &[u8; 8], bytes: &'a [u8], what: &'a str) -> Result<&'a [u8]> {
    let mut d = Decoder::new(bytes, what);
    if d.array::<8>()? != *magic {
        return Err(d.bad("it does not begin as one"));
    }
    let (len, crc) = (d.u32_le()? as usize, d.u32_le()?);
    let body = d.raw(len)?;
    d.finish()?;
    if crc32fast::hash(body) != crc {
        return Err(d.bad("its checksum does not match"));
    }
    Ok(body)
}

/// Replaces a file: a reader finds the old one or the new one, whole.
pub fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, beside) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || -> io::Result<()> {
        if disk.exists(&beside) {
            disk.remove_file(&beside)?;
        }
        let file = disk.create(&beside)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()?;
        disk.rename(&beside, &path)?;
        disk.sync_dir(dir)
    };
    write().map_err(|e| Error::io(format!("writing {}", path.display()), e))
}

/// The bytes of a file; `None` when there is none.
pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    let io = |e| Error::io(format!("reading {}", path.display()), e);
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
    };
    let len = usize::try_from(file.len_bytes().map_err(io)?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(io)?;
    Ok(Some(bytes))
}

/// Removes what may be a file or a folder; what is not there is gone already.
pub fn remove(disk: &dyn Disk, path: &Path) -> Result<()> {
    let removed = match disk.remove_file(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !disk.exists(path) => Ok(()),
        Err(_) => disk.remove_dir_all(path),
    };
    removed.map_err(|e| Error::io(format!("removing {}", path.display()), e))
}
