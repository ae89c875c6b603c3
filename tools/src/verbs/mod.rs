//! One file a verb.

pub mod account;
pub mod backup;
pub mod check;
pub mod compact;
pub mod dump;
pub mod export;
pub mod import;
pub mod mailbox;
pub mod reindex;
pub mod repair;
pub mod restore;
pub mod search;
pub mod serve;
pub mod stats;
