//! Sockets: listeners, connections, limits. The only part of the daemon that waits for the network.
//!
//! Laws
//! - A session's work runs on a blocking thread; the network is awaited on none.
//! - What is read ahead and what is not yet written are bounded, for every connection.

mod connection;
mod limits;
mod listener;

pub use listener::{ServeError, Server};
