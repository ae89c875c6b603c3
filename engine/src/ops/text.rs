//! The text index of a store: what searches ask, and what keeps it.

use super::Store;
use crate::error::Result;
use crate::indexer::IndexStats;
use crate::text::account::AccountText;
use crate::types::AccountId;
use crate::work::Work;
use std::sync::Arc;

impl Store {
    /// The text of an account as it is indexed now. Behind or not, it answers for every email: what it
    /// does not hold is a `maybe`. An account that is behind is indexed before others from here on.
    pub fn text_view(&self, account: AccountId) -> Result<Arc<AccountText>> {
        self.indexer().snapshot(account)
    }

    /// Drops the account's index and makes it again, in the background. Meanwhile searches read the
    /// messages.
    pub fn reindex(&self, account: AccountId) -> Result<()> {
        self.indexer().reset(account)
    }

    /// The index in numbers: of one account, or of all.
    pub fn index_stats(&self, account: Option<AccountId>) -> Result<IndexStats> {
        self.indexer().stats(account)
    }

    /// Waits until everything published is indexed, built and merged; a store without index threads
    /// does it here. False when some account failed and is tried again later.
    pub fn settle_index(&self) -> Result<bool> {
        self.settle_index_told(&mut Work::quiet())
    }

    /// The same, for as long as it is wanted.
    pub fn settle_index_told(&self, work: &mut Work<'_>) -> Result<bool> {
        self.indexer().settle(work)
    }

    /// Does the next thing that the index waits for, on this thread; false when there is none. For stores
    /// without index threads (`TextOptions::workers` is 0, or the disk is not real).
    pub fn step_index(&self) -> Result<bool> {
        self.indexer().step()
    }
}
