//! Accounts of which readers see, or the catalog holds, something wrong: made again from the log.
//!
//! Laws
//! - While an account is made again it takes no writes; while the log is replayed for that, it does, and what it took is
//!   replayed after.
//! - The log is right, as far as it tells all of an account. Where a hole hit it, what readers see is all
//!   there is; if that cannot be read either, the account is hit by the hole from here on.

use super::{Mend, Repair};
use crate::check::{Shadow, shadow};
use crate::error::{Error, Result};
use crate::txn::replace::{rebuild, replace};
use crate::types::{AccountId, Lsn};
use std::collections::BTreeSet;

impl Repair<'_, '_> {
    pub(super) fn accounts(&mut self) -> Result<()> {
        let core = self.store.core().clone();
        let planned: Vec<(AccountId, bool)> = self
            .plan
            .mends()
            .filter_map(|mend| match mend {
                Mend::Account { account } => Some((*account, true)),
                Mend::Deliveries { account } => Some((*account, false)),
                _ => None,
            })
            .collect();
        if planned.is_empty() {
            return Ok(());
        }
        let ids: BTreeSet<AccountId> = planned.iter().map(|(id, _)| *id).collect();
        let mended = self.make_again(&planned, &ids);
        let hit = core.published.lock().lost.hit();
        ids.difference(&hit).for_each(|id| core.registry.set_writable(*id));
        mended
    }

    fn make_again(&mut self, planned: &[(AccountId, bool)], ids: &BTreeSet<AccountId>) -> Result<()> {
        let core = self.store.core().clone();
        let store = self.store;
        let _still = store.keeper().hold();
        let lsn = core.published.lock().lsn;
        // The long part, while mail still comes in.
        let mut from_log = shadow(&core.log, lsn, self.work)?;
        ids.iter().for_each(|id| core.registry.set_read_only(*id));
        // What was sequenced before they took no more writes is published when this returns.
        core.submit(|_| Ok(()))?;
        let lsn = core.published.lock().lsn;
        from_log.follow(&core.log, ids, lsn, self.work)?;
        for (id, is_account) in planned {
            self.step("making accounts again from the log")?;
            let made = if *is_account { self.account(*id, &from_log, lsn) } else { Ok(()) };
            match made {
                Ok(()) => {}
                Err(error @ (Error::NotPossible(_) | Error::NoSuchAccount | Error::Corrupt { .. })) => {
                    self.leave(format!("account {id}: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            }
            if from_log.is_whole(*id) {
                core.deliveries.lock().take_over(&from_log.told.deliveries, *id, lsn.next());
                core.published.lock().dirty.insert(*id);
            }
            self.did();
        }
        Ok(())
    }

    fn account(&mut self, id: AccountId, from_log: &Shadow, lsn: Lsn) -> Result<()> {
        let core = self.store.core();
        if from_log.is_whole(id) {
            let right = from_log.told.registry.account(id)?;
            return replace(core, rebuild(core, &right)?, lsn);
        }
        match core.registry.account(id).and_then(|seen| rebuild(core, &seen)) {
            Ok(right) => replace(core, right, lsn),
            Err(Error::Corrupt { .. }) => {
                let right = from_log.told.registry.account(id)?;
                replace(core, rebuild(core, &right)?, lsn)?;
                let holes = from_log.told.holes.iter().filter(|hole| hole.may_have_hit(id));
                let mut published = core.published.lock();
                holes.for_each(|hole| published.lost.hits(hole, id));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
