//! Newlines: what a message's are, LF to CRLF on the way in, CRLF to LF on the way out.
//!
//! Laws
//! - A message with LF newlines alone (no CRLF anywhere) is stored with CRLF, as IMAP and LMTP have
//!   it. Any other message (CRLF, mixed, bare CR, no newline) is stored byte for byte.
//! - A message whose every LF follows a CR is written with LF when `--eol lf` asks; any other is
//!   written byte for byte.
//! - So a message read with LF or with mixed newlines and written with `--eol lf` is the same bytes
//!   again, and one read with CRLF, mixed or no newlines and written with `--eol crlf` likewise.

use std::io::{self, Read, Write};

/// What was seen of a message's newlines so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    pub bare_lf: u64,
    pub crlf: u64,
    last: u8,
}

impl Census {
    pub fn see(&mut self, bytes: &[u8]) {
        for at in memchr::memchr_iter(b'\n', bytes) {
            let previous = at.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(self.last);
            if previous == b'\r' {
                self.crlf += 1;
            } else {
                self.bare_lf += 1;
            }
        }
        if let Some(&last) = bytes.last() {
            self.last = last;
        }
    }

    #[must_use]
    pub fn only_lf(&self) -> bool {
        self.bare_lf > 0 && self.crlf == 0
    }

    #[must_use]
    pub fn only_crlf(&self) -> bool {
        self.crlf > 0 && self.bare_lf == 0
    }

    #[must_use]
    pub fn ends_line(&self) -> bool {
        self.last == b'\n'
    }
}

/// Reads with every LF as CRLF, whatever is before it.
pub struct LfToCrlf<R> {
    input: R,
    chunk: Vec<u8>,
    at: usize,
}

impl<R: Read> LfToCrlf<R> {
    pub fn new(input: R) -> Self {
        Self { input, chunk: Vec::new(), at: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        let mut raw = [0; 32 * 1024];
        let count = self.input.read(&mut raw)?;
        self.chunk.clear();
        self.at = 0;
        let mut from = 0;
        let raw = raw.get(..count).unwrap_or_default();
        for at in memchr::memchr_iter(b'\n', raw) {
            self.chunk.extend_from_slice(raw.get(from..at).unwrap_or_default());
            self.chunk.extend_from_slice(b"\r\n");
            from = at + 1;
        }
        self.chunk.extend_from_slice(raw.get(from..).unwrap_or_default());
        Ok(())
    }
}

impl<R: Read> Read for LfToCrlf<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.chunk.len() {
            self.refill()?;
        }
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        let count = rest.read(out)?;
        self.at += count;
        Ok(count)
    }
}

/// Writes every CRLF as LF. Only for messages whose every LF follows a CR; call `finish` at the
/// end, or a last CR stays unwritten.
pub struct CrlfToLf<W> {
    output: W,
    held_cr: bool,
}

impl<W: Write> CrlfToLf<W> {
    pub fn new(output: W) -> Self {
        Self { output, held_cr: false }
    }

    pub fn finish(mut self) -> io::Result<()> {
        if self.held_cr {
            self.output.write_all(b"\r")?;
        }
        Ok(())
    }
}

impl<W: Write> Write for CrlfToLf<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        if self.held_cr && !rest.is_empty() {
            self.held_cr = false;
            if rest.first() != Some(&b'\n') {
                self.output.write_all(b"\r")?;
            }
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            let (before, after) = rest.split_at(at);
            self.output.write_all(before)?;
            rest = after.get(1..).unwrap_or_default();
            match rest.first() {
                Some(b'\n') => {}
                Some(_) => self.output.write_all(b"\r")?,
                None => self.held_cr = true,
            }
        }
        self.output.write_all(rest)?;
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

    fn census(pieces: &[&[u8]]) -> Census {
        let mut census = Census::default();
        for piece in pieces {
            census.see(piece);
        }
        census
    }

    fn to_lf(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut filter = CrlfToLf::new(&mut out);
        for piece in pieces {
            filter.write_all(piece).unwrap();
        }
        filter.finish().unwrap();
        out
    }

    #[test]
    fn census_over_any_cut() {
        let text = b"\na\r\nb\n\r\n\r\r\nc\r";
        let whole = census(&[text]);
        assert_eq!((whole.bare_lf, whole.crlf, whole.ends_line()), (2, 3, false));
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(census(&[left, right]), whole, "cut at {cut}");
            assert_eq!(census(&[left, b"", right]), whole, "cut at {cut} with nothing between");
        }
    }

    #[test]
    fn crlf_to_lf_over_any_cut() {
        let text = b"a\r\n\r\r\nb\rc\r\n\r";
        let whole = to_lf(&[text]);
        assert_eq!(whole, b"a\n\r\nb\rc\n\r");
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            assert_eq!(to_lf(&[left, right]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn lf_and_back() {
        let text = [b"a\n\nbare\rcr\n".repeat(5000), b"no end".to_vec()].concat();
        let mut crlf = Vec::new();
        LfToCrlf::new(text.as_slice()).read_to_end(&mut crlf).unwrap();
        assert!(census(&[&crlf]).only_crlf());
        assert_eq!(to_lf(&[&crlf]), text);
    }
}
