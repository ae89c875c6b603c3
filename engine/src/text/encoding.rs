//! Content-Transfer-Encoding (RFC 2045 section 6), taken off as far as it holds.
//!
//! Laws
//! - Nothing is dropped: a line that is no base64 (a footer some list added, a wrong label) and an `=`
//!   that begins no escape stay as they stand.

use crate::mime::param::hex;
use mail_parser::decoders::base64::base64_decode;
use std::borrow::Cow;

/// The bytes a body stands for. `encoding` is the field's token; unknown ones are transparent.
pub fn decode<'a>(encoding: &[u8], body: &'a [u8]) -> Cow<'a, [u8]> {
    if encoding.eq_ignore_ascii_case(b"base64") {
        Cow::Owned(base64(body))
    } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        Cow::Owned(quoted_printable(body))
    } else {
        Cow::Borrowed(body)
    }
}

/// Base64, with lines that are none left as they are.
pub fn base64(body: &[u8]) -> Vec<u8> {
    // The library passes over blanks, and with them takes words for base64.
    if memchr::memchr2(b' ', b'\t', body).is_none()
        && let Some(all) = base64_decode(body)
    {
        return all;
    }
    let mut out = Vec::with_capacity(body.len());
    let mut good = 0..0; // lines not decoded yet
    let mut at = 0;
    for line in body.split_inclusive(|b| *b == b'\n') {
        let end = at + line.len();
        let is_base64 = line
            .trim_ascii()
            .iter()
            .all(|b| matches!(b, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'='));
        if is_base64 {
            good.end = end;
        } else {
            out.extend(body.get(good).and_then(base64_decode).unwrap_or_default());
            out.extend_from_slice(line);
            good = end..end;
        }
        at = end;
    }
    out.extend(body.get(good).and_then(base64_decode).unwrap_or_default());
    out
}

/// RFC 2045 section 6.7: blanks before a line end go, `=` before one joins the lines.
pub fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|b| *b == b'\n') {
        let (text, line_end) = split_line_end(line);
        let text = if line_end.is_empty() { text } else { trim_blanks_end(text) };
        match text.strip_suffix(b"=") {
            Some(text) => escapes(text, &mut out),
            None => {
                escapes(text, &mut out);
                out.extend_from_slice(line_end);
            }
        }
    }
    out
}

fn escapes(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(equals) = memchr::memchr(b'=', rest) {
        let (plain, escape) = rest.split_at_checked(equals).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        rest = match escape {
            [b'=', a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.push(hex(*a) << 4 | hex(*b));
                after
            }
            [other, after @ ..] => {
                out.push(*other);
                after
            }
            [] => &[],
        };
    }
    out.extend_from_slice(rest);
}

/// A line and its LF or CR LF.
pub fn split_line_end(line: &[u8]) -> (&[u8], &[u8]) {
    let end = match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    };
    line.split_at_checked(line.len() - end).unwrap_or((line, &[]))
}

fn trim_blanks_end(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
    text.get(..kept).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_and_what_is_none() {
        assert_eq!(base64(b"aGVs\r\nbG8=\r\n"), b"hello");
        assert_eq!(base64(b"aGVsbG8"), b"hello");
        assert_eq!(base64(b"aGVsbG8=\n__\nlist footer, plain\n"), b"hello__\nlist footer, plain\n");
        assert_eq!(base64(b"not base64 at all.\r\n"), b"not base64 at all.\r\n");
        assert_eq!(base64(b"not base64 quillwort\r\n"), b"not base64 quillwort\r\n");
        assert_eq!(base64(b"aGVs  \r\n bG8= "), b"hello");
        assert_eq!(base64(b""), b"");
    }

    #[test]
    fn quoted_printable_and_what_is_none() {
        for (encoded, text) in [
            ("a=3D=C3=a9 \r\nb=\r\nc= \t\r\nd", "a=\u{e9}\r\nbcd"),
            ("100% = x=G1=\n", "100% = x=G1"),
            ("tail= ", "tail= "),
            ("=", ""),
            ("  \n\n", "\n\n"),
        ] {
            assert_eq!(String::from_utf8(quoted_printable(encoded.as_bytes())).unwrap(), text, "{encoded:?}");
        }
    }

    #[test]
    fn by_name() {
        assert_eq!(&*decode(b"BASE64", b"QQ=="), b"A");
        assert_eq!(&*decode(b"Quoted-Printable", b"=41"), b"A");
        assert_eq!(&*decode(b"8bit", b"=41"), b"=41");
    }
}
