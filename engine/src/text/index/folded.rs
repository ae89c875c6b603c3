//! The folded texts of one message, as the index takes them: what `canon` gives, by [`Group`].
//!
//! Laws
//! - The texts of a group are parted by `SEAM`, which no match crosses: a pattern that holds it is
//!   never asked of an index.
//! - TEXT is the groups Body and Header together; every HEADER key asks a part of what Header has.

use crate::text::{self, Field};
use crate::types::EmailId;

/// Between two texts of one group.
pub const SEAM: char = '\0';

/// The groups of texts, each with a vocabulary of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    Body,
    /// The whole header of the message, and the headers of parts with their file names.
    Header,
    Subject,
    From,
    To,
    Cc,
    Bcc,
}

impl Group {
    pub const ALL: [Self; 7] =
        [Self::Body, Self::Header, Self::Subject, Self::From, Self::To, Self::Cc, Self::Bcc];

    /// The group that answers for one field of the header alone. `name` in lower case.
    #[must_use]
    pub fn of_header(name: &str) -> Option<Self> {
        Some(match name {
            "subject" => Self::Subject,
            "from" => Self::From,
            "to" => Self::To,
            "cc" => Self::Cc,
            "bcc" => Self::Bcc,
            _ => return None,
        })
    }

    fn of(field: &Field) -> Option<Self> {
        match field {
            Field::Body => Some(Self::Body),
            Field::HeaderBlock | Field::PartHeader => Some(Self::Header),
            Field::Header(name) => Self::of_header(name),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    pub email: EmailId,
    /// By group, in the order of `Group::ALL`.
    pub texts: [String; Group::ALL.len()],
}

impl Folded {
    /// Of a message: prefix and stored message together.
    #[must_use]
    pub fn of(email: EmailId, raw: &[u8]) -> Self {
        let mut texts = <[String; Group::ALL.len()]>::default();
        for canon in text::canon(raw) {
            let Some(out) = Group::of(&canon.field).and_then(|group| texts.get_mut(group as usize)) else {
                continue;
            };
            if !out.is_empty() {
                out.push(SEAM);
            }
            text::fold::fold_into(&canon.text, out);
        }
        Self { email, texts }
    }

    #[must_use]
    pub fn text(&self, group: Group) -> &str {
        self.texts.get(group as usize).map_or("", String::as_str)
    }

    /// What the index's size is measured against: the decoded text, each part once.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        (self.text(Group::Body).len() + self.text(Group::Header).len()) as u64
    }
}
