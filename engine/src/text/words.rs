//! Encoded words in header fields (RFC 2047).
//!
//! Laws
//! - They are decoded wherever they stand, in quoted strings and parameters too: senders put them
//!   there and readers see them decoded.
//! - Blanks between two of them go (section 6.2), and the bytes of neighbours in one charset are
//!   put together before they are decoded: many senders split a character.
//! - What is no encoded word stays. Time is linear in the length.

use super::{charset, encoding};
use crate::mime::param::hex;

/// The text of an unfolded field value.
#[must_use]
pub fn decode(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut run = Run::default();
    let mut plain = 0; // where the text since the last word begins
    let mut from = 0;
    while let Some(at) = find(value, from) {
        let Some(word) = value.get(at..).and_then(Word::parse) else {
            from = at + 2;
            continue;
        };
        let between = value.get(plain..at).unwrap_or_default();
        let neighbours = run.charset.is_some() && between.iter().all(|b| matches!(b, b' ' | b'\t'));
        if !neighbours {
            run.flush(&mut out);
            out.push_str(&charset::decode(None, between));
        }
        run.push(&word, &mut out);
        from = at + word.len;
        plain = from;
    }
    run.flush(&mut out);
    out.push_str(&charset::decode(None, value.get(plain..).unwrap_or_default()));
    out
}

fn find(value: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(value.get(from..)?, b"=?").map(|at| from + at)
}

/// Words in one charset whose bytes are not decoded yet.
#[derive(Default)]
struct Run<'a> {
    charset: Option<&'a [u8]>,
    bytes: Vec<u8>,
}

impl<'a> Run<'a> {
    fn push(&mut self, word: &Word<'a>, out: &mut String) {
        if self.charset.is_some_and(|charset| !charset.eq_ignore_ascii_case(word.charset)) {
            self.flush(out);
        }
        self.charset = Some(word.charset);
        word.decode_into(&mut self.bytes);
    }

    fn flush(&mut self, out: &mut String) {
        if let Some(name) = self.charset.take() {
            out.push_str(&charset::decode(Some(name), &self.bytes));
            self.bytes.clear();
        }
    }
}

/// `=?charset?Q?text?=`
struct Word<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
    len: usize,
}

impl<'a> Word<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"=?")?;
        let (charset, rest) = split_at_mark(rest)?;
        let (encoding, rest) = split_at_mark(rest)?;
        let (text, rest) = split_at_mark(rest)?;
        let rest = rest.strip_prefix(b"=")?;
        let is_base64 = match encoding {
            b"B" | b"b" => true,
            b"Q" | b"q" => false,
            _ => return None,
        };
        let possible = !charset.is_empty() && charset.iter().all(u8::is_ascii_graphic);
        possible.then(|| Self { charset, is_base64, text, len: bytes.len() - rest.len() })
    }

    fn decode_into(&self, out: &mut Vec<u8>) {
        if self.is_base64 {
            out.extend(encoding::base64(self.text));
            return;
        }
        let mut rest = self.text;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match (byte, tail) {
                (b'_', _) => out.push(b' '),
                (b'=', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                    out.push(hex(*a) << 4 | hex(*b));
                    rest = after;
                }
                _ => out.push(byte),
            }
        }
    }
}

/// Up to the next `?`, and after it.
fn split_at_mark(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mark = memchr::memchr(b'?', bytes)?;
    Some((bytes.get(..mark)?, bytes.get(mark + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each took quadratic time with a careless reader.
    #[test]
    fn linear() {
        for piece in ["=?", "=?a?q?", "=?a?q?b", "=?a", "=?a?q?=41", "=?utf-8?b?w6?= "] {
            assert!(!decode(("x".to_owned() + &piece.repeat(200_000)).as_bytes()).is_empty());
        }
    }

    #[test]
    fn words() {
        for (value, text) in [
            ("plain", "plain"),
            ("=?utf-8?Q?a=C3=A9_b?=", "aé b"),
            ("=?UTF-8?b?w6k=?= tail", "é tail"),
            ("=?utf-8?q?a?=  \t=?utf-8?q?b?= c", "ab c"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
            ("=?utf-8?b?ww==?==?utf-8?b?qQ==?=", "é"),
            ("=?koi8-r?q?=C4?= =?utf-8?q?=C3=A9?=", "дé"),
            ("\"=?utf-8?q?q?=\" <a@b>", "\"q\" <a@b>"),
            ("x=?utf-8?q?y?=z", "xyz"),
            ("=?utf-8?x?y?=", "=?utf-8?x?y?="),
            ("=?utf-8?q?never closed", "=?utf-8?q?never closed"),
            ("=? =?utf-8?q?a?=", "=? a"),
            ("=?no-such?q?caf=E9?=", "café"),
            ("=?utf-8*en?Q?x?=", "x"),
            ("=?", "=?"),
            ("", ""),
        ] {
            assert_eq!(decode(value.as_bytes()), text, "{value}");
        }
        assert_eq!(decode(b"caf\xe9 =?utf-8?q?=C3=A9?="), "café é");
    }
}
