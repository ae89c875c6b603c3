//! Address lists of header fields (RFC 5322 section 3.4, obsolete forms of section 4.4 too).
//!
//! Laws
//! - Strings are as they came, less quotes, the backslashes in them, and comments: encoded words
//!   stay encoded.
//! - A comment is the name of an address that has no other (`joe@example.org (Joe)`).
//! - An address that is no group marker has a mailbox and a host, whatever it looked like: NIL
//!   there would make a group of it. Missing ones are `MISSING_MAILBOX` and `MISSING_DOMAIN`, the
//!   words clients know from Dovecot.
//! - Groups come in pairs of markers, also when the field ends within one.

use super::header::{quoted_string, unfold};
use memchr::{memchr, memrchr};

/// One address of an ENVELOPE (RFC 3501 section 7.4.2).
///
/// A group begins with `host` None and its name in `mailbox`, and ends with both None.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    pub name: Option<Vec<u8>>,
    /// The source route of RFC 822, `@a,@b`.
    pub route: Option<Vec<u8>>,
    pub mailbox: Option<Vec<u8>>,
    pub host: Option<Vec<u8>>,
}

impl Address {
    fn new(name: Option<Vec<u8>>, route: Option<Vec<u8>>, mailbox: Vec<u8>, host: Vec<u8>) -> Self {
        let or = |bytes: Vec<u8>, missing: &str| {
            Some(if bytes.is_empty() { missing.as_bytes().to_vec() } else { bytes })
        };
        Self { name, route, mailbox: or(mailbox, "MISSING_MAILBOX"), host: or(host, "MISSING_DOMAIN") }
    }
}

/// The addresses of a raw field value.
#[must_use]
pub fn parse(value: &[u8]) -> Vec<Address> {
    let value = unfold(value);
    let mut parser =
        Parser { bytes: &value, at: 0, out: Vec::new(), in_group: false, brackets_are_closed: true };
    while parser.at < parser.bytes.len() {
        parser.address();
    }
    parser.end_group();
    parser.out
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    out: Vec<Address>,
    in_group: bool,
    /// False once there is no `>` left: looked for again and again it would cost quadratic time.
    brackets_are_closed: bool,
}

/// What has been read of one address.
#[derive(Default)]
struct Words {
    /// Words with one space where blanks were.
    phrase: Vec<u8>,
    blank_before_next: bool,
    comment: Option<Vec<u8>>,
}

impl Words {
    fn push(&mut self, word: &[u8]) {
        if self.blank_before_next && !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.blank_before_next = false;
        self.phrase.extend_from_slice(word);
    }

