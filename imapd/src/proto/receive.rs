//! From bytes to events: what a connection feeds and what a session handles.
//!
//! How to drive it: `push` what was read, then take events with `next` until `NeedBytes`, handling
//! each before the next call; so pipelined commands are understood one after the other.
//!
//! Laws
//! - `next` after an event assumes that the event was handled: a literal that was announced by
//!   `AppendMessage` was accepted or refused.
//! - A continuation is only asked for (`SendContinue`, or `AppendMessage` with `synchronizing`)
//!   when the literal will be read. A refused synchronizing literal ends its command at once; the
//!   rest of a refused command with non-synchronizing literals is read and dropped first.
//! - `Refused` always ends the command in progress: whatever an APPEND staged is dropped.

use super::ast::Command;
use super::frame::{Announcement, Frame, Framer};
use super::parse::{self, Refusal, append};
use super::write::Code;
use engine::types::ZonedTime;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The text of a command, its literals not counted.
    pub line_bytes: usize,
    /// All literals of a command together, an APPEND's messages not counted.
    pub literal_bytes: usize,
    /// One message of an APPEND.
    pub message_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 64 * 1024, literal_bytes: 64 * 1024, message_bytes: 50 * 1024 * 1024 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing to do until more bytes are pushed.
    NeedBytes,
    /// Write a continuation (`write::continuation`): the client waits to send a small literal.
    SendContinue,
    Command(Command),
    /// An APPEND reached a message. Call `accept_literal` (and write a continuation when
    /// `synchronizing`) or `refuse`.
    AppendMessage(AppendMessage),
    /// Bytes of the accepted message; never empty.
    MessageBytes(Vec<u8>),
    /// The message is complete. Another `AppendMessage` may follow (RFC 3502), then `AppendEnd`.
    MessageEnd,
    /// The APPEND is complete: commit everything and answer its tag.
    AppendEnd,
    /// The line asked for with `expect_line`.
    Line(Vec<u8>),
    /// The command in progress is over: write the refusal. With `expect_line` in force the line
    /// was too long; the session answers with the tag of the command that asked for it.
    Refused(Refusal),
    /// The end of a literal cannot be found: write the refusal, say BYE and close.
    Lost(Refusal),
}

/// RFC 3501 section 6.3.11: everything before a message literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    pub tag: String,
    pub mailbox: String,
    /// 0 for the first message of the command.
    pub index: usize,
    pub flags: Vec<String>,
    pub internal_date: Option<ZonedTime>,
    /// Never zero, never more than `Limits::message_bytes`.
    pub size_bytes: u64,
    pub synchronizing: bool,
}

#[derive(Debug)]
enum State {
    /// Between commands, or in the middle of one that is not an APPEND.
    Command,
    /// In an APPEND, after its mailbox is known.
    Append { tag: String, mailbox: String, messages: usize },
    /// The rest of the command is read and dropped, then this is its answer.
    Refusing(Refusal),
    /// `expect_line`.
    Line,
}

#[derive(Debug)]
pub struct Receiver {
    framer: Framer,
    limits: Limits,
    state: State,
    /// The literal that `AppendMessage` announced and nobody accepted yet.
    pending: Option<Announcement>,
}

