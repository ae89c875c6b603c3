//! Reads an mbox (mboxrd, mboxo; plain or gzip; LF or CRLF) message by message.
//!
//! Laws
//! - A message begins at a `From ` line that stands at the start of the file or behind a blank line
//!   and has a date; the blank line belongs to the mbox, not to the message.
//! - mboxrd: one `>` is taken off every line that matches `^>+From `.
//! - No line is held whole: lines come in pieces of at most 64 KiB.

use super::from_line::{date_of, is_from_line};
use super::sidecar::Place;
use super::spool::Spool;
use super::{Incoming, Source, Total};
use anyhow::{Context, bail};
use std::io::{BufRead, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PIECE_BYTES: u64 = 64 * 1024;

pub struct MboxReader {
    input: Box<dyn BufRead + Send>,
    name: String,
    position: Arc<AtomicU64>,
    total_bytes: u64,
    unquote: bool,
    /// The piece read last; a `From ` line stays here between two messages.
    piece: Vec<u8>,
    at_line_start: bool,
    ordinal: u64,
}

impl MboxReader {
    /// `position` counts the bytes of the file behind `input` (which may be compressed).
    pub fn new(
        mut input: Box<dyn BufRead + Send>,
        name: String,
        position: Arc<AtomicU64>,
        total_bytes: u64,
        unquote: bool,
    ) -> anyhow::Result<Self> {
        let mut piece = Vec::new();
        // Blank lines before the first message are no message.
        loop {
            read_piece(&mut input, &mut piece).with_context(|| format!("reading {name}"))?;
            if piece.is_empty() || !is_blank(&piece) {
                break;
            }
        }
        if !piece.is_empty() && !piece.starts_with(b"From ") {
            bail!("{name} is not an mbox: it does not begin with a `From ` line");
        }
        Ok(Self { input, name, position, total_bytes, unquote, piece, at_line_start: true, ordinal: 0 })
    }

    /// Copies lines to `out` up to the next `From ` line or the end.
    fn copy_message(&mut self, out: &mut Spool) -> anyhow::Result<()> {
        let mut held_blank: Option<Vec<u8>> = None;
        loop {
            let starts_line = self.at_line_start;
            read_piece(&mut self.input, &mut self.piece)?;
            self.at_line_start = self.piece.ends_with(b"\n");
            if self.piece.is_empty() || (starts_line && held_blank.is_some() && is_from_line(&self.piece)) {
                self.at_line_start = true;
                return Ok(());
            }
            if let Some(blank) = held_blank.take() {
                out.write_all(&blank)?;
            }
            if starts_line && is_blank(&self.piece) {
                held_blank = Some(self.piece.clone());
                continue;
            }
            let quoted = self.unquote && starts_line && is_quoted_from(&self.piece);
            out.write_all(self.piece.get(usize::from(quoted)..).unwrap_or_default())?;
        }
    }
}

impl Source for MboxReader {
    fn next(&mut self) -> anyhow::Result<Option<Incoming>> {
        if self.piece.is_empty() {
            return Ok(None);
        }
        let internal_date = date_of(&self.piece);
        self.ordinal += 1;
        let origin = format!("{}, message {}", self.name, self.ordinal);
        let mut body = Spool::default();
        self.copy_message(&mut body).with_context(|| format!("reading {origin}"))?;
        Ok(Some(Incoming {
            body,
            flags: Vec::new(),
            internal_date,
            at: Place::Message(self.ordinal),
            origin,
        }))
    }

    fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    fn total(&self) -> Total {
        Total::Bytes(self.total_bytes)
    }
}

/// The next line, or a piece of it; empty at the end.
fn read_piece(input: &mut Box<dyn BufRead + Send>, piece: &mut Vec<u8>) -> std::io::Result<()> {
    piece.clear();
    input.take(PIECE_BYTES).read_until(b'\n', piece)?;
    Ok(())
}

fn is_blank(line: &[u8]) -> bool {
    line == b"\n" || line == b"\r\n"
}

fn is_quoted_from(line: &[u8]) -> bool {
    let unquoted = line.iter().position(|&b| b != b'>').unwrap_or(line.len());
    unquoted > 0 && line.get(unquoted..).is_some_and(|rest| rest.starts_with(b"From "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(mbox: &[u8], unquote: bool) -> Vec<Vec<u8>> {
        let input = Box::new(std::io::Cursor::new(mbox.to_vec()));
        let mut reader = MboxReader::new(input, "test".into(), Arc::default(), 0, unquote).unwrap();
        let mut messages = Vec::new();
        while let Some(mut message) = reader.next().unwrap() {
            let mut bytes = Vec::new();
            message.body.write_to(&mut bytes, false).unwrap();
            messages.push(bytes);
        }
        messages
    }

    const FROM: &str = "From a@b Wed Jan  2 18:55:00 2002\n";

    #[test]
    fn splits_and_unquotes() {
        let mbox = format!("{FROM}A: 1\n\n>From x\n>>From y\n> From z\n\n{FROM}A: 2\n\n");
        assert_eq!(read(mbox.as_bytes(), true), [&b"A: 1\n\nFrom x\n>From y\n> From z\n"[..], b"A: 2\n"]);
        assert_eq!(read(mbox.as_bytes(), false)[0], b"A: 1\n\n>From x\n>>From y\n> From z\n");
    }

    #[test]
    fn crlf_mbox() {
        let mbox = format!("{FROM}A: 1\n\nx\n\n{FROM}A: 2\n\n").replace('\n', "\r\n");
        assert_eq!(read(mbox.as_bytes(), true), [&b"A: 1\r\n\r\nx\r\n"[..], b"A: 2\r\n"]);
    }

    #[test]
    fn from_in_prose_does_not_split() {
        let mbox = format!("{FROM}A: 1\n\nx\n\nFrom here on\nFrom a@b Wed Jan  2 18:55:00 2002\n\n");
        assert_eq!(read(mbox.as_bytes(), true).len(), 1);
    }

    #[test]
    fn blank_lines_of_the_message_stay() {
        let mbox = format!("{FROM}A: 1\n\nx\n\n\n\n{FROM}A: 2\n");
        assert_eq!(read(mbox.as_bytes(), true), [&b"A: 1\n\nx\n\n\n"[..], b"A: 2\n"]);
    }

    #[test]
    fn a_line_longer_than_a_piece() {
        let long = "x".repeat(200_000);
        let mbox = format!("{FROM}A: 1\n\n{long}From tail\n\n{FROM}\n\n");
        let messages = read(mbox.as_bytes(), true);
        assert_eq!(messages[0], format!("A: 1\n\n{long}From tail\n").as_bytes());
        assert_eq!(messages.len(), 2);
    }

    #[test]
    fn what_is_no_mbox() {
        let input = Box::new(std::io::Cursor::new(b"Subject: x\n\n".to_vec()));
        assert!(MboxReader::new(input, "test".into(), Arc::default(), 0, true).is_err());
        assert!(read(b"", true).is_empty());
        assert!(read(b"\n\n", true).is_empty());
    }
}
