//! The remembered deliveries against the log's.

use super::{Check, Kind, Shadow};
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
                if !same {
                    wrong.insert(account);
                }
            }
        }
        for account in wrong {
            self.add(Kind::Deliveries, &format!("account {account}"), "they differ from those in the log");
            self.evidence.deliveries.insert(account);
        }
    }
}
