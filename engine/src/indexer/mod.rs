//! The threads that keep the text views of all accounts up with the mail, and the summaries with them.
//!
//! Laws
//! - Nothing waits for them but a bulk append when they are far behind: a delivery, a commit and a
//!   search go on whatever they do. What is not indexed yet, a search reads.
//! - Only what is published, and so durable, is indexed.
//! - One thread feeds (stage 1: messages to tails), so that mail is covered within moments whatever is
//!   being built; `workers` threads build and merge (stage 2), which bounds the memory.
//! - Every step may be cut off at any point, and is done again from what the view's manifest says.
//! - They run with a lower priority, and pause while requests wait for the sequencer.
//! - On a disk that is not real there are no threads and no segments: `step` feeds when called.

mod build;
mod feed;
mod gather;
mod polite;
mod queue;
mod start;
mod stats;
mod summaries;

pub(crate) use gather::{Waiting, live, window};
pub use stats::IndexStats;

use crate::error::{Error, Result};
use crate::summary::Summaries;
use crate::sys;
use crate::text::account::{AccountText, Expect, TextOptions, TextView, TextViews};
use crate::txn::Core;
use crate::types::{AccountId, Lsn};
use crate::work::{Unit, Work};
use build::Builder;
use feed::Feeder;
use parking_lot::Mutex;
use queue::{Queue, Task};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long an account is left alone after its indexing failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// A tail that is searched is closed at this many times `tail_only_bytes`, quiet or not.
const SEARCHED_TAILS: u64 = 8;
/// Of a message's share in an append that has to wait for the index.
const PACE_PER_MESSAGE: Duration = Duration::from_millis(1);

/// The index of an open store.
pub struct Indexer {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// When it was asked to stop: up to where all was done, if nothing waited or ran.
    settled: OnceLock<Option<Lsn>>,
}

/// What the threads have in common.
pub(crate) struct Shared {
    pub core: Arc<Core>,
    pub views: TextViews,
    pub summaries: Summaries,
    pub queue: Arc<Queue>,
    pub options: TextOptions,
    /// Segments are built: the files are real ones.
    pub builds: bool,
}

impl Shared {
    fn published_lsn(&self) -> Lsn {
        self.core.published.lock().lsn
    }

    /// What the account's view has to be like now.
    fn expect(&self, id: AccountId) -> Result<Expect> {
        let next_email = self.core.registry.account(id)?.next_email;
        let lsn = self.core.published.lock().lsn;
        Ok(Expect { store_id: self.core.log.store_id(), account: id, next_email, lsn })
    }

    fn view(&self, id: AccountId) -> Result<Arc<TextView>> {
        self.views.open(id, || self.expect(id))
    }
}

impl Indexer {
    /// Looks for what is not covered, and starts the threads.
    pub fn start(core: &Arc<Core>, options: &TextOptions) -> Result<Self> {
        let queue = Arc::new(Queue::new(Duration::from_millis(options.gather_ms)));
        let alarm = queue.clone();
        let disk = core.log.disk().clone();
        let builds = disk.is_real();
        let alarm = Box::new(move |account| alarm.damaged(account));
        let views = TextViews::new(disk, core.log.dir().join("text"), options, alarm);
        let summaries_dir = core.log.dir().join("summaries");
        let summaries = Summaries::open(core.log.disk().clone(), &summaries_dir, core.log.store_id());
        let shared = Arc::new(Shared {
            core: core.clone(),
            views,
            summaries,
            queue: queue.clone(),
            options: options.clone(),
            builds,
        });
        // Before the look: what is published meanwhile is in the queue twice, not never.
        if core.listener.set(Box::new(move |account| queue.changed(account))).is_err() {
            return Err(Error::NotPossible("the store is being indexed already".into()));
        }
        let indexer = Self { shared, threads: Mutex::default(), settled: OnceLock::new() };
        if builds && options.workers > 0 {
            indexer.spawn("text-feeder", |shared| {
                start::look(shared);
                run_feeder(shared);
            })?;
            for _ in 0..options.workers {
                indexer.spawn("text-builder", run_builder)?;
            }
        } else {
            start::look(&indexer.shared);
        }
        Ok(indexer)
    }

    fn spawn(&self, name: &str, run: impl FnOnce(&Shared) + Send + 'static) -> Result<()> {
        let shared = self.shared.clone();
        let run = move || {
            sys::thread::be_modest();
            run(&shared);
        };
        let handle = thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.lock().push(handle.map_err(|e| Error::io("starting a thread", e))?);
        Ok(())
    }

    /// No job begins from now on.
    pub fn ask_to_stop(&self) {
        // Asked before: a job that is cut off by the stop leaves nothing that waits or runs. And commits go on.
        let lsn = self.shared.published_lsn();
        self.settled.get_or_init(|| self.shared.queue.is_settled().then_some(lsn));
        self.shared.queue.stop();
    }

