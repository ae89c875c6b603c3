//! Mailcask's storage engine: one log, everything else is a view.

pub mod error;
pub mod sys;
pub mod types;

pub use error::{Error, Result};
