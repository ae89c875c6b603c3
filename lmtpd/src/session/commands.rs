//! Command lines: one handler a command.
//!
//! Laws
//! - A command out of order changes nothing.
//! - RSET and LHLO forget the transaction, chunks already received included.

use super::phase::{Content, Envelope, Input, Phase};
use super::{Action, Session};
use crate::proto::address::Address;
use crate::proto::command::{self, BadCommand, Command, MailParameters};
use crate::proto::line::Line;
use crate::proto::refusal::Refusal;
use crate::proto::reply::{self, Reply};

impl<R> Session<R> {
    pub(super) fn read_line<'i>(&mut self, input: &mut &'i [u8], out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        let command = match self.lines.next(input) {
            None => return Some(Action::Read),
            Some(Line::TooLong) => return self.bad(&Reply::line_too_long(), out),
            Some(Line::BareLf) => return self.bad(&Reply::bare_lf(), out),
            Some(Line::Complete(line)) => command::parse(line),
        };
        match command {
            Ok(Command::Lhlo) => self.lhlo(out),
            Ok(Command::Mail { sender, parameters }) => self.mail(sender, parameters, out),
            Ok(Command::Rcpt { recipient }) => self.rcpt(recipient, out),
            Ok(Command::Data) => self.data(out),
            Ok(Command::Bdat { chunk_bytes, last }) => self.bdat(chunk_bytes, last),
            Ok(Command::Rset) => self.rset(out),
            Ok(Command::Noop) => say(&Reply::ok(), out),
            Ok(Command::Vrfy) => vrfy(out),
            Ok(Command::Quit) => self.quit(out),
            Err(bad) => {
                let action = self.bad(&bad.into(), out);
                if bad == BadCommand::ChunkLength {
                    // What follows may be a chunk of unknown length: none of it is a command.
                    self.phase = Phase::Closed;
                }
                action
            }
        }
    }

    /// RFC 2033 section 4.1; RFC 5321 section 4.1.4: it resets like RSET.
    fn lhlo<'i>(&mut self, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        reply::write_lhlo(&self.hostname, self.limits.max_message_bytes, out);
        self.forget_transaction(Phase::Ready)
    }

    /// RFC 5321 section 4.1.1.2; RFC 1870 section 6.1 for a declared size.
    fn mail<'i>(
        &mut self,
        sender: Option<Address>,
        parameters: MailParameters,
        out: &mut Vec<u8>,
    ) -> Option<Action<'i, R>> {
        match self.phase {
            Phase::Ready => {}
            Phase::Connected => return self.bad(&Reply::bad_sequence("say LHLO first"), out),
            _ => return self.bad(&Reply::bad_sequence("a transaction is open; RSET ends it"), out),
        }
        if parameters.size_bytes.is_some_and(|size| size > self.limits.max_message_bytes) {
            return say(&Refusal::TooBig.reply(None), out);
        }
        let envelope = Envelope { sender, recipients: Vec::new(), parameters };
        self.phase = Phase::Envelope { envelope, checking: None };
        say(&Reply::new(250, "2.1.0", "sender OK"), out)
    }

    /// RFC 5321 section 4.1.1.3. The driver says whether there is such an account, with room.
    fn rcpt<'i>(&mut self, recipient: Address, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        let Phase::Envelope { envelope, checking } = &mut self.phase else {
            return self.bad(&Reply::bad_sequence("RCPT comes after MAIL and before any text"), out);
        };
        if !envelope.parameters.smtputf8 && !recipient.is_ascii() {
            return self.bad(&BadCommand::NotAscii.into(), out);
        }
        if envelope.recipients.len() >= self.limits.max_recipients {
            // RFC 5321 section 4.5.3.1.10: the client sends the rest in another transaction.
            return say(&Reply::new(452, "4.5.3", "too many recipients"), out);
        }
        *checking = Some(recipient.clone());
        Some(Action::CheckRecipient { recipient, size_bytes: envelope.parameters.size_bytes })
    }

    /// RFC 5321 section 4.1.1.4; RFC 2033 section 4.2: 503 when no RCPT was accepted.
    fn data<'i>(&mut self, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Envelope { envelope, .. } if !envelope.recipients.is_empty() => {
                self.input = Input::Data(Default::default());
                self.phase = Phase::Body { envelope, content: Content::default() };
                Some(Action::Begin)
            }
            other => {
                self.phase = other;
                let why = match self.phase {
                    Phase::Envelope { .. } => "no recipient was accepted",
                    Phase::Body { .. } => "DATA after BDAT; RSET ends the transaction",
                    _ => "DATA comes after MAIL and RCPT",
                };
                self.bad(&Reply::bad_sequence(why), out)
            }
        }
    }

    /// RFC 3030 section 2. What to answer is known when the chunk has been read.
    fn bdat<'i>(&mut self, chunk_bytes: u64, last: bool) -> Option<Action<'i, R>> {
        self.input = Input::Chunk { left_bytes: chunk_bytes, last };
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Envelope { envelope, .. } if !envelope.recipients.is_empty() => {
                self.phase = Phase::Body { envelope, content: Content::default() };
                Some(Action::Begin)
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// RFC 5321 section 4.1.1.5.
    fn rset<'i>(&mut self, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        let phase = if matches!(self.phase, Phase::Connected) { Phase::Connected } else { Phase::Ready };
        Reply::ok().write(out);
        self.forget_transaction(phase)
    }

    /// RFC 5321 section 4.1.1.10.
    fn quit<'i>(&mut self, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        self.close(&Reply::new(221, "2.0.0", "closing connection"), out);
        None
    }

    fn forget_transaction<'i>(&mut self, phase: Phase<R>) -> Option<Action<'i, R>> {
        let begun = matches!(self.phase, Phase::Body { .. });
        self.phase = phase;
        begun.then_some(Action::Abandon)
    }

    /// Answers a command in error; too many of them end the session.
    pub(super) fn bad<'i>(&mut self, reply: &Reply, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
        reply.write(out);
        self.bad_commands = self.bad_commands.saturating_add(1);
        if self.bad_commands >= self.limits.max_bad_commands {
            self.close(&Reply::closing("4.7.0", "too many bad commands"), out);
        }
        None
    }
}

/// RFC 5321 section 3.5.3: 252, so that nobody learns here who has an account.
fn vrfy<'i, R>(out: &mut Vec<u8>) -> Option<Action<'i, R>> {
    say(&Reply::new(252, "2.0.0", "cannot verify; RCPT tells"), out)
}

fn say<'i, R>(reply: &Reply, out: &mut Vec<u8>) -> Option<Action<'i, R>> {
    reply.write(out);
    None
}