    /// Ends the threads. What they were at is done again by the next opening.
    pub fn stop(&self) {
        self.ask_to_stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the indexer panicked; this is a bug, nothing is lost");
            }
        }
        if let Some(&Some(lsn)) = self.settled.get() {
            start::note_settled(&self.shared, lsn);
        }
    }

    /// What a search of the account may ask now. An account that is behind goes first from here on.
    pub fn snapshot(&self, id: AccountId) -> Result<Arc<AccountText>> {
        let shared = &self.shared;
        let account = shared.core.registry.account(id)?;
        let text = shared.views.snapshot(id, || shared.expect(id));
        if text.covered() < account.next_email {
            shared.queue.wanted(id);
        }
        if text.tail_text_bytes() > shared.options.tail_only_bytes.saturating_mul(SEARCHED_TAILS) {
            shared.queue.close_after(id, Duration::ZERO);
        }
        Ok(text)
    }

    /// The view as it is, for the check: held against its files, with `deep` every byte of them.
    pub(crate) fn inspect(&self, id: AccountId, deep: bool) -> Result<Arc<AccountText>> {
        let shared = &self.shared;
        let view = shared.view(id)?;
        view.verify(deep)?;
        Ok(view.snapshot())
    }

    /// What SORT and THREAD need of messages.
    #[must_use]
    pub fn summaries(&self) -> &Summaries {
        &self.shared.summaries
    }

    /// Drops the account's view; it is made again.
    pub fn reset(&self, id: AccountId) -> Result<()> {
        self.shared.core.registry.account(id)?;
        self.shared.queue.damaged(id);
        Ok(())
    }

    /// Waits until all that is published is covered and built. Not for ever: false when some account
    /// failed, and is tried again later.
    pub fn settle(&self, work: &mut Work<'_>) -> Result<bool> {
        let mut is_wanted = || work.step("making the text index", 0, 0, Unit::Objects);
        if self.threads.lock().is_empty() {
            while self.step()? {
                is_wanted()?;
            }
            return Ok(self.shared.queue.nothing_failed());
        }
        self.shared.queue.wait_until_settled(&mut is_wanted)
    }

    /// Does one thing that waits to be done, on this thread. False when there is none.
    pub fn step(&self) -> Result<bool> {
        let shared = &self.shared;
        if let Some(task) = shared.queue.try_task() {
            let done = Feeder::new(shared).run(&task);
            shared.queue.task_done();
            done?;
            return Ok(true);
        }
        let Some(account) = shared.queue.try_job() else { return Ok(false) };
        let done = Builder::new(shared).run(account);
        shared.queue.job_done();
        done?;
        Ok(true)
    }

    /// Makes a bulk append wait while the account is far behind: a moment for each message, so that it
    /// becomes slower than the index and never stands still.
    pub fn pace(&self, id: AccountId, messages: usize) {
        let shared = &self.shared;
        let is_behind = || {
            let (Some(view), Ok(account)) = (shared.views.resident(id), shared.core.registry.account(id))
            else {
                return false;
            };
            let behind = account.next_email.0.saturating_sub(view.snapshot().covered().0);
            u64::from(behind) > shared.options.backlog_messages
                || view.waiting_tails() > shared.options.backlog_tails
        };
        let patience = PACE_PER_MESSAGE.saturating_mul(u32::try_from(messages).unwrap_or(u32::MAX));
        if !self.threads.lock().is_empty() && is_behind() {
            shared.queue.wait_for_progress(patience, is_behind);
        }
    }
}

fn run_feeder(shared: &Shared) {
    let feeder = Feeder::new(shared);
    while let Some(task) = shared.queue.next_task() {
        guarded(shared, task.account(), || feeder.run(&task));
        shared.queue.task_done();
        // It is synced: never beside the mail.
        if matches!(task, Task::Rest) {
            start::note_settled(shared, shared.published_lsn());
        }
    }
}

fn run_builder(shared: &Shared) {
    let builder = Builder::new(shared);
    while let Some(account) = shared.queue.next_job() {
        guarded(shared, Some(account), || builder.run(account));
        shared.queue.job_done();
    }
}

/// A failure, or a bug, costs the account a while; it never ends a thread.
fn guarded(shared: &Shared, account: Option<AccountId>, work: impl FnOnce() -> Result<()>) {
    let why = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(()) | Err(Error::Closed | Error::NoSuchAccount)) => return,
        // What failed was told to.
        Ok(Err(_)) if shared.queue.is_stopping() => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked; this is a bug".to_owned(),
    };
    let id = account.unwrap_or_default();
    tracing::warn!(account = id.0, why, "indexing failed; it is tried again, searches read the messages");
    shared.queue.failed(id, RETRY_AFTER);
}
