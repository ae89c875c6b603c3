//! Modified UTF-7 of mailbox names (RFC 3501 section 5.1.3).
//!
//! Laws
//! - `decode(encode(name)) == Some(name)` for every name.
//! - A name that `decode` accepts is the one spelling `encode` gives, so two spellings never mean
//!   one mailbox. Raw UTF-8, which some clients send, is accepted too and taken as it is.
//! - Any input gets an answer: what cannot be decoded is `None`, or itself in `decode_pattern`.

use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::{DecodeError, Engine as _};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// UTF-8 to modified UTF-7.
#[must_use]
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            end_shift(&mut out, &mut shifted);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            shifted.extend(c.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    end_shift(&mut out, &mut shifted);
    out
}

/// Modified UTF-7 to UTF-8; `None` when it is not well formed.
#[must_use]
pub fn decode(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    let mut after_shift = false;
    while let Some((plain, shift)) = rest.split_once('&') {
        if after_shift && plain.is_empty() && !shift.starts_with('-') {
            // "&..-&..-": one run must be one shift.
            return None;
        }
        out.push_str(plain);
        let (encoded, after) = shift.split_once('-')?;
        if encoded.is_empty() {
            out.push('&')
        } else {
            out.push_str(&decode_shift(encoded)?)
        }
        after_shift = !encoded.is_empty();
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// A LIST pattern: what cannot be decoded stands for itself, and then matches nothing.
#[must_use]
pub fn decode_pattern(pattern: &[u8]) -> String {
    decode(pattern).unwrap_or_else(|| String::from_utf8_lossy(pattern).into_owned())
}

fn end_shift(out: &mut String, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push('&');
        BASE64.encode_string(&*shifted, out);
        out.push('-');
        shifted.clear();
    }
}

/// The text between `&` and `-`. Printable ASCII must not be shifted.
fn decode_shift(encoded: &str) -> Option<String> {
    let bytes: Result<Vec<u8>, DecodeError> = BASE64.decode(encoded);
    let bytes = bytes.ok()?;
    let (pairs, odd) = bytes.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let text: Result<String, _> =
        char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair))).collect();
    text.ok().filter(|text| !text.chars().any(|c| matches!(c, ' '..='~')))
}
