//! engine.sock: deliver to a store and administer it, from its own process or from another.
//!
//! Laws
//! - A store has one owner at a time (the flock on STORE/LOCK); everybody else asks it.
//! - Whoever owns a store serves STORE/engine.sock, so nobody is turned away because a tool works.
//! - A tool that owns the store gives it up when a server asks, between two transactions, and goes on
//!   as that server's client.
//! - This floor uses `ops/`, `search/`, `check/` and `repair/`; none of them uses it.

mod admin;
mod client;
mod converse;
mod failure;
mod frame;
mod local;
mod open;
mod peer;
mod serve;
mod wire;

pub use admin::{
    APPEND_BYTES_MAX, APPEND_MESSAGES_MAX, AccountAgain, Admin, Body, Delivery, Destination, Held,
    MailboxInfo, NewMessage, RowInfo,
};
pub use client::Remote;
pub use local::Local;
pub use open::{open_admin, own_as_server};
pub use serve::{Guard, serve};
pub use wire::Role;

use std::path::{Path, PathBuf};

/// Where the owner of the store in `dir` listens.
#[must_use]
pub fn socket_path(dir: &Path) -> PathBuf {
    dir.join("engine.sock")
}
