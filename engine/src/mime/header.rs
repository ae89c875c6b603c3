//! Header blocks, line by line on the raw bytes.
//!
//! Laws
//! - A header block ends with its first empty line, and with nothing else: a line without a colon,
//!   an mbox `From ` line or a line of blanks alone belongs to it (as in Dovecot).
//! - Lines end with LF, or CR LF; an empty line may hold CRs. A CR alone is no line end.
//! - The ranges of the fields, in order, cover the block up to its empty line without a gap.
//! - What `unfold` gives holds no CR, LF or NUL, so it can always stand in an IMAP string.

use memchr::{memchr, memchr3};
use std::borrow::Cow;
use std::ops::Range;

/// One field of a header block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// Without the blanks before the colon. Empty for a line that is no field.
    pub name: &'a [u8],
    /// What follows the colon, folded as it came, with its line end.
    pub value: &'a [u8],
    /// The whole field with its line ends, within the block.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Field names ignore case (RFC 5322 section 1.2.2 and RFC 3501 section 6.4.5).
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        !self.name.is_empty() && self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The fields of a header block, up to its empty line.
#[must_use]
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { header, at: 0 }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.at;
        let rest = self.header.get(start..).unwrap_or_default();
        if rest.is_empty() || empty_line_bytes(rest).is_some() {
            return None;
        }
        let mut len = line_bytes(rest);
        let (name, value_at) = split_name(rest.get(..len).unwrap_or(rest));
        while matches!(rest.get(len), Some(b' ' | b'\t')) {
            len += line_bytes(rest.get(len..).unwrap_or_default());
        }
        self.at = start + len;
        let value = rest.get(value_at..len).unwrap_or_default();
        Some(Field { name, value, range: start..self.at })
    }
}

/// The first field of that name.
#[must_use]
pub fn first<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|f| f.is(name))
}

/// Length of the header block that `raw` begins with, its empty line included.
#[must_use]
pub fn block_bytes(raw: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(n) = empty_line_bytes(rest) {
            return at + n;
        }
        at += line_bytes(rest);
    }
    at
}

/// Length of the first line of `bytes` with its line end (all of it when there is none).
#[must_use]
pub(super) fn line_bytes(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |lf| lf + 1)
}

/// Length of the empty line that `bytes` begins with, if it does.
#[must_use]
pub(super) fn empty_line_bytes(bytes: &[u8]) -> Option<usize> {
    let crs = bytes.iter().take_while(|&&b| b == b'\r').count();
    (bytes.get(crs) == Some(&b'\n')).then_some(crs + 1)
}

/// Name and the offset of the value. A name is printable ASCII without blanks; blanks between it
/// and the colon are obsolete syntax and common (RFC 5322 section 4.5).
fn split_name(line: &[u8]) -> (&[u8], usize) {
    let Some(colon) = memchr(b':', line) else { return (&[], 0) };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    if name.is_empty() || !name.iter().all(|b| matches!(b, 33..=126)) {
        return (&[], 0);
    }
    (name, colon + 1)
}

/// A value without its folding (RFC 5322 section 2.2.3) and without blanks around it. A CR on its
/// own becomes a space, NUL goes.
#[must_use]
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr3(b'\r', b'\n', 0, value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'\n' | 0 => {}
            b'\r' => {
                let crs = tail.iter().take_while(|&&b| b == b'\r').count();
                rest = tail.get(crs..).unwrap_or_default();
                if rest.first() != Some(&b'\n') {
                    out.resize(out.len() + 1 + crs, b' ');
                }
            }
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// A quoted string's text (RFC 5322 section 3.2.4): `at` stands after the opening quote, and then after
/// the closing one. One that is never closed reaches to the end.
pub(super) fn quoted_string(bytes: &[u8], at: &mut usize) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(&byte) = bytes.get(*at) {
        *at += 1;
        match byte {
            b'"' => break,
            b'\\' => {
                text.extend(bytes.get(*at));
                *at += 1;
            }
            _ => text.push(byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &[u8]) -> Vec<(String, String)> {
        fields(header)
            .map(|f| {
                (
                    String::from_utf8_lossy(f.name).into_owned(),
                    String::from_utf8_lossy(&unfold(f.value)).into_owned(),
                )
            })
            .collect()
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn folded_fields_and_lf_only() {
        for eol in ["\r\n", "\n"] {
            let header = "Subject: a\n  b\nX-Empty:\n \nTo : c\n\nbody: no\n".replace('\n', eol);
            assert_eq!(
                names(header.as_bytes()),
                [pair("Subject", "a  b"), pair("X-Empty", ""), pair("To", "c")]
            );
            let blank = header.find("body").unwrap();
            assert_eq!(block_bytes(header.as_bytes()), blank);
        }
    }

    #[test]
    fn lines_that_are_no_fields_belong_to_the_block() {
        let header = b"From joe Mon May  1 10:00:00 2024\nSubject: x\nnonsense\n more\n: y\nTo: z\n\n";
        assert_eq!(
            names(header),
            [
                pair("", "From joe Mon May  1 10:00:00 2024"),
                pair("Subject", "x"),
                pair("", "nonsense more"),
                pair("", ": y"),
                pair("To", "z"),
            ]
        );
    }

    #[test]
    fn ranges_cover_the_block() {
        let header = b" lost\r\nA: b\r\n\tc\r\nD: e";
        let mut at = 0;
        for field in fields(header) {
            assert_eq!(field.range.start, at);
            at = field.range.end;
        }
        assert_eq!(at, header.len());
    }

    #[test]
    fn unfold_leaves_nothing_an_imap_string_cannot_hold() {
        assert_eq!(&*unfold(b" a\rb\0c\r\n d\r\r\n e\r\n"), b"a bc d e");
    }

    #[test]
    fn no_line_end_at_all() {
        assert_eq!(names(b"A: b\rC: d\r\rbody"), [pair("A", "b C: d  body")]);
        assert_eq!(block_bytes(b"A: b"), 4);
        assert_eq!(block_bytes(b""), 0);
    }
}
