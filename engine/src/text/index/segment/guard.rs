//! Where tantivy is called: its errors as ours, its panics as errors.
//!
//! Laws
//! - tantivy believes its files. What bytes it was given make it do, ends here.

use crate::error::{Error, Result};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tantivy::TantivyError;
use tantivy::directory::error::{OpenReadError, OpenWriteError};

/// Runs what calls tantivy. Nothing half done outlives a panic: what it changes is dropped with the error.
pub(in super::super) fn guarded<T>(what: &Path, f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(Error::corrupt(what.display().to_string(), "reading it made tantivy panic")))
}

/// tantivy's error as ours.
pub(in super::super) fn failed(what: &Path) -> impl Fn(TantivyError) -> Error {
    let what = what.display().to_string();
    move |error| match &error {
        TantivyError::IoError(e)
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: e, .. })
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error: e, .. }) => io_failed(&what, e),
        other => Error::corrupt(what.clone(), other.to_string()),
    }
}

/// An I/O error out of tantivy: what says that data is wrong is damage.
pub(in super::super) fn io_failed(what: &str, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
            Error::corrupt(what, e.to_string())
        }
        kind => Error::io(what, e.raw_os_error().map_or_else(|| kind.into(), io::Error::from_raw_os_error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_panic_is_damage_and_a_full_disk_is_a_full_disk() {
        let path = Path::new("/x");
        assert!(matches!(guarded::<()>(path, || panic!("on purpose")), Err(Error::Corrupt { .. })));
        let full = TantivyError::IoError(Arc::new(io::ErrorKind::StorageFull.into()));
        assert!(matches!(failed(path)(full), Error::StoreFull));
    }
}
