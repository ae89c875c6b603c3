//! `canon`: the texts of one message. What is in and what is out stands at the top of [`super`].
//!
//! Laws
//! - TEXT asks the header block, bodies and part headers; BODY the bodies; HEADER one field.
//! - Each text stands alone: nothing matches across two of them.

use super::{charset, encoding, flowed, html, words};
use crate::mime::address::{self, Address};
use crate::mime::header::{self, unfold};
use crate::mime::param::{self, ContentType, Param};
use crate::mime::part::{self, Content, Part};

/// How deep messages within encoded messages are read. (Each is at most three quarters of the one
/// around it, so this bounds nothing that occurs.)
const ENCODED_DEPTH_MAX: usize = 8;

/// Where a text of a message comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// The header of the message, `Name: value` a line, each text of a field a part of it.
    HeaderBlock,
    /// One field of the header of the message; its name in lower case.
    Header(String),
    /// A text part, or the header of a message in the message.
    Body,
    /// The header of a part, and file names.
    PartHeader,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canon {
    pub field: Field,
    pub text: String,
}

/// All texts of a message (prefix and stored message together).
#[must_use]
pub fn canon(raw: &[u8]) -> Vec<Canon> {
    let mut out = canon_header(raw);
    out.extend(canon_bodies(raw));
    out
}

/// All of them but those of its header.
#[must_use]
pub fn canon_bodies(raw: &[u8]) -> Vec<Canon> {
    let root = part::parse(raw);
    let mut out = Vec::new();
    let mut reader = Reader { raw, out: &mut out, encoded_depth: 0 };
    reader.file_names(&root);
    reader.body(&root);
    out
}

/// The texts of a header block: all that HEADER and its like need.
#[must_use]
pub fn canon_header(header: &[u8]) -> Vec<Canon> {
    let mut block = String::with_capacity(header.len());
    let mut out = vec![Canon { field: Field::HeaderBlock, text: String::new() }];
    for field in header::fields(header) {
        let (name, text) = field_text(&field);
        push_line(&mut block, &name, &text);
        if !name.is_empty() {
            out.push(Canon { field: Field::Header(name.to_ascii_lowercase()), text });
        }
    }
    if let Some(first) = out.first_mut() {
        first.text = block;
    }
    out
}

/// The texts of the fields of one name (in lower case): as `canon_header` has them, without reading the
/// other fields.
#[must_use]
pub fn canon_fields(header: &[u8], name: &str) -> Vec<String> {
    header::fields(header)
        .filter(|field| !field.name.is_empty())
        .filter(|field| String::from_utf8_lossy(field.name).eq_ignore_ascii_case(name))
        .map(|field| field_text(&field).1)
        .collect()
}

/// The name as it stands, and the text: its plain addresses are a part of it.
fn field_text(field: &header::Field<'_>) -> (String, String) {
    let name = String::from_utf8_lossy(field.name).into_owned();
    let mut text = words::decode(&unfold(field.value));
    add_addresses(&name.to_ascii_lowercase(), field.value, &mut text);
    (name, text)
}

fn push_line(block: &mut String, name: &str, text: &str) {
    if !name.is_empty() {
        block.push_str(name);
        block.push_str(": ");
    }
    block.push_str(text);
    block.push_str("\r\n");
}

fn is_address_field(name: &str) -> bool {
    matches!(
        name.strip_prefix("resent-").unwrap_or(name),
        "from" | "to" | "cc" | "bcc" | "sender" | "reply-to"
    )
}

/// RFC 3501 section 6.4.4 has FROM and its like look into the envelope: so `a@b` is found where the
/// field has `a (comment)@b`, a line each after the text of the field.
fn add_addresses(name: &str, value: &[u8], text: &mut String) {
    if !is_address_field(name) {
        return;
    }
    let mut rest = value;
    let mut misses = 0;
    for Address { mailbox, host, .. } in address::parse(value) {
        let (Some(mailbox), Some(host)) = (mailbox, host) else { continue };
        if host.starts_with(b"MISSING_") {
            continue;
        }
        let plain = [&*mailbox, b"@", &*host].concat();
        // They come in the order of the field. Each miss looks at all of the rest, so after some
        // every address is said again: the time stays linear.
        let found = if misses < MISSES_MAX { memchr::memmem::find(rest, &plain) } else { None };
        if let Some(at) = found {
            rest = rest.get(at + plain.len()..).unwrap_or_default();
        } else {
            misses += 1;
            text.push_str("\r\n");
            text.push_str(&charset::decode(None, &plain));
        }
    }
}

/// How many addresses of a field are looked for in vain.
const MISSES_MAX: usize = 16;

struct Reader<'a, 'o> {
    raw: &'a [u8],
    out: &'o mut Vec<Canon>,
    encoded_depth: usize,
}

