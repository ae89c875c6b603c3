//! The store of another process, through its engine.sock.
//!
//! Laws
//! - A connection carries one request at a time; a `Remote` keeps the idle ones and opens more as
//!   its callers need them, so it serves many threads.
//! - A connection on which anything went wrong is dropped, never used again.

use super::admin::{AccountAgain, Admin, Delivery, Destination, Held, MailboxInfo, NewMessage, RowInfo};
use super::frame::{self, Frame};
use super::wire::{Answer, Envelope, Hello, ItemHead, PROTOCOL, Request, Role, Told, VERSION, Welcome};
use super::{peer, socket_path};
use crate::check::CheckReport;
use crate::error::{Error, Result};
use crate::indexer::IndexStats;
use crate::ops::{AccountInfo, Appended, Delivered, Kept, KeptMailbox, NewAccount, Recipient, Stats};
use crate::repair::{Plan, Repaired};
use crate::search::{Found, Key};
use crate::txn::compact::{CompactOptions, CompactReport};
use crate::types::{AccountId, MailboxId, Uid};
use crate::work::Work;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Idle connections that are kept.
const IDLE_MAX: usize = 16;

/// The owner of a store, as an `Admin`. Clones share their connections.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    input: BufReader<UnixStream>,
    output: BufWriter<UnixStream>,
    welcome: Welcome,
}

impl Remote {
    /// Attaches to the owner of the store in `dir`. `Error::Closed` when there is none.
    pub fn connect(dir: &Path) -> Result<Self> {
        let path = socket_path(dir);
        let connection = Connection::open(&path)?;
        Ok(Self { shared: Arc::new(Shared { path, idle: Mutex::new(vec![connection]) }) })
    }

    /// The owner's role and process.
    pub fn owner(&self) -> Result<(Role, u32)> {
        let connection = self.take()?;
        let owner = (connection.welcome.role, connection.welcome.pid);
        self.keep(connection);
        Ok(owner)
    }

    /// Asks a tool that owns the store to give it up. When this returns, it is about to.
    pub fn hand_over(&self) -> Result<()> {
        self.call(&Request::HandOver)
    }

    fn take(&self) -> Result<Connection> {
        loop {
            let idle = self.shared.idle.lock().pop();
            match idle {
                Some(connection) if peer::is_stale(connection.input.get_ref()) => {}
                Some(connection) => return Ok(connection),
                None => return Connection::open(&self.shared.path),
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.shared.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }

    /// One request, one answer.
    fn call<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        self.exchange(|connection| connection.send(request))
    }

    /// A request for long work. Not wanted any more, its connection is dropped, by which the owner hears of it.
    fn follow<T: DeserializeOwned>(&self, request: &Request, work: &mut Work<'_>) -> Result<T> {
        let mut connection = self.take()?;
        if let Err(error) = connection.send(request) {
            return Err(connection.why_not_sent(error));
        }
        loop {
            match connection.told()? {
                Told::Step(step) => work.step(&step.doing, step.done, step.total, step.unit)?,
                Told::Done(answer) => {
                    self.keep(connection);
                    return answer.map_err(Error::from);
                }
            }
        }
    }

    /// Sends a whole request and takes its answer.
    fn exchange<T: DeserializeOwned>(&self, send: impl FnOnce(&mut Connection) -> Result<()>) -> Result<T> {
        let mut connection = self.take()?;
        if let Err(error) = send(&mut connection) {
            return Err(connection.why_not_sent(error));
        }
        let answer = connection.answer()?;
        self.keep(connection);
        answer.map_err(Error::from)
    }
}

impl Connection {
    fn open(path: &Path) -> Result<Self> {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            NotFound | ConnectionRefused => Error::Closed,
            _ => Error::io(format!("connecting to {}", path.display()), error),
        })?;
        let output = BufWriter::with_capacity(128 * 1024, stream.try_clone().map_err(frame::lost)?);
        let welcome = Welcome { version: VERSION, role: Role::Tool, pid: 0 };
        let mut connection = Self { input: BufReader::new(stream), output, welcome };
        let hello = Hello { protocol: PROTOCOL.to_owned(), version: VERSION };
        connection.send(&hello).map_err(|_| Error::Closed)?;
        // Closed before a word: the owner is ending, or has too many clients. Nothing was begun.
        connection.welcome = connection.answer().map_err(|_| Error::Closed)??;
        if connection.welcome.version != VERSION {
            return Err(Error::NotPossible(format!(
                "the owner of the store speaks version {} of engine.sock, this program {VERSION}: use the same release",
                connection.welcome.version
            )));
        }
        Ok(connection)
    }

    fn send(&mut self, value: &impl serde::Serialize) -> Result<()> {
        frame::control(&mut self.output, value)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush().map_err(frame::lost)
    }

    fn receive(&mut self) -> Result<Frame> {
        // Without a word: killed, most likely. A clean end says `Closed` in a frame.
        frame::read(&mut self.input)?.ok_or(Error::OutcomeUnknown)
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<Answer<T>> {
        self.receive()?.decode()
    }

    fn told<T: DeserializeOwned>(&mut self) -> Result<Told<T>> {
        let frame = self.receive()?;
        // An owner that ends says `Closed` in place of it.
        frame.decode().or_else(|error| frame.decode::<Answer<T>>().map(Told::Done).map_err(|_| error))
    }

    /// The request was not sent whole, so nothing of it was done. The owner may have said why.
    fn why_not_sent(&mut self, error: Error) -> Error {
        if !matches!(error, Error::Io { .. }) {
            return error;
        }
        match self.answer::<()>() {
            Ok(Err(failure)) => failure.into(),
            Ok(Ok(())) | Err(_) => Error::Closed,
        }
    }

    fn send_message(&mut self, message: &mut NewMessage, kept: Kept) -> Result<()> {
        frame::control(
            &mut self.output,
            &ItemHead { flags: message.flags.clone(), internal_date: message.internal_date, kept },
        )?;
        let unread = |e| Error::NotPossible(format!("a message to append cannot be read: {e}"));
        let mut body = message.body.open().map_err(unread)?;
        let mut chunk = vec![0; frame::DATA_BYTES_MAX];
        loop {
            let count = body.read(&mut chunk).map_err(unread)?;
            if count == 0 {
                return frame::end(&mut self.output);
            }
            frame::data(&mut self.output, chunk.get(..count).unwrap_or_default())?;
        }
    }
}

