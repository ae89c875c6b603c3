//! The store: opened, shared, closed.

use crate::accounts::Account;
use crate::accounts::password::PasswordCost;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::indexer::Indexer;
use crate::log::{Log, LogOptions, LogWriter, MessageStager};
use crate::mailbox::{Mailbox, Pager};
use crate::metrics::Metrics;
use crate::scrub::{Scrub, ScrubOptions, ScrubStats};
use crate::search::Helpers;
use crate::summary::Summaries;
use crate::sys::clock::{Clock, SystemClock};
use crate::sys::disk::{Disk, RealDisk};
use crate::text::account::TextOptions;
use crate::txn::compact::{CompactOptions, CompactReport};
use crate::txn::core::{Health, KeepOptions, Published};
use crate::txn::head::Head;
use crate::txn::inbox::Inbox;
use crate::txn::keeper::Keeper;
use crate::txn::recent::Recent;
use crate::txn::recover::{Recovered, Recovery, recover};
use crate::txn::sequencer::Sequencer;
use crate::txn::{Core, Watch, writer};
use crate::types::{AccountId, Lsn, MailboxId};
use crate::work::Work;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};

/// In a folder that a restore has not finished.
pub const RESTORING: &str = "RESTORING";

/// How a store is run. Nothing here is part of the format.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub log: LogOptions,
    pub keep: KeepOptions,
    /// Memory for mailbox rows that are also in the catalog.
    pub chunk_cache_bytes: u64,
    /// Memory for the catalog's own cache.
    pub catalog_cache_bytes: u64,
    /// The largest message taken, prefix included.
    pub max_message_bytes: u64,
    pub password_cost: PasswordCost,
    pub search: SearchOptions,
    /// How the text of messages is indexed.
    pub text: TextOptions,
    /// How everything is read again now and then.
    pub scrub: ScrubOptions,
}

/// How searches are run.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// A search that takes longer is logged, with how it was answered; without its strings.
    pub slow_ms: u64,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { slow_ms: 1000 }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            log: LogOptions::default(),
            keep: KeepOptions::default(),
            chunk_cache_bytes: 128 << 20,
            catalog_cache_bytes: 32 << 20,
            max_message_bytes: 50 << 20,
            password_cost: PasswordCost::default(),
            search: SearchOptions::default(),
            text: TextOptions::default(),
            scrub: ScrubOptions::default(),
        }
    }
}

impl StoreOptions {
    /// Small segments and cheap passwords: the same store, with everything happening sooner.
    #[must_use]
    pub fn for_tests() -> Self {
        let mut options = Self::default();
        options.log.segment_bytes = 1 << 20;
        options.log.body_threshold_bytes = 64 << 10;
        options.chunk_cache_bytes = 1 << 20;
        options.catalog_cache_bytes = 4 << 20;
        options.password_cost = PasswordCost { memory_kib: 8, passes: 1 };
        options.text = TextOptions::for_tests();
        options.scrub.every_ms = 0;
        options
    }
}

/// An open store. Cloning shares it.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub core: Arc<Core>,
    pub options: StoreOptions,
    pub recovery: Recovery,
    pub keeper: Arc<Keeper>,
    pub indexer: Indexer,
    pub scrub: Scrub,
    /// Key of the hash that makes ThreadIds: they mean nothing outside of this store.
    pub thread_key: [u8; 32],
    pub search_helpers: Helpers,
    /// Held by the one who repairs.
    repairing: Mutex<()>,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    sequencer: JoinHandle<()>,
    writer: JoinHandle<LogWriter>,
    keeper: JoinHandle<()>,
}

