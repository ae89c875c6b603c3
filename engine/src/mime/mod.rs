//! MIME, defined once on the raw bytes: parts, ENVELOPE, BODYSTRUCTURE, sections.
//!
//! Laws
//! - A message is never altered: every part is a range of the bytes as they came, and what a
//!   section answers are those bytes.
//! - No input panics, and no input costs more than one pass over the bytes and one over each
//!   header block; depth and number of parts are bounded ([`part::DEPTH_MAX`], [`part::PARTS_MAX`]).
//! - ENVELOPE, BODYSTRUCTURE and BODY[section] come from the same tree, so what BODYSTRUCTURE
//!   announces is what a section answers, bad MIME included.
//! - Strings stay encoded as they came (RFC 2047 words, RFC 2231 parameters, raw 8-bit); decoding
//!   is the business of `text/`.
//!
//! The rules for bad MIME stand at the top of [`part`].

pub mod address;
pub mod date;
pub mod envelope;
pub mod header;
pub mod param;
pub mod part;
pub mod section;
pub mod structure;
pub mod thread;

pub use address::Address;
pub use envelope::Envelope;
pub use part::{Content, Part, parse};
pub use section::{SectionSpec, What};
pub use structure::{Body, Disposition, Fields, Param, Structure};
