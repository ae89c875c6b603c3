//! Backup and restore on a simulated disk: what was acknowledged is in the backup, and comes back as it was.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod copies;
mod equal;
mod faults;
mod load;
mod moments;
mod world;
