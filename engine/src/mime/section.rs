//! BODY[section] (RFC 3501 section 6.4.5): which bytes of a message a section is.
//!
//! Laws
//! - A section is ranges of the raw message, in order; a message is never altered. Only HEADER.FIELDS
//!   can be more than one range.
//! - Every message has part 1: its body, when it is no multipart (`BODY[1]` = `BODY[TEXT]`).
//! - HEADER, HEADER.FIELDS and TEXT with a path ask for the message in a message/rfc822 part; MIME
//!   asks for the header of the part itself (of a message that is no multipart, `1.MIME` is the
//!   header of the message, as in Dovecot).
//! - None: the message has no such part; IMAP answers NIL. An empty part answers no bytes.
//! - The empty line after a header block belongs to it, and to every subset of it; where the
//!   message has none, none is made up.

use super::header;
use super::part::{Content, Part};
use std::borrow::Cow;
use std::ops::Range;

/// What stands between the brackets of BODY[section].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SectionSpec {
    /// The part numbers, outermost first; empty for the whole message.
    pub path: Vec<u32>,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// `BODY[]`, `BODY[1.2]`
    All,
    Header,
    HeaderFields(Vec<String>),
    HeaderFieldsNot(Vec<String>),
    Text,
    /// Only with a path.
    Mime,
}

impl SectionSpec {
    /// True when the header block of the message answers the section ([`resolve_in_header`]): then
    /// no body need be read.
    #[must_use]
    pub fn is_of_header_only(&self) -> bool {
        self.path.is_empty()
            && matches!(self.what, What::Header | What::HeaderFields(_) | What::HeaderFieldsNot(_))
    }
}

/// The bytes of a section.
#[must_use]
pub fn resolve<'a>(root: &Part, raw: &'a [u8], spec: &SectionSpec) -> Option<Cow<'a, [u8]>> {
    locate(root, raw, spec).map(|ranges| gather(raw, &ranges))
}

/// The bytes of a section that [`SectionSpec::is_of_header_only`], from the header block alone.
#[must_use]
pub fn resolve_in_header<'a>(header: &'a [u8], spec: &SectionSpec) -> Option<Cow<'a, [u8]>> {
    if !spec.is_of_header_only() {
        return None;
    }
    let block = 0..header::block_bytes(header);
    Some(gather(header, &header_ranges(header, block, &spec.what)))
}

/// The ranges of `raw` that make up a section.
#[must_use]
pub fn locate(root: &Part, raw: &[u8], spec: &SectionSpec) -> Option<Vec<Range<usize>>> {
    let one = |range: &Range<usize>| Some(vec![range.clone()]);
    match (&spec.what, find(root, &spec.path)?) {
        (What::All, Place::Root) => one(&(0..raw.len())),
        (What::All, Place::Body(part)) => one(&part.body),
        (What::Mime, Place::Root) => None,
        (What::Mime, Place::Body(part)) => one(&part.header),
        (what, place) => {
            let message = match place {
                Place::Root => root,
                Place::Body(Part { content: Content::Message(message), .. }) => message,
                Place::Body(_) => return None,
            };
            match what {
                What::Text => one(&message.body),
                what => Some(header_ranges(raw, message.header.clone(), what)),
            }
        }
    }
}

/// What a path leads to.
enum Place<'a> {
    /// The message as a whole: the path was empty.
    Root,
    /// The body of this part; of a message that is no multipart, its part 1.
    Body(&'a Part),
}

fn find<'a>(root: &'a Part, path: &[u32]) -> Option<Place<'a>> {
    let Some((&number, rest)) = path.split_first() else { return Some(Place::Root) };
    let mut part = in_message(root, number)?;
    for &number in rest {
        part = match &part.content {
            Content::Multipart(children) => child(children, number)?,
            Content::Message(message) => in_message(message, number)?,
            Content::Leaf => return None,
        };
    }
    Some(Place::Body(part))
}

/// Part `number` of a message.
fn in_message(message: &Part, number: u32) -> Option<&Part> {
    match &message.content {
        Content::Multipart(children) => child(children, number),
        Content::Leaf | Content::Message(_) => (number == 1).then_some(message),
    }
}

fn child(children: &[Part], number: u32) -> Option<&Part> {
    children.get(usize::try_from(number.checked_sub(1)?).ok()?)
}

/// A header block or the subset of its fields that `what` asks for.
fn header_ranges(raw: &[u8], block: Range<usize>, what: &What) -> Vec<Range<usize>> {
    let (names, wanted) = match what {
        What::HeaderFields(names) => (names, true),
        What::HeaderFieldsNot(names) => (names, false),
        _ => return vec![block],
    };
    let bytes = raw.get(block.clone()).unwrap_or_default();
    let mut out: Vec<Range<usize>> = Vec::new();
    let mut end = block.start;
    for field in header::fields(bytes) {
        let range = block.start + field.range.start..block.start + field.range.end;
        end = range.end;
        if names.iter().any(|name| field.is(name)) == wanted {
            push(&mut out, range);
        }
    }
    push(&mut out, end..block.end);
    out
}

/// Appends a range, joining it to the one before when they touch.
fn push(ranges: &mut Vec<Range<usize>>, range: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ if range.is_empty() => {}
        _ => ranges.push(range),
    }
}

fn gather<'a>(raw: &'a [u8], ranges: &[Range<usize>]) -> Cow<'a, [u8]> {
    match ranges {
        [] => Cow::Borrowed(&[]),
        [one] => Cow::Borrowed(raw.get(one.clone()).unwrap_or_default()),
        many => Cow::Owned(many.iter().filter_map(|r| raw.get(r.clone())).flatten().copied().collect()),
    }
}

#[cfg(test)]
mod tests;
