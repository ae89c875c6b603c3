//! zstd frames, taken apart.
//!
//! Laws
//! - A frame gives at most what it is given room for.

use std::cell::RefCell;
use std::io;

thread_local! {
    /// Making one costs as much as a small frame: a search of a cold mailbox reads thousands.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The raw bytes of a frame, at most `raw_len` of them.
pub fn decompress(frame: &[u8], raw_len: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress(frame, raw_len)
    })
}
