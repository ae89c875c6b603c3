//! BODYSTRUCTURE (RFC 3501 section 7.4.2), as data; `imapd` writes it.
//!
//! Laws
//! - It says of the tree what BODY[section] answers: sizes are those of the raw ranges.
//! - Lines are the LFs in the raw range: text that does not end its last line has one fewer than a
//!   reader sees.
//! - Strings are as they came. Only where a part has no (valid) Content-Type is
//!   `text/plain; charset=us-ascii` said for it (RFC 2045 section 5.2), and `7bit` where it has no
//!   Content-Transfer-Encoding (section 6.1).

use super::envelope::{self, Envelope};
use super::header::{self, unfold};
use super::param;
use super::part::{Content, Part};
use std::ops::Range;

pub use super::param::Param;

/// One part. BODY is the same without the extension data: md5, disposition, language, location,
/// and of a multipart params too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// As it came (not lower-cased): `Text`, `X-Own`.
    pub media_type: Vec<u8>,
    pub subtype: Vec<u8>,
    pub params: Vec<Param>,
    pub disposition: Option<Disposition>,
    /// Content-Language; empty for NIL.
    pub language: Vec<Vec<u8>>,
    pub location: Option<Vec<u8>>,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// At least one child.
    Multipart(Vec<Structure>),
    Basic(Fields),
    Text {
        fields: Fields,
        lines: u64,
    },
    /// message/rfc822
    Message {
        fields: Fields,
        envelope: Box<Envelope>,
        structure: Box<Structure>,
        lines: u64,
    },
}

/// What every part but a multipart has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    pub id: Option<Vec<u8>>,
    pub description: Option<Vec<u8>>,
    pub encoding: Vec<u8>,
    pub size_bytes: u64,
    pub md5: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    pub kind: Vec<u8>,
    pub params: Vec<Param>,
}

/// The structure of a parsed message.
#[must_use]
pub fn of(root: &Part, raw: &[u8]) -> Structure {
    describe(root, raw, &LineIndex::new(raw))
}

fn describe(part: &Part, raw: &[u8], lines: &LineIndex) -> Structure {
    let header = raw.get(part.header.clone()).unwrap_or_default();
    let value = |name| header::first(header, name).map(|f| f.value);
    let string = |name| value(name).map(|v| unfold(v).into_owned()).filter(|v| !v.is_empty());
    let (media_type, subtype, params) = content_type(part, value("Content-Type"));
    let fields = || Fields {
        id: string("Content-ID"),
        description: string("Content-Description"),
        encoding: value("Content-Transfer-Encoding")
            .and_then(param::first_token)
            .unwrap_or_else(|| b"7bit".to_vec()),
        size_bytes: part.body.len() as u64,
        md5: string("Content-MD5"),
    };
    let body = match &part.content {
        Content::Multipart(children) => {
            Body::Multipart(children.iter().map(|c| describe(c, raw, lines)).collect())
        }
        Content::Message(message) => Body::Message {
            fields: fields(),
            envelope: Box::new(envelope::parse(raw.get(message.header.clone()).unwrap_or_default())),
            structure: Box::new(describe(message, raw, lines)),
            lines: lines.count(raw, &part.body),
        },
        Content::Leaf if part.is_text() => {
            Body::Text { fields: fields(), lines: lines.count(raw, &part.body) }
        }
        Content::Leaf => Body::Basic(fields()),
    };
    Structure {
        media_type,
        subtype,
        params,
        disposition: value("Content-Disposition")
            .and_then(param::disposition)
            .map(|(kind, params)| Disposition { kind, params }),
        language: value("Content-Language").map(param::token_list).unwrap_or_default(),
        location: string("Content-Location"),
        body,
    }
}

/// Type, subtype and parameters: as they came where the part is taken for what it says.
fn content_type(part: &Part, value: Option<&[u8]>) -> (Vec<u8>, Vec<u8>, Vec<Param>) {
    let taken_for = || (part.media_type.clone().into_bytes(), part.subtype.clone().into_bytes());
    match value.and_then(param::content_type) {
        Some(own) if own.is(&part.media_type, &part.subtype) => (own.media_type, own.subtype, own.params),
        // What is hidden from IMAP keeps its name and other parameters.
        Some(own) if !part.is_text() => {
            let (media_type, subtype) = taken_for();
            (media_type, subtype, own.params)
        }
        _ => {
            let (media_type, subtype) = taken_for();
            let params = match part.is_text() {
                true => vec![(b"charset".to_vec(), b"us-ascii".to_vec())],
                false => Vec::new(),
            };
            (media_type, subtype, params)
        }
    }
}

/// LFs before every block of the message, so that nested parts do not count the same lines again
/// at every depth.
struct LineIndex {
    before: Vec<u64>,
}

const LINE_BLOCK_BYTES: usize = 16 * 1024;

impl LineIndex {
    fn new(raw: &[u8]) -> Self {
        let mut total = 0;
        let mut before = vec![0];
        for block in raw.chunks(LINE_BLOCK_BYTES) {
            total += count_lf(block);
            before.push(total);
        }
        Self { before }
    }

    fn count(&self, raw: &[u8], range: &Range<usize>) -> u64 {
        self.up_to(raw, range.end).saturating_sub(self.up_to(raw, range.start))
    }

    fn up_to(&self, raw: &[u8], at: usize) -> u64 {
        let block = at / LINE_BLOCK_BYTES;
        let rest = raw.get(block * LINE_BLOCK_BYTES..at).unwrap_or_default();
        self.before.get(block).copied().unwrap_or(0) + count_lf(rest)
    }
}

fn count_lf(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
