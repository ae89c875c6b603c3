//! The torture of the store: seeded lives on a simulated disk, against a plain model of what it has to
//! say. Used by the tests and by the example `torture`.
#![allow(dead_code, clippy::unwrap_used)]

#[path = "../common/ask.rs"]
pub mod ask;
pub mod each;
pub mod history;
pub mod ledger;
pub mod lies;
pub mod life;
pub mod many;
pub mod planted;
pub mod rows;
pub mod shared;
pub mod step;
pub mod threads;
pub mod world;