impl Admin for Remote {
    fn accounts(&self) -> Result<Vec<AccountInfo>> {
        self.call(&Request::Accounts)
    }

    fn account_id(&self, name: &str) -> Result<Option<AccountId>> {
        self.call(&Request::AccountId { name: name.to_owned() })
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountId> {
        self.call(&Request::CreateAccount {
            name: new.name.to_owned(),
            password: new.password.map(str::to_owned),
            quota_bytes: new.quota_bytes,
        })
    }

    fn delete_account(&self, account: AccountId) -> Result<()> {
        self.call(&Request::DeleteAccount { account })
    }

    fn set_password(&self, account: AccountId, password: &str) -> Result<()> {
        self.call(&Request::SetPassword { account, password: password.to_owned() })
    }

    fn set_quota(&self, account: AccountId, quota_bytes: Option<u64>) -> Result<()> {
        self.call(&Request::SetQuota { account, quota_bytes })
    }

    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxInfo>> {
        self.call(&Request::Mailboxes { account })
    }

    fn create_mailbox(&self, account: AccountId, name: &str) -> Result<MailboxId> {
        self.call(&Request::CreateMailbox { account, name: name.to_owned() })
    }

    fn delete_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        self.call(&Request::DeleteMailbox { account, mailbox })
    }

    fn append(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
    ) -> Result<Appended> {
        self.append_kept(account, mailbox, messages, &[])
    }

    fn append_kept(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
        kept: &[Kept],
    ) -> Result<Appended> {
        self.exchange(|connection| {
            let request = Request::Append { account, mailbox, messages: messages.len() };
            frame::control(&mut connection.output, &request)?;
            for (at, message) in messages.iter_mut().enumerate() {
                connection.send_message(message, kept.get(at).copied().unwrap_or_default())?;
            }
            connection.flush()
        })
    }

    fn create_kept_mailbox(&self, account: AccountId, kept: &KeptMailbox) -> Result<MailboxId> {
        self.call(&Request::CreateKeptMailbox { account, kept: kept.clone() })
    }

