//! One message held while it is decided what to do with it: in memory while small, then in an
//! unnamed temporary file.

use super::eol::{Census, CrlfToLf, LfToCrlf};
use engine::attach::Body;
use std::io::{self, Read, Seek, Write};
use tempfile::SpooledTempFile;

/// Above this a message goes to a temporary file.
const MEMORY_BYTES: usize = 1024 * 1024;
/// Bytes that are gathered before they are written.
const PENDING_BYTES: usize = 64 * 1024;
/// Enough of a message to find its Return-Path and Date.
const HEAD_BYTES: usize = 16 * 1024;

pub struct Spool {
    file: SpooledTempFile,
    /// Not yet in `file`: an mbox comes line by line, and a line is no size for a system call.
    pending: Vec<u8>,
    size_bytes: u64,
    census: Census,
    head: Vec<u8>,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            file: SpooledTempFile::new(MEMORY_BYTES),
            pending: Vec::new(),
            size_bytes: 0,
            census: Census::default(),
            head: Vec::new(),
        }
    }
}

impl Spool {
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The first bytes of the message.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.rewind()
    }

    /// Writes the message out, with LF newlines where asked for and where CRLF is all it has.
    /// Answers whether the last byte written ends a line.
    pub fn write_to(&mut self, out: &mut dyn Write, lf: bool) -> io::Result<bool> {
        self.rewind()?;
        if lf && self.census.only_crlf() {
            let mut filter = CrlfToLf::new(out);
            io::copy(&mut self.file, &mut filter)?;
            filter.finish()?;
        } else {
            io::copy(&mut self.file, out)?;
        }
        Ok(self.census.ends_line())
    }
}

/// The message as the store keeps it: LF newlines become CRLF when they are all it has.
impl Body for Spool {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.rewind()?;
        let lf = self.census.only_lf();
        Ok(if lf { Box::new(LfToCrlf::new(&mut self.file)) } else { Box::new(&mut self.file) })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PENDING_BYTES {
            self.flush()?;
        }
        self.census.see(bytes);
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.size_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn stored(bytes: &[u8]) -> Vec<u8> {
        let mut spool = Spool::default();
        spool.write_all(bytes).unwrap();
        let mut out = Vec::new();
        spool.open().unwrap().read_to_end(&mut out).unwrap();
        out
    }

    fn exported(bytes: &[u8], lf: bool) -> Vec<u8> {
        let mut spool = Spool::default();
        spool.write_all(bytes).unwrap();
        let mut out = Vec::new();
        spool.write_to(&mut out, lf).unwrap();
        out
    }

    #[test]
    fn lf_mixed_and_none_come_back_with_lf() {
        for message in [
            &b"a: b\n\nc\n"[..],
            b"a: b\r\n\nmixed",
            b"a: b\n\r\n",
            b"a\rb\n",
            b"",
            b"no newline",
            b"old\rmac\r",
        ] {
            assert_eq!(exported(&stored(message), true), message);
        }
        assert_eq!(stored(b"a: b\n\nc\n"), b"a: b\r\n\r\nc\r\n");
    }

    #[test]
    fn crlf_mixed_and_none_come_back_with_crlf() {
        for message in [&b"a: b\r\n\r\nc\r\n"[..], b"a: b\r\n\nmixed", b"", b"no newline", b"old\rmac\r"] {
            assert_eq!(exported(&stored(message), false), message);
        }
    }

    #[test]
    fn a_big_message_goes_through_a_file() {
        let message = b"0123456789abcde\n".repeat(200_000);
        assert_eq!(exported(&stored(&message), true), message);
    }
}
