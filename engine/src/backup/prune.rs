//! Taking old backups away.
//!
//! Laws
//! - The newest backup stays, whatever is asked.
//! - A file goes only after every description that named it is durably gone; with a description that cannot be read no
//!   file goes.
//! - Only what is named like a copy goes.

use super::folder::{FOLDERS, Folder};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeSet;

/// What pruning did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pruned {
    pub backups: u64,
    pub files: u64,
    pub bytes: u64,
}

/// Whether a file may be one of ours: `...-CRC.seg` or `...-CRC.run`. What somebody else put there stays.
fn is_copy(name: &str) -> bool {
    let stem = name.strip_suffix(".seg").or_else(|| name.strip_suffix(".run"));
    let crc = stem.and_then(|stem| stem.rsplit_once('-')).map(|(_, crc)| crc);
    crc.is_some_and(|crc| crc.len() == 8 && crc.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Keeps the newest backups, and the files that they need.
pub fn prune(folder: &mut Folder, keep: usize) -> Result<Pruned> {
    if let Some(name) = folder.unreadable().first() {
        let why = format!("backups/{name} is damaged: what it needs is not known. Remove it, then prune");
        return Err(Error::NotPossible(why));
    }
    let mut pruned = Pruned { backups: folder.forget_old(keep)? as u64, ..Pruned::default() };
    let named: BTreeSet<(String, String)> = folder.known().into_keys().collect();
    for kind in FOLDERS {
        let path = folder.dir.join(kind);
        let io = |e| Error::io(format!("pruning {}", path.display()), e);
        for name in folder.disk.list(&path).map_err(io)? {
            if !is_copy(&name) || named.contains(&(kind.to_owned(), name.clone())) {
                continue;
            }
            let file = path.join(&name);
            pruned.bytes += folder.disk.open_read(&file).and_then(|f| f.len_bytes()).map_err(io)?;
            folder.disk.remove_file(&file).map_err(io)?;
            pruned.files += 1;
        }
    }
    Ok(pruned)
}
