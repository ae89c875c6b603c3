//! Untagged data about the server, mailboxes and numbers (RFC 3501 sections 7.2 to 7.4).

use super::string::{mailbox, nstring, string};
use crate::proto::ast::StatusItem;
use crate::proto::object_id;
use engine::mailbox::SpecialUse;
use engine::types::MailboxId;
use std::io::Write as _;

/// An attribute of a LIST or LSUB response (RFC 3501 section 7.2.2, RFC 3348, RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    NoSelect,
    HasChildren,
    HasNoChildren,
    For(SpecialUse),
}

impl Attribute {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSelect => "\\Noselect",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::For(special_use) => special_use.attribute(),
        }
    }
}

/// `* CAPABILITY ..` (RFC 3501 section 7.2.1).
pub fn capability(out: &mut Vec<u8>, names: &[&str]) {
    words(out, "* CAPABILITY", names);
}

/// `* ENABLED ..` (RFC 5161 section 3.2).
pub fn enabled(out: &mut Vec<u8>, names: &[&str]) {
    words(out, "* ENABLED", names);
}

/// `* FLAGS (..)` (RFC 3501 section 7.2.6).
pub fn flags(out: &mut Vec<u8>, flags: &[&str]) {
    // Writing to a Vec cannot fail, here and below.
    let _ = write!(out, "* FLAGS ({})\r\n", flags.join(" "));
}

/// `* n EXISTS` (RFC 3501 section 7.3.1).
pub fn exists(out: &mut Vec<u8>, count: u32) {
    let _ = write!(out, "* {count} EXISTS\r\n");
}

/// `* n RECENT` (RFC 3501 section 7.3.2).
pub fn recent(out: &mut Vec<u8>, count: u32) {
    let _ = write!(out, "* {count} RECENT\r\n");
}

/// `* n EXPUNGE` (RFC 3501 section 7.4.1).
pub fn expunge(out: &mut Vec<u8>, seq: u32) {
    let _ = write!(out, "* {seq} EXPUNGE\r\n");
}

/// `* LIST (..) "/" name` (RFC 3501 section 7.2.2). `delimiter` is `None` for a flat name.
pub fn list(out: &mut Vec<u8>, attributes: &[Attribute], delimiter: Option<char>, name: &str) {
    mailbox_list(out, "LIST", attributes, delimiter, name);
}

/// `* LSUB (..) "/" name` (RFC 3501 section 7.2.3).
pub fn lsub(out: &mut Vec<u8>, attributes: &[Attribute], delimiter: Option<char>, name: &str) {
    mailbox_list(out, "LSUB", attributes, delimiter, name);
}

/// `* STATUS name (..)` (RFC 3501 section 7.2.4).
pub fn status(out: &mut Vec<u8>, name: &str, values: &[(StatusItem, u64)]) {
    out.extend_from_slice(b"* STATUS ");
    mailbox(out, name);
    out.extend_from_slice(b" (");
    for (i, (item, value)) in values.iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        let _ = match item {
            StatusItem::MailboxId => {
                let id = object_id::of_mailbox(MailboxId(u32::try_from(*value).unwrap_or_default()));
                write!(out, "{space}{} ({id})", item.name())
            }
            _ => write!(out, "{space}{} {value}", item.name()),
        };
    }
    out.extend_from_slice(b")\r\n");
}

/// `* NAMESPACE (("" "/")) NIL NIL`: one personal namespace (RFC 2342 section 5).
pub fn namespace(out: &mut Vec<u8>, prefix: &str, delimiter: char) {
    out.extend_from_slice(b"* NAMESPACE ((");
    string(out, crate::proto::utf7::encode(prefix).as_bytes());
    out.push(b' ');
    string(out, delimiter.to_string().as_bytes());
    out.extend_from_slice(b")) NIL NIL\r\n");
}

/// `* ID (..)`, or `* ID NIL` without fields (RFC 2971 section 3.2).
pub fn id(out: &mut Vec<u8>, fields: &[(&str, Option<&str>)]) {
    out.extend_from_slice(b"* ID ");
    if fields.is_empty() {
        out.extend_from_slice(b"NIL");
    }
    for (i, (name, value)) in fields.iter().enumerate() {
        out.push(if i == 0 { b'(' } else { b' ' });
        string(out, name.as_bytes());
        out.push(b' ');
        nstring(out, value.map(str::as_bytes));
    }
    if !fields.is_empty() {
        out.push(b')');
    }
    out.extend_from_slice(b"\r\n");
}

fn words(out: &mut Vec<u8>, start: &str, names: &[&str]) {
    out.extend_from_slice(start.as_bytes());
    for name in names {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn mailbox_list(
    out: &mut Vec<u8>,
    response: &str,
    attributes: &[Attribute],
    delimiter: Option<char>,
    name: &str,
) {
    let names: Vec<&str> = attributes.iter().map(|attribute| attribute.name()).collect();
    let _ = write!(out, "* {response} ({}) ", names.join(" "));
    nstring(out, delimiter.map(String::from).as_deref().map(str::as_bytes));
    out.push(b' ');
    mailbox(out, name);
    out.extend_from_slice(b"\r\n");
}
