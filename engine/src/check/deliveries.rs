//! The remembered deliveries against the log's, and those of the catalog against them.

use super::{Check, Kind, Shadow};
use crate::catalog::ObjectKey;
use crate::txn::deliveries::Deliveries;
use crate::types::{AccountId, Lsn};
use std::collections::BTreeSet;

impl Check<'_, '_> {
    /// Whatever was delivered up to `lsn` and is not too old is remembered by both sides.
    pub(super) fn deliveries(&mut self, from_log: &Shadow, lsn: Lsn) {
        let core = self.store.core();
        let now_ms = core.clock.now_ms();
        let right = &from_log.told.deliveries;
        let mut wrong: BTreeSet<AccountId> = BTreeSet::new();
        // Day by day, so that a delivery never waits for long.
        let days: BTreeSet<(AccountId, u32)> =
            right.days().chain(core.deliveries.lock().days().collect::<Vec<_>>()).collect();
        for (account, day) in days {
            let is_known = core.registry.ids().contains(&account);
            if is_known && from_log.is_whole(account) {
                let same = core.deliveries.lock().says_the_same(right, account, day, now_ms, lsn);
                if !same || !self.is_row_right(account, day, now_ms) {
                    wrong.insert(account);
                }
            }
        }
        for account in wrong {
            self.add(
                Kind::Deliveries,
                &format!("account {account}"),
                "those in memory, in the catalog and in the log differ",
            );
            self.evidence.deliveries.insert(account);
        }
    }

    /// Whether the catalog has the day, as of its mark. Rows that cannot be read are found when it is read through.
    fn is_row_right(&self, account: AccountId, day: u32, now_ms: u64) -> bool {
        let core = self.store.core();
        let mut written = Deliveries::default();
        let (Ok(Some(mark)), Ok(row)) =
            (core.catalog.mark(), core.catalog.get(&ObjectKey::DeliveryKeys(account, day)))
        else {
            return true;
        };
        let loaded = row.map_or(Ok(()), |row| written.load(account, day, row.as_of, &row.bytes));
        loaded.is_err() || core.deliveries.lock().says_the_same(&written, account, day, now_ms, mark.lsn)
    }
}
