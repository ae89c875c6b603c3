//! Repair: the least that makes a damaged store right again, and says what is lost.
//!
//! Laws
//! - Nothing is deleted that is not proved dead: damaged bytes go to quarantine/, which is never emptied here.
//! - A plan is made from a deep check and changes nothing. Each of its steps is looked at again before it
//!   is done, so that a plan may be old.
//! - Each step may be cut off at any point and done again; what it had done stays done. Repaired twice is
//!   repaired once: a second plan has nothing in it.
//! - One repair at a time: each looks at what is lost once the one before has dealt with it.
//! - Nothing comes back under an identity that it cannot prove: what is recovered gets numbers of its own.

mod accounts;
mod bodies;
mod files;
mod holes;
mod lost_accounts;
mod lost_messages;
mod plan;
mod quarantine;
mod recovered;
mod salvage;
mod strays;

pub use plan::{Mend, Plan, Step};

use crate::error::{Error, Result};
use crate::log::Orphan;
use crate::ops::Store;
use crate::txn::retire::Retired;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use crate::work::{Unit, Work};
use quarantine::Journal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often one that waits for another is asked whether it is still wanted.
const WAIT: Duration = Duration::from_millis(200);

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// The group published last when it was done.
    pub lsn: Lsn,
    pub steps: u64,
    /// Messages that came into a mailbox `Recovered`.
    pub recovered: u64,
    /// Rows that were expunged because their message cannot be proved.
    pub expunged: u64,
    /// Messages that were moved out of damaged segments.
    pub moved: u64,
    /// What was put into quarantine/, by name.
    pub quarantined: Vec<String>,
    /// What could not be mended now, and why.
    pub left: Vec<String>,
    /// All that lies in quarantine/. It may be removed by hand once nobody wants it.
    pub quarantine_bytes: u64,
}

/// A repair under way.
struct Repair<'a, 'w> {
    store: &'a Store,
    plan: &'a Plan,
    journal: Journal,
    /// Large messages that lost rows speak of.
    bodies: BTreeMap<MessageNo, Orphan>,
    done: Repaired,
    work: &'a mut Work<'w>,
}

impl Store {
    /// What a repair would do now. Nothing is changed.
    pub fn repair_plan(&self, work: &mut Work<'_>) -> Result<Plan> {
        let (report, evidence) = self.examine(true, work)?;
        Plan::of(self, report.lsn, evidence, work)
    }

    /// Does what is planned.
    pub fn repair(&self, plan: &Plan, work: &mut Work<'_>) -> Result<Repaired> {
        let _alone = loop {
            match self.repairing().try_lock_for(WAIT) {
                Some(alone) => break alone,
                None => work.step("waiting for another repair", 0, 0, Unit::Objects)?,
            }
        };
        let journal = Journal::new(self.core());
        let (bodies, done) = Default::default();
        let mut repair = Repair { store: self, plan, journal, bodies, done, work };
        // In this order, so that each finds right what it rests on.
        repair.listing()?;
        repair.files()?;
        repair.accounts()?;
        // Before anything is off the list of what is lost.
        repair.bodies()?;
        repair.lost_accounts()?;
        repair.holes()?;
        repair.lost_messages()?;
        repair.indexes()?;
        repair.close_segments();
        repair.snapshots()?;
        repair.segments()?;
        repair.forget()?;
        let Repair { mut done, journal, .. } = repair;
        done.quarantined.extend(journal.into_name());
        done.lsn = self.core().published.lock().lsn;
        done.quarantine_bytes = self.core().log.bytes()?.quarantine;
        Ok(done)
    }
}

impl Repair<'_, '_> {
    fn step(&mut self, doing: &str) -> Result<()> {
        let (done, total) = (self.done.steps, self.plan.steps.len() as u64);
        self.work.step(doing, done, total, Unit::Objects)
    }

    /// One step of the plan is done.
    fn did(&mut self) {
        self.done.steps += 1;
    }

    fn leave(&mut self, what: String) {
        tracing::warn!(what, "repair left something as it is");
        self.done.left.push(what);
    }

