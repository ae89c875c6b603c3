//! Writes an mboxrd: one more `>` before every line that matches `^>*From `, one blank line after
//! each message.

use std::io::{self, Write};

const FROM: &[u8] = b"From ";

/// Quotes `From ` lines on their way to `output`, whatever way the bytes are cut.
pub struct Quoter<W> {
    output: W,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// At the start of a line, or behind its leading `>`s.
    Start,
    /// So many bytes of `From ` seen, and not yet written.
    Matching(usize),
    /// Anywhere else in a line.
    Inside,
}

impl<W: Write> Quoter<W> {
    pub fn new(output: W) -> Self {
        Self { output, state: State::Start }
    }

    /// Writes what is held back at the end of the message.
    pub fn finish(mut self) -> io::Result<()> {
        if let State::Matching(count) = self.state {
            self.output.write_all(FROM.get(..count).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Copies to the end of the line, or of what there is.
    fn copy_inside<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at(end);
        self.output.write_all(line)?;
        if line.ends_with(b"\n") {
            self.state = State::Start;
        }
        Ok(rest)
    }
}

impl<W: Write> Write for Quoter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            match self.state {
                State::Start if byte == b'>' => {
                    self.output.write_all(b">")?;
                    rest = rest.get(1..).unwrap_or_default();
                }
                State::Start => self.state = State::Matching(0),
                State::Matching(count) if FROM.get(count) == Some(&byte) => {
                    rest = rest.get(1..).unwrap_or_default();
                    self.state = State::Matching(count + 1);
                    if count + 1 == FROM.len() {
                        self.output.write_all(b">From ")?;
                        self.state = State::Inside;
                    }
                }
                State::Matching(count) => {
                    self.output.write_all(FROM.get(..count).unwrap_or_default())?;
                    self.state = State::Inside;
                }
                State::Inside => rest = self.copy_inside(rest)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn quote(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut quoter = Quoter::new(&mut out);
        for piece in pieces {
            quoter.write_all(piece).unwrap();
        }
        quoter.finish().unwrap();
        out
    }

    #[test]
    fn quotes_over_any_cut() {
        let text = b"From a\n>From b\n>>From c\nFro\nFrom\n From d\nx From e\n> From f\n\nFrom ";
        let whole = b">From a\n>>From b\n>>>From c\nFro\nFrom\n From d\nx From e\n> From f\n\n>From ";
        assert_eq!(quote(&[text]), whole);
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(quote(&[left, right]), whole, "cut at {cut}");
        }
        assert_eq!(quote(&[b"Fro"]), b"Fro");
    }
}
