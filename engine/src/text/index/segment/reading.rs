//! The folder of a segment, as tantivy reads it.
//!
//! Laws
//! - Postings and positions are read when they are asked for, into memory that goes with the answer: what is
//!   resident does not grow with what was ever searched or merged. The dictionary is mapped: it is small, and
//!   asked a few bytes at a time.

use super::forward::as_inner;
use crate::error::{Error, Result as EngineResult};
use crate::sys::disk::{Disk, File};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, OwnedBytes, WatchCallback, WatchHandle,
    WritePtr,
};

/// tantivy's files of postings and of positions.
const READ_AT: [&str; 2] = ["idx", "pos"];

#[derive(Debug, Clone)]
pub struct Reading {
    inner: MmapDirectory,
    files: Arc<HashMap<PathBuf, Arc<ReadAt>>>,
}

impl Reading {
    pub fn open(disk: &dyn Disk, dir: &Path, inner: MmapDirectory) -> EngineResult<Self> {
        let io = |e| Error::io(format!("opening {}", dir.display()), e);
        let mut files = HashMap::new();
        for name in disk.list(dir).map_err(io)? {
            let name = PathBuf::from(name);
            if name.extension().is_some_and(|kind| READ_AT.iter().any(|read| kind == *read)) {
                let file = disk.open(&dir.join(&name)).map_err(io)?;
                let len_bytes = file.len_bytes().map_err(io)?;
                files.insert(name, Arc::new(ReadAt { file, len_bytes }));
            }
        }
        Ok(Self { inner, files: Arc::new(files) })
    }
}

struct ReadAt {
    file: Box<dyn File>,
    len_bytes: u64,
}

impl fmt::Debug for ReadAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a file of {} bytes", self.len_bytes)
    }
}

impl HasLen for ReadAt {
    fn len(&self) -> usize {
        usize::try_from(self.len_bytes).unwrap_or(usize::MAX)
    }
}

impl FileHandle for ReadAt {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        // A damaged dictionary may name any place.
        if range.start > range.end || range.end as u64 > self.len_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; range.len()];
        self.file.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(OwnedBytes::new(bytes))
    }
}

impl Directory for Reading {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        match self.files.get(path) {
            Some(file) => Ok(file.clone()),
            None => self.inner.get_file_handle(path),
        }
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.inner.open_write(path)
    }

    as_inner!();
}
