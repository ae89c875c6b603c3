//! The texts of one message, each got when first asked for and folded.
//!
//! Laws
//! - No more is decoded than the key asks for: a field of the header costs that field.
//! - What is dear (the whole header, the bodies) is read and folded once, however many keys ask.

use super::plan::TextTest;
use super::run::Messages;
use crate::error::Result;
use crate::mailbox::Row;
use crate::text::{self, Canon, Field};

pub struct Texts<'a> {
    messages: &'a dyn Messages,
    row: &'a Row,
    header: Option<Vec<u8>>,
    /// Folded.
    header_block: Option<String>,
    /// Folded.
    bodies: Option<Vec<Canon>>,
}

impl<'a> Texts<'a> {
    pub fn new(messages: &'a dyn Messages, row: &'a Row) -> Self {
        Self { messages, row, header: None, header_block: None, bodies: None }
    }

    pub fn matches(&mut self, test: &TextTest) -> Result<bool> {
        match test {
            TextTest::Header { name, pattern } => {
                let texts = text::canon_fields(self.header()?, name);
                Ok(texts.iter().any(|t| pattern.matches(&text::fold(t))))
            }
            TextTest::Body(pattern) => {
                Ok(self.bodies()?.iter().any(|c| c.field == Field::Body && pattern.matches(&c.text)))
            }
            TextTest::Text(pattern) => Ok(pattern.matches(self.header_block()?)
                || self.bodies()?.iter().any(|c| pattern.matches(&c.text))),
        }
    }

    fn header(&mut self) -> Result<&[u8]> {
        if self.header.is_none() {
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
