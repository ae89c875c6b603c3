//! What the threads of an open store share.

use super::deliveries::Deliveries;
use super::head::Head;
use super::inbox::Inbox;
use super::lost::Lost;
use super::numbers::Numbers;
use super::recent::Recent;
use super::registry::Registry;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::mailbox::Pager;
use crate::metrics::Metrics;
use crate::sys::clock::Clock;
use crate::types::{AccountId, Lsn};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;

/// How much of what is kept in memory, and when it goes to disk.
#[derive(Debug, Clone, Copy)]
pub struct KeepOptions {
    /// A checkpoint is made after this many bytes of log ...
    pub checkpoint_bytes: u64,
    /// ... or after this time, if anything changed.
    pub checkpoint_ms: u64,
    /// A snapshot run is written after this many bytes of log.
    pub snapshot_bytes: u64,
    /// Transactions and messages are kept at least this long, for restore to a point in time.
    pub retention_ms: u64,
    /// A segment whose messages were moved away stays this long, for sessions that still show them.
    pub grace_ms: u64,
    /// A segment is compacted when at least this part of it is dead, in percent.
    pub compact_dead_percent: u8,
    /// Compaction moves about this much at once: what is held twice on the disk for a moment.
    pub compact_batch_bytes: u64,
}

impl Default for KeepOptions {
    fn default() -> Self {
        Self {
            checkpoint_bytes: 64 << 20,
            checkpoint_ms: 30_000,
            snapshot_bytes: 256 << 20,
            retention_ms: 7 * 86_400_000,
            grace_ms: 600_000,
            compact_dead_percent: 20,
            compact_batch_bytes: 256 << 20,
        }
    }
}

/// Whether the store may still write.
#[derive(Debug, Default)]
pub struct Health {
    poisoned: AtomicBool,
    /// Until then no append is tried: the disk was full.
    full_until_ms: AtomicU64,
}

/// How long appends keep away from a full disk.
const FULL_PAUSE_MS: u64 = 1_000;

impl Health {
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    /// The disk had no room for a group. Appends pause, so that what frees room is alone in its group
    /// and may take the reserve, which no append may.
    pub fn disk_full(&self, now_ms: u64) {
        self.full_until_ms.store(now_ms.saturating_add(FULL_PAUSE_MS), Ordering::SeqCst);
    }

    #[must_use]
    pub fn appends_pause(&self, now_ms: u64) -> bool {
        let until_ms = self.full_until_ms.load(Ordering::SeqCst);
        // A clock that was set back does not make the pause longer.
        until_ms.saturating_sub(FULL_PAUSE_MS) <= now_ms && now_ms < until_ms
    }

    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }
}

/// The durable state that readers see, as of one group.
#[derive(Debug, Default)]
pub struct Published {
    pub lsn: Lsn,
    pub numbers: Numbers,
    /// Changed since the last checkpoint.
    pub dirty: BTreeSet<AccountId>,
    /// Deleted since the last checkpoint.
    pub deleted: BTreeSet<AccountId>,
    /// What repair has to deal with.
    pub lost: Lost,
}

/// Hears which accounts change.
pub type Listener = Box<dyn Fn(AccountId) + Send + Sync>;

pub struct Core {
    pub clock: Arc<dyn Clock>,
    pub catalog: Arc<Catalog>,
    pub pager: Arc<Pager>,
    pub registry: Registry,
    pub deliveries: Mutex<Deliveries>,
    pub recent: Recent,
    pub inbox: Inbox,
    pub published: Mutex<Published>,
    pub health: Health,
    pub metrics: Metrics,
    pub keep: KeepOptions,
    /// Told of every account that was published or deleted. It must not wait for anything.
    pub listener: OnceLock<Listener>,
    /// Dropped last: it gives up STORE/LOCK, and by then the catalog's files have to be closed.
    pub log: Log,
}

impl Core {
    /// Runs a plan on the sequencer and waits until what it did is durable.
    ///
    /// An error of the plan is waited for likewise, for it may rest on what is not yet durable.
    pub fn submit<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&mut Head) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (answer, wait) = mpsc::sync_channel(1);
        // The caller waits below; if it is gone nobody wants to know.
        self.request(plan, move |result| drop(answer.send(result)))?;
        // The sender is dropped unanswered only when the sequencer or the writer died.
        wait.recv().unwrap_or(Err(Error::OutcomeUnknown))
    }

    /// The same for a caller that awaits: no thread is held while the disk works. The plan is on its
    /// way when this returns, and dropping the future does not call it back.
    pub fn submit_async<T, P>(&self, plan: P) -> impl Future<Output = Result<T>> + Send + use<T, P>
    where
        T: Send + 'static,
        P: FnOnce(&mut Head) -> Result<T> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let taken = self.request(plan, move |result| drop(answer.send(result)));
        async move {
            taken?;
            wait.await.unwrap_or(Err(Error::OutcomeUnknown))
        }
    }

    fn request<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&mut Head) -> Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Result<()> {
        let taken = self.inbox.push(Box::new(move |head| {
            let result = plan(head);
            head.reply_when_durable(Box::new(move |durable| match (durable, result) {
                // Refused before it was part of any group: that it is not there is known.
                (Ok(()), result) | (Err(_), result @ Err(Error::Poisoned)) => answer(result),
                (Err(failure), _) => answer(Err(failure.error())),
            }));
        }));
        if taken { Ok(()) } else { Err(Error::Closed) }
    }
}
