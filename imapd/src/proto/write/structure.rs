//! ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 section 7.4.2) from what `engine::mime` found.
//!
//! Laws
//! - NIL stands for what is absent; the empty string for what is there and empty.
//! - BODY is BODYSTRUCTURE without its extension data.

use super::fetch::FetchResponse;
use super::string::{nstring, string};
use engine::mime::structure::{Body, Disposition, Fields, Param, Structure};
use engine::mime::{Address, Envelope};
use std::io::Write as _;

impl FetchResponse<'_> {
    pub fn envelope(&mut self, found: &Envelope) {
        self.name("ENVELOPE ");
        envelope(self.out(), found);
    }

    /// `BODY (..)`, the form that cannot be extended.
    pub fn body(&mut self, structure: &Structure) {
        self.name("BODY ");
        body(self.out(), structure, false);
    }

    pub fn body_structure(&mut self, structure: &Structure) {
        self.name("BODYSTRUCTURE ");
        body(self.out(), structure, true);
    }
}

fn envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref());
    out.push(b' ');
    nstring(out, envelope.subject.as_deref());
    let lists =
        [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc];
    for list in lists {
        out.push(b' ');
        addresses(out, list);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

/// Addresses stand side by side, without spaces.
fn addresses(out: &mut Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        nstring(out, address.name.as_deref());
        for field in [&address.route, &address.mailbox, &address.host] {
            out.push(b' ');
            nstring(out, field.as_deref());
        }
        out.push(b')');
    }
    out.push(b')');
}

/// `body`. Depth is bounded by `mime::part::DEPTH_MAX`.
fn body(out: &mut Vec<u8>, structure: &Structure, extended: bool) {
    out.push(b'(');
    match &structure.body {
        Body::Multipart(children) => {
            for child in children {
                body(out, child, extended);
            }
            out.push(b' ');
            string(out, &structure.subtype);
            if extended {
                out.push(b' ');
                params(out, &structure.params);
            }
        }
        Body::Basic(fields) => body_fields(out, structure, fields),
        Body::Text { fields, lines } => {
            body_fields(out, structure, fields);
            number(out, *lines);
        }
        Body::Message { fields, envelope: inner, structure: embedded, lines } => {
            body_fields(out, structure, fields);
            out.push(b' ');
            envelope(out, inner);
            out.push(b' ');
            body(out, embedded, extended);
            number(out, *lines);
        }
    }
    if extended {
        extension(out, structure);
    }
    out.push(b')');
}

/// `media-type SP body-fields`.
fn body_fields(out: &mut Vec<u8>, structure: &Structure, fields: &Fields) {
    string(out, &structure.media_type);
    out.push(b' ');
    string(out, &structure.subtype);
    out.push(b' ');
    params(out, &structure.params);
    for field in [&fields.id, &fields.description] {
        out.push(b' ');
        nstring(out, field.as_deref());
    }
    out.push(b' ');
    string(out, &fields.encoding);
    number(out, fields.size_bytes);
}

/// `body-ext-1part` and `body-ext-mpart` after what differs in them.
fn extension(out: &mut Vec<u8>, structure: &Structure) {
    if let Body::Basic(fields) | Body::Text { fields, .. } | Body::Message { fields, .. } = &structure.body {
        out.push(b' ');
        nstring(out, fields.md5.as_deref());
    }
    out.push(b' ');
    disposition(out, structure.disposition.as_ref());
    out.push(b' ');
    language(out, &structure.language);
    out.push(b' ');
    nstring(out, structure.location.as_deref());
}

fn disposition(out: &mut Vec<u8>, disposition: Option<&Disposition>) {
    let Some(disposition) = disposition else { return out.extend_from_slice(b"NIL") };
    out.push(b'(');
    string(out, &disposition.kind);
    out.push(b' ');
    params(out, &disposition.params);
    out.push(b')');
}

/// `body-fld-lang`: one language is a string, several are a list.
fn language(out: &mut Vec<u8>, languages: &[Vec<u8>]) {
    match languages {
        [] => out.extend_from_slice(b"NIL"),
        [one] => string(out, one),
        several => {
            for (i, language) in several.iter().enumerate() {
                out.push(if i == 0 { b'(' } else { b' ' });
                string(out, language);
            }
            out.push(b')');
        }
    }
}

/// `body-fld-param`.
fn params(out: &mut Vec<u8>, params: &[Param]) {
    if params.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    for (i, (name, value)) in params.iter().enumerate() {
        out.push(if i == 0 { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, value);
    }
    out.push(b')');
}

fn number(out: &mut Vec<u8>, number: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, " {number}");
}
