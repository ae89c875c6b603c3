//! One LMTP session (RFC 2033): bytes in, replies and actions out.
//!
//! Laws
//! - No socket, clock or file. The driver offers input, does the action, and answers it with the
//!   method the action names before it offers input again.
//! - After the final dot or BDAT LAST there is one reply for each RCPT that was answered 250, in
//!   the order of the RCPTs, whatever went wrong (RFC 2033 sections 4.2, 4.3).
//! - 250 for a message is written only from a verdict of `committed`.
//! - All input offered is consumed before `Action::Read`, so replies to a pipelined group leave
//!   together (RFC 2920 section 3.2).
//! - `R` is what `Deliver` knows a recipient by; the session only carries it.

mod body;
mod commands;
mod phase;

pub use phase::{Envelope, Recipient};

use crate::proto::address::Address;
use crate::proto::line::LineDecoder;
use crate::proto::refusal::Refusal;
use crate::proto::reply::Reply;
use phase::{Input, Phase};

#[derive(Debug, Clone)]
pub struct Limits {
    /// Announced as SIZE and held to.
    pub max_message_bytes: u64,
    /// RCPTs a transaction (RFC 5321 section 4.5.3.1.8 asks for at least 100).
    pub max_recipients: usize,
    /// A command line, CRLF included.
    pub max_line_bytes: usize,
    /// Commands in error before the connection is closed; a delivered message forgives them.
    pub max_bad_commands: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 50 * 1024 * 1024,
            max_recipients: 1000,
            max_line_bytes: 4096,
            max_bad_commands: 20,
        }
    }
}

/// What the driver has to do next.
#[derive(Debug)]
pub enum Action<'i, R> {
    /// Send the replies and bring more input.
    Read,
    /// Ask whether the recipient can be delivered to; answer with `Session::recipient_checked`.
    CheckRecipient { recipient: Address, size_bytes: Option<u64> },
    /// Make ready to store a message; answer with `Session::begun`.
    Begin,
    /// The next bytes of the message. On failure call `Session::write_failed`.
    Write(&'i [u8]),
    /// The message is whole: deliver it and answer with `Session::committed`.
    Commit(Envelope<R>),
    /// Forget the message begun.
    Abandon,
    /// Send the replies and close the connection.
    Close,
}

pub struct Session<R> {
    hostname: String,
    limits: Limits,
    lines: LineDecoder,
    /// What the next bytes are.
    input: Input,
    /// How far the transaction is.
    phase: Phase<R>,
    bad_commands: u32,
}

impl<R> Session<R> {
    /// A session whose greeting is written to `out`.
    #[must_use]
    pub fn new(hostname: &str, limits: Limits, out: &mut Vec<u8>) -> Self {
        Reply::greeting(hostname).write(out);
        Self {
            hostname: hostname.to_owned(),
            lines: LineDecoder::new(limits.max_line_bytes),
            limits,
            input: Input::Lines,
            phase: Phase::Connected,
            bad_commands: 0,
        }
    }

    /// Reads on in `input` until there is something to do. Replies are appended to `out`.
    pub fn advance<'i>(&mut self, input: &mut &'i [u8], out: &mut Vec<u8>) -> Action<'i, R> {
        loop {
            if matches!(self.phase, Phase::Closed) {
                return Action::Close;
            }
            let action = match self.input {
                Input::Lines => self.read_line(input, out),
                Input::Data(_) => self.read_data(input, out),
                Input::Chunk { .. } => self.read_chunk(input, out),
            };
            if let Some(action) = action {
                return action;
            }
        }
    }

    /// True when no message is on its way in: a good moment to end the session.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        matches!(self.input, Input::Lines) && !matches!(self.phase, Phase::Body { .. })
    }

    /// Ends the session from this side (RFC 5321 section 3.8: 421 may answer any command).
    pub fn close(&mut self, reason: &Reply, out: &mut Vec<u8>) {
        reason.write(out);
        self.phase = Phase::Closed;
    }

    /// The answer to `Action::CheckRecipient`.
    pub fn recipient_checked(&mut self, verdict: Result<R, Refusal>, out: &mut Vec<u8>) {
        let Phase::Envelope { envelope, checking } = &mut self.phase else { return };
        let Some(address) = checking.take() else { return };
        match verdict {
            Ok(target) => {
                Reply::new(250, "2.1.5", format!("<{address}> OK")).write(out);
                envelope.recipients.push(Recipient { address, target });
            }
            Err(refusal) => refusal.reply(Some(&address)).write(out),
        }
    }
}

#[cfg(test)]
mod tests;
