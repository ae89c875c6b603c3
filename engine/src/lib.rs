//! Mailcask's storage engine: one log, everything else is a view.
//!
//! Start with [`Store`]: open one, create an account, append or deliver a message, read it back.
//! `docs/architecture.md` tells the life of a delivery; `docs/format.md` draws every byte.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod accounts;
pub mod attach;
pub mod backup;
pub mod catalog;
pub mod check;
mod codec;
pub mod dump;
pub mod error;
pub mod indexer;
pub mod log;
pub mod mailbox;
pub mod metrics;
pub mod mime;
pub mod ops;
pub mod repair;
pub mod scrub;
pub mod search;
pub mod summary;
pub mod sys;
pub mod text;
mod txn;
pub mod types;
pub mod work;

pub use error::{Error, Result};
pub use ops::{Store, StoreOptions};
pub use txn::Watch;
pub use txn::compact::{CompactOptions, CompactReport};
pub use txn::recover::Recovery;
