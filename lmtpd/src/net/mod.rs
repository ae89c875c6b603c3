//! Sockets: listeners, connections, their limits and time-outs.
//!
//! Laws
//! - One task a connection; what it holds is bounded by `Limits` and one read buffer.
//! - A connection waits for its peer at most `idle_timeout`, reading or writing.
//! - After shutdown no message is begun; one that is coming in may end within `grace`, and a commit
//!   under way always ends in its replies.

pub mod connection;
pub mod listen;
pub mod server;
