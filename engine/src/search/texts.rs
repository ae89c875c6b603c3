//! The texts of one message, each got when first asked for and folded.
//!
//! Laws
//! - No more is decoded than the key asks for: a field of the header costs that field.
//! - What is dear (the whole header, the bodies) is read and folded once, however many keys ask.

use super::leaf::{Leaf, TextTest};
use super::run::Messages;
use crate::error::Result;
use crate::mailbox::Row;
use crate::text::{self, Canon, Field};

pub struct Texts<'a> {
    messages: &'a dyn Messages,
    row: &'a Row,
    was_read: bool,
    header: Option<Vec<u8>>,
    /// Folded.
    header_block: Option<String>,
    /// Folded.
    bodies: Option<Vec<Canon>>,
}

impl<'a> Texts<'a> {
    pub fn new(messages: &'a dyn Messages, row: &'a Row) -> Self {
        Self { messages, row, was_read: false, header: None, header_block: None, bodies: None }
    }

    pub fn was_read(&self) -> bool {
        self.was_read
    }

    pub fn matches(&mut self, leaf: &Leaf) -> Result<bool> {
        if self.matches_exactly(leaf)? {
            return Ok(true);
        }
        let Some(forms) = &leaf.forms else { return Ok(false) };
        let mut counts = Vec::new();
        self.any(&leaf.test, &mut |text| {
            forms.count(text, &mut counts);
            !counts.is_empty() && !counts.contains(&0)
        })
    }

    /// As the key without FUZZY.
    pub fn matches_exactly(&mut self, leaf: &Leaf) -> Result<bool> {
        self.any(&leaf.test, &mut |text| leaf.pattern.matches(text))
    }

    /// True when one of the folded texts that the key looks into passes.
    fn any(&mut self, test: &TextTest, passes: &mut dyn FnMut(&str) -> bool) -> Result<bool> {
        Ok(match test {
            TextTest::Header(name) => {
                let texts = text::canon_fields(self.header()?, name);
                texts.iter().any(|t| passes(&text::fold(t)))
            }
            TextTest::Body => {
                self.bodies()?.iter().filter(|c| c.field == Field::Body).any(|c| passes(&c.text))
            }
            TextTest::Text => passes(self.header_block()?) || self.bodies()?.iter().any(|c| passes(&c.text)),
        })
    }

    fn header(&mut self) -> Result<&[u8]> {
        if self.header.is_none() {
            self.was_read = true;
            self.header = Some(self.messages.header_bytes(self.row)?);
        }
        Ok(self.header.as_deref().unwrap_or_default())
    }

    fn header_block(&mut self) -> Result<&str> {
        if self.header_block.is_none() {
            self.header_block = Some(text::fold(&text::header_block(self.header()?)));
        }
        Ok(self.header_block.as_deref().unwrap_or_default())
    }

    fn bodies(&mut self) -> Result<&[Canon]> {
        if self.bodies.is_none() {
            self.was_read = true;
            let email = self.messages.email_bytes(self.row)?;
            self.bodies = Some(folded(text::canon_bodies(&email)));
        }
        Ok(self.bodies.as_deref().unwrap_or_default())
    }
}

fn folded(mut texts: Vec<Canon>) -> Vec<Canon> {
    for canon in &mut texts {
        canon.text = text::fold(&canon.text);
    }
    texts
}
