//! The tree of parts of a message (RFC 2045, RFC 2046), as ranges of its raw bytes.
//!
//! Laws
//! - One pass: each byte of a body is looked at once for delimiters, whatever the depth.
//! - A child lies within its parent's body; `header.end == body.start`; children are in order and
//!   do not overlap.
//! - A multipart has at least one child, so every number BODYSTRUCTURE announces can be fetched.
//!
//! Bad MIME, in the order in which it is met (Dovecot's rules unless it says otherwise)
//! - A body part without an empty line is header up to the next delimiter; its body is empty.
//! - A delimiter is a line that *begins* with `--` and an open boundary (RFC 2046 section 5.1.1).
//!   Of several that fit, the longest; of equal ones the innermost. So a boundary that is a prefix
//!   of another, or the same in parent and child, does what its sender meant.
//! - The line end before a delimiter belongs to the delimiter.
//! - A delimiter of an outer multipart ends the inner ones. Without an end delimiter a multipart
//!   reaches to the end of its parent.
//! - Preamble and epilogue belong to no part. What follows an end delimiter is epilogue, further
//!   delimiters of the same boundary included.
//! - A multipart with no delimiter in it has one child, an empty text/plain at its end.
//! - A multipart without a boundary, or an empty one, is syntactically invalid and therefore
//!   text/plain (RFC 2045 section 5.2), so that it can be read. (Dovecot keeps the name.)
//! - message/rfc822 in base64 or quoted-printable is forbidden (RFC 2046 section 5.2.1) and its
//!   parts would be no ranges of the message: it is a leaf, application/octet-stream. (Dovecot reads the
//!   encoded text as a message.) Search decodes it all the same.
//! - Deeper than [`DEPTH_MAX`], a multipart or message is a leaf, application/octet-stream. After
//!   [`PARTS_MAX`] parts the rest of each open multipart is epilogue.
//! - A multipart's own transfer encoding is ignored (RFC 2045 section 6.4 forbids one).
//! - message/global is a leaf: IMAP4rev1 has no structure for it.

use super::header::{self, empty_line_bytes, line_bytes};
use super::param::{self, ContentType, Param};
use memchr::memmem::Finder;
use std::ops::Range;

/// How deep multiparts and messages nest.
pub const DEPTH_MAX: usize = 100;
/// How many parts a message has.
pub const PARTS_MAX: usize = 10_000;

/// A message or a part of one: ranges of the raw bytes it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The header block with its empty line, where there is one.
    pub header: Range<usize>,
    pub body: Range<usize>,
    /// What the part is taken for, in lower case: `text`, `plain`. Where that is not what its
    /// Content-Type says, the rules above say why.
    pub media_type: String,
    pub subtype: String,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Leaf,
    /// At least one child.
    Multipart(Vec<Part>),
    /// message/rfc822: the message in it.
    Message(Box<Part>),
}

impl Part {
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.media_type == "text"
    }
}

/// The tree of a raw message.
#[must_use]
pub fn parse(raw: &[u8]) -> Part {
    let mut scan = Scan { raw, open: Vec::new(), parts: 0, candidate: Finder::new(b"\n--") };
    scan.entity(0, Default::Text, 0).0
}

/// What a part without a Content-Type is (RFC 2046 section 5.1.5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    Text,
    Message,
}

/// A delimiter line.
#[derive(Clone, Copy)]
struct Delimiter {
    /// Offset of its first dash.
    at: usize,
    /// Offset of the line after it.
    next: usize,
    /// Which of the open boundaries, outermost first.
    level: usize,
    end: bool,
}

/// What the header says the body is.
enum Kind {
    Leaf,
    Multipart { boundary: Vec<u8>, default: Default },
    Message,
}

struct Scan<'a> {
    raw: &'a [u8],
    /// Boundaries of the multiparts around the current offset, outermost first.
    open: Vec<Vec<u8>>,
    parts: usize,
    candidate: Finder<'static>,
}

