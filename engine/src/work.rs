//! Long work: how far it is, and whether it is still wanted.
//!
//! Laws
//! - Work that is not wanted any more ends with `Error::Interrupted` before its next step, and can be begun again.
//! - Telling is cheap to ask for: the one who listens decides how often it is shown.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    Bytes,
    Messages,
    Transactions,
    Objects,
}

/// How far a piece of work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is being done, in words: "reading segment 7".
    pub doing: String,
    /// Of this part of the work; `total` may be a guess, and 0 says that it is not known.
    pub done: u64,
    pub total: u64,
    pub unit: Unit,
}

/// One who is told of the steps, and says `false` once the work is not wanted any more.
pub struct Work<'a> {
    listener: Option<&'a mut dyn FnMut(&Step) -> bool>,
}

impl<'a> Work<'a> {
    /// Nobody listens, and it is wanted to its end.
    #[must_use]
    pub fn quiet() -> Self {
        Self { listener: None }
    }

    #[must_use]
    pub fn told_to(listener: &'a mut dyn FnMut(&Step) -> bool) -> Self {
        Self { listener: Some(listener) }
    }

    pub fn step(&mut self, doing: &str, done: u64, total: u64, unit: Unit) -> Result<()> {
        let Some(listener) = &mut self.listener else { return Ok(()) };
        match listener(&Step { doing: doing.to_owned(), done, total, unit }) {
            true => Ok(()),
            false => Err(Error::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_is_not_wanted_any_more_ends() {
        let mut heard = Vec::new();
        let mut listener = |step: &Step| {
            heard.push(step.done);
            step.done < 2
        };
        let mut work = Work::told_to(&mut listener);
        let ended = (0..9).try_for_each(|done| work.step("counting", done, 9, Unit::Objects));
        assert!(matches!(ended, Err(Error::Interrupted)));
        assert_eq!(heard, [0, 1, 2]);
        assert!(Work::quiet().step("counting", 9, 9, Unit::Objects).is_ok());
    }
}
