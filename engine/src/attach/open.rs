//! A store for a tool: attached to its owner, or owned, and handed over while in use.
//!
//! Laws
//! - A call runs wholly at one owner: the hand-over waits for the calls that have begun, and the calls
//!   that come after it go to the new owner.
//! - While a store changes hands nobody is told that it is gone: both sides try again for a while.

use super::admin::{AccountAgain, Admin, Delivery, Destination, Held, MailboxInfo, NewMessage, RowInfo};
use super::client::Remote;
use super::local::Local;
use super::serve::{Guard, serve};
use super::wire::Role;
use crate::check::CheckReport;
use crate::error::{Error, Result};
use crate::indexer::IndexStats;
use crate::ops::{AccountInfo, Appended, Kept, KeptMailbox, NewAccount, Stats, Store, StoreOptions};
use crate::repair::{Plan, Repaired};
use crate::search::{Found, Key};
use crate::txn::compact::{CompactOptions, CompactReport};
use crate::types::{AccountId, MailboxId, Uid};
use crate::work::Work;
use parking_lot::RwLock;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long an owner may take to open or to close a store before it is called stuck. Closing writes
/// a checkpoint; opening may replay a log.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a tool that handed over waits for the server before it takes the store back.
const LEFT_TO_THE_SERVER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// The store in `dir`: its owner's when it has one, else opened here and served on engine.sock.
pub fn open_admin(dir: &Path, options: StoreOptions) -> Result<Box<dyn Admin>> {
    let open = Open {
        dir: dir.to_owned(),
        options,
        state: Arc::new(RwLock::new(State::Moved { own_from: Instant::now() })),
    };
    open.settle()?;
    Ok(Box::new(open))
}

