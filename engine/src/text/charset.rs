//! Bytes in a named charset to text.
//!
//! Laws
//! - It always answers: UTF-8 that is no UTF-8 and charsets nobody knows are read as windows-1252,
//!   which gives each byte a character, so that the ASCII in them stays findable.
//! - What is valid UTF-8 and not declared otherwise is UTF-8: much mail has it undeclared.

use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;
use std::borrow::Cow;

/// Text of bytes in that charset; None where the message names none.
#[must_use]
pub fn decode<'a>(charset: Option<&[u8]>, bytes: &'a [u8]) -> Cow<'a, str> {
    let decoder = charset.and_then(decoder);
    match (decoder, std::str::from_utf8(bytes)) {
        (None, Ok(text)) => Cow::Borrowed(text.strip_prefix('\u{FEFF}').unwrap_or(text)),
        (None, Err(_)) => {
            Cow::Owned(lookup(b"windows-1252").map_or_else(
                || String::from_utf8_lossy(bytes).into_owned(),
                |windows_1252| windows_1252(bytes),
            ))
        }
        (Some(decoder), _) => Cow::Owned(decoder(bytes)),
    }
}

/// True when text in that charset can be decoded as what it is (RFC 3501 section 6.4.4: SEARCH
/// answers NO [BADCHARSET] otherwise).
#[must_use]
pub fn is_known(charset: &[u8]) -> bool {
    is_ascii_superset_utf8(charset) || decoder(charset).is_some()
}

/// The charsets that `decode` answers by its second law.
fn is_ascii_superset_utf8(charset: &[u8]) -> bool {
    [&b"utf-8"[..], b"utf8", b"us-ascii", b"ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

/// None: by the second law.
fn decoder(charset: &[u8]) -> Option<DecoderFnc> {
    let charset = charset.trim_ascii();
    // RFC 2231 section 5: an encoded word may name its language.
    let charset = charset.split(|b| *b == b'*').next()?;
    if charset.is_empty() || is_ascii_superset_utf8(charset) {
        return None;
    }
    let known = lookup(charset)
        // Code page 437 differs from 850 in symbols, not in the letters both have.
        .or_else(|| charset.ends_with(b"437").then(|| lookup(b"cp850"))?)
        .or_else(|| {
            charset.get(..2).filter(|x| x.eq_ignore_ascii_case(b"x-")).and_then(|_| lookup(charset.get(2..)?))
        })?;
    // The library answers the forbidden 7-bit encodings with one replacement character.
    (known(b"plain") == "plain" || charset.to_ascii_lowercase().starts_with(b"utf-16")).then_some(known)
}

fn lookup(charset: &[u8]) -> Option<DecoderFnc> {
    charset_decoder(charset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_ones() {
        for (charset, bytes, text) in [
            ("UTF-8", &b"\xef\xbb\xbfa\xc3\xa9"[..], "aé"),
            ("utf-8", b"caf\xe9", "café"),
            ("us-ascii", b"\xc3\xa9", "é"),
            ("ISO-8859-15", b"\xa4", "€"),
            ("koi8-r", b"\xc4\xcf\xcd", "дом"),
            ("iso-2022-jp", b"\x1b$B4A\x1b(B", "漢"),
            ("Shift_JIS", b"\x8a\xbf", "漢"),
            ("gb2312", b"\xba\xba", "汉"),
            ("big5", b"\xba\x7e", "漢"),
            ("ks_c_5601-1987", b"\xc7\xd1", "한"),
            ("tis-620", b"\xa1", "ก"),
            ("IBM437", b"\x82", "é"),
            ("utf-16be", b"\0a\x04\x34", "aд"),
            ("utf-7", b"+BDQ-", "д"),
            ("iso-8859-1*en", b"\xe9", "é"),
            ("no-such", b"\xe9 a", "é a"),
            ("iso-2022-kr", b"plain", "plain"),
            ("", b"a", "a"),
        ] {
            assert_eq!(decode(Some(charset.as_bytes()), bytes), text, "{charset}");
        }
        assert_eq!(decode(None, b"\x80"), "€");
    }

    #[test]
    fn what_search_may_name() {
        for charset in ["utf-8", "US-ASCII", "iso-8859-1", "koi8-u", "big5"] {
            assert!(is_known(charset.as_bytes()), "{charset}");
        }
        for charset in ["", "x-none", "iso-2022-kr", "hz-gb-2312"] {
            assert!(!is_known(charset.as_bytes()), "{charset}");
        }
    }

    proptest! {
        /// The library's decoders do not panic on what no such text is.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for charset in [
                "utf-7", "utf-16", "utf-16le", "utf-16be", "iso-2022-jp", "shift_jis", "euc-jp", "euc-kr",
                "gb18030", "gbk", "big5", "koi8-r", "windows-1255", "macintosh", "tis-620", "iso-8859-7",
            ] {
                let _ = decode(Some(charset.as_bytes()), &bytes);
                let _ = decode(Some(&bytes), b"text");
            }
        }
    }
}
