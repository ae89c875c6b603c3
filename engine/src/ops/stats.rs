//! The store in numbers.

use super::Store;
use crate::error::{Error, Result};
use crate::indexer::IndexStats;
use crate::log::{LogBytes, Room};
use crate::metrics::{Counts, Durations};
use crate::scrub::ScrubStats;
use crate::types::Lsn;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    pub accounts: u64,
    pub mailboxes: u64,
    pub messages: u64,
    /// Octets of all live messages, each counted once a mailbox.
    pub message_bytes: u64,
    /// The group published last.
    pub lsn: Lsn,
    /// Bytes on disk, by kind of file.
    pub disk: LogBytes,
    pub catalog_bytes: u64,
    pub segments: u64,
    /// The text index.
    pub index: IndexStats,
    /// The reading of everything against checksums and digests that goes on beside.
    #[serde(default)]
    pub scrub: ScrubStats,
    /// Since this process opened the store.
    pub counts: Counts,
    /// Deliveries remembered so that a retry makes no second copy.
    pub remembered_deliveries: u64,
    pub read_only_accounts: u64,
    /// A sync failed: reads only, until the process is started again.
    pub poisoned: bool,
    /// The disk is full: no new mail, for now.
    #[serde(default)]
    pub full: bool,
    /// Segments held back for a full disk, and how many should be.
    #[serde(default)]
    pub reserve_segments: u32,
    #[serde(default)]
    pub reserve_segments_wanted: u32,
    /// Entries in the list of damage that is known and not repaired yet.
    #[serde(default)]
    pub damage: u64,
}

impl Store {
    pub fn stats(&self) -> Result<Stats> {
        let core = self.core();
        let accounts = self.accounts()?;
        let index = self.index_stats(None)?;
        // Not inside of the expression: a guard there is held until its end, and disks are asked in it.
        let lsn = core.published.lock().lsn;
        let (reserve_segments, reserve_segments_wanted) = core.log.reserve();
        let remembered_deliveries = core.deliveries.lock().len() as u64;
        Ok(Stats {
            accounts: accounts.len() as u64,
            mailboxes: accounts.iter().map(|account| account.mailboxes).sum(),
            messages: accounts.iter().map(|account| account.messages).sum(),
            message_bytes: accounts.iter().map(|account| account.used_bytes).sum(),
            lsn,
            disk: core.log.bytes()?,
            catalog_bytes: core.catalog.bytes_on_disk()?,
            segments: core.log.segments().len() as u64,
            index,
            counts: core.metrics.counts(),
            remembered_deliveries,
            read_only_accounts: core.registry.read_only().len() as u64,
            poisoned: self.is_poisoned(),
            full: matches!(self.takes_mail(), Err(Error::StoreFull)),
            reserve_segments,
            reserve_segments_wanted,
            damage: core.log.damage().len() as u64,
            scrub: self.scrub_stats(),
        })
    }

    /// Whether new mail is taken now: `Poisoned`, `StoreFull` or `Closed` when not. Of a disk that was full it is asked
    /// once a second whether it has room again.
    pub fn takes_mail(&self) -> Result<()> {
        let core = self.core();
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        if core.inbox.is_closed() {
            return Err(Error::Closed);
        }
        if core.health.appends_pause(core.clock.now_ms()) || !core.log.admits(Room::Append) {
            return Err(Error::StoreFull);
        }
        Ok(())
    }

    /// How long groups took to be written and synced, since the store was opened.
    #[must_use]
    pub fn commits(&self) -> Durations {
        self.core().metrics.commits()
    }

    fn is_poisoned(&self) -> bool {
        let core = self.core();
        core.health.is_poisoned() || core.log.is_poisoned()
    }
}
