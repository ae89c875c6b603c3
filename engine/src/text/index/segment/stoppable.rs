//! A folder for tantivy to write to, until somebody says stop: a merge takes minutes, and knows no other
//! way to be ended.
//!
//! Laws
//! - Once stopped, the next write fails, and with it what was being made.

use super::forward::as_inner;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, TerminatingWrite,
    WatchCallback, WatchHandle, WritePtr,
};

#[derive(Debug, Clone)]
pub struct Stoppable {
    inner: MmapDirectory,
    stop: Arc<AtomicBool>,
}

impl Stoppable {
    pub fn new(inner: MmapDirectory, stop: &Arc<AtomicBool>) -> Self {
        Self { inner, stop: stop.clone() }
    }
}

struct Writer {
    inner: WritePtr,
    stop: Arc<AtomicBool>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("it was told to stop"));
        }
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl TerminatingWrite for Writer {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        self.inner.terminate_ref(token)
    }
}

impl Directory for Stoppable {
    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let inner = self.inner.open_write(path)?;
        Ok(BufWriter::new(Box::new(Writer { inner, stop: self.stop.clone() })))
    }

    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    as_inner!();
}
