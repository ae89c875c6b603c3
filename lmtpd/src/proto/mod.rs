//! The words of LMTP: bytes cut into lines, message text and chunks; lines into commands; verdicts
//! into replies.
//!
//! Laws
//! - No socket, clock or file: bytes in, values out. No input makes it panic.
//! - The stream is cut before any of it is understood, so a bad command costs itself only.
//! - Only CRLF ends a line and only CRLF.CRLF ends a message (RFC 5321 section 2.3.8): a bare LF or
//!   CR is never a terminator, so nothing can be smuggled past the end another server saw.

pub mod address;
pub mod command;
pub mod data;
pub mod line;
pub mod refusal;
pub mod reply;
