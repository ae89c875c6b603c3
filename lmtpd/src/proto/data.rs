//! The text of DATA: dots unstuffed, the end found, nothing else touched.
//!
//! Laws
//! - The bytes given out are the bytes received, except that a dot that begins a line is taken off
//!   (RFC 5321 section 4.5.2). Bare CR, bare LF, NUL and 8-bit bytes pass as they are.
//! - A line begins at the start of the text and after CRLF, nowhere else; the text ends at a line
//!   of one dot and CRLF, nowhere else. The CRLF before that line belongs to the text.
//! - Text is given out in slices of the input; nothing is held but the state.

/// What `next` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'i> {
    Text(&'i [u8]),
    /// The final dot. What is left of the input comes after it.
    End,
    /// The input is used up.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    /// A dot began the line; it is not given out.
    Dot,
    /// Dot, CR: the end if LF follows.
    DotCr,
    /// The last byte given out was CR.
    Cr,
    Text,
    Ended,
}

#[derive(Debug)]
pub struct DotDecoder {
    state: State,
}

impl Default for DotDecoder {
    fn default() -> Self {
        Self { state: State::LineStart }
    }
}

impl DotDecoder {
    /// The next piece of text at the front of `input`, which is moved past it.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Piece<'i> {
        loop {
            if self.state == State::Ended {
                return Piece::End;
            }
            let Some(&first) = input.first() else { return Piece::More };
            match (self.state, first) {
                (State::LineStart, b'.') => {
                    take(input, 1);
                    self.state = State::Dot;
                }
                (State::Dot, b'\r') => {
                    take(input, 1);
                    self.state = State::DotCr;
                }
                (State::DotCr, b'\n') => {
                    take(input, 1);
                    self.state = State::Ended;
                }
                // Dot and CR began a longer line: the dot goes, the CR is text.
                (State::DotCr, _) => {
                    self.state = State::Cr;
                    return Piece::Text(b"\r");
                }
                (State::Cr, b'\n') => {
                    self.state = State::LineStart;
                    return Piece::Text(take(input, 1));
                }
                _ => return Piece::Text(self.text(input)),
            }
        }
    }

    /// Text up to the next line that begins with a dot, or all there is.
    fn text<'i>(&mut self, input: &mut &'i [u8]) -> &'i [u8] {
        if let Some(at) = memchr::memmem::find(input, b"\r\n.") {
            self.state = State::LineStart;
            return take(input, at.saturating_add(2));
        }
        let text = take(input, input.len());
        self.state = match text {
            [.., b'\r', b'\n'] => State::LineStart,
            [.., b'\r'] => State::Cr,
            _ => State::Text,
        };
        text
    }
}

/// Takes the first `n` bytes off the front (all of them when there are fewer).
pub fn take<'i>(input: &mut &'i [u8], n: usize) -> &'i [u8] {
    let (taken, rest) = input.split_at_checked(n).unwrap_or((*input, &[]));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The text, and what is left after the end (`None`: the end did not come).
    fn decode(parts: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut decoder = DotDecoder::default();
        let (mut text, mut after) = (Vec::new(), None::<Vec<u8>>);
        for mut part in parts.iter().copied() {
            if let Some(after) = &mut after {
                after.extend_from_slice(part);
                continue;
            }
            loop {
                match decoder.next(&mut part) {
                    Piece::Text(bytes) => text.extend_from_slice(bytes),
                    Piece::More => break,
                    Piece::End => {
                        after = Some(part.to_vec());
                        break;
                    }
                }
            }
        }
        (text, after)
    }

    /// RFC 5321 section 4.5.2 a byte at a time, by looking back at what came before.
    fn by_the_book(wire: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let (mut text, mut at, mut line_start) = (Vec::new(), 0, true);
        while at < wire.len() {
            let rest = &wire[at..];
            if line_start && rest.starts_with(b".\r\n") {
                return (text, Some(rest[3..].to_vec()));
            }
            // A lone dot or dot-CR at the end of the input is still undecided.
            if line_start && (rest == b"." || rest == b".\r") {
                break;
            }
            if line_start && rest[0] == b'.' {
                at += 1;
                line_start = false;
                continue;
            }
            text.push(rest[0]);
            at += 1;
            line_start = wire[..at].ends_with(b"\r\n");
        }
        (text, None)
    }

    #[test]
    fn examples() {
        type Case = (&'static [u8], &'static [u8], Option<&'static [u8]>);
        let cases: [Case; 12] = [
            (b".\r\n", b"", Some(b"")),
            (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", Some(b"QUIT\r\n")),
            (b"..\r\n.\r\n", b".\r\n", Some(b"")),
            (b".a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", Some(b"")),
            // None of these ends the text (SMTP smuggling).
            (b"a\n.\r\n.\r\n", b"a\n.\r\n", Some(b"")),
            (b"a\n.\n", b"a\n.\n", None),
            (b"a\r.\r\r\n.\r\n", b"a\r.\r\r\n", Some(b"")),
            (b"a\r\n.\n", b"a\r\n\n", None),
            (b"a\r\n.\r", b"a\r\n", None),
            (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", Some(b"")),
            (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n", Some(b"")),
            (b"\0\xff\r\r\n.\r\n", b"\0\xff\r\r\n", Some(b"")),
        ];
        for (wire, text, after) in cases {
            let want = (text.to_vec(), after.map(<[u8]>::to_vec));
            assert_eq!(decode(&[wire]), want, "{:?}", wire.escape_ascii().to_string());
            assert_eq!(by_the_book(wire), want, "{:?}", wire.escape_ascii().to_string());
        }
    }

    proptest! {
        /// Over the few bytes that matter, cut anywhere, it agrees with the book.
        #[test]
        fn agrees_with_the_book(wire in proptest::collection::vec(
            proptest::sample::select(b"..\r\r\n\na".to_vec()), 0..40), cut in 0usize..40) {
            let (a, b) = wire.split_at(cut.min(wire.len()));
            prop_assert_eq!(decode(&[a, b]), by_the_book(&wire));
            let single: Vec<&[u8]> = wire.chunks(1).collect();
            prop_assert_eq!(decode(&single), by_the_book(&wire));
        }

        /// What a client stuffs comes out as it was.
        #[test]
        fn stuffing_comes_back(text in proptest::collection::vec(
            proptest::sample::select(b"..\r\r\n\na\xff".to_vec()), 0..60)) {
            let mut text = text;
            text.extend_from_slice(b"\r\n");
            let mut wire = Vec::new();
            for (i, &byte) in text.iter().enumerate() {
                if byte == b'.' && (i == 0 || text[..i].ends_with(b"\r\n")) {
                    wire.push(b'.');
                }
                wire.push(byte);
            }
            wire.extend_from_slice(b".\r\n");
            prop_assert_eq!(decode(&[&wire]), (text, Some(Vec::new())));
        }
    }
}
