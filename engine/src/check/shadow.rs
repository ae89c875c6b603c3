//! The state as the log alone tells it: snapshot runs and transactions replayed in memory.

use crate::catalog::Catalog;
use crate::error::Result;
use crate::log::{Log, OpenReport};
use crate::mailbox::Pager;
use crate::txn::deliveries::DeliveredTo;
use crate::txn::mended::apply_to_rest;
use crate::txn::op::{self, Op};
use crate::txn::recover::{Recovered, recover};
use crate::types::{AccountId, Lsn};
use crate::work::{Unit, Work};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Memory for rows that lie in the shadow's catalog.
const CACHE_BYTES: u64 = 64 << 20;

/// What the log tells, as of one group.
pub(crate) struct Shadow {
    pub told: Recovered,
    lsn: Lsn,
    pager: Arc<Pager>,
}

impl Shadow {
    /// Whether the log tells all of the account: no hole hit it on the way.
    pub fn is_whole(&self, id: AccountId) -> bool {
        !self.told.holes.iter().any(|hole| hole.may_have_hit(id))
    }

    /// Takes in what came after, up to and including `lsn`, for these accounts.
    pub fn follow(
        &mut self,
        log: &Log,
        ids: &BTreeSet<AccountId>,
        lsn: Lsn,
        work: &mut Work<'_>,
    ) -> Result<()> {
        let Self { told, lsn: from, pager } = self;
        let holes = log.replay(*from, &mut |txn| {
            work.step("replaying the log", txn.lsn.0, lsn.0, Unit::Transactions)?;
            let Some(id) = txn.account.filter(|id| ids.contains(id) && txn.lsn <= lsn) else { return Ok(()) };
            let ops = op::decode(txn.payload)?;
            for op in &ops {
                told.numbers.note(id, op);
                if let Op::Delivered { key, mailbox, uid, time_ms } = op {
                    let to = DeliveredTo { mailbox: *mailbox, uid: *uid };
                    told.deliveries.insert(id, *key, to, *time_ms, txn.lsn);
                }
            }
            if ops.iter().any(|op| matches!(op, Op::DeleteAccount)) {
                told.registry.remove(id);
                told.deliveries.forget_account(id);
            }
            let Ok(present) = told.registry.account(id) else { return Ok(()) };
            let mut account = (*present).clone();
            account.last_lsn = txn.lsn;
            for op in &ops {
                apply_to_rest(&mut account, op, pager, &mut told.numbers)?;
            }
            told.registry.publish(account);
            Ok(())
        })?;
        // Of what is younger than the store's opening, nothing is lost that is not above it.
        told.holes.extend(holes.into_iter().filter(|hole| hole.first_lsn <= lsn));
        *from = lsn;
        Ok(())
    }
}

/// Replays the log up to and including `lsn`.
pub(crate) fn replay(log: &Log, lsn: Lsn, work: &mut Work<'_>) -> Result<Shadow> {
    let catalog = Arc::new(Catalog::in_memory());
    let pager = Pager::new(catalog.clone(), CACHE_BYTES);
    let report = OpenReport { last_lsn: lsn, ..OpenReport::default() };
    let told = recover(log, &report, &catalog, &pager, "", work)?;
    Ok(Shadow { told, lsn, pager })
}
