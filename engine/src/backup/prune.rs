//! Taking old backups away.
//!
//! Laws
//! - The newest backup stays, whatever is asked.
//! - A file goes only after every description that named it is durably gone; with a description that cannot be read no
//!   file goes.

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
            if named.contains(&(kind.to_owned(), name.clone())) {
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