impl Scan<'_> {
    /// The part that begins at `at`, and the delimiter that ended it.
    fn entity(&mut self, at: usize, default: Default, depth: usize) -> (Part, Option<Delimiter>) {
        self.parts += 1;
        let (header_end, stop) = self.header(at);
        let header = at..header_end;
        let (media_type, subtype, kind) =
            classify(self.raw.get(header.clone()).unwrap_or_default(), default, depth);
        let (content, stop, children_end) = match (kind, stop) {
            (Kind::Multipart { boundary, default }, stop) => {
                self.multipart(header_end, boundary, default, depth, stop)
            }
            (Kind::Message, None) => {
                let (child, stop) = self.entity(header_end, Default::Text, depth + 1);
                let end = child.body.end;
                (Content::Message(Box::new(child)), stop, end)
            }
            (Kind::Message, Some(stop)) => {
                (Content::Message(Box::new(empty_text(header_end))), Some(stop), header_end)
            }
            (Kind::Leaf, Some(stop)) => (Content::Leaf, Some(stop), header_end),
            (Kind::Leaf, None) => (Content::Leaf, self.delimiter(header_end), header_end),
        };
        let end = stop.map_or(self.raw.len(), |s| self.before_line_end(header_end, s.at)).max(children_end);
        (Part { header, body: header_end..end, media_type, subtype, content }, stop)
    }

    /// The children of a multipart, the delimiter (of an outer one) that ended it, and where the
    /// last child ends. `met` is a delimiter met in the header already.
    fn multipart(
        &mut self,
        body_start: usize,
        boundary: Vec<u8>,
        default: Default,
        depth: usize,
        met: Option<Delimiter>,
    ) -> (Content, Option<Delimiter>, usize) {
        let level = self.open.len();
        self.open.push(boundary);
        let mut stop = met.or_else(|| self.delimiter(body_start));
        let mut children: Vec<Part> = Vec::new();
        while let Some(Delimiter { next, end: false, .. }) = stop.filter(|s| s.level == level) {
            if self.parts >= PARTS_MAX {
                break;
            }
            let (child, child_stop) = self.entity(next, default, depth + 1);
            children.push(child);
            stop = child_stop;
        }
        self.open.truncate(level);
        if let Some(own) = stop.filter(|s| s.level == level) {
            stop = self.delimiter(own.next); // past the epilogue
        }
        if children.is_empty() {
            let end = stop.map_or(self.raw.len(), |s| self.before_line_end(body_start, s.at));
            children.push(empty_text(end));
        }
        let end = children.last().map_or(body_start, |c| c.body.end);
        (Content::Multipart(children), stop, end)
    }

    /// The end of the header block at `at`, and the delimiter where that cut it off.
    fn header(&self, at: usize) -> (usize, Option<Delimiter>) {
        let mut line = at;
        while let Some(rest) = self.raw.get(line..).filter(|rest| !rest.is_empty()) {
            if let Some(n) = empty_line_bytes(rest) {
                return (line + n, None);
            }
            if let Some(stop) = self.delimiter_at(line) {
                return (self.before_line_end(at, line), Some(stop));
            }
            line += line_bytes(rest);
        }
        (line, None)
    }

    /// The first delimiter at or after the beginning of a line.
    fn delimiter(&self, from: usize) -> Option<Delimiter> {
        if self.open.is_empty() {
            return None;
        }
        let mut line = from;
        loop {
            if let Some(found) = self.delimiter_at(line) {
                return Some(found);
            }
            line += self.candidate.find(self.raw.get(line..)?)? + 1;
        }
    }

    fn delimiter_at(&self, line: usize) -> Option<Delimiter> {
        if self.open.is_empty() {
            return None;
        }
        let rest = self.raw.get(line..)?;
        let after_dashes = rest.strip_prefix(b"--")?;
        let text_bytes = memchr::memchr(b'\n', after_dashes).unwrap_or(after_dashes.len());
        let text = after_dashes.get(..text_bytes)?;
        let (level, boundary) = self.best_boundary(text)?;
        let end = text.get(boundary.len()..).is_some_and(|tail| tail.starts_with(b"--"));
        Some(Delimiter { at: line, next: line + line_bytes(rest), level, end })
    }

    fn best_boundary(&self, text: &[u8]) -> Option<(usize, &[u8])> {
        let mut best: Option<(usize, &[u8])> = None;
        for (level, boundary) in self.open.iter().enumerate().rev() {
            if best.is_none_or(|(_, b)| boundary.len() > b.len()) && text.starts_with(boundary) {
                best = Some((level, boundary));
            }
        }
        best
    }

    /// `at` less the line end before it, but not before `floor`.
    fn before_line_end(&self, floor: usize, at: usize) -> usize {
        match self.raw.get(floor..at) {
            Some([head @ .., b'\r', b'\n']) => floor + head.len(),
            Some([head @ .., b'\n']) => floor + head.len(),
            _ => at,
        }
    }
}

/// The part that stands where a multipart or message should have one and has none.
fn empty_text(at: usize) -> Part {
    Part {
        header: at..at,
        body: at..at,
        media_type: "text".to_owned(),
        subtype: "plain".to_owned(),
        content: Content::Leaf,
    }
}

/// Type, subtype and kind of a part by its header.
fn classify(header: &[u8], default: Default, depth: usize) -> (String, String, Kind) {
    let named = |t: &str, s: &str, kind| (t.to_owned(), s.to_owned(), kind);
    let opaque = || named("application", "octet-stream", Kind::Leaf);
    let message = || match depth < DEPTH_MAX && !is_encoded(header) {
        true => named("message", "rfc822", Kind::Message),
        false => opaque(),
    };
    let Some(content_type) = header::first(header, "Content-Type").and_then(|f| param::content_type(f.value))
    else {
        return match default {
            Default::Text => named("text", "plain", Kind::Leaf),
            Default::Message => message(),
        };
    };
    let ContentType { media_type, subtype, params } = content_type;
    let lower = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let (media_type, subtype) = (lower(media_type), lower(subtype));
    match (&*media_type, &*subtype) {
        ("message", "rfc822") => message(),
        ("multipart", _) => match boundary(&params) {
            None => named("text", "plain", Kind::Leaf),
            Some(_) if depth >= DEPTH_MAX => opaque(),
            Some(boundary) => {
                let default = if subtype == "digest" { Default::Message } else { Default::Text };
                (media_type, subtype, Kind::Multipart { boundary, default })
            }
        },
        _ => (media_type, subtype, Kind::Leaf),
    }
}

/// RFC 2046 section 5.1.1: a boundary does not end in a blank.
fn boundary(params: &[Param]) -> Option<Vec<u8>> {
    let boundary = param::find(params, "boundary")?.bytes.trim_ascii_end().to_vec();
    (!boundary.is_empty()).then_some(boundary)
}

/// True for the encodings that hide the bytes of a message from its reader.
fn is_encoded(header: &[u8]) -> bool {
    header::first(header, "Content-Transfer-Encoding").and_then(|f| param::first_token(f.value)).is_some_and(
        |encoding| {
            [&b"base64"[..], b"quoted-printable"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
        },
    )
}

#[cfg(test)]
mod tests;
