//! The index in numbers.

use super::gather;
use super::{Indexer, Shared};
use crate::error::{Error, Result};
use crate::text::account::Figures;
use crate::types::AccountId;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexStats {
    #[serde(flatten)]
    pub figures: Figures,
    /// Live messages, each counted once a mailbox, that are not covered: a search reads them.
    pub backlog: u64,
    /// How long the account that waits longest has waited.
    pub oldest_lag_ms: u64,
    /// Accounts whose view is open.
    pub open_accounts: u64,
    /// All is covered, and nothing is being built or merged, or has to be.
    pub settled: bool,
}

impl Indexer {
    /// Of one account, or of all. Nothing is opened for it but accounts that are behind.
    pub fn stats(&self, of: Option<AccountId>) -> Result<IndexStats> {
        let shared = &self.shared;
        // First: what is taken off the queue while this counts is counted.
        let settled = of.map_or_else(|| shared.queue.is_settled(), |id| !shared.queue.is_damaged(id));
        let (behind, lag) = shared.queue.behind();
        let mut stats = IndexStats {
            oldest_lag_ms: u64::try_from(lag.as_millis()).unwrap_or(u64::MAX),
            open_accounts: shared.views.open_count() as u64,
            settled,
            ..IndexStats::default()
        };
        for id in of.map_or_else(|| shared.core.registry.ids(), |id| vec![id]) {
            match shared.of_account(id, behind.contains(&id)) {
                Ok((figures, backlog)) => {
                    stats.figures.add(&figures);
                    stats.backlog += backlog;
                }
                // Deleted meanwhile.
                Err(Error::NoSuchAccount) if of.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        let is_working = |id| {
            let view = shared.views.resident(id);
            view.is_some_and(|view| view.is_busy() || view.has_work(shared.options.segments_max))
        };
        stats.settled &= stats.backlog == 0 && !of.is_some_and(is_working);
        Ok(stats)
    }
}

impl Shared {
    fn of_account(&self, id: AccountId, is_behind: bool) -> Result<(Figures, u64)> {
        if !is_behind {
            return Ok((self.views.figures(&self.expect(id)?)?, 0));
        }
        let account = self.core.registry.account(id)?;
        let view = self.view(id)?;
        Ok((view.figures(), gather::count(&account, &view.uncovered())?))
    }
}