impl Store {
    /// Opens the store in `dir`, making it when there is none.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk), Arc::new(SystemClock), dir, options)
    }

    /// The same on any disk and by any clock.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
    ) -> Result<Self> {
        // The catalog is opened after the log: by then STORE/LOCK is held.
        let (catalog_disk, catalog_bytes) = (disk.clone(), options.catalog_cache_bytes);
        Self::open_over(disk, clock, dir, options, || {
            Catalog::open(&catalog_disk, &dir.join("catalog"), catalog_bytes)
        })
    }

    /// The same over any catalog.
    pub fn open_over(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
        catalog: impl FnOnce() -> Result<Catalog>,
    ) -> Result<Self> {
        if disk.exists(&dir.join(RESTORING)) {
            let why = format!(
                "{} is not restored completely; run the same `mailcask restore` again, or empty it",
                dir.display()
            );
            return Err(Error::NotPossible(why));
        }
        Self::open_from(disk, clock, dir, options, None, catalog)
    }

    /// The same; of a store just made from a backup, with groups numbered from `restored` on, or later.
    pub(super) fn open_from(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: StoreOptions,
        restored: Option<Lsn>,
        catalog: impl FnOnce() -> Result<Catalog>,
    ) -> Result<Self> {
        let opened = Log::open(disk, clock.clone(), dir, options.log.clone())?;
        let catalog = Arc::new(catalog()?);
        let pager = Pager::new(catalog.clone(), options.chunk_cache_bytes);
        let mut recovered =
            recover(&opened.log, &opened.report, &catalog, &pager, &clock.boot_id(), &mut Work::quiet())?;
        if restored.is_some() {
            // A backup has no catalog: that one is made is no news.
            recovered.recovery.catalog_rebuilt = None;
        }
        say(&recovered.recovery);
        if !recovered.holes.is_empty() {
            // Listed, and so said at every opening.
            opened.log.report_damage(&recovered.holes)?;
        }
        let mut writer = opened.log.writer().ok_or(Error::Owned)?;
        recovered.next_lsn = recovered.next_lsn.max(restored.unwrap_or_default());
        writer.raise_next_lsn(recovered.next_lsn);
        Self::start(opened.log, writer, clock, catalog, pager, recovered, options)
    }

    fn start(
        log: Log,
        log_writer: LogWriter,
        clock: Arc<dyn Clock>,
        catalog: Arc<Catalog>,
        pager: Arc<Pager>,
        recovered: Recovered,
        options: StoreOptions,
    ) -> Result<Self> {
        let mut numbers = recovered.numbers;
        numbers.next_message = numbers.next_message.max(log.highest_message_no().next());
        let thread_key = blake3::derive_key("mailcask thread id", &log.store_id());
        let published = Published {
            lsn: recovered.last_lsn,
            numbers,
            dirty: recovered.dirty,
            deleted: recovered.deleted,
            lost: recovered.lost,
        };
        let core = Arc::new(Core {
            log,
            clock,
            catalog,
            pager,
            registry: recovered.registry,
            deliveries: Mutex::new(recovered.deliveries),
            recent: Recent::default(),
            inbox: Inbox::default(),
            published: Mutex::new(published),
            health: Health::default(),
            metrics: Metrics::default(),
            keep: options.keep,
            listener: OnceLock::new(),
        });
        let (changed, damaged) = (recovered.changed, recovered.damaged);
        let keeper = Arc::new(Keeper::new(core.clone(), changed, damaged, recovered.only_in_views));
        let head = Head::new(core.clone(), numbers, recovered.next_lsn);
        let threads = Threads::start(&core, head, log_writer, &keeper)?;
        let (indexer, scrub) = match start_readers(&core, &keeper, &options) {
            Ok(readers) => readers,
            Err(error) => {
                drop(threads.stop(&core, &keeper));
                return Err(error);
            }
        };
        let inner = Inner {
            core,
            indexer,
            scrub,
            options,
            recovery: recovered.recovery,
            keeper,
            thread_key,
            search_helpers: Helpers::default(),
            repairing: Mutex::new(()),
            threads: Mutex::new(Some(threads)),
        };
        let store = Self { inner: Arc::new(inner) };
        let jumped = recovered.lost_up_to.map_or(Ok(()), |lost_up_to| store.jump_numbers(lost_up_to));
        if let Err(error) = jumped {
            // Nobody gets the store: its threads would hold it for ever. Nothing is marked as stopped in order: that would
            // say that nothing is lost.
            let threads = store.inner.threads.lock().take();
            store.inner.indexer.stop();
            store.inner.scrub.stop();
            if let Some(threads) = threads {
                drop(threads.stop(&store.inner.core, &store.inner.keeper));
            }
            return Err(error);
        }
        Ok(store)
    }

    /// Ends in order: everything acknowledged is in the log and the catalog, and the next opening
    /// replays nothing. Calls made later answer that the store is closing.
    pub fn close(&self) -> Result<()> {
        let Some(threads) = self.inner.threads.lock().take() else { return Ok(()) };
        self.inner.indexer.ask_to_stop();
        let closed = self.close_log(threads);
        // Last, for a segment of the index that is being built is not cut short and may take a minute: who kills the
        // process meanwhile finds log and catalog closed in order.
        self.inner.indexer.stop();
        closed
    }

    fn close_log(&self, threads: Threads) -> Result<()> {
        let core = &self.inner.core;
        self.inner.scrub.stop();
        let log_writer = threads.stop(core, &self.inner.keeper)?;
        if core.health.is_poisoned() {
            return Err(Error::Poisoned);
        }
        self.inner.keeper.last_checkpoint()?;
        log_writer.close_clean()?;
        let last_lsn = core.log.durable_lsn();
        core.catalog.set_mark(&crate::catalog::Mark {
            lsn: last_lsn,
            clean: true,
            boot_id: core.clock.boot_id(),
        })
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// The account's latest published version.
    pub fn account(&self, id: AccountId) -> Result<Arc<Account>> {
        self.inner.core.registry.account(id)
    }

    /// The mailbox's latest published version.
    pub fn mailbox(&self, account: AccountId, id: MailboxId) -> Result<Arc<Mailbox>> {
        self.account(account)?.mailbox(id).cloned().ok_or(Error::NoSuchMailbox)
    }

    /// Wakes when something of the account was published.
    pub fn watch(&self, id: AccountId) -> Result<Watch> {
        self.inner.core.registry.watch(id)
    }

    /// Where the bytes of a message go before it is appended or delivered.
    #[must_use]
    pub fn stager(&self) -> MessageStager {
        self.inner.core.log.stager()
    }

    /// Wall clock as the store sees it.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.inner.core.clock.now_ms()
    }

    /// Writes everything published to the catalog and to a snapshot run.
    pub fn snapshot(&self) -> Result<Lsn> {
        self.inner.keeper.snapshot()
    }

    /// Writes everything published to the catalog.
    pub fn checkpoint(&self) -> Result<Lsn> {
        self.inner.keeper.checkpoint()
    }

    /// Compacts what is worth it.
    pub fn compact(&self) -> Result<CompactReport> {
        self.compact_told(CompactOptions::default(), &mut Work::quiet())
    }

    /// The same as asked, saying how far it is.
    pub fn compact_told(&self, options: CompactOptions, work: &mut Work<'_>) -> Result<CompactReport> {
        self.inner.keeper.compact(options, work)
    }

    /// Reads everything once, at the scrub's pace, on the calling thread.
    pub fn scrub(&self) -> Result<ScrubStats> {
        self.inner.scrub.pass()
    }

    pub(crate) fn scrub_stats(&self) -> ScrubStats {
        self.inner.scrub.stats()
    }

    pub(crate) fn indexer(&self) -> &Indexer {
        &self.inner.indexer
    }

    /// What SORT and THREAD need of each message.
    #[must_use]
    pub fn summaries(&self) -> &Summaries {
        self.inner.indexer.summaries()
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.inner.keeper
    }

    pub(crate) fn repairing(&self) -> &Mutex<()> {
        &self.inner.repairing
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }
}

