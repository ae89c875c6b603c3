//! The text of a message: one definition, for SEARCH by scan now and for every index later.
//!
//! Laws
//! - `canon` is a function of the bytes alone: the same message always gives the same texts.
//! - It never fails: what cannot be decoded is taken as it stands, so that nothing a message holds is
//!   out of a search's reach because its sender erred.
//! - A match is the bytes of `fold(pattern)` inside `fold(text)`, and
//!   `fold(ab) = fold(a) fold(b)`: what is folded in pieces matches the same.
//! - Whoever changes what `canon` or `fold` give raises [`VERSION`]: an index made by another
//!   version is made again.
//!
//! What is searched, and what is not
//! - The header of the message: each field unfolded, RFC 2047 words decoded, raw 8-bit as UTF-8 or else
//!   windows-1252; address fields also have each address plain (`a@b` for `a (x)@b`).
//! - Bodies of text parts, attachments too, decoded from transfer encoding and charset, line ends
//!   as they are; format=flowed joined (RFC 3676); HTML as in [`html`].
//! - Other message/* parts that are readable (delivery-status and the like), as text.
//! - Messages in the message, their header and bodies, also where an encoding hides them from
//!   IMAP's part numbers.
//! - Headers of parts and file names: found by TEXT, not by BODY.
//! - Not preamble and epilogue, unless a multipart has no part; no other media types.

pub mod account;
pub mod canon;
mod charset;
mod encoding;
mod flowed;
pub mod fold;
pub mod html;
pub mod index;
mod pattern;
mod preview;
mod words;

pub use canon::{Canon, Field, canon, canon_bodies, canon_fields, canon_header, header_block};
pub use charset::decode as decode_charset;
pub use charset::is_known as is_known_charset;
pub use fold::fold;
pub use pattern::Pattern;
pub use preview::preview;
pub use words::decode as decode_words;

/// Raised with every change to what this room answers.
pub const VERSION: u32 = 2;
