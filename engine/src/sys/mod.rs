//! The outside world behind small traits: disk, clock.

pub mod clock;
pub mod disk;
pub mod overlay;
pub mod patient;
pub mod real;
pub mod sim;
pub mod thread;
