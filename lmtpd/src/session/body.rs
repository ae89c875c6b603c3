//! The text of a message, by DATA or in BDAT chunks, and the replies it ends in.
//!
//! Laws
//! - The text is read to its end even when it is refused, so that the next command is found.
//! - Nothing is written past `max_message_bytes`: the first byte over it abandons the message.

use super::phase::{Content, Envelope, Input, Phase};
use super::{Action, Session};
use crate::proto::data::{Piece, take};
use crate::proto::refusal::Refusal;
use crate::proto::reply::Reply;
use std::fmt::Display;

impl<R> Session<R> {
    /// The answer to `Action::Begin`.
    pub fn begun(&mut self, verdict: Result<(), Refusal>, out: &mut Vec<u8>) {
        match (&self.input, verdict) {
            (Input::Data(_), Ok(())) => Reply::start_mail_input().write(out),
            (Input::Data(_), Err(refusal)) => {
                refusal.reply(None).write(out);
                self.input = Input::Lines;
                self.phase = Phase::Ready;
            }
            // The chunk comes in any case; it is answered at its end.
            (_, Err(refusal)) => self.write_failed(refusal),
            (_, Ok(())) => {}
        }
    }

    /// The message cannot be stored: the rest of it is read and dropped, and this is answered.
    pub fn write_failed(&mut self, refusal: Refusal) {
        if let Phase::Body { content, .. } = &mut self.phase {
            content.refusal.get_or_insert(refusal);
        }
    }

    /// The answer to `Action::Commit`: a verdict for each recipient, in order.
    pub fn committed(&mut self, verdicts: &[Result<(), Refusal>], out: &mut Vec<u8>) {
        let Phase::Committing { owed } = std::mem::replace(&mut self.phase, Phase::Ready) else { return };
        // A missing verdict is no 250.
        let verdicts = verdicts.iter().copied().chain(std::iter::repeat(Err(Refusal::Unavailable)));
        for (address, verdict) in owed.iter().zip(verdicts) {
            match verdict {
                Ok(()) => Reply::new(250, "2.0.0", format!("<{address}> delivered")).write(out),
                Err(refusal) => refusal.reply(Some(address)).write(out),
            }
        }
        self.bad_commands = 0;
    }

    /// RFC 5321 section 4.5.2.
    pub(super) fn read_data<'i>(&mut self, input: &mut &'i [u8], out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        let Input::Data(decoder) = &mut self.input else { return None };
        match decoder.next(input) {
            Piece::More => Some(Action::Read),
            Piece::Text(text) => self.text(text),
            Piece::End => {
                self.input = Input::Lines;
                self.end_of_message(out)
            }
        }
    }

    /// RFC 3030 section 2.
    pub(super) fn read_chunk<'i>(
        &mut self,
        input: &mut &'i [u8],
        out: &mut Vec<u8>,
    ) -> Option<Action<'i, R>> {
        let Input::Chunk { left_bytes, last } = &mut self.input else { return None };
        if *left_bytes > 0 {
            if input.is_empty() {
                return Some(Action::Read);
            }
            let text = take(input, usize::try_from(*left_bytes).unwrap_or(usize::MAX));
            *left_bytes = left_bytes.saturating_sub(text.len() as u64);
            return self.text(text);
        }
        let last = *last;
        self.input = Input::Lines;
        if last { self.end_of_message(out) } else { self.end_of_chunk(out) }
    }

    /// Counts text and passes it on, unless it is being dropped.
    fn text<'i>(&mut self, text: &'i [u8]) -> Option<Action<'i, R>> {
        let Phase::Body { content, .. } = &mut self.phase else { return None };
        content.received_bytes = content.received_bytes.saturating_add(text.len() as u64);
        if content.refusal.is_some() {
            return None;
        }
        if content.received_bytes > self.limits.max_message_bytes {
            content.refusal = Some(Refusal::TooBig);
            return Some(Action::Abandon);
        }
        Some(Action::Write(text))
    }

    fn end_of_chunk<'i>(&mut self, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        let reply = match &self.phase {
            Phase::Body { content: Content { refusal: Some(refusal), .. }, .. } => refusal.reply(None),
            Phase::Body { content, .. } => {
                Reply::new(250, "2.0.0", format!("{} octets received", content.received_bytes))
            }
            Phase::Envelope { .. } => {
                return self.bad(&Reply::bad_sequence("no recipient was accepted"), out);
            }
            _ => return self.bad(&Reply::bad_sequence("BDAT comes after MAIL and RCPT"), out),
        };
        reply.write(out);
        None
    }

    /// RFC 2033 sections 4.2 and 4.3: a reply for each accepted RCPT, none where there was none.
    fn end_of_message<'i>(&mut self, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Body { envelope, content: Content { refusal: Some(refusal), .. } } => {
                for recipient in &envelope.recipients {
                    refusal.reply(Some(&recipient.address as &dyn Display)).write(out);
                }
                None
            }
            Phase::Body { envelope, .. } => Some(self.commit(envelope)),
            // BDAT LAST in a transaction whose every RCPT was refused: it ends without a reply.
            Phase::Envelope { .. } => None,
            other => {
                self.phase = other;
                self.bad(&Reply::bad_sequence("BDAT comes after MAIL and RCPT"), out)
            }
        }
    }

    fn commit<'i>(&mut self, envelope: Envelope<R>) -> Action<'i, R> {
        let owed = envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        self.phase = Phase::Committing { owed };
        Action::Commit(envelope)
    }
}
