//! What a store does for its users: the daemons and the tools.
//!
//! Laws
//! - Reads answer from published versions and take no lock that a delivery needs.
//! - Writes return once they are durable. They block: call them from a thread that may.

mod accounts;
mod append;
mod copy;
mod deliver;
mod expunge;
mod fetch;
mod flags;
mod kept;
mod mailboxes;
mod restored;
mod search;
mod stage;
mod stats;
mod store;
mod text;

pub use accounts::{AccountInfo, NewAccount};
pub use append::{AppendItem, Appended, Kept};
pub use copy::Copied;
pub use deliver::{Delivered, Recipient};
pub use expunge::Expunged;
pub use fetch::Email;
pub use flags::{FlagChange, FlagOp, FlagsChanged};
pub use kept::KeptMailbox;
pub use restored::{Later, Unavailable, long_jump};
pub use stats::Stats;
pub use store::{RESTORING, SearchOptions, Store, StoreOptions};
