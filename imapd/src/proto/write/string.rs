//! How a string is spelled: atom, quoted string or literal (RFC 3501 section 4.3).

use crate::proto::utf7;
use std::io::Write as _;

/// Longer strings go as literals: some clients bound the line they read.
const QUOTED_BYTES_MAX: usize = 1000;

/// A quoted string where that is possible, else a literal.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let quotable = bytes.len() <= QUOTED_BYTES_MAX
        && bytes.iter().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n'));
    if !quotable {
        return literal(out, bytes);
    }
    out.push(b'"');
    for &byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// `NIL` or a string.
pub fn nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => string(out, bytes),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// An atom where that is possible, else a string. `NIL` is quoted: some clients mistake it.
pub fn astring(out: &mut Vec<u8>, bytes: &[u8]) {
    let atom = !bytes.is_empty()
        && bytes.len() <= QUOTED_BYTES_MAX
        && !bytes.eq_ignore_ascii_case(b"NIL")
        && bytes.iter().copied().all(is_astring_char);
    if atom { out.extend_from_slice(bytes) } else { string(out, bytes) }
}

/// A mailbox name (UTF-8) in modified UTF-7 (RFC 3501 section 5.1.3).
pub fn mailbox(out: &mut Vec<u8>, name: &str) {
    astring(out, utf7::encode(name).as_bytes());
}

pub(super) fn literal(out: &mut Vec<u8>, bytes: &[u8]) {
    literal_header(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn literal_header(out: &mut Vec<u8>, size_bytes: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{{{size_bytes}}}\r\n");
}

/// ASTRING-CHAR of RFC 3501 section 9.
fn is_astring_char(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}
