//! Mailcask's storage engine: one log, everything else is a view.
//!
//! Start with [`Store`]: open one, create an account, append or deliver a message, read it back.
//! `docs/architecture.md` tells the life of a delivery; `docs/format.md` draws every byte.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod catalog;
mod codec;
pub mod error;
pub mod log;
pub mod mailbox;
pub mod metrics;
pub mod mime;
pub mod sys;
pub mod text;
pub mod types;

pub use error::{Error, Result};
