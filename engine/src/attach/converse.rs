//! One client on engine.sock: its hello, then its requests, one after the other.

use super::admin::Admin;
use super::failure::Failure;
use super::frame::{self, DATA_BYTES_MAX, Frame};
use super::serve::Shared;
use super::wire::{Answer, Envelope, Hello, ItemHead, PROTOCOL, Request, Told, VERSION, Welcome};
use crate::error::{Error, Result};
use crate::log::Pin;
use crate::ops::{Appended, Delivered, NewAccount};
use crate::types::{AccountId, MailboxId, Uid};
use crate::work::{Step, Work};
use serde::Serialize;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a client may stay silent in the middle of a request, or leave an answer unread.
const STALL: Duration = Duration::from_secs(60);
/// How often long work says how far it is.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// More messages than this in one append are refused: they would be one transaction.
const APPEND_MESSAGES_MAX: usize = 4_096;

struct Client<'a> {
    shared: &'a Shared,
    input: BufReader<UnixStream>,
    output: BufWriter<UnixStream>,
    /// Held until this client leaves.
    pins: Vec<Pin>,
}

/// Serves one client until it leaves.
pub fn converse(shared: &Shared, stream: UnixStream) -> Result<()> {
    stream.set_write_timeout(Some(STALL)).map_err(frame::lost)?;
    let output = BufWriter::with_capacity(DATA_BYTES_MAX + 16, stream.try_clone().map_err(frame::lost)?);
    let mut client = Client { shared, input: BufReader::new(stream), output, pins: Vec::new() };
    client.patience(Some(STALL))?;
    if !client.greet()? {
        return Ok(());
    }
    let ended = client.serve_all();
    if shared.is_stopping() {
        // Nothing was begun of what this stands in place of.
        client.answer(&Answer::<()>::Err(Failure::Closed))?;
    }
    ended
}

