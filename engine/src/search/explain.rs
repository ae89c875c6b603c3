//! How a search was answered, step by step.
//!
//! Laws
//! - It is kept for every search: a step costs a few words, never a row.
//! - What a client looked for is mail's content to a log: `Display` writes how long a string is, and
//!   only `said` writes the string.

use serde::{Deserialize, Serialize};
use std::fmt;

/// All steps of one search, in the order in which they were asked; a step's parts follow it, deeper.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Messages in the view.
    pub messages: u64,
    /// Messages that were read.
    pub messages_read: u64,
    /// From the first step to the answer.
    pub micros: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub depth: u32,
    pub label: Label,
    pub how: How,
    /// Messages that were still open when this was asked.
    pub rows_in: u64,
    /// Those of them that match for certain.
    pub rows_out: u64,
    /// Those of them that only reading decides.
    pub open: u64,
    /// What took it; parts of one pass over the columns have no time of their own.
    pub micros: Option<u64>,
}

/// By what a step was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Nothing was left to ask.
    NotAsked,
    /// By the columns of the mailbox.
    Columns,
    /// By its parts.
    Parts,
    /// By the text index; `unindexed` of the open ones it does not know yet.
    Index { unindexed: u64 },
    /// There was no index to ask.
    NoIndex,
    /// By reading messages.
    Read { messages: u64 },
}

/// A key in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub word: String,
    pub argument: Option<String>,
    /// The argument is the client's own words.
    pub is_private: bool,
}

impl Label {
    pub fn plain(word: &str) -> Self {
        Self { word: word.to_owned(), argument: None, is_private: false }
    }

    pub fn with(word: &str, argument: String) -> Self {
        Self { argument: Some(argument), ..Self::plain(word) }
    }

    pub fn private(word: &str, argument: &str) -> Self {
        Self { argument: Some(argument.to_owned()), is_private: true, ..Self::plain(word) }
    }

    /// With its strings: for the one who asked.
    #[must_use]
    pub fn said(&self) -> String {
        match &self.argument {
            Some(argument) if self.is_private => format!("{} {argument:?}", self.word),
            Some(argument) => format!("{} {argument}", self.word),
            None => self.word.clone(),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        match &self.argument {
            Some(argument) if self.is_private => write!(f, " ({} bytes)", argument.len()),
            Some(argument) => write!(f, " {argument}"),
            None => Ok(()),
        }
    }
}

impl Step {
    pub fn new(depth: u32, label: Label, has_text: bool) -> Self {
        let how = if has_text { How::NotAsked } else { How::Columns };
        Self { depth, label, how, rows_in: 0, rows_out: 0, open: 0, micros: None }
    }

    /// What was done, in words.
    #[must_use]
    pub fn how_said(&self) -> String {
        match self.how {
            How::NotAsked => "not asked".to_owned(),
            _ if self.rows_in == 0 => "not asked".to_owned(),
            How::Columns => "columns".to_owned(),
            How::Parts => "parts".to_owned(),
            How::Index { .. } if self.open == 0 => "index".to_owned(),
            How::Index { unindexed: 0 } => format!("index, {} to verify", self.open),
            How::Index { unindexed } => {
                format!(
                    "index, {} to verify, {unindexed} not indexed yet",
                    self.open.saturating_sub(unindexed)
                )
            }
            How::NoIndex => format!("no index, {} to read", self.open),
            How::Read { messages } => format!("{messages} messages read"),
        }
    }
}

/// One line, for a log.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let part = if i == 0 { "" } else { "; " };
            let deeper = ">".repeat(step.depth.min(8) as usize);
            write!(f, "{part}{deeper}{}: {}, ", step.label, step.how_said())?;
            write!(f, "{} -> {}", step.rows_in, step.rows_out)?;
            if let Some(micros) = step.micros {
                write!(f, ", {micros} us")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_no_string_of_the_client() {
        let label = Label::private("HEADER", "x-secret: word");
        assert_eq!(label.to_string(), "HEADER (14 bytes)");
        assert_eq!(label.said(), "HEADER \"x-secret: word\"");
        let mut step = Step::new(1, label, true);
        (step.how, step.rows_in, step.open) = (How::Index { unindexed: 2 }, 9, 5);
        let plan = Plan { steps: vec![step], ..Plan::default() };
        assert_eq!(plan.to_string(), ">HEADER (14 bytes): index, 3 to verify, 2 not indexed yet, 9 -> 0");
    }
}