    /// FORMAT, MANIFEST and their copies.
    fn listing(&mut self) -> Result<()> {
        let wrong = self.plan.mends().filter(|mend| **mend == Mend::Listing).count();
        if wrong > 0 {
            self.step("writing FORMAT and MANIFEST again")?;
            self.store.core().log.rewrite_listing()?;
            (0..wrong).for_each(|_| self.did());
        }
        Ok(())
    }

    /// Index and summaries of accounts.
    fn indexes(&mut self) -> Result<()> {
        let ids: Vec<AccountId> = self.plan.indexes().collect();
        for id in &ids {
            self.step("making the text index again")?;
            match self.store.reindex(*id) {
                Ok(()) | Err(Error::NoSuchAccount) => self.did(),
                Err(error) => return Err(error),
            }
        }
        if !ids.is_empty() && !self.store.settle_index_told(self.work)? {
            self.leave("the text index of some account failed; it is tried again by itself".to_owned());
        }
        Ok(())
    }

    /// What is being written is closed, so that the snapshots cover it and it may go.
    fn close_segments(&mut self) {
        let planned: BTreeSet<SegmentId> = self.plan.segments().collect();
        let segments = self.store.core().log.segments();
        if !segments.iter().any(|info| !info.sealed && planned.contains(&info.id)) {
            return;
        }
        // Without room for another one it stays, which is said with it.
        if let Err(error) = self.store.keeper().roll() {
            tracing::warn!(%error, "the segment being written could not be closed");
        }
    }

    /// Two whole snapshots, so that nothing rests on what is damaged.
    fn snapshots(&mut self) -> Result<()> {
        let keeper = self.store.keeper();
        if self.plan.has(&Mend::Catalog) {
            self.step("writing the catalog again")?;
            keeper.sweep_catalog()?;
            self.did();
        }
        for file in self.plan.runs() {
            self.step("copying a damaged snapshot")?;
            let path = self.store.core().log.dir().join("snapshots").join(file);
            self.done.quarantined.extend(quarantine::copy(self.store.core(), &path)?);
            self.did();
        }
        if self.plan.needs_snapshots() {
            self.step("writing whole snapshots")?;
            keeper.snapshot_whole(self.work)?;
            if self.plan.has(&Mend::Snapshots) {
                self.did();
            }
        }
        Ok(())
    }

    /// Damaged segments are emptied and go to the quarantine.
    fn segments(&mut self) -> Result<()> {
        let core = self.store.core().clone();
        if self.plan.segments().next().is_some() && !core.published.lock().lost.is_empty() {
            self.leave("damaged segments: what a hole left in them is not brought back yet".to_owned());
            return Ok(());
        }
        for id in self.plan.segments() {
            self.step("moving messages out of a damaged segment")?;
            let is_there = core.log.has_file(id);
            match self.store.keeper().retire(id, self.work) {
                Ok(Retired::Gone { moved }) => {
                    self.done.moved += moved;
                    if is_there {
                        self.done.quarantined.push(format!("{id}.seg"));
                    }
                    core.log.clear_damage_of(Some(id), Lsn(0)..=Lsn(u64::MAX))?;
                    self.did();
                }
                Ok(Retired::Stays(why)) => self.leave(format!("segment {id}: {why}")),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => self.leave(format!("segment {id}: {error}")),
            }
        }
        Ok(())
    }

    /// What is mended is on no list of damage any more.
    fn forget(&mut self) -> Result<()> {
        let core = self.store.core();
        let present: BTreeSet<SegmentId> = core.log.segments().iter().map(|info| info.id).collect();
        let covered = core.log.manifest_runs().1.as_of;
        let lost = core.published.lock().lost.clone();
        for damage in core.log.damage() {
            let is_lost = lost.holes.iter().any(|hole| {
                damage.is_hole() && hole.first <= damage.last_lsn && damage.first_lsn <= hole.last
            });
            if !present.contains(&damage.segment) && !is_lost && damage.last_lsn <= covered {
                core.log.clear_damage_of(Some(damage.segment), damage.first_lsn..=damage.last_lsn)?;
            }
        }
        if lost.is_empty() && core.log.damage().is_empty() {
            self.store.keeper().forget_damage();
        }
        Ok(())
    }
}
