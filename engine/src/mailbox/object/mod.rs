//! Mailboxes and chunks as bytes: for the catalog and the snapshot runs.
//!
//! Laws
//! - The bytes depend on no Rust type's layout; numbers are varints (LEB128) or little-endian. A
//!   change of the layout raises the version byte, and older versions stay readable.
//! - Any bytes decode to a value that keeps its module's laws, or to `Error::Corrupt`; never a panic,
//!   never more memory than the limits here.
//!
//! ```text
//! object:  version u8 (1) | packing u8 (0 plain, 1 zstd) | raw length varint | payload
//! ```

mod chunk;
mod header;
mod pack;

pub use chunk::{decode_chunk, encode_chunk};
pub use header::{chunk_numbers, decode_header, encode_header};

#[cfg(test)]
mod tests;
