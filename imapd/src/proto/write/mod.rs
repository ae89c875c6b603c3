//! Responses, appended to a byte buffer (RFC 3501 section 7).
//!
//! Laws
//! - Every function appends a whole response with its CRLF, or a whole item of one, and nothing
//!   else; none fails.
//! - Strings go out quoted when they are 7-bit without CR, LF or NUL, else as literals: bytes of
//!   a message are never changed on their way.
//! - Mailbox names come in as UTF-8 and go out in modified UTF-7.

mod code;
mod data;
pub mod esearch;
mod fetch;
pub mod number;
pub mod search;
mod string;
mod structure;
mod thread;

pub use code::Code;
pub use data::{
    Attribute, capability, enabled, exists, expunge, flags, id, list, lsub, namespace, recent, status,
};
pub use fetch::{FetchResponse, Rfc822};
pub use string::{astring, mailbox, nstring, string};
pub use thread::ThreadResponse;

use super::parse::Refusal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// RFC 3501 section 7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    No,
    Bad,
    /// Greeting only.
    PreAuth,
    /// Never tagged.
    Bye,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::PreAuth => "PREAUTH",
            Self::Bye => "BYE",
        }
    }
}

/// `tag OK [CODE] text`: the answer to a command.
pub fn tagged(out: &mut Vec<u8>, tag: &str, status: Status, code: Option<&Code>, text: &str) {
    response(out, tag, status, code, text);
}

/// `* OK [CODE] text`: greeting, BYE, and the facts of SELECT.
pub fn untagged(out: &mut Vec<u8>, status: Status, code: Option<&Code>, text: &str) {
    response(out, "*", status, code, text);
}

/// The answer to a command that could not be parsed: tagged when a tag was found.
pub fn refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    let tag = refusal.tag.as_deref().unwrap_or("*");
    response(out, tag, refusal.status, refusal.code.as_ref(), &refusal.text);
}

/// `+ text`: go on with the literal, or with IDLE (RFC 3501 section 7.5).
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    plain_text(out, text);
    out.extend_from_slice(b"\r\n");
}

/// `+ base64`: a SASL challenge (RFC 3501 section 6.2.2); `+ ` when it is empty.
pub fn challenge(out: &mut Vec<u8>, challenge: &[u8]) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(STANDARD.encode(challenge).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn response(out: &mut Vec<u8>, tag: &str, status: Status, code: Option<&Code>, text: &str) {
    out.extend_from_slice(tag.as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.name().as_bytes());
    out.push(b' ');
    if let Some(code) = code {
        out.push(b'[');
        code.write(out);
        out.extend_from_slice(b"] ");
    }
    plain_text(out, text);
    out.extend_from_slice(b"\r\n");
}

/// `text` of the grammar: one 7-bit line, never empty, and never looking like a response code
/// when none was meant.
fn plain_text(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    out.extend(text.bytes().map(|byte| match byte {
        b' '..=b'~' => byte,
        b'\t' | b'\r' | b'\n' => b' ',
        _ => b'?',
    }));
    match out.get(start) {
        None => out.push(b'-'),
        Some(b'[') => out.insert(start, b'-'),
        Some(_) => {}
    }
}
