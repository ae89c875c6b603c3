//! Content-Type, Content-Disposition and their parameters (RFC 2045 section 5.1, RFC 2183,
//! RFC 2231), taken apart but not decoded.
//!
//! Laws
//! - Names and values are as they came: case, encoded words, `name*0*` continuations. Only quotes,
//!   the backslashes in them and comments go.
//! - What cannot be understood is skipped up to the next semicolon; nothing after it is lost.

use super::header::{quoted_string, unfold};

/// A parameter as it came: `("charset" "utf-8")`.
pub type Param = (Vec<u8>, Vec<u8>);

/// A Content-Type field that could be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    pub media_type: Vec<u8>,
    pub subtype: Vec<u8>,
    pub params: Vec<Param>,
}

impl ContentType {
    #[must_use]
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }
}

/// A raw Content-Type value. None when type or subtype is missing or no token: then the default
/// holds (RFC 2045 section 5.2).
#[must_use]
pub fn content_type(value: &[u8]) -> Option<ContentType> {
    let value = unfold(value);
    let mut lexer = Lexer::new(&value);
    let media_type = lexer.token();
    if !lexer.eat(b'/') {
        return None;
    }
    let subtype = lexer.token();
    // RFC 6838 section 4.2: names begin with a letter or digit, so `*/*` is none.
    let is_name = |name: &[u8]| name.first().is_some_and(u8::is_ascii_alphanumeric);
    if !is_name(&media_type) || !is_name(&subtype) {
        return None;
    }
    Some(ContentType { media_type, subtype, params: lexer.params() })
}

/// A raw Content-Disposition value: kind and parameters (RFC 2183 section 2).
#[must_use]
pub fn disposition(value: &[u8]) -> Option<(Vec<u8>, Vec<Param>)> {
    let value = unfold(value);
    let mut lexer = Lexer::new(&value);
    let kind = lexer.token();
    if kind.is_empty() {
        return None;
    }
    let params = lexer.params();
    Some((kind, params))
}

/// The first token of a raw value: a Content-Transfer-Encoding (RFC 2045 section 6.1). Some
/// senders add a parameter or a comment; that goes.
#[must_use]
pub fn first_token(value: &[u8]) -> Option<Vec<u8>> {
    let value = unfold(value);
    let token = Lexer::new(&value).token();
    (!token.is_empty()).then_some(token)
}

/// The comma-separated tokens of a raw value: Content-Language (RFC 3282 section 2).
#[must_use]
pub fn token_list(value: &[u8]) -> Vec<Vec<u8>> {
    let value = unfold(value);
    let mut lexer = Lexer::new(&value);
    let mut out = Vec::new();
    while !lexer.at_end() {
        let token = lexer.token();
        if token.is_empty() {
            lexer.at += 1;
        } else {
            out.push(token);
        }
    }
    out
}

/// A parameter put together: RFC 2231 continuations joined, percent escapes resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The charset of the extended form, if it was one.
    pub charset: Option<Vec<u8>>,
    pub bytes: Vec<u8>,
}

/// The parameter of that name (RFC 2231 sections 3 and 4). The extended form wins over the plain
/// one; of doubles the first wins.
#[must_use]
pub fn find(params: &[Param], name: &str) -> Option<Joined> {
    let plain = || {
        let (_, value) = params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(Joined { charset: None, bytes: value.clone() })
    };
    extended(params, name).or_else(plain)
}

fn extended(params: &[Param], name: &str) -> Option<Joined> {
    let mut pieces: Vec<(u32, bool, &[u8])> =
        params.iter().filter_map(|(n, value)| piece(n, name).map(|(no, pct)| (no, pct, &**value))).collect();
    pieces.sort_by_key(|(no, ..)| *no);
    pieces.dedup_by_key(|(no, ..)| *no);
    let mut joined = Joined { charset: None, bytes: Vec::new() };
    let mut expected = 0;
    for (no, percent, mut value) in pieces {
        if no != expected {
            break; // a missing piece ends the value
        }
        if no == 0 && percent {
            let mut quoted = value.splitn(3, |&b| b == b'\'');
            if let (Some(charset), Some(_language), Some(text)) =
                (quoted.next(), quoted.next(), quoted.next())
            {
                joined.charset = (!charset.is_empty()).then(|| charset.to_vec());
                value = text;
            }
        }
        if percent {
            percent_decode(value, &mut joined.bytes);
        } else {
            joined.bytes.extend_from_slice(value);
        }
        expected += 1;
    }
    (expected > 0).then_some(joined)
}