    fn finish_kept_mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        kept: &KeptMailbox,
        uid_next: Uid,
    ) -> Result<()> {
        self.call(&Request::FinishKeptMailbox { account, mailbox, kept: kept.clone(), uid_next })
    }

    fn rows(&self, account: AccountId, mailbox: MailboxId, from: Uid) -> Result<Vec<RowInfo>> {
        self.call(&Request::Rows { account, mailbox, from })
    }

    fn read(&self, account: AccountId, mailbox: MailboxId, uid: Uid, out: &mut dyn Write) -> Result<u64> {
        let mut connection = self.take()?;
        connection.send(&Request::Read { account, mailbox, uid })?;
        if let Err(failure) = connection.answer::<()>()? {
            self.keep(connection);
            return Err(failure.into());
        }
        let mut size_bytes = 0;
        loop {
            match connection.receive()? {
                Frame::Data(bytes) => {
                    out.write_all(&bytes).map_err(|e| Error::io("writing a message out", e))?;
                    size_bytes += bytes.len() as u64;
                }
                Frame::End => {
                    self.keep(connection);
                    return Ok(size_bytes);
                }
                failed @ Frame::Control(_) => {
                    let failure: Answer<()> = failed.decode()?;
                    self.keep(connection);
                    failure?;
                    return Err(frame::broken("a message without an end"));
                }
            }
        }
    }

    fn search(&self, account: AccountId, mailbox: MailboxId, key: &Key) -> Result<Found> {
        self.call(&Request::Search { account, mailbox, key: key.clone() })
    }

    fn stats(&self) -> Result<Stats> {
        self.call(&Request::Stats)
    }

    fn reindex(&self, account: AccountId) -> Result<()> {
        self.call(&Request::Reindex { account })
    }

    fn index_stats(&self, account: AccountId) -> Result<IndexStats> {
        self.call(&Request::IndexStats { account })
    }

    fn check(&self, deep: bool, work: &mut Work<'_>) -> Result<CheckReport> {
        self.follow(&Request::Check { deep }, work)
    }

    fn repair_plan(&self, work: &mut Work<'_>) -> Result<Plan> {
        self.follow(&Request::RepairPlan, work)
    }

    fn repair(&self, plan: &Plan, work: &mut Work<'_>) -> Result<Repaired> {
        self.follow(&Request::Repair { plan: plan.clone() }, work)
    }

    fn compact(&self, options: CompactOptions, work: &mut Work<'_>) -> Result<CompactReport> {
        self.follow(&Request::Compact { options }, work)
    }

    fn pin(&self) -> Result<Held> {
        // The owner lets go when this connection ends: it serves nothing else.
        let mut connection = self.take()?;
        if let Err(error) = connection.send(&Request::Pin) {
            return Err(connection.why_not_sent(error));
        }
        let pinned = connection.answer()??;
        Ok(Held { pinned, _by: Box::new(connection) })
    }

    fn create_account_again(&self, again: &AccountAgain) -> Result<AccountId> {
        self.call(&Request::CreateAccountAgain { again: again.clone() })
    }

    fn destination(&self, address: &str) -> Result<Option<Destination>> {
        self.call(&Request::Destination { address: address.to_owned() })
    }

    fn begin_delivery(&self) -> Result<Box<dyn Delivery>> {
        let mut connection = self.take()?;
        frame::control(&mut connection.output, &Request::Deliver)?;
        Ok(Box::new(RemoteDelivery { remote: self.clone(), connection }))
    }

    fn close(&self) -> Result<()> {
        self.shared.idle.lock().clear();
        Ok(())
    }
}

struct RemoteDelivery {
    remote: Remote,
    connection: Connection,
}

impl Delivery for RemoteDelivery {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        frame::data(&mut self.connection.output, bytes).map_err(|error| self.connection.why_not_sent(error))
    }

    fn deliver(
        mut self: Box<Self>,
        sender: &str,
        recipients: Vec<Recipient>,
    ) -> Result<Vec<Result<Delivered>>> {
        let expected = recipients.len();
        if let Err(error) = self.connection.send(&Envelope { sender: sender.to_owned(), recipients }) {
            return Err(self.connection.why_not_sent(error));
        }
        let answer: Answer<Vec<Answer<Delivered>>> = self.connection.answer()?;
        self.remote.keep(self.connection);
        let verdicts = answer?;
        if verdicts.len() != expected {
            return Err(frame::broken("not one verdict for each recipient"));
        }
        Ok(verdicts.into_iter().map(|verdict| verdict.map_err(Error::from)).collect())
    }
}
