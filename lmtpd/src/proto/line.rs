//! Cuts command lines out of the stream.
//!
//! Laws
//! - Every byte offered is consumed; a line split over any number of reads comes out the same.
//! - At most `max_bytes` are held, whatever the peer sends.
//! - A line that ends in a bare LF is told apart, to be refused at once: it is never executed, and
//!   a client that sends no CR does not wait for its time-out to learn so.

/// One line, as cut.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Without its CRLF.
    Complete(&'a [u8]),
    /// Ended by LF without CR.
    BareLf,
    /// Longer than the limit; swallowed to its end.
    TooLong,
}

/// Holds a line until its end has come.
#[derive(Debug)]
pub struct LineDecoder {
    held: Vec<u8>,
    max_bytes: usize,
    overflowed: bool,
    /// `held` was given out whole: forget it before the next byte is taken.
    given: bool,
}

impl LineDecoder {
    /// Lines of at most `max_bytes`, CRLF included.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { held: Vec::new(), max_bytes, overflowed: false, given: false }
    }

    /// Takes bytes from `input` up to the end of a line. `None`: the input is used up, no line yet.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Line<'_>> {
        if self.given {
            self.held.clear();
            self.overflowed = false;
            self.given = false;
        }
        let end = memchr::memchr(b'\n', input).map(|at| at.saturating_add(1));
        let (taken, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((*input, &[]));
        *input = rest;
        self.hold(taken);
        end?;
        self.given = true;
        if self.overflowed {
            return Some(Line::TooLong);
        }
        match self.held.strip_suffix(b"\r\n") {
            Some(line) => Some(Line::Complete(line)),
            None => Some(Line::BareLf),
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.overflowed || self.held.len().saturating_add(bytes.len()) > self.max_bytes {
            self.overflowed = true;
            self.held.clear();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_split_anywhere_is_the_same_line() {
        let bytes = b"NOOP\r\nRSET\r\n";
        for at in 0..bytes.len() {
            let mut decoder = LineDecoder::new(100);
            let mut lines = Vec::new();
            for mut part in [&bytes[..at], &bytes[at..]] {
                while let Some(line) = decoder.next(&mut part) {
                    lines.push(format!("{line:?}"));
                }
                assert!(part.is_empty());
            }
            let want = [Line::Complete(b"NOOP"), Line::Complete(b"RSET")].map(|l| format!("{l:?}"));
            assert_eq!(lines, want, "cut at {at}");
        }
    }

    #[test]
    fn a_bare_lf_is_told_apart_and_a_bare_cr_ends_nothing() {
        let mut decoder = LineDecoder::new(100);
        let mut input: &[u8] = b"QUIT\nNO\rOP\r\n";
        assert_eq!(decoder.next(&mut input), Some(Line::BareLf));
        assert_eq!(decoder.next(&mut input), Some(Line::Complete(b"NO\rOP")));
        assert_eq!(decoder.next(&mut input), None);
    }

    #[test]
    fn a_line_over_the_limit_is_swallowed_without_being_held() {
        let mut decoder = LineDecoder::new(8);
        for _ in 0..1000 {
            assert_eq!(decoder.next(&mut [b'x'; 100].as_slice()), None);
        }
        assert!(decoder.held.capacity() <= 8);
        assert_eq!(decoder.next(&mut b"x\r\n".as_slice()), Some(Line::TooLong));
        assert_eq!(decoder.next(&mut b"NOOP56\r\n".as_slice()), Some(Line::Complete(b"NOOP56")));
        assert_eq!(decoder.next(&mut b"NOOP567\r\n".as_slice()), Some(Line::TooLong));
    }
}
