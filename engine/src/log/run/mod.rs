//! Snapshot runs: sorted key/value files that hold the objects changed since the run before.
//! `docs/format.md` draws the bytes.
//!
//! Laws
//! - A run is written once, in key order, and never changed; it counts from the moment the MANIFEST
//!   names it, and `finish` has made its bytes and its name durable before that can happen.
//! - Keys rise strictly. A key with no value says that the object is gone as of that LSN.
//! - Every byte is under a CRC32 that is checked before the byte is believed: damage is
//!   `Error::Corrupt`, never a wrong object and never a missing one.
//! - Reading holds the index, one block and one value, however large the run is.

mod format;
mod merge;
mod read;
mod write;

pub use format::Covers;
pub use merge::{EachObject, merge};
pub use read::{Entry, RunIter, RunReader};
pub use write::{Finished, RunWriter};

#[cfg(test)]
mod tests;