    fn name(self) -> Option<Vec<u8>> {
        let comment = self.comment;
        Some(self.phrase).filter(|p| !p.is_empty()).or(comment).filter(|n| !n.is_empty())
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.out.push(Address::default());
        }
    }

    /// Reads up to and over the next `,` `;` or group `:` that ends something.
    fn address(&mut self) {
        let mut words = Words::default();
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b';' => {
                    self.at += 1;
                    self.lone(words);
                    if byte == b';' {
                        self.end_group();
                    }
                    return;
                }
                b':' if !self.in_group && !words.phrase.is_empty() => {
                    self.at += 1;
                    self.in_group = true;
                    self.out.push(Address { mailbox: Some(words.phrase), ..Address::default() });
                    return;
                }
                b'<' => return self.angle(words),
                b'@' => return self.bare(words),
                _ => self.word(byte, &mut words),
            }
        }
        self.lone(words);
    }

    /// One word, comment or blank of a phrase.
    fn word(&mut self, byte: u8, words: &mut Words) {
        match byte {
            b' ' | b'\t' => {
                self.at += 1;
                words.blank_before_next = true;
            }
            b'(' => {
                words.comment = Some(self.comment());
                words.blank_before_next = true;
            }
            b'"' => {
                let word = self.quoted();
                words.push(&word);
            }
            b':' | b'>' => self.at += 1, // stray
            _ => {
                let start = self.at;
                while self.peek().is_some_and(|b| !b" \t(\"<>@,;:".contains(&b)) {
                    self.at += 1;
                }
                words.push(self.bytes.get(start..self.at).unwrap_or_default());
            }
        }
    }

    /// Words without an address: the mailbox of one without a host (`undisclosed`, `joe at host`).
    fn lone(&mut self, words: Words) {
        if !words.phrase.is_empty() {
            self.out.push(Address::new(words.comment, None, words.phrase, Vec::new()));
        }
    }

    /// `local@domain (comment)`; the local part has been read.
    fn bare(&mut self, mut words: Words) {
        let mut local = std::mem::take(&mut words.phrase);
        let domain = self.domain(&mut words);
        // `a@b@c`: what is after the last @ is the host.
        let host = match memrchr(b'@', &domain) {
            Some(last) => {
                local.push(b'@');
                local.extend_from_slice(domain.get(..last).unwrap_or_default());
                domain.get(last + 1..).unwrap_or_default().to_vec()
            }
            None => domain,
        };
        local.retain(|b| *b != b' ');
        // A name before an address without angle brackets has no place here.
        self.out.push(Address::new(words.comment.filter(|c| !c.is_empty()), None, local, host));
    }

    /// From the `@` up to what ends the address, comments and blanks left out.
    fn domain(&mut self, words: &mut Words) -> Vec<u8> {
        self.at += 1;
        let mut domain = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b';' | b'<' => break,
                b'(' => words.comment = Some(self.comment()),
                b' ' | b'\t' | b'>' => self.at += 1,
                _ => {
                    domain.push(byte);
                    self.at += 1;
                }
            }
        }
        if self.peek() == Some(b'<') {
            // `joe@a <joe@b>`: the first is a name after all; it is given as an address of its own.
            return domain;
        }
        if self.peek() == Some(b',') {
            self.at += 1;
        }
        domain
    }

    /// `<route:local@domain>` and what follows it up to the separator.
    fn angle(&mut self, mut words: Words) {
        self.at += 1;
        // Without a closing bracket the address ends with the list item.
        let closing = if self.brackets_are_closed { memchr(b'>', self.rest()) } else { None };
        self.brackets_are_closed = closing.is_some();
        let end = closing.or_else(|| memchr(b',', self.rest())).unwrap_or(self.rest().len());
        let end = self.at + end;
        let route = self.route(end);
        let mut local = Vec::new();
        let mut host: Option<Vec<u8>> = None;
        while self.at < end {
            let Some(byte) = self.peek() else { break };
            match byte {
                b'(' => drop(self.comment()),
                b' ' | b'\t' => self.at += 1,
                b'@' => {
                    if let Some(before) = host.replace(Vec::new()) {
                        local.push(b'@');
                        local.extend(before);
                    }
                    self.at += 1;
                }
                b'"' => {
                    let word = self.quoted();
                    host.as_mut().unwrap_or(&mut local).extend(word);
                }
                _ => {
                    host.as_mut().unwrap_or(&mut local).push(byte);
                    self.at += 1;
                }
            }
        }
        self.skip_to_separator(&mut words);
        self.out.push(Address::new(words.name(), route, local, host.unwrap_or_default()));
    }

    fn route(&mut self, end: usize) -> Option<Vec<u8>> {
        let inner = self.bytes.get(self.at..end)?;
        if inner.first() != Some(&b'@') {
            return None;
        }
        let colon = memchr(b':', inner)?;
        self.at += colon + 1;
        Some(inner.get(..colon)?.iter().copied().filter(|b| !matches!(b, b' ' | b'\t')).collect())
    }

    /// After an angle address: the rest of the list item, whose comment may be the name.
    fn skip_to_separator(&mut self, words: &mut Words) {
        while let Some(byte) = self.peek() {
            match byte {
                b',' => {
                    self.at += 1;
                    return;
                }
                b';' | b'<' => return,
                b'(' => words.comment = Some(self.comment()),
                b'"' => drop(self.quoted()),
                _ => self.at += 1,
            }
        }
    }

    /// A comment's text; comments nest (RFC 5322 section 3.2.2).
    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' => depth += 1,
                b')' if depth <= 1 => return text,
                b')' => depth -= 1,
                b'\\' => {
                    text.extend(self.peek());
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            if !(byte == b'(' && depth == 1) {
                text.push(byte);
            }
        }
        text
    }

    /// A quoted string's text, from its opening quote.
    fn quoted(&mut self) -> Vec<u8> {
        self.at += 1;
        quoted_string(self.bytes, &mut self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|mailbox|host` an address, `-` for NIL.
    fn list(value: &str) -> Vec<String> {
        let text = |b: Option<Vec<u8>>| b.map_or("-".to_owned(), |b| String::from_utf8(b).unwrap());
        parse(value.as_bytes())
            .into_iter()
            .map(|a| format!("{}|{}|{}|{}", text(a.name), text(a.route), text(a.mailbox), text(a.host)))
            .collect()
    }

    #[test]
    fn ordinary() {
        assert_eq!(
            list(
                "a@b, Joe Q. Public <j@d>, \"Doe, J\\\"\" <@r1,@r2:\"x y\"@d> , =?utf-8?q?=C3=A9?=\r\n <e@[1.2.3.4]>"
            ),
            ["-|-|a|b", "Joe Q. Public|-|j|d", "Doe, J\"|@r1,@r2|x y|d", "=?utf-8?q?=C3=A9?=|-|e|[1.2.3.4]"]
        );
    }

    #[test]
    fn comments() {
        assert_eq!(list("user@domain (Real (nested) Name)"), ["Real (nested) Name|-|user|domain"]);
        assert_eq!(list("<user-from (comment)@ (comment) domain.org>"), ["-|-|user-from|domain.org"]);
        assert_eq!(list("<a@b> (Name)"), ["Name|-|a|b"]);
        assert_eq!(list("Own <a@b> (Other), c@d"), ["Own|-|a|b", "-|-|c|d"]);
    }

    #[test]
    fn groups() {
        assert_eq!(
            list("group: g1@d1.org, g2@d2.org;, group2: g3@d3.org;"),
            [
                "-|-|group|-",
                "-|-|g1|d1.org",
                "-|-|g2|d2.org",
                "-|-|-|-",
                "-|-|group2|-",
                "-|-|g3|d3.org",
                "-|-|-|-"
            ]
        );
        assert_eq!(list("undisclosed-recipients:;"), ["-|-|undisclosed-recipients|-", "-|-|-|-"]);
        assert_eq!(list("open: a@b"), ["-|-|open|-", "-|-|a|b", "-|-|-|-"]);
    }

    /// Each took quadratic time with a careless parser.
    #[test]
    fn linear() {
        for piece in ["<,", "<a", "(", "\"", "a:", "a@", "<@a:", "\\"] {
            assert!(!parse(format!("x, {}", piece.repeat(300_000)).as_bytes()).is_empty());
        }
    }

    #[test]
    fn bad_ones() {
        assert_eq!(list("glyph at divmod.com (Glyph L)"), ["Glyph L|-|glyph at divmod.com|MISSING_DOMAIN"]);
        assert_eq!(list("<>"), ["-|-|MISSING_MAILBOX|MISSING_DOMAIN"]);
        assert_eq!(list("X <a@b@c>"), ["X|-|a@b|c"]);
        assert_eq!(list("a@b@c"), ["-|-|a@b|c"]);
        assert_eq!(list("X <a@b, c@d"), ["X|-|a|b", "-|-|c|d"]);
        assert_eq!(list("a@b; c@d"), ["-|-|a|b", "-|-|c|d"]);
        assert_eq!(list("@d"), ["-|-|MISSING_MAILBOX|d"]);
        assert_eq!(list("joe@a <joe@b>"), ["-|-|joe|a", "-|-|joe|b"]);
        assert_eq!(list("\"never closed <a@b>"), ["-|-|never closed <a@b>|MISSING_DOMAIN"]);
        for nothing in ["", " ", ",,", ";", "()", ":", ">"] {
            assert_eq!(list(nothing), Vec::<String>::new(), "{nothing}");
        }
    }
}