impl Client<'_> {
    fn patience(&self, limit: Option<Duration>) -> Result<()> {
        self.input.get_ref().set_read_timeout(limit).map_err(frame::lost)
    }

    /// Says hello; `false` when the client left again.
    fn greet(&mut self) -> Result<bool> {
        let Some(frame) = frame::read(&mut self.input)? else { return Ok(false) };
        let hello: Hello = frame.decode()?;
        if hello.protocol != PROTOCOL || hello.version != VERSION {
            let why = format!("engine.sock speaks version {VERSION} of its protocol, you {}", hello.version);
            self.answer(&Answer::<()>::Err(Failure::NotPossible(why.clone())))?;
            return Err(Error::NotPossible(why));
        }
        let (role, pid) = (self.shared.role, std::process::id());
        self.answer(&Answer::Ok(Welcome { version: VERSION, role, pid }))?;
        Ok(true)
    }

    /// One request after the other, until the client leaves or the service ends.
    fn serve_all(&mut self) -> Result<()> {
        while !self.shared.is_stopping() {
            self.patience(None)?;
            let Some(frame) = frame::read(&mut self.input)? else { return Ok(()) };
            self.patience(Some(STALL))?;
            let request = frame.decode()?;
            self.serve(request)?;
        }
        Ok(())
    }

    fn answer(&mut self, value: &impl Serialize) -> Result<()> {
        frame::control(&mut self.output, value)?;
        self.output.flush().map_err(frame::lost)
    }

    fn result<T: Serialize>(&mut self, result: Result<T>) -> Result<()> {
        self.answer(&result.map_err(Failure::from))
    }

    fn serve(&mut self, request: Request) -> Result<()> {
        let local = self.shared.local.clone();
        match request {
            Request::Accounts => self.result(local.accounts()),
            Request::AccountId { name } => self.result(local.account_id(&name)),
            Request::CreateAccount { name, password, quota_bytes } => {
                let new = NewAccount { name: &name, password: password.as_deref(), quota_bytes };
                self.result(local.create_account(&new))
            }
            Request::DeleteAccount { account } => self.result(local.delete_account(account)),
            Request::SetPassword { account, password } => self.result(local.set_password(account, &password)),
            Request::SetQuota { account, quota_bytes } => self.result(local.set_quota(account, quota_bytes)),
            Request::Mailboxes { account } => self.result(local.mailboxes(account)),
            Request::CreateMailbox { account, name } => self.result(local.create_mailbox(account, &name)),
            Request::DeleteMailbox { account, mailbox } => {
                self.result(local.delete_mailbox(account, mailbox))
            }
            Request::Append { account, mailbox, messages } => {
                let appended = self.append(account, mailbox, messages)?;
                self.result(appended)
            }
            Request::CreateKeptMailbox { account, kept } => {
                self.result(local.create_kept_mailbox(account, &kept))
            }
            Request::FinishKeptMailbox { account, mailbox, kept, uid_next } => {
                self.result(local.finish_kept_mailbox(account, mailbox, &kept, uid_next))
            }
            Request::Rows { account, mailbox, from } => self.result(local.rows(account, mailbox, from)),
            Request::Search { account, mailbox, key } => self.result(local.search(account, mailbox, &key)),
            Request::Read { account, mailbox, uid } => self.read(account, mailbox, uid),
            Request::Stats => self.result(local.stats()),
            Request::Reindex { account } => self.result(local.reindex(account)),
            Request::IndexStats { account } => self.result(local.index_stats(account)),
            Request::Check { deep } => self.long(|work| local.check(deep, work)),
            Request::RepairPlan => self.long(|work| local.repair_plan(work)),
            Request::Repair { plan } => self.long(|work| local.repair(&plan, work)),
            Request::Pin => {
                let held = local.hold().map(|(pin, pinned)| {
                    self.pins.push(pin);
                    pinned
                });
                self.result(held)
            }
            Request::CreateAccountAgain { again } => self.result(local.create_account_again(&again)),
            Request::Compact { options } => self.long(|work| local.compact(options, work)),
            Request::Destination { address } => self.result(local.destination(&address)),
            Request::Deliver => {
                let verdicts = self.deliver()?;
                self.result(verdicts)
            }
            Request::HandOver => {
                let asked = self.shared.ask_for_hand_over();
                self.result(asked)
            }
        }
    }

    /// Long work: its steps are told, at most a few times a second. A client that went away is found out by that,
    /// and the work ends.
    fn long<T: Serialize>(&mut self, work: impl FnOnce(&mut Work<'_>) -> Result<T>) -> Result<()> {
        let (mut told, mut lost) = (Instant::now(), None);
        let result = {
            let mut tell = |step: &Step| {
                if told.elapsed() < TELL_EVERY {
                    return true;
                }
                told = Instant::now();
                lost = self.answer(&Told::<()>::Step(step.clone())).err();
                lost.is_none() && !self.shared.is_stopping()
            };
            work(&mut Work::told_to(&mut tell))
        };
        match lost {
            Some(error) => Err(error),
            None => self.answer(&Told::Done(result.map_err(Failure::from))),
        }
    }

    fn read(&mut self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<()> {
        let mut out = MessageOut { output: &mut self.output, begun: false };
        match self.shared.local.read(account, mailbox, uid, &mut out) {
            Ok(_) => {
                out.begin().map_err(frame::lost)?;
                frame::end(&mut self.output)?;
                self.output.flush().map_err(frame::lost)
            }
            Err(error) => self.answer(&Answer::<()>::Err(error.into())),
        }
    }

    /// Reads every message of the batch, even after one failed, so that the answer comes in turn.
    fn append(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        messages: usize,
    ) -> Result<Result<Appended>> {
        let mut staged = Ok(Vec::new());
        if messages > APPEND_MESSAGES_MAX {
            staged = Err(Error::Limit(format!("{APPEND_MESSAGES_MAX} messages in one append")));
        }
        for _ in 0..messages {
            let head: ItemHead = frame::read(&mut self.input)?.ok_or(Error::Closed)?.decode()?;
            let mut body = MessageIn::new(&mut self.input);
            if let Ok(items) = &mut staged {
                match self.shared.local.stage(&mut body, head.flags, head.internal_date) {
                    Ok(item) => items.push((item, head.kept)),
                    Err(error) => staged = Err(error),
                }
            }
            body.drain()?;
        }
        Ok(staged.and_then(|items| self.shared.local.append_staged(account, mailbox, items)))
    }

    fn deliver(&mut self) -> Result<Result<Vec<Answer<Delivered>>>> {
        let mut delivery = self.shared.local.begin_delivery();
        loop {
            match frame::read(&mut self.input)?.ok_or(Error::Closed)? {
                Frame::Data(bytes) => {
                    // After a failure the rest is read and dropped, so that the answer comes in turn.
                    if let Ok(open) = &mut delivery
                        && let Err(error) = open.write(&bytes)
                    {
                        delivery = Err(error);
                    }
                }
                Frame::End => return Err(frame::broken("an end out of turn")),
                last @ Frame::Control(_) => {
                    let envelope: Envelope = last.decode()?;
                    let verdicts = delivery
                        .and_then(|open| open.deliver(&envelope.sender, envelope.recipients))
                        .map(|verdicts| verdicts.into_iter().map(|one| one.map_err(Failure::from)).collect());
                    return Ok(verdicts);
                }
            }
        }
    }
}

/// A message's data frames, as bytes to read.
struct MessageIn<'a, R> {
    input: &'a mut R,
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
    broken: Option<Error>,
}

