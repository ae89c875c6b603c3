//! Backup and restore on a simulated disk: what was acknowledged is in the backup, and comes back as it was.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code, reason = "the threads of the torture use more of it")]
#[path = "../torture/rows.rs"]
mod rows;

mod copies;
mod equal;
mod faults;
mod load;
mod lost;
mod moments;
mod world;