/// `name*`, `name*3`, `name*3*`: the number of the piece, and whether it has percent escapes.
fn piece(param: &[u8], name: &str) -> Option<(u32, bool)> {
    let (head, rest) = param.split_at_checked(name.len())?;
    let rest = rest.strip_prefix(b"*")?;
    if !head.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    if rest.is_empty() {
        return Some((0, true));
    }
    let (number, percent) = match rest.strip_suffix(b"*") {
        Some(number) => (number, true),
        None => (rest, false),
    };
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, percent))
}

fn percent_decode(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [a, b, after @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                out.push(hex(*a) << 4 | hex(*b));
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
}

/// The value of a hex digit (0 for anything else).
pub(crate) fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0)
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Blanks and comments, which nest (RFC 5322 section 3.2.2).
    fn skip_blanks(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => self.at += 1,
                b' ' | b'\t' => {}
                _ if depth > 0 => {}
                _ => return,
            }
            self.at += 1;
        }
    }

    /// A token of RFC 2045 section 5.1, 8-bit bytes let in.
    fn token(&mut self) -> Vec<u8> {
        self.skip_blanks();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len =
            rest.iter().position(|b| *b <= 32 || b"()<>@,;:\\\"/[]?=".contains(b)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default().to_vec()
    }

    fn params(&mut self) -> Vec<Param> {
        let mut out = Vec::new();
        loop {
            while self.peek().is_some_and(|b| b != b';') {
                self.at += 1;
            }
            if self.at_end() {
                return out;
            }
            self.at += 1;
            let name = self.token();
            if !name.is_empty() && self.eat(b'=') {
                let value = self.value();
                out.push((name, value));
            }
        }
    }

    fn value(&mut self) -> Vec<u8> {
        self.skip_blanks();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return self.quoted();
        }
        // Unquoted values with blanks and specials in them are common: all up to the semicolon,
        // less a comment at the end.
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let value = rest.get(..len).unwrap_or_default();
        self.at += len;
        let end = memchr::memmem::find(value, b" (").unwrap_or(value.len());
        value.get(..end).unwrap_or(value).trim_ascii().to_vec()
    }

    /// After the opening quote.
    fn quoted(&mut self) -> Vec<u8> {
        quoted_string(self.bytes, &mut self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(value: &str) -> Vec<(String, String)> {
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        content_type(value.as_bytes()).unwrap().params.into_iter().map(|(n, v)| (text(n), text(v))).collect()
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn as_they_came() {
        assert_eq!(
            params(" Text/Plain (why); CharSet=\"ut\\f-8\" ; ;; name=\"a\\\"b;c\"\r\n ; X*0*=u'%41"),
            [pair("CharSet", "utf-8"), pair("name", "a\"b;c"), pair("X*0*", "u'%41")]
        );
    }

    #[test]
    fn bad_ones() {
        assert_eq!(params("text/plain, charset=utf-8"), []);
        assert_eq!(params("text/plain; charset"), []);
        assert_eq!(params("text/plain; a=b c.pdf; d=\"e"), [pair("a", "b c.pdf"), pair("d", "e")]);
        assert_eq!(params("text/plain; charset=us-ascii (plain)"), [pair("charset", "us-ascii")]);
        for none in ["", "text", "text/", "/plain", "text plain", "; charset=x", "((((", "\"\"/x", "*/*"] {
            assert_eq!(content_type(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn rfc2231_continuations() {
        let p = content_type(
            b"a/b; name*1*=%20c; name*0*=utf-8'en'%c3%a9; name=plain; boundary*0=\"x-\"; boundary*1=y; boundary*3=z",
        )
        .unwrap()
        .params;
        let name = find(&p, "Name").unwrap();
        assert_eq!((name.charset.as_deref(), &*name.bytes), (Some(&b"utf-8"[..]), "é c".as_bytes()));
        assert_eq!(find(&p, "boundary").unwrap().bytes, b"x-y");
        assert_eq!(find(&p, "nam"), None);
    }

    #[test]
    fn languages() {
        assert_eq!(token_list(b" de, en-GB (x) ,,fr"), [b"de".to_vec(), b"en-GB".to_vec(), b"fr".to_vec()]);
    }
}