impl<'a, R: Read> MessageIn<'a, R> {
    fn new(input: &'a mut R) -> Self {
        Self { input, chunk: Vec::new(), at: 0, ended: false, broken: None }
    }

    fn next_chunk(&mut self) -> Result<()> {
        match frame::read(self.input)?.ok_or(Error::Closed)? {
            Frame::Data(bytes) => {
                self.chunk = bytes;
                self.at = 0;
                Ok(())
            }
            Frame::End => {
                self.ended = true;
                Ok(())
            }
            Frame::Control(_) => Err(frame::broken("a request out of turn")),
        }
    }

    /// Reads what is left of the message. Fails when the connection did.
    fn drain(mut self) -> Result<()> {
        while !self.ended && self.broken.is_none() {
            self.next_chunk()?;
        }
        self.broken.map_or(Ok(()), Err)
    }
}

impl<R: Read> Read for MessageIn<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.chunk.len() && !self.ended {
            if let Err(error) = self.next_chunk() {
                let shown = io::Error::other(error.to_string());
                self.broken = Some(error);
                return Err(shown);
            }
        }
        let count = self.chunk.get(self.at..).unwrap_or_default().read(out)?;
        self.at += count;
        Ok(count)
    }
}

/// A message on its way to the client: says that it comes before its first byte.
struct MessageOut<'a, W> {
    output: &'a mut W,
    begun: bool,
}

impl<W: Write> MessageOut<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        frame::control(self.output, &Answer::Ok(())).map_err(io::Error::other)
    }
}

impl<W: Write> Write for MessageOut<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        frame::data(self.output, bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn message(pieces: &[&[u8]], ended: bool) -> Vec<u8> {
        let mut wire = Vec::new();
        for piece in pieces {
            frame::data(&mut wire, piece).unwrap();
        }
        if ended {
            frame::end(&mut wire).unwrap();
        }
        wire
    }

    #[test]
    fn data_frames_read_as_one_message() {
        let mut wire = message(&[b"one ", b"", b"two"], true);
        wire.extend(message(&[b"next"], true));
        let mut input = wire.as_slice();
        let mut text = String::new();
        let mut first = MessageIn::new(&mut input);
        first.read_to_string(&mut text).unwrap();
        first.drain().unwrap();
        assert_eq!(text, "one two");
        MessageIn::new(&mut input).drain().unwrap();
        assert!(input.is_empty(), "an unread message is drained to its end and no further");
    }

    #[test]
    fn a_message_cut_off_is_an_error_not_a_shorter_message() {
        let wire = message(&[b"half"], false);
        let mut input = wire.as_slice();
        let mut body = MessageIn::new(&mut input);
        assert!(body.read_to_end(&mut Vec::new()).is_err());
        assert!(body.drain().is_err());
    }
}