impl Receiver {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { framer: Framer::new(limits.line_bytes), limits, state: State::Command, pending: None }
    }

    /// Adds bytes from the client. Push only after `NeedBytes`, or memory is not bounded.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// Whether bytes wait unread: the client pipelined, answers need not be flushed yet. (During
    /// IDLE it means that `DONE` may be there already.)
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        self.framer.has_buffered()
    }

    /// The next event is a `Line`: call it after the `Command` that needs one (AUTHENTICATE after
    /// each challenge, IDLE once), before the next `next`.
    pub fn expect_line(&mut self) {
        self.state = State::Line;
    }

    /// Reads the message just announced by `AppendMessage`.
    pub fn accept_literal(&mut self) {
        if let Some(Announcement { size_bytes: Some(size_bytes), .. }) = self.pending.take() {
            self.framer.stream(size_bytes);
        }
    }

    /// Gives the APPEND in progress up, at any event from `AppendMessage` on. Its `Refused` comes
    /// when the client can hear it: at once when it waits, else after the rest of the command.
    pub fn refuse(&mut self, refusal: Refusal) {
        let State::Append { tag, .. } = &mut self.state else { return };
        let refusal = refusal.with_tag(Some(std::mem::take(tag)));
        if let Some(left_bytes) = self.framer.stream_left_bytes() {
            self.framer.discard(left_bytes);
        }
        self.pending = None;
        self.state = State::Refusing(refusal);
    }

    /// What to handle next; never ends, and so is no `Iterator`.
    #[expect(clippy::should_implement_trait, reason = "`NeedBytes` is not an end")]
    pub fn next(&mut self) -> Event {
        if self.pending.is_some() {
            // Not handled: the session broke the first law. Nothing is read until it is.
            return Event::NeedBytes;
        }
        if matches!(self.state, State::Line) {
            return self.next_line();
        }
        loop {
            let event = match self.framer.next_frame() {
                Frame::Need => Some(Event::NeedBytes),
                Frame::Chunk(bytes) => Some(Event::MessageBytes(bytes)),
                Frame::ChunksEnd => Some(Event::MessageEnd),
                Frame::Announced(announcement) => self.announced(announcement),
                Frame::End => Some(self.end()),
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    fn next_line(&mut self) -> Event {
        let Some(line) = self.framer.next_plain_line() else { return Event::NeedBytes };
        self.state = State::Command;
        let overlong = self.framer.overlong();
        self.framer.take();
        if overlong { Event::Refused(line_too_long()) } else { Event::Line(line) }
    }

    /// The command is complete.
    fn end(&mut self) -> Event {
        let overlong = self.framer.overlong();
        let pieces = self.framer.take();
        match std::mem::replace(&mut self.state, State::Command) {
            State::Refusing(refusal) => Event::Refused(refusal),
            State::Append { tag, .. } if overlong => Event::Refused(line_too_long().with_tag(Some(tag))),
            State::Append { tag, .. } => match append::end(&pieces) {
                Ok(()) => Event::AppendEnd,
                Err(refusal) => Event::Refused(refusal.with_tag(Some(tag))),
            },
            _ if overlong => Event::Refused(line_too_long().with_tag(parse::tag(&pieces))),
            _ => match parse::command(&pieces) {
                Ok(command) => Event::Command(command),
                Err(refusal) => Event::Refused(refusal),
            },
        }
    }

    /// A line ended in a literal: decide what happens to it. `None`: go on with the next frame.
    fn announced(&mut self, announcement: Announcement) -> Option<Event> {
        let Some(size_bytes) = announcement.size_bytes else {
            return Some(self.lost(announcement));
        };
        match self.judge(announcement, size_bytes) {
            Ok(Literal::Collect) => {
                self.framer.collect(usize::try_from(size_bytes).unwrap_or(0));
                announcement.synchronizing.then_some(Event::SendContinue)
            }
            Ok(Literal::Message(message)) => {
                self.framer.take();
                self.pending = Some(announcement);
                Some(Event::AppendMessage(message))
            }
            Err(refusal) => self.refused(announcement, size_bytes, refusal),
        }
    }

    /// What to do with a literal, or why the command ends here.
    fn judge(&mut self, announcement: Announcement, size_bytes: u64) -> Result<Literal, Refusal> {
        if let State::Refusing(refusal) = &self.state {
            return Err(refusal.clone());
        }
        let tag = self.tag();
        let refused = |refusal: Refusal| refusal.with_tag(tag.clone());
        if self.framer.overlong() {
            return Err(refused(line_too_long()));
        }
        let in_append = matches!(self.state, State::Append { .. });
        if in_append || append::message_follows(self.framer.pieces()) {
            return self.judge_message(announcement, size_bytes).map_err(refused);
        }
        let room = self.limits.literal_bytes.saturating_sub(self.framer.literal_bytes());
        if size_bytes > room as u64 {
            return Err(refused(Refusal::no(
                Some(Code::TooBig),
                "the literal is too large for this command",
            )));
        }
        Ok(Literal::Collect)
    }

    fn judge_message(&mut self, announcement: Announcement, size_bytes: u64) -> Result<Literal, Refusal> {
        let (tag, mailbox, index, arguments) = match &self.state {
            State::Append { tag, mailbox, messages } => {
                (tag.clone(), mailbox.clone(), *messages, append::further(self.framer.pieces())?)
            }
            _ => {
                let (tag, mailbox, arguments) = append::first(self.framer.pieces())?;
                (tag, mailbox, 0, arguments)
            }
        };
        if size_bytes == 0 {
            // RFC 3502 section 6.3.11: an error, and how a client cancels.
            return Err(Refusal::no(None, "a message of no bytes: nothing was appended"));
        }
        if size_bytes > self.limits.message_bytes {
            return Err(Refusal::no(Some(Code::TooBig), "the message is larger than this server takes"));
        }
        self.state =
            State::Append { tag: tag.clone(), mailbox: mailbox.clone(), messages: index.saturating_add(1) };
        Ok(Literal::Message(AppendMessage {
            tag,
            mailbox,
            index,
            flags: arguments.flags,
            internal_date: arguments.internal_date,
            size_bytes,
            synchronizing: announcement.synchronizing,
        }))
    }

    fn refused(&mut self, announcement: Announcement, size_bytes: u64, refusal: Refusal) -> Option<Event> {
        if announcement.synchronizing {
            self.framer.abandon();
            self.state = State::Command;
            return Some(Event::Refused(refusal));
        }
        self.framer.take();
        self.framer.discard(size_bytes);
        self.state = State::Refusing(refusal);
        None
    }

    fn lost(&mut self, announcement: Announcement) -> Event {
        let refusal = Refusal::bad("the size of a literal is not a number of 64 bits").with_tag(self.tag());
        if announcement.synchronizing {
            self.framer.abandon();
            self.state = State::Command;
            return Event::Refused(refusal);
        }
        Event::Lost(refusal)
    }

    fn tag(&self) -> Option<String> {
        match &self.state {
            State::Append { tag, .. } => Some(tag.clone()),
            State::Refusing(refusal) => refusal.tag.clone(),
            State::Command | State::Line => parse::tag(self.framer.pieces()),
        }
    }
}

enum Literal {
    Collect,
    Message(AppendMessage),
}

fn line_too_long() -> Refusal {
    Refusal::bad("the command line is too long")
}
