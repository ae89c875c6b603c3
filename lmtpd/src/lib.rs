//! Mailcask's LMTP daemon (RFC 2033): mail in.
//!
//! Laws
//! - 250 for a recipient only when that delivery is durable.
//! - Floors: `net` over `session` over `proto`; `deliver` stands beside `session` and knows `proto`
//!   only. The engine is named in `deliver/` alone, but for its counter of connections.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod deliver;
pub mod net;
pub mod proto;
pub mod session;

pub use net::listen::{DEFAULT_ADDRESS, Listen, ListenError};
pub use net::server::{Server, ServerOptions, hostname};
