//! The torture of the store: seeded lives on a simulated disk, against a plain model of what it has to
//! say. Used by the tests and by the example `torture`.
#![allow(dead_code, clippy::unwrap_used)]

pub mod each;
pub mod history;
pub mod lies;
pub mod life;
pub mod many;
pub mod planted;
pub mod rows;
pub mod step;
pub mod world;
