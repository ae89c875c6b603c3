//! The state as the log alone tells it: snapshot runs and transactions replayed in memory.

use crate::catalog::Catalog;
use crate::error::Result;
use crate::log::{Log, OpenReport};
use crate::mailbox::Pager;
use crate::txn::recover::{Recovered, recover};
use crate::types::Lsn;
use std::sync::Arc;

/// Memory for rows that lie in the shadow's catalog.
const CACHE_BYTES: u64 = 64 << 20;

/// Replays the log up to and including `lsn`.
pub fn replay(log: &Log, lsn: Lsn) -> Result<Recovered> {
    let catalog = Arc::new(Catalog::in_memory());
    let pager = Pager::new(catalog.clone(), CACHE_BYTES);
    let report = OpenReport { last_lsn: lsn, ..OpenReport::default() };
    recover(log, &report, &catalog, &pager, "")
}
