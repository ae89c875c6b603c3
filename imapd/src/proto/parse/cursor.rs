//! A place in a command's pieces, and the terminals of RFC 3501 section 9.
//!
//! Laws
//! - Moves forward only; what a failed terminal consumed does not matter, the command is refused. Who must
//!   look ahead does it with a clone.
//! - `peek` never looks past the end of a text: where a literal follows there is no byte.

use super::{Parsed, Refusal};
use crate::proto::frame::Piece;
use crate::proto::utf7;
use crate::proto::write::Code;

#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pieces: &'a [Piece],
    /// What is left of the text being read.
    text: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(pieces: &'a [Piece]) -> Self {
        match pieces.split_first() {
            Some((Piece::Text(text), rest)) => Self { pieces: rest, text },
            _ => Self { pieces, text: &[] },
        }
    }

    pub(super) fn from_text(text: &'a str) -> Self {
        Self { pieces: &[], text: text.as_bytes() }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.first().copied()
    }

    pub(super) fn at_literal(&self) -> bool {
        self.text.is_empty() && matches!(self.pieces.first(), Some(Piece::Literal(_)))
    }

    pub(super) fn at_end(&self) -> bool {
        self.text.is_empty() && self.pieces.is_empty()
    }

    pub(super) fn accept(&mut self, byte: u8) -> bool {
        match self.text.split_first() {
            Some((&first, rest)) if first == byte => {
                self.text = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn expect(&mut self, byte: u8, refusal: &'static str) -> Parsed<()> {
        if self.accept(byte) { Ok(()) } else { Err(Refusal::bad(refusal)) }
    }

    pub(super) fn skip_spaces(&mut self) -> bool {
        let mut any = false;
        while self.accept(b' ') {
            any = true;
        }
        any
    }

    /// SP, and more of them as Dovecot allows.
    pub(super) fn space(&mut self) -> Parsed<()> {
        if self.skip_spaces() {
            Ok(())
        } else if self.at_end() {
            Err(Refusal::bad("an argument is missing"))
        } else {
            Err(Refusal::bad("a space is missing between two arguments"))
        }
    }

    /// Spaces, when an argument follows them.
    pub(super) fn space_before_more(&mut self) -> bool {
        self.skip_spaces() && !self.at_end()
    }

    pub(super) fn end(&mut self) -> Parsed<()> {
        self.skip_spaces();
        if self.at_end() { Ok(()) } else { Err(Refusal::bad("too many arguments, or one is malformed")) }
    }

    fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.text.iter().take_while(|&&byte| is(byte)).count();
        let (taken, rest) = self.text.split_at(length);
        self.text = rest;
        taken
    }

    /// `tag`: ASTRING-CHARs but `+`.
    pub(super) fn tag(&mut self) -> Parsed<String> {
        let tag = ascii(self.take_while(|byte| is_astring_char(byte) && byte != b'+'));
        let ends = matches!(self.peek(), None | Some(b' '));
        if tag.is_empty() || !ends {
            return Err(Refusal::bad("a command begins with a tag and a space"));
        }
        Ok(tag)
    }

    /// Letters, digits and what joins them in names of commands and items, in upper case.
    pub(super) fn keyword(&mut self, missing: &'static str) -> Parsed<String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'=');
        let word = ascii(self.take_while(is_part));
        if word.is_empty() { Err(Refusal::bad(missing)) } else { Ok(word.to_ascii_uppercase()) }
    }

    /// The keyword, if it comes next; else nothing is consumed.
    pub(super) fn accept_keyword(&mut self, keyword: &str) -> bool {
        let mut ahead = self.clone();
        let is_next = ahead.keyword("").is_ok_and(|word| word == keyword);
        if is_next {
            *self = ahead;
        }
        is_next
    }

    pub(super) fn atom(&mut self, missing: &'static str) -> Parsed<String> {
        let atom = ascii(self.take_while(is_atom_char));
        if atom.is_empty() { Err(Refusal::bad(missing)) } else { Ok(atom) }
    }

    /// `astring`: ASTRING-CHARs (which include `]`), quoted string or literal.
    pub(super) fn astring(&mut self) -> Parsed<Vec<u8>> {
        self.word_or_string(is_astring_char)
    }

    /// `astring` that is text for us: an account's name, a header's name.
    pub(super) fn astring_utf8(&mut self) -> Parsed<String> {
        utf8(self.astring()?)
    }

    /// `list-mailbox`: as `astring`, with wildcards.
    pub(super) fn list_mailbox(&mut self) -> Parsed<String> {
        let is_part = |byte| is_astring_char(byte) || matches!(byte, b'%' | b'*');
        Ok(utf7::decode_pattern(&self.word_or_string(is_part)?))
    }

    fn word_or_string(&mut self, is_part: impl Fn(u8) -> bool) -> Parsed<Vec<u8>> {
        if self.peek() == Some(b'"') || self.at_literal() {
            return self.string();
        }
        // 8-bit bytes are no ASTRING-CHAR; clients that forget to quote them are understood.
        let word = self.take_while(|byte| is_part(byte) || !byte.is_ascii());
        if word.is_empty() {
            Err(Refusal::bad("an argument is missing or malformed"))
        } else {
            Ok(word.to_vec())
        }
    }

    /// `string`: quoted or literal.
    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        if self.at_literal() { self.literal() } else { self.quoted() }
    }

    /// `nstring`.
    pub(super) fn nstring_utf8(&mut self) -> Parsed<Option<String>> {
        if self.peek() == Some(b'"') || self.at_literal() {
            return utf8(self.string()?).map(Some);
        }
        let nil = self.take_while(is_atom_char);
        if nil.eq_ignore_ascii_case(b"NIL") {
            Ok(None)
        } else {
            Err(Refusal::bad("a string or NIL is missing"))
        }
    }

    fn literal(&mut self) -> Parsed<Vec<u8>> {
        let Some((Piece::Literal(literal), rest)) = self.pieces.split_first() else {
            return Err(Refusal::bad("a string is missing"));
        };
        self.pieces = rest;
        if let Some((Piece::Text(text), rest)) = rest.split_first() {
            self.text = text;
            self.pieces = rest;
        }
        if literal.contains(&0) {
            return Err(Refusal::bad("NUL is not allowed in a literal"));
        }
        Ok(literal.clone())
    }

    fn quoted(&mut self) -> Parsed<Vec<u8>> {
        self.expect(b'"', "a string is missing")?;
        let mut string = Vec::new();
        loop {
            string.extend_from_slice(self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | 0)));
            if self.accept(b'"') {
                return Ok(string);
            }
            if !self.accept(b'\\') {
                return Err(Refusal::bad("a quoted string is not closed"));
            }
            // Only quoted-specials may be escaped; Dovecot takes any byte, and so do we.
            match self.text.split_first() {
                Some((&byte, rest)) if !matches!(byte, b'\r' | 0) => {
                    string.push(byte);
                    self.text = rest;
                }
                _ => return Err(Refusal::bad("a quoted string is not closed")),
            }
        }
    }

    /// `mailbox`: an astring in modified UTF-7, with INBOX in any case (RFC 3501 section 5.1).
    pub(super) fn mailbox(&mut self) -> Parsed<String> {
        let name = self.astring()?;
        if name.eq_ignore_ascii_case(b"INBOX") {
            return Ok("INBOX".to_owned());
        }
        utf7::decode(&name)
            .ok_or_else(|| Refusal::no(Some(Code::Cannot), "the mailbox name is not modified UTF-7"))
    }

    /// Decimal digits of at most 64 bits.
    pub(super) fn number64(&mut self) -> Parsed<u64> {
        let digits = ascii(self.take_while(|byte| byte.is_ascii_digit()));
        digits.parse().map_err(|_| Refusal::bad("a number is missing or too large"))
    }

    /// `number`: 32 bits.
    pub(super) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| Refusal::bad("a number is too large"))
    }

    /// `nz-number`.
    pub(super) fn nz_number(&mut self) -> Parsed<u32> {
        match self.number()? {
            0 => Err(Refusal::bad("zero is not allowed here")),
            number => Ok(number),
        }
    }

    /// `mod-sequence-valzer` (RFC 7162 section 7): 63 bits, zero included.
    pub(super) fn mod_sequence_valzer(&mut self) -> Parsed<u64> {
        match self.number64()? {
            modseq if i64::try_from(modseq).is_ok() => Ok(modseq),
            _ => Err(Refusal::bad("a mod-sequence is too large")),
        }
    }

    /// `(` one or more items with spaces between `)`, or none when `empty` says so. Spaces around
    /// the items are let pass.
    pub(super) fn list<T>(&mut self, empty: bool, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(', "a list in parentheses is missing")?;
        let mut items = Vec::new();
        loop {
            let spaced = self.skip_spaces();
            if self.accept(b')') {
                break;
            }
            if !spaced && !items.is_empty() {
                return Err(Refusal::bad("a list is malformed or not closed"));
            }
            items.push(item(self)?);
        }
        if items.is_empty() && !empty {
            return Err(Refusal::bad("a list must not be empty"));
        }
        Ok(items)
    }
}

pub(super) fn utf8(bytes: Vec<u8>) -> Parsed<String> {
    String::from_utf8(bytes).map_err(|_| Refusal::bad("a string is not UTF-8"))
}

/// ATOM-CHAR.
pub(super) fn is_atom_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b']'
}

/// ASTRING-CHAR.
fn is_astring_char(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// Bytes that a terminal has found to be ASCII.
fn ascii(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
