//! A text key, and what is known of it so far.

use super::bits::Rows;
use super::explain::Label;
use crate::text::index::{Group, Query, Scope};
use crate::text::{Pattern, fold};
use crate::types::EmailId;
use std::collections::HashMap;

/// In which text a string is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextTest {
    /// One field of the header, its name in lower case.
    Header(String),
    Body,
    Text,
}

pub struct Leaf {
    pub test: TextTest,
    pub string: String,
    pub pattern: Pattern,
    /// FUZZY: messages with these words in any form match too.
    pub forms: Option<Query>,
    /// What the index said, once it was asked.
    pub known: Option<Known>,
}

/// What an index said of the rows it was asked for; of no others.
pub struct Known {
    /// They match.
    pub sure: Rows,
    /// Reading decides.
    pub open: Rows,
    /// FUZZY: those of `sure` that have forms of all words; the string itself is not proved.
    pub by_words: Rows,
    /// Those of them that may have the string.
    pub unproved: Rows,
    /// The weight of what `ranked` found.
    pub weights: HashMap<EmailId, f32>,
}

impl Leaf {
    pub fn new(test: TextTest, string: &str, fuzzy: bool) -> Self {
        // Whether a field is there is no question of words.
        let forms = (fuzzy && !string.is_empty()).then(|| Query::new(&[fold(string)]));
        Self { test, string: string.to_owned(), pattern: Pattern::new(string), forms, known: None }
    }

    pub fn cost(&self) -> u8 {
        match &self.test {
            TextTest::Header(name) if Group::of_header(name).is_some() && !self.string.is_empty() => 4,
            TextTest::Header(_) => 5,
            TextTest::Body => 6,
            TextTest::Text => 7,
        }
    }

    /// What the index is asked. A field that has to be there is a `Name:` in the header.
    pub fn question(&self) -> (Scope, String) {
        match &self.test {
            TextTest::Header(name) if self.string.is_empty() => (Scope::AnyHeader, format!("{name}:")),
            TextTest::Header(name) => {
                (Group::of_header(name).map_or(Scope::AnyHeader, Scope::Field), self.string.clone())
            }
            TextTest::Body => (Scope::Body, self.string.clone()),
            TextTest::Text => (Scope::Text, self.string.clone()),
        }
    }

    pub fn label(&self) -> Label {
        let fuzzy = if self.forms.is_some() { "FUZZY " } else { "" };
        match &self.test {
            TextTest::Header(name) if Group::of_header(name).is_some() => {
                Label::private(&format!("{fuzzy}{}", name.to_ascii_uppercase()), &self.string)
            }
            TextTest::Header(name) => {
                Label::private(&format!("{fuzzy}HEADER"), &format!("{name}: {}", self.string))
            }
            TextTest::Body => Label::private(&format!("{fuzzy}BODY"), &self.string),
            TextTest::Text => Label::private(&format!("{fuzzy}TEXT"), &self.string),
        }
    }
}
