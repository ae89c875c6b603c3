//! The catalog: packed rows on disk, a paging cache for what does not fit in memory. A view.
//!
//! Laws
//! - It is never the only copy of anything: deleting it loses nothing, the log rebuilds it.
//! - Only this folder names sled. Every sled call is guarded: it answers an error, never a panic.
//! - An object is written whole, in pages of at most 3.5 KB; the first page carries its length, LSN
//!   and checksum, so a torn or mixed object is `Error::Corrupt`, never served.
//! - Only `flush_durable`, one caller at a time, flushes. Commits never wait for it.
//! - The mark says up to which LSN the catalog is complete, and whether that may be trusted.

mod key;
mod memory;
mod objects;
mod page;
mod rows;
mod sled_rows;
#[cfg(test)]
mod tests;

pub use key::{Kind, ObjectKey};
pub use memory::MemoryRows;
pub use objects::{Catalog, Change, Mark, Object};
pub use rows::{Rows, Visit, Write};
pub use sled_rows::SledRows;