impl Reader<'_, '_> {
    fn push(&mut self, field: Field, text: String) {
        if !text.is_empty() {
            self.out.push(Canon { field, text });
        }
    }

    fn header(&self, part: &Part) -> &[u8] {
        self.raw.get(part.header.clone()).unwrap_or_default()
    }

    /// The texts of what a part holds.
    fn body(&mut self, part: &Part) {
        match &part.content {
            Content::Multipart(children) => {
                for child in children {
                    if child.body.is_empty() && child.header.is_empty() && child.body.end == part.body.end {
                        // The child that stands for none: all there is to read is the body itself.
                        let text = charset::decode(None, self.raw.get(part.body.clone()).unwrap_or_default());
                        self.push(Field::Body, text.into_owned());
                        continue;
                    }
                    self.part_header(child);
                    self.file_names(child);
                    self.body(child);
                }
            }
            Content::Message(message) => {
                self.message_header(message);
                self.file_names(message);
                self.body(message);
            }
            Content::Leaf => self.leaf(part),
        }
    }

    fn part_header(&mut self, part: &Part) {
        let text = header_block(self.header(part));
        self.push(Field::PartHeader, text);
    }

    fn message_header(&mut self, message: &Part) {
        let text = header_block(self.header(message));
        self.push(Field::Body, text);
    }

    /// File names that only decoding shows (RFC 2231).
    fn file_names(&mut self, part: &Part) {
        let header = self.header(part);
        let of_type = header::first(header, "Content-Type")
            .and_then(|f| param::content_type(f.value))
            .and_then(|t| file_name(&t.params, "name"));
        let of_disposition = header::first(header, "Content-Disposition")
            .and_then(|f| param::disposition(f.value))
            .and_then(|(_, params)| file_name(&params, "filename"));
        let names: Vec<String> = [of_type, of_disposition].into_iter().flatten().collect();
        self.push(Field::PartHeader, names.join("\r\n"));
    }

    fn leaf(&mut self, part: &Part) {
        let header = self.header(part);
        let own = header::first(header, "Content-Type").and_then(|f| param::content_type(f.value));
        let transfer = header::first(header, "Content-Transfer-Encoding")
            .and_then(|f| param::first_token(f.value))
            .unwrap_or_default();
        let body = self.raw.get(part.body.clone()).unwrap_or_default();
        let said = own.as_ref().map_or("text".to_owned(), |t| lower(&t.media_type));
        if said == "message"
            && own.as_ref().is_some_and(|t| t.is("message", "rfc822") || t.is("message", "global"))
        {
            self.hidden_message(&encoding::decode(&transfer, body));
        } else if part.is_text() || matches!(&*said, "message" | "multipart") {
            let text = text_of(part, own.as_ref(), &encoding::decode(&transfer, body));
            self.push(Field::Body, text);
        }
    }

    /// A message that IMAP's part numbers do not reach: encoded, or too deep.
    fn hidden_message(&mut self, raw: &[u8]) {
        if self.encoded_depth >= ENCODED_DEPTH_MAX {
            let text = charset::decode(None, raw).into_owned();
            return self.push(Field::Body, text);
        }
        let root = part::parse(raw);
        let mut inner = Reader { raw, out: self.out, encoded_depth: self.encoded_depth + 1 };
        inner.message_header(&root);
        inner.file_names(&root);
        inner.body(&root);
    }
}

/// The text of a text part whose transfer encoding is off.
pub(super) fn text_of(part: &Part, content_type: Option<&ContentType>, bytes: &[u8]) -> String {
    let value = |name| content_type.and_then(|t| param::find(&t.params, name)).map(|p| p.bytes);
    let text = charset::decode(value("charset").as_deref(), bytes);
    let says = |name, wanted: &str| value(name).is_some_and(|v| v.eq_ignore_ascii_case(wanted.as_bytes()));
    match &*part.subtype {
        "html" | "xhtml" => html::to_text(&text),
        "plain" if says("format", "flowed") => flowed::join(&text, says("delsp", "yes")),
        _ => text.into_owned(),
    }
}

/// A header, `Name: value` a line, plain addresses in lines of their own: what TEXT asks of it. Every
/// text of a field is a part of it, so what HEADER finds, TEXT finds.
#[must_use]
pub fn header_block(header: &[u8]) -> String {
    let mut block = String::new();
    for field in header::fields(header) {
        let (name, text) = field_text(&field);
        push_line(&mut block, &name, &text);
    }
    block
}

/// The name, where it is not readable in the header as it stands.
fn file_name(params: &[Param], name: &str) -> Option<String> {
    let plain = params.iter().any(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
    let joined = param::find(params, name)?;
    if joined.charset.is_none() && plain {
        return None;
    }
    Some(charset::decode(joined.charset.as_deref(), &joined.bytes).into_owned())
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
