//! Transactions: one sequencer orders them, one log writer makes them durable and publishes them.
//!
//! Laws
//! - A caller hears of success only after the group that holds its change is synced.
//! - Readers see published versions only; nothing that is not durable is ever published.
//! - Groups are published in the order of their numbers. If one fails, every later staged one fails.

pub mod apply;
pub mod checkpoint;
pub mod compact;
pub mod core;
pub mod deliveries;
pub mod head;
pub mod inbox;
pub mod keeper;
pub mod lost;
pub mod mended;
pub mod numbers;
pub mod op;
pub mod publish;
pub mod recent;
pub mod recover;
pub mod registry;
pub mod replace;
pub mod retire;
pub mod sequencer;
pub mod snapshot;
pub mod writer;

pub use core::Core;
pub use registry::Watch;
