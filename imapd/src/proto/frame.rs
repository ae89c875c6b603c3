//! Cuts a byte stream into command lines and literals, before understanding either.
//!
//! Laws
//! - The frames do not depend on how the bytes were chunked (chunks of a streamed literal aside).
//! - Every line end is looked at for a literal announcement, also of a line that is thrown away
//!   (RFC 7888 section 3): a bad command never makes the next one unreadable.
//! - Held bytes are bounded: the text of a command by `line_bytes_max`, an overlong line by its
//!   first and last bytes, a streamed or discarded literal by what was pushed.
//! - No literal is read before the caller said what to do with it.

use memchr::memchr;

/// Kept of the beginning of an overlong line: room for the tag.
const HEAD_BYTES: usize = 256;
/// Kept of its end: room for `{18446744073709551615+}` and the line end.
const TAIL_BYTES: usize = 32;

/// A part of a command, as the client sent it. A literal's announcement is in neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(Vec<u8>),
    Literal(Vec<u8>),
}

/// `{n}` or `{n+}` at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// `None`: more than 64 bits can say, so its end cannot be found.
    pub size_bytes: Option<u64>,
    /// The client waits for a continuation before it sends the literal.
    pub synchronizing: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Push more bytes.
    Need,
    /// A line ended in an announcement: call `collect`, `stream`, `discard` or `abandon`.
    Announced(Announcement),
    /// Bytes of a streamed literal; never empty.
    Chunk(Vec<u8>),
    /// A streamed literal is complete; the command's text goes on.
    ChunksEnd,
    /// The command is complete: call `take`.
    End,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    Announced(Announcement),
    Collect {
        literal: Vec<u8>,
        left: usize,
    },
    Stream {
        left: u64,
    },
    Discard {
        left: u64,
    },
}

#[derive(Debug)]
pub struct Framer {
    line_bytes_max: usize,
    buffer: Vec<u8>,
    /// Bytes before this were handed out.
    start: usize,
    /// Bytes from `start` on that hold no line end.
    searched: usize,
    state: State,
    pieces: Vec<Piece>,
    text_bytes: usize,
    literal_bytes: usize,
    overlong: bool,
}

