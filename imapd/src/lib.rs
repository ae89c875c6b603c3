//! Mailcask's IMAP server (RFC 3501) over an [`engine::Store`].
//!
//! `net` (sockets) is above `session` (the protocol's states, no I/O), which is above `proto` (the
//! wire language). Start with [`Server::bind`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
mod net;
pub mod proto;
pub mod session;

pub use config::{Config, Listen, Preauth};
pub use net::{ServeError, Server};
