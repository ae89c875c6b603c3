//! The state as the log alone tells it: snapshot runs and transactions replayed in memory.

use crate::catalog::Catalog;
use crate::error::Result;
use crate::log::{Log, OpenReport};
use crate::mailbox::Pager;
use crate::txn::recover::{Recovered, recover};
use crate::types::{AccountId, Lsn};
use std::sync::Arc;

/// Memory for rows that lie in the shadow's catalog.
const CACHE_BYTES: u64 = 64 << 20;

/// What the log tells, as of one group.
pub(crate) struct Shadow {
    pub told: Recovered,
}

impl Shadow {
    /// Whether the log tells all of the account: no hole hit it on the way.
    pub fn is_whole(&self, id: AccountId) -> bool {
        !self.told.holes.iter().any(|hole| hole.may_have_hit(id))
    }
}

/// Replays the log up to and including `lsn`.
pub(crate) fn replay(log: &Log, lsn: Lsn) -> Result<Shadow> {
    let catalog = Arc::new(Catalog::in_memory());
    let pager = Pager::new(catalog.clone(), CACHE_BYTES);
    let report = OpenReport { last_lsn: lsn, ..OpenReport::default() };
    Ok(Shadow { told: recover(log, &report, &catalog, &pager, "")? })
}
