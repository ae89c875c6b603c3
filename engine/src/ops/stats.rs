//! The store in numbers.

use super::Store;
use crate::error::Result;
use crate::indexer::IndexStats;
use crate::log::LogBytes;
use crate::metrics::Counts;
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
}

impl Store {
    pub fn stats(&self) -> Result<Stats> {
        let core = self.core();
        let accounts = self.accounts()?;
        let index = self.index_stats(None)?;
        // Not inside of the expression: a guard there is held until its end, and disks are asked in it.
        let lsn = core.published.lock().lsn;
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
            poisoned: core.health.is_poisoned() || core.log.is_poisoned(),
            scrub: self.scrub_stats(),
        })
    }
}
