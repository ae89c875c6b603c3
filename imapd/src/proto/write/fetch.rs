//! FETCH responses (RFC 3501 section 7.4.2), item by item.

use super::string::{literal, literal_header};
use crate::proto::ast::{Partial, Section, SectionText};
use crate::proto::{date, object_id, write::astring, write::nstring};
use engine::types::{EmailId, ThreadId, ZonedTime};
use std::io::Write as _;

/// One `* n FETCH (..)` being written: `begin`, items in the order asked for, `end`.
#[derive(Debug)]
pub struct FetchResponse<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> FetchResponse<'a> {
    pub fn begin(out: &'a mut Vec<u8>, seq: u32) -> Self {
        // Writing to a Vec cannot fail, here and below.
        let _ = write!(out, "* {seq} FETCH (");
        Self { out, empty: true }
    }

    pub fn end(self) {
        self.out.extend_from_slice(b")\r\n");
    }

    /// `FLAGS (..)`: the caller adds `\Recent` where it applies.
    pub fn flags(&mut self, flags: &[&str]) {
        self.name("FLAGS (");
        self.out.extend_from_slice(flags.join(" ").as_bytes());
        self.out.push(b')');
    }

    pub fn uid(&mut self, uid: u32) {
        self.number("UID", u64::from(uid));
    }

    pub fn rfc822_size(&mut self, size_bytes: u64) {
        self.number("RFC822.SIZE", size_bytes);
    }

    /// `MODSEQ (n)` (RFC 7162 section 3.1.4).
    pub fn modseq(&mut self, modseq: u64) {
        self.name("MODSEQ (");
        let _ = write!(self.out, "{modseq})");
    }

    /// `PREVIEW nstring` (RFC 8970 section 3.2); `None` where a lazy one is not at hand.
    pub fn preview(&mut self, preview: Option<&str>) {
        self.name("PREVIEW ");
        nstring(self.out, preview.map(str::as_bytes));
    }

    pub fn internal_date(&mut self, time: ZonedTime) {
        self.date("INTERNALDATE", time);
    }

    /// RFC 8514 section 4.2.
    pub fn save_date(&mut self, time: ZonedTime) {
        self.date("SAVEDATE", time);
    }

    fn date(&mut self, name: &str, time: ZonedTime) {
        self.name(name);
        let _ = write!(self.out, " \"{}\"", date::format_date_time(time));
    }

    /// `EMAILID (M1)` (RFC 8474 section 5.1).
    pub fn email_id(&mut self, id: EmailId) {
        self.name("EMAILID (");
        let _ = write!(self.out, "{})", object_id::of_email(id));
    }

    /// `THREADID (T..)` (RFC 8474 section 5.2).
    pub fn thread_id(&mut self, id: ThreadId) {
        self.name("THREADID (");
        let _ = write!(self.out, "{})", object_id::of_thread(id));
    }

    /// RFC822, RFC822.HEADER or RFC822.TEXT, whose bytes are at hand.
    pub fn rfc822(&mut self, item: Rfc822, bytes: &[u8]) {
        self.name(item.name());
        self.out.push(b' ');
        literal(self.out, bytes);
    }

    /// `RFC822.. {n}`: the caller appends exactly that many bytes after it.
    pub fn rfc822_header_of(&mut self, item: Rfc822, size_bytes: u64) {
        self.name(item.name());
        self.out.push(b' ');
        literal_header(self.out, size_bytes);
    }

    /// `BODY[section]<origin> literal`, or NIL when there is no such part. `bytes` is what the
    /// partial selected.
    pub fn section(&mut self, section: &Section, partial: Option<Partial>, bytes: Option<&[u8]>) {
        self.section_name(section, partial);
        match bytes {
            Some(bytes) => literal(self.out, bytes),
            None => self.out.extend_from_slice(b"NIL"),
        }
    }

    /// `BODY[section]<origin> {n}`: the caller appends exactly that many bytes after it, through
    /// `out`, so that a large body need not be in memory.
    pub fn section_header(&mut self, section: &Section, partial: Option<Partial>, size_bytes: u64) {
        self.section_name(section, partial);
        literal_header(self.out, size_bytes);
    }

    /// The buffer, for the bytes of an announced literal.
    pub fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn section_name(&mut self, section: &Section, partial: Option<Partial>) {
        self.name("BODY[");
        write_section(self.out, section);
        self.out.push(b']');
        if let Some(partial) = partial {
            let _ = write!(self.out, "<{}>", partial.first_byte);
        }
        self.out.push(b' ');
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        let _ = write!(self.out, " {number}");
    }

    pub(super) fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.push(b' ');
        }
        self.empty = false;
        self.out.extend_from_slice(name.as_bytes());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rfc822 {
    Whole,
    Header,
    Text,
}

impl Rfc822 {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "RFC822",
            Self::Header => "RFC822.HEADER",
            Self::Text => "RFC822.TEXT",
        }
    }
}

/// The text inside the brackets, as the client sent it but for the case of keywords.
fn write_section(out: &mut Vec<u8>, section: &Section) {
    for (i, number) in section.path.iter().enumerate() {
        let dot = if i == 0 { "" } else { "." };
        let _ = write!(out, "{dot}{number}");
    }
    let (name, fields) = match &section.text {
        SectionText::All => return,
        SectionText::Header => ("HEADER", None),
        SectionText::HeaderFields(fields) => ("HEADER.FIELDS", Some(fields)),
        SectionText::HeaderFieldsNot(fields) => ("HEADER.FIELDS.NOT", Some(fields)),
        SectionText::Text => ("TEXT", None),
        SectionText::Mime => ("MIME", None),
    };
    if !section.path.is_empty() {
        out.push(b'.');
    }
    out.extend_from_slice(name.as_bytes());
    for (i, field) in fields.into_iter().flatten().enumerate() {
        out.extend_from_slice(if i == 0 { b" (" } else { b" " });
        astring(out, field.as_bytes());
    }
    if fields.is_some() {
        out.push(b')');
    }
}
