//! APPEND (RFC 3501 section 6.3.11), of several messages at once (RFC 3502), large ones never whole
//! in memory.
//!
//! Laws
//! - What can be known before a message is sent is said before it is sent: the mailbox is not there,
//!   the quota has no room.
//! - All messages of a command become visible in one transaction, or none does.
//! - After a failure the rest of the command is read and dropped, then answered.

use super::sink::{Gone, Out};
use super::stop::{Answer, Done, Stop};
use super::{Session, Step, Task};
use crate::proto::AppendMessage;
use crate::proto::parse::Refusal;
use crate::proto::write::{self, Code};
use engine::log::MessageStager;
use engine::ops::AppendItem;
use engine::types::{AccountId, MailboxId, ZonedTime};

/// An APPEND in progress.
pub struct Append {
    tag: String,
    account: AccountId,
    mailbox: MailboxId,
    staged_bytes: u64,
    items: Vec<AppendItem>,
    receiving: Option<Receiving>,
}

/// The message that is coming in.
struct Receiving {
    stager: MessageStager,
    flags: Vec<String>,
    internal_date: Option<ZonedTime>,
}

impl Session {
    /// A message is announced: accept it, or refuse the command.
    pub(super) fn append_message(&mut self, message: AppendMessage, out: &mut Out) -> Result<Step, Gone> {
        let in_progress = match self.task.take() {
            Some(Task::Append(append)) => Some(*append),
            _ => None,
        };
        let synchronizing = message.synchronizing;
        match self.append_admit(in_progress, message) {
            Ok(append) => {
                self.task = Some(Task::Append(Box::new(append)));
                self.receiver.accept_literal();
                if synchronizing {
                    write::continuation(out.buffer(), "send the message");
                }
                Ok(Step::Again)
            }
            Err(stop) => self.append_refuse(stop, out),
        }
    }

    fn append_admit(&mut self, in_progress: Option<Append>, message: AppendMessage) -> Result<Append, Stop> {
        let account = self.account()?;
        let mut append = match in_progress {
            Some(append) => append,
            None => {
                let missing = || Stop::no(Code::TryCreate, "No such mailbox");
                let mailbox = account.mailbox_named(&message.mailbox).ok_or_else(missing)?.header.id;
                Append {
                    tag: message.tag,
                    account: account.id,
                    mailbox,
                    staged_bytes: 0,
                    items: Vec::new(),
                    receiving: None,
                }
            }
        };
        append.staged_bytes = append.staged_bytes.saturating_add(message.size_bytes);
        if account.would_exceed_quota(append.staged_bytes) {
            return Err(engine::Error::OverQuota.into());
        }
        append.receiving = Some(Receiving {
            stager: self.shared.store.stager(),
            flags: message.flags,
            internal_date: message.internal_date,
        });
        Ok(append)
    }

    pub(super) fn append_bytes(&mut self, bytes: &[u8], out: &mut Out) -> Result<Step, Gone> {
        let Some(Task::Append(append)) = &mut self.task else { return Ok(Step::Again) };
        let Some(receiving) = &mut append.receiving else { return Ok(Step::Again) };
        match receiving.stager.write(bytes) {
            Ok(()) => Ok(Step::Again),
            Err(error) => self.append_refuse(error.into(), out),
        }
    }

    pub(super) fn append_message_end(&mut self, out: &mut Out) -> Result<Step, Gone> {
        let Some(Task::Append(append)) = &mut self.task else { return Ok(Step::Again) };
        let Some(Receiving { stager, flags, internal_date }) = append.receiving.take() else {
            return Ok(Step::Again);
        };
        match stager.finish() {
            Ok(message) => {
                append.items.push(AppendItem { message, flags, internal_date });
                Ok(Step::Again)
            }
            Err(error) => self.append_refuse(error.into(), out),
        }
    }

    /// Gives the command up: what was staged is dropped, and the receiver says when to answer.
    fn append_refuse(&mut self, stop: Stop, out: &mut Out) -> Result<Step, Gone> {
        self.task = None;
        let refusal = match stop {
            Stop::No(code, text) => Refusal::no(code, text),
            Stop::Bad(text) => Refusal::bad(text),
            Stop::Bye(code, text) => return self.bye(code.as_ref(), &text, out),
            Stop::Gone => return Err(Gone),
        };
        self.receiver.refuse(refusal);
        Ok(Step::Again)
    }

    /// The command is complete: one transaction, then the reply with APPENDUID (RFC 4315 section 3).
    pub(super) fn append_end(&mut self, out: &mut Out) -> Result<Step, Gone> {
        let Some(Task::Append(append)) = self.task.take() else { return Ok(Step::Again) };
        let Append { tag, account, mailbox, items, .. } = *append;
        let answer = self.append_commit(account, mailbox, items);
        let answer = self.with_changes(answer, true, out);
        self.finish(&tag, "APPEND", answer, out)
    }

    fn append_commit(&mut self, account: AccountId, mailbox: MailboxId, items: Vec<AppendItem>) -> Answer {
        match self.shared.store.append(account, mailbox, items) {
            Ok(appended) => Ok(Done::with(Code::AppendUid {
                uid_validity: appended.uid_validity.0,
                uids: appended.uids.iter().collect(),
            })),
            Err(engine::Error::NoSuchMailbox) => Err(Stop::no(Code::TryCreate, "No such mailbox")),
            Err(error) => Err(error.into()),
        }
    }
}
