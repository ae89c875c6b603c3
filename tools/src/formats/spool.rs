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

/// How the message's bytes are given to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    crlf: Crlf,
    /// Bytes at the end that an export added: a newline.
    added_bytes: u64,
}

/// Which LF become CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crlf {
    None,
    /// All, when the message has no CRLF.
    Plain,
    /// All, one behind a CR too: that CR was there before the export took one away.
    Every,
}

impl Form {
    const PLAIN: Self = Self { crlf: Crlf::Plain, added_bytes: 0 };
    /// The bytes as they came.
    pub const EXACT: Self = Self { crlf: Crlf::None, added_bytes: 0 };
    /// The plain one first: it is right for nearly all messages.
    pub const ALL: [Self; 7] = [
        Self::PLAIN,
        Self { crlf: Crlf::Plain, added_bytes: 2 },
        Self::EXACT,
        Self { crlf: Crlf::None, added_bytes: 1 },
        Self { crlf: Crlf::None, added_bytes: 2 },
        Self { crlf: Crlf::Every, added_bytes: 0 },
        Self { crlf: Crlf::Every, added_bytes: 2 },
    ];
}

pub struct Spool {
    file: SpooledTempFile,
    /// Not yet in `file`: an mbox comes line by line, and a line is no size for a system call.
    pending: Vec<u8>,
    size_bytes: u64,
    census: Census,
    head: Vec<u8>,
    form: Form,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            file: SpooledTempFile::new(MEMORY_BYTES),
            pending: Vec::new(),
            size_bytes: 0,
            census: Census::default(),
            head: Vec::new(),
            form: Form::PLAIN,
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

    pub fn set_form(&mut self, form: Form) {
        self.form = form;
    }

    /// The digest that the message has in this form.
    pub fn digest(&mut self, form: Form) -> io::Result<blake3::Hash> {
        let before = std::mem::replace(&mut self.form, form);
        let mut hasher = blake3::Hasher::new();
        let read = self.open().and_then(|mut body| io::copy(&mut body, &mut hasher));
        self.form = before;
        read.map(|_| hasher.finalize())
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

/// The message as the store keeps it.
impl Body for Spool {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        self.rewind()?;
        let lf = match self.form.crlf {
            Crlf::None => false,
            Crlf::Plain => self.census.only_lf(),
            Crlf::Every => true,
        };
        let more_bytes = if lf { self.census.bare_lf + self.census.crlf } else { 0 };
        let size_bytes = self.size_bytes + more_bytes;
        let kept_bytes = size_bytes.saturating_sub(self.form.added_bytes);
        Ok(if lf {
            Box::new(LfToCrlf::new(&mut self.file).take(kept_bytes))
        } else {
            Box::new((&mut self.file).take(kept_bytes))
        })
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
