//! Staying out of the way.

use super::queue::Queue;
use crate::error::{Error, Result};
use crate::txn::Core;
use std::thread;
use std::time::Duration;

/// With that many requests at the sequencer's door, whoever can wait does.
const CROWD: usize = 8;
const PAUSE: Duration = Duration::from_millis(2);
/// A crowd that does not end is not waited for for ever.
const PAUSES: u32 = 10;

pub struct Polite<'a> {
    core: &'a Core,
    queue: &'a Queue,
}

impl<'a> Polite<'a> {
    pub fn new(core: &'a Core, queue: &'a Queue) -> Self {
        Self { core, queue }
    }

    /// Lets others go first for a moment; `Closed` when the store closes.
    pub fn go_on(&self) -> Result<()> {
        for _ in 0..PAUSES {
            if self.queue.is_stopping() {
                return Err(Error::Closed);
            }
            if self.core.inbox.waiting() < CROWD {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
