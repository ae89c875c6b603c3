//! The wire language of IMAP, without I/O.
//!
//! Laws
//! - Bytes in, values out; values in, bytes appended: no socket, clock, file or store here.
//! - The stream is cut into lines and literals (`frame`) before anything is understood
//!   (`parse`), so a bad command costs itself only.
//! - Nothing a client sends panics, and nothing it sends makes this module hold more than
//!   `Limits` allows.
//! - Names in `ast` are UTF-8; modified UTF-7 exists on the wire only (`utf7`).

pub mod ast;
pub mod date;
pub mod frame;
pub mod object_id;
pub mod parse;
pub mod receive;
pub mod utf7;
pub mod write;

pub use receive::{AppendMessage, Event, Limits, Receiver};