/// What the operator has to know of an opening that was not plain.
fn say(recovery: &Recovery) {
    if let Some(why) = &recovery.catalog_rebuilt {
        tracing::warn!(why, "the catalog was rebuilt from the log");
    }
    if let Some(lsn) = recovery.lost_up_to {
        tracing::error!(up_to_lsn = lsn.0, "acknowledged data was lost from the log's end");
    }
    for what in &recovery.mended {
        tracing::warn!(what, "a file of the store was mended");
    }
    if let Some(why) = &recovery.manifest_rebuilt {
        tracing::error!(why, "MANIFEST was made again from the segments; run `mailcask check`");
    }
    for damage in &recovery.damage {
        tracing::error!(damage, "the log is damaged; run `mailcask check`, then `mailcask repair`");
    }
}

/// The threads that read what was written: index and scrub.
fn start_readers(core: &Arc<Core>, keeper: &Arc<Keeper>, options: &StoreOptions) -> Result<(Indexer, Scrub)> {
    let indexer = Indexer::start(core, &options.text)?;
    match Scrub::start(core, keeper, options.scrub) {
        Ok(scrub) => Ok((indexer, scrub)),
        Err(error) => {
            indexer.stop();
            Err(error)
        }
    }
}

impl Threads {
    fn start(core: &Arc<Core>, head: Head, log_writer: LogWriter, keeper: &Arc<Keeper>) -> Result<Self> {
        let (to_writer, groups) = mpsc::channel();
        let spawn_error = |e| {
            // Those that run already end by that.
            core.inbox.close();
            Error::io("starting a thread", e)
        };
        let sequencer = Sequencer::new(head, to_writer);
        let of_sequencer = core.clone();
        let sequencer = thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || {
                let _guard = PanicGuard(&of_sequencer);
                sequencer.run();
            })
            .map_err(spawn_error)?;
        let of_writer = core.clone();
        let writer = thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || {
                let _guard = PanicGuard(&of_writer);
                writer::run(&of_writer, log_writer, &groups)
            })
            .map_err(spawn_error)?;
        let of_keeper = keeper.clone();
        let keeper = thread::Builder::new()
            .name("keeper".into())
            .spawn(move || of_keeper.run())
            .map_err(spawn_error)?;
        Ok(Self { sequencer, writer, keeper })
    }

    /// Ends all of them, whatever has become of one.
    fn stop(self, core: &Core, keeper: &Keeper) -> Result<LogWriter> {
        core.inbox.close();
        let sequencer = self.sequencer.join().map_err(|_| panicked("sequencer"));
        let log_writer = self.writer.join().map_err(|_| panicked("log writer"));
        keeper.stop();
        self.keeper.join().map_err(|_| panicked("keeper"))?;
        sequencer?;
        log_writer
    }
}

/// A thread of the commit path that panics takes writing with it: nobody waits for it for ever, and
/// nobody hears success.
struct PanicGuard<'a>(&'a Core);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.health.poison();
            self.0.inbox.abandon();
        }
    }
}

fn panicked(thread: &str) -> Error {
    Error::corrupt(format!("the {thread} thread"), "it panicked; this is a bug, the log is intact")
}