/// Opens the store in `dir` for a server, asking a tool that owns it to hand it over.
pub fn own_as_server(dir: &Path, options: StoreOptions) -> Result<(Store, Guard)> {
    let store = until_it_settles(|| match Store::open(dir, options.clone()) {
        Err(Error::Owned) => {
            match Remote::connect(dir).and_then(|owner| owner.hand_over()) {
                // It is on its way; or it went before it could answer.
                Ok(()) | Err(Error::Closed | Error::Io { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        opened => opened.map(Some),
    })?;
    let guard = serve(store.clone(), dir, Role::Server)?;
    Ok((store, guard))
}

/// Tries until there is an answer, or the patience is over.
fn until_it_settles<T>(mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        if started.elapsed() > PATIENCE {
            return Err(Error::Owned);
        }
        thread::sleep(PAUSE);
    }
}

enum State {
    Owned {
        local: Local,
        guard: Guard,
    },
    Attached(Remote),
    /// Handed over, or not opened yet: the next call finds out whose it is. Until `own_from` it is
    /// left to the server that asked for it.
    Moved {
        own_from: Instant,
    },
    Ended,
}

impl State {
    /// Gives up what is owned: the socket first, then the store, then (with the last clone) the lock.
    fn release(self) -> Result<()> {
        match self {
            Self::Owned { local, guard } => {
                drop(guard);
                local.close()
            }
            Self::Attached(_) | Self::Moved { .. } | Self::Ended => Ok(()),
        }
    }
}

struct Open {
    dir: PathBuf,
    options: StoreOptions,
    state: Arc<RwLock<State>>,
}

impl Open {
    /// Runs one call at whoever owns the store. `Closed` means that nothing was begun: the call is
    /// made again at the next owner.
    fn with<T>(&self, mut call: impl FnMut(&dyn Admin) -> Result<T>) -> Result<T> {
        until_it_settles(|| {
            let answer = {
                // Recursive: a caller may ask for a second thing while it works on a first.
                let state = self.state.read_recursive();
                match &*state {
                    State::Owned { local, .. } => call(local),
                    State::Attached(remote) => call(remote),
                    State::Ended => return Err(Error::Closed),
                    State::Moved { .. } => Err(Error::Closed),
                }
            };
            match answer {
                Err(Error::Closed) => self.settle().map(|()| None),
                answer => answer.map(Some),
            }
        })
    }

    /// Attaches to the owner, or becomes it.
    fn settle(&self) -> Result<()> {
        let mut state = self.state.write();
        let own_from = match &*state {
            State::Owned { .. } | State::Ended => return Ok(()),
            State::Attached(_) => Instant::now(),
            State::Moved { own_from } => *own_from,
        };
        *state = until_it_settles(|| match Remote::connect(&self.dir) {
            Ok(remote) => Ok(Some(State::Attached(remote))),
            Err(Error::Closed) if Instant::now() < own_from => Ok(None),
            Err(Error::Closed) => match Store::open(&self.dir, self.options.clone()) {
                Ok(store) => self.own(store).map(Some),
                Err(Error::Owned) => Ok(None),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        })?;
        Ok(())
    }

    fn own(&self, store: Store) -> Result<State> {
        let guard = serve(store.clone(), &self.dir, Role::Tool)?;
        let asked = guard.waiter();
        let state = Arc::downgrade(&self.state);
        thread::Builder::new()
            .name("hand-over".into())
            .spawn(move || {
                if asked()
                    && let Some(state) = state.upgrade()
                {
                    hand_over(&state);
                }
            })
            .map_err(|e| Error::io("starting a thread", e))?;
        Ok(State::Owned { local: Local::new(store), guard })
    }
}

/// Waits for the calls that have begun, then gives the store up.
fn hand_over(state: &RwLock<State>) {
    let mut state = state.write();
    if !matches!(&*state, State::Owned { .. }) {
        return;
    }
    tracing::info!("handing the store over to a server");
    let moved = State::Moved { own_from: Instant::now() + LEFT_TO_THE_SERVER };
    if let Err(error) = std::mem::replace(&mut *state, moved).release() {
        tracing::warn!(%error, "the store was not closed cleanly before it was handed over");
    }
}

impl Admin for Open {
    fn accounts(&self) -> Result<Vec<AccountInfo>> {
        self.with(|admin| admin.accounts())
    }

    fn account_id(&self, name: &str) -> Result<Option<AccountId>> {
        self.with(|admin| admin.account_id(name))
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountId> {
        self.with(|admin| admin.create_account(new))
    }

    fn delete_account(&self, account: AccountId) -> Result<()> {
        self.with(|admin| admin.delete_account(account))
    }

    fn set_password(&self, account: AccountId, password: &str) -> Result<()> {
        self.with(|admin| admin.set_password(account, password))
    }

    fn set_quota(&self, account: AccountId, quota_bytes: Option<u64>) -> Result<()> {
        self.with(|admin| admin.set_quota(account, quota_bytes))
    }

    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxInfo>> {
        self.with(|admin| admin.mailboxes(account))
    }

    fn create_mailbox(&self, account: AccountId, name: &str) -> Result<MailboxId> {
        self.with(|admin| admin.create_mailbox(account, name))
    }

    fn delete_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        self.with(|admin| admin.delete_mailbox(account, mailbox))
    }

    fn append(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
    ) -> Result<Appended> {
        self.with(|admin| admin.append(account, mailbox, messages))
    }

    fn append_kept(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
        kept: &[Kept],
    ) -> Result<Appended> {
        self.with(|admin| admin.append_kept(account, mailbox, messages, kept))
    }

    fn create_kept_mailbox(&self, account: AccountId, kept: &KeptMailbox) -> Result<MailboxId> {
        self.with(|admin| admin.create_kept_mailbox(account, kept))
    }

    fn finish_kept_mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        kept: &KeptMailbox,
        uid_next: Uid,
    ) -> Result<()> {
        self.with(|admin| admin.finish_kept_mailbox(account, mailbox, kept, uid_next))
    }

    fn rows(&self, account: AccountId, mailbox: MailboxId, from: Uid) -> Result<Vec<RowInfo>> {
        self.with(|admin| admin.rows(account, mailbox, from))
    }

    fn read(&self, account: AccountId, mailbox: MailboxId, uid: Uid, out: &mut dyn Write) -> Result<u64> {
        self.with(|admin| admin.read(account, mailbox, uid, out))
    }

    fn search(&self, account: AccountId, mailbox: MailboxId, key: &Key) -> Result<Found> {
        self.with(|admin| admin.search(account, mailbox, key))
    }

    fn stats(&self) -> Result<Stats> {
        self.with(|admin| admin.stats())
    }

    fn reindex(&self, account: AccountId) -> Result<()> {
        self.with(|admin| admin.reindex(account))
    }

    fn index_stats(&self, account: AccountId) -> Result<IndexStats> {
        self.with(|admin| admin.index_stats(account))
    }

    fn check(&self, deep: bool, work: &mut Work<'_>) -> Result<CheckReport> {
        self.with(|admin| admin.check(deep, work))
    }

    fn repair_plan(&self, work: &mut Work<'_>) -> Result<Plan> {
        self.with(|admin| admin.repair_plan(work))
    }

    fn repair(&self, plan: &Plan, work: &mut Work<'_>) -> Result<Repaired> {
        self.with(|admin| admin.repair(plan, work))
    }

    fn compact(&self, options: CompactOptions, work: &mut Work<'_>) -> Result<CompactReport> {
        self.with(|admin| admin.compact(options, work))
    }

    fn pin(&self) -> Result<Held> {
        self.with(|admin| admin.pin())
    }

    fn create_account_again(&self, again: &AccountAgain) -> Result<AccountId> {
        self.with(|admin| admin.create_account_again(again))
    }

    fn destination(&self, address: &str) -> Result<Option<Destination>> {
        self.with(|admin| admin.destination(address))
    }

    fn begin_delivery(&self) -> Result<Box<dyn Delivery>> {
        self.with(|admin| admin.begin_delivery())
    }

    fn close(&self) -> Result<()> {
        let state = std::mem::replace(&mut *self.state.write(), State::Ended);
        state.release()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }
}