impl Framer {
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            state: State::Text,
            pieces: Vec::new(),
            text_bytes: 0,
            literal_bytes: 0,
            overlong: false,
        }
    }

    /// Adds bytes from the client. Push only after `Need`, or the buffer grows.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether bytes wait here unread: a client that pipelined.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.start < self.buffer.len()
    }

    pub fn next_frame(&mut self) -> Frame {
        match &self.state {
            State::Text => self.next_line(),
            State::Announced(announcement) => Frame::Announced(*announcement),
            State::Collect { .. } => self.next_collected(),
            State::Stream { left } => self.next_streamed(*left),
            State::Discard { left } => self.next_discarded(*left),
        }
    }

    /// A line without looking for literals: the answer to a challenge, or IDLE's `DONE`.
    /// `None`: not complete yet. An overlong one comes back empty with `overlong` set.
    pub fn next_plain_line(&mut self) -> Option<Vec<u8>> {
        let line = self.cut_line()?;
        Some(if self.overlong { Vec::new() } else { line })
    }

    /// The command so far.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Bytes of literals collected for this command.
    #[must_use]
    pub fn literal_bytes(&self) -> usize {
        self.literal_bytes
    }

    /// The text of this command went over the limit; only its first bytes are in `pieces`.
    #[must_use]
    pub fn overlong(&self) -> bool {
        self.overlong
    }

    /// Takes the command so far and starts afresh; in the middle of an APPEND the limits count
    /// from here.
    pub fn take(&mut self) -> Vec<Piece> {
        self.text_bytes = 0;
        self.literal_bytes = 0;
        self.overlong = false;
        std::mem::take(&mut self.pieces)
    }

    /// The announced literal becomes a piece. The caller has checked its size.
    pub fn collect(&mut self, size_bytes: usize) {
        self.state = State::Collect { literal: Vec::new(), left: size_bytes };
    }

    /// The announced literal comes as chunks.
    pub fn stream(&mut self, size_bytes: u64) {
        self.state = State::Stream { left: size_bytes };
    }

    /// The announced literal, or what is left of a streamed one, is thrown away.
    pub fn discard(&mut self, size_bytes: u64) {
        self.state = State::Discard { left: size_bytes };
    }

    /// Bytes of the streamed literal that have not been handed out.
    #[must_use]
    pub fn stream_left_bytes(&self) -> Option<u64> {
        match self.state {
            State::Stream { left } => Some(left),
            _ => None,
        }
    }

    /// The announced literal will not be sent, and the command ends here: what follows a refused
    /// synchronizing literal is a new command.
    pub fn abandon(&mut self) {
        self.state = State::Text;
        self.take();
    }

    fn next_line(&mut self) -> Frame {
        let Some(line) = self.cut_line() else { return Frame::Need };
        let (text, announcement) = split_announcement(&line);
        let only_a_literal = text.is_empty() && announcement.is_some();
        if !only_a_literal && !self.overlong {
            self.pieces.push(Piece::Text(text.to_vec()));
        }
        match announcement {
            Some(announcement) => {
                self.state = State::Announced(announcement);
                Frame::Announced(announcement)
            }
            None => Frame::End,
        }
    }

    /// The next line without its end (CRLF, or the bare LF that Dovecot accepts too). Of a line
    /// beyond the limit only the tail comes back, and `pieces` has its head.
    fn cut_line(&mut self) -> Option<Vec<u8>> {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let found = memchr(b'\n', unread.get(self.searched..).unwrap_or_default());
        let length = found.map_or(unread.len(), |at| self.searched + at);
        if !self.overlong && self.text_bytes.saturating_add(length) > self.line_bytes_max.saturating_add(1) {
            self.overlong = true;
            if self.pieces.is_empty() {
                let head = unread.get(..HEAD_BYTES.min(self.line_bytes_max).min(length)).unwrap_or_default();
                self.pieces.push(Piece::Text(head.to_vec()));
            }
        }
        let keep = if self.overlong { TAIL_BYTES.min(length) } else { length };
        let line_start = self.start + length - keep;
        if found.is_none() {
            self.start = line_start;
            self.searched = keep;
            return None;
        }
        let mut line = self.buffer.get(line_start..line_start + keep).unwrap_or_default().to_vec();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.start = line_start + keep + 1;
        self.searched = 0;
        self.text_bytes = self.text_bytes.saturating_add(length);
        Some(line)
    }

    fn next_collected(&mut self) -> Frame {
        let State::Collect { mut literal, left } = std::mem::take(&mut self.state) else {
            return Frame::Need;
        };
        let bytes = self.cut_bytes(left as u64);
        literal.extend_from_slice(&bytes);
        let left = left - bytes.len();
        if left > 0 {
            self.state = State::Collect { literal, left };
            return Frame::Need;
        }
        self.literal_bytes = self.literal_bytes.saturating_add(literal.len());
        self.pieces.push(Piece::Literal(literal));
        self.next_line()
    }

    fn next_streamed(&mut self, left: u64) -> Frame {
        if left == 0 {
            self.state = State::Text;
            return Frame::ChunksEnd;
        }
        let bytes = self.cut_bytes(left);
        if bytes.is_empty() {
            return Frame::Need;
        }
        self.state = State::Stream { left: left - bytes.len() as u64 };
        Frame::Chunk(bytes)
    }

    fn next_discarded(&mut self, left: u64) -> Frame {
        let left = left - self.skip_bytes(left);
        if left > 0 {
            self.state = State::Discard { left };
            return Frame::Need;
        }
        self.state = State::Text;
        self.next_line()
    }

    fn cut_bytes(&mut self, at_most: u64) -> Vec<u8> {
        let from = self.start;
        let count = usize::try_from(self.skip_bytes(at_most)).unwrap_or(0);
        if from == 0 && count == self.buffer.len() {
            self.start = 0;
            return std::mem::take(&mut self.buffer);
        }
        self.buffer.get(from..from + count).unwrap_or_default().to_vec()
    }

    fn skip_bytes(&mut self, at_most: u64) -> u64 {
        let unread = (self.buffer.len() - self.start) as u64;
        let count = unread.min(at_most);
        self.start += usize::try_from(count).unwrap_or(0);
        count
    }
}

/// Splits `.. {12+}` into the text before the brace and what it announces.
fn split_announcement(line: &[u8]) -> (&[u8], Option<Announcement>) {
    let none = (line, None);
    let Some(inner) = line.strip_suffix(b"}") else { return none };
    let (inner, synchronizing) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let digits = inner.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = inner.split_at(inner.len() - digits);
    let Some(text) = before.strip_suffix(b"{") else { return none };
    if number.is_empty() {
        return none;
    }
    let size_bytes = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    (text, Some(Announcement { size_bytes, synchronizing }))
}
