//! Accounts: who has mailboxes here, what they may use, how they prove who they are.

pub mod account;
pub mod object;
pub mod password;
pub mod route;

pub use account::{Account, NameValidity};
