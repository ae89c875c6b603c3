//! Opening: from the log and whatever views survived to the state that was published last.
//!
//! Laws
//! - The log is the truth. The catalog is trusted after a clean stop, or after a crash under the same
//!   boot; otherwise it is emptied and filled from snapshot runs and transactions.
//! - A set of runs is passed over only for what is wrong with the set. What else keeps the catalog from being filled stops
//!   the opening: the manifest names a past, and no store goes on without it.
//! - A transaction applies to an account only if it is newer than the account's row.
//! - A view that is ahead of the log means that acknowledged data was lost: it is reported, the view
//!   dropped, and every counter jumps past anything possibly issued.
//! - A manifest made again does not know how far the log went. Only the catalog's mark of a clean stop proves that it
//!   ended where it ends, for each opening takes that mark away; else every counter jumps likewise.
//! - Damage makes the accounts it hit read-only; the rest of the store opens. Where it is not known whom
//!   it hit, the counters of every account without a later transaction jump likewise: that transaction
//!   also says that they did.

use super::checkpoint::{ChangedKeys, decode_store_row, keys_of};
use super::compact::Damaged;
use super::deliveries::{DeliveredTo, Deliveries};
use super::lost::Lost;
use super::mended::{apply_to_rest, lost_account};
use super::numbers::Numbers;
use super::op::{self, Op};
use super::registry::{Registry, load};
use super::snapshot::{self, NotLoaded};
use crate::accounts::{Account, object};
use crate::catalog::{Catalog, Kind, Mark, ObjectKey};
use crate::error::{Error, Result};
use crate::log::{Damage, Log, OpenReport, TxnRecord};
use crate::mailbox::Pager;
use crate::types::{AccountId, Lsn};
use crate::work::{Unit, Work};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What opening found and did; for the operator and for `stats`.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Recovery {
    pub created: bool,
    pub clean: bool,
    /// The catalog was rebuilt from snapshot runs and log; why.
    pub catalog_rebuilt: Option<String>,
    pub replayed_transactions: u64,
    /// Accounts that are read-only because damage hit them.
    pub read_only_accounts: Vec<AccountId>,
    /// What the log found, in words.
    pub damage: Vec<String>,
    /// Acknowledged data beyond the log's end was lost: up to which group a view had it.
    pub lost_up_to: Option<Lsn>,
    pub cut_tail_bytes: u64,
    /// Files that were lost or damaged and are whole again.
    #[serde(default)]
    pub mended: Vec<String>,
    /// The MANIFEST was made again from the segments; why.
    #[serde(default)]
    pub manifest_rebuilt: Option<String>,
}

/// The state as of the log's end.
pub struct Recovered {
    pub recovery: Recovery,
    pub registry: Registry,
    pub deliveries: Deliveries,
    pub numbers: Numbers,
    pub changed: ChangedKeys,
    /// What has to be left as it is.
    pub damaged: Damaged,
    /// Acknowledged groups up to this one are lost, and it is not known whose they all were.
    pub lost_up_to: Option<Lsn>,
    /// The log has lost groups up to this one that the catalog has: the snapshots have to have them too.
    pub only_in_views: Lsn,
    /// What repair has to deal with.
    pub lost: Lost,
    /// Accounts changed after the catalog's mark, to be written at the next checkpoint.
    pub dirty: BTreeSet<AccountId>,
    pub deleted: BTreeSet<AccountId>,
    pub last_lsn: Lsn,
    /// Acknowledged transactions that cannot be read, and that nobody was told of before.
    pub holes: Vec<Damage>,
    /// The number of the next group.
    pub next_lsn: Lsn,
}

pub fn recover(
    log: &Log,
    report: &OpenReport,
    catalog: &Arc<Catalog>,
    pager: &Arc<Pager>,
    boot_id: &str,
    work: &mut Work<'_>,
) -> Result<Recovered> {
    let mut recovery = Recovery {
        created: report.created,
        clean: report.clean,
        damage: report.damage.iter().map(|damage| damage.what.clone()).collect(),
        cut_tail_bytes: report.cut_tail_bytes,
        mended: report.mended.clone(),
        manifest_rebuilt: report.rebuilt_manifest.clone(),
        ..Recovery::default()
    };
    let mut runs_damaged = false;
    if is_end_proved(report, catalog) {
        log.loss_settled()?;
    }
    let lost_before = log.loss();
    if let Some(why) = distrust(report, catalog, boot_id, &mut recovery) {
        if let Some(lost_up_to) = recovery.lost_up_to {
            // The catalog is all that says so, and it goes: a crash before the counters have jumped must not
            // make it forgotten.
            log.report_loss(lost_up_to)?;
        }
        catalog.delete_and_reopen()?;
        if !report.created {
            recovery.catalog_rebuilt = Some(why);
        }
        runs_damaged = load_snapshots(log, catalog, &mut recovery)?;
    }
    if let (Some(why), Some(_)) = (&mut recovery.manifest_rebuilt, lost_before) {
        // That something is lost is not known either.
        why.push_str("; nothing proves that the log ended where it does, so all counters jump");
    } else {
        recovery.lost_up_to = recovery.lost_up_to.max(lost_before);
    }
    let mut replayed = |recovery| {
        replay(log, report, catalog, pager, recovery, work).and_then(|all| with_rows_read(all, lost_before))
    };
    let recovered = match replayed(recovery.clone()) {
        Err(Error::Corrupt { what, why }) if recovery.catalog_rebuilt.is_none() => {
            // The catalog was trusted and turns out damaged: it goes, and the log tells it all again.
            recovery.catalog_rebuilt = Some(format!("{what}: {why}"));
            catalog.delete_and_reopen()?;
            runs_damaged = load_snapshots(log, catalog, &mut recovery)?;
            replayed(recovery)
        }
        result => result,
    };
    let mut recovered = recovered?;
    recovered.damaged.runs = runs_damaged;
    recovered.lost_up_to = recovered.lost_up_to.max(lost_before);
    take_clean_mark_away(catalog, boot_id);
    Ok(recovered)
}

/// The store was stopped in order where the log ends, and was not opened since.
fn is_end_proved(report: &OpenReport, catalog: &Catalog) -> bool {
    matches!(catalog.mark(), Ok(Some(mark)) if mark.clean && mark.lsn == report.last_lsn)
}

/// From here on the log may go on.
fn take_clean_mark_away(catalog: &Catalog, boot_id: &str) {
    let Ok(Some(mark)) = catalog.mark() else { return };
    if !mark.clean {
        return;
    }
    let mark = Mark { clean: false, boot_id: boot_id.to_owned(), ..mark };
    if let Err(error) = catalog.set_mark(&mark) {
        // A full disk is no reason not to open: the mark matters only when the manifests are lost besides.
        tracing::warn!(%error, "the catalog still says that the store was stopped in order");
    }
}

/// Why the catalog cannot be trusted, if it cannot.
fn distrust(
    report: &OpenReport,
    catalog: &Catalog,
    boot_id: &str,
    recovery: &mut Recovery,
) -> Option<String> {
    let mark = match catalog.mark() {
        Ok(Some(mark)) => mark,
        Ok(None) => return Some("it is empty".into()),
        Err(error) => return Some(error.to_string()),
    };
    if mark.lsn > report.last_lsn {
        recovery.lost_up_to = Some(mark.lsn);
        return Some("it is ahead of the log: acknowledged data was lost".into());
    }
    // Damage to the log takes nothing from it: it may be all that has what the log lost.
    if mark.clean && report.stopped_in_order && mark.lsn == report.last_lsn {
        return None;
    }
    if !boot_id.is_empty() && mark.boot_id == boot_id {
        return None;
    }
    Some("the machine was restarted without a clean stop".into())
}

/// Fills the empty catalog from the newest intact set of runs. Says whether one was not intact.
fn load_snapshots(log: &Log, catalog: &Catalog, recovery: &mut Recovery) -> Result<bool> {
    let mut damaged = false;
    let mut unread = None;
    let (current, previous) = log.manifest_runs();
    for set in [current, previous] {
        if set.runs.is_empty() {
            continue;
        }
        let error = match snapshot::load(log, catalog, &set) {
            Ok(()) => {
                let mark = Mark { lsn: set.as_of, clean: false, boot_id: String::new() };
                catalog.set_mark(&mark).map_err(not_filled)?;
                return Ok(damaged);
            }
            Err(NotLoaded::Set(error)) => error,
            Err(NotLoaded::Catalog(error)) => return Err(not_filled(error)),
        };
        damaged = true;
        tracing::error!(%error, as_of = set.as_of.0, "a snapshot cannot be read");
        recovery.damage.push(format!("snapshot as of {}: {error}", set.as_of));
        catalog.delete_and_reopen()?;
        if !is_lost(&error) {
            unread = Some(error);
        }
    }
    // What does not let itself be read now may be whole: without it the store would have no past.
    match unread {
        Some(Error::Io { context, source }) => {
            let context = format!("no snapshot can be read: see to the disk and start again: {context}");
            Err(Error::Io { context, source })
        }
        Some(error) => Err(error),
        None => Ok(damaged),
    }
}

/// Whether a run is damaged or gone for good, as far as an error can tell.
fn is_lost(error: &Error) -> bool {
    match error {
        Error::Corrupt { .. } => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The catalog takes nothing. A store that went on without would not have what only the snapshots have.
fn not_filled(error: Error) -> Error {
    match error {
        Error::Corrupt { what, why } => {
            let why =
                format!("{why}; it takes no snapshot, which is not lost: see to the disk and start again");
            Error::Corrupt { what, why }
        }
        error => error,
    }
}

fn replay(
    log: &Log,
    report: &OpenReport,
    catalog: &Arc<Catalog>,
    pager: &Arc<Pager>,
    recovery: Recovery,
    work: &mut Work<'_>,
) -> Result<Recovered> {
    let mark = catalog.mark()?.map_or(Lsn(0), |mark| mark.lsn);
    let mut replayer = Replayer::new(catalog, pager, recovery, mark, report.last_lsn)?;
    replayer.hit(&report.damage);
    let held = log.first_lsn_held();
    let mut holes = log.replay(mark, &mut |txn| {
        work.step("replaying the log", txn.lsn.0, report.last_lsn.0, Unit::Transactions)?;
        replayer.apply(txn)
    })?;
    let (first, last) = (mark.next(), Lsn(held.0.saturating_sub(1)));
    let is_told = holes.iter().any(|hole| hole.first_lsn <= first && last <= hole.last_lsn);
    if last >= first && !report.created && !is_told {
        holes.push(Damage {
            first_lsn: first,
            last_lsn: last,
            what: format!("transactions {first} to {last} are neither in the log nor in a snapshot"),
            ..Damage::default()
        });
    }
    // What opening the log found already is in the report.
    let holes: Vec<Damage> = holes.into_iter().filter(|hole| !hole.is_known_by(&report.damage)).collect();
    replayer.hit(&holes);
    replayer.recovery.damage.extend(holes.iter().map(|hole| hole.what.clone()));
    Ok(Recovered { holes, ..replayer.finish(report) })
}

/// Where the numbers of all accounts are about to jump, a row that cannot be read shows now, while the catalog can still
/// be made again.
fn with_rows_read(recovered: Recovered, lost_before: Option<Lsn>) -> Result<Recovered> {
    if recovered.lost_up_to.is_some() || lost_before.is_some() {
        let ids = recovered.registry.ids();
        ids.into_iter().try_for_each(|id| recovered.registry.account(id).map(drop))?;
    }
    Ok(recovered)
}

/// An account being replayed, and the group its row was as of: several transactions may have one
/// group's number, and all of that group are in the row.
struct Replayed {
    as_of: Lsn,
    account: Account,
}

struct Replayer<'a> {
    catalog: &'a Arc<Catalog>,
    pager: &'a Arc<Pager>,
    registry: Registry,
    accounts: BTreeMap<AccountId, Replayed>,
    deliveries: Deliveries,
    numbers: Numbers,
    changed: ChangedKeys,
    deleted: BTreeSet<AccountId>,
    /// Named by transactions, but neither in the catalog nor created: their beginning is lost.
    unknown: BTreeSet<AccountId>,
    recovery: Recovery,
    log_damaged: bool,
    lost: Lost,
    /// Holes that were found now.
    holes: Vec<Damage>,
    only_in_views: Lsn,
    /// Accounts with a transaction that does not fit what came before it: something did that is lost.
    inconsistent: BTreeMap<AccountId, (Lsn, String)>,
    /// What the catalog has, no hole at or below it has taken away.
    mark: Lsn,
    /// Later transactions are left out.
    until: Lsn,
}

impl<'a> Replayer<'a> {
    fn new(
        catalog: &'a Arc<Catalog>,
        pager: &'a Arc<Pager>,
        recovery: Recovery,
        mark: Lsn,
        until: Lsn,
    ) -> Result<Self> {
        let (numbers, mut changed, lost) = match catalog.get(&ObjectKey::Store)? {
            Some(row) => decode_store_row(&row.bytes)?,
            None => Default::default(),
        };
        let registry = Registry::new(catalog.clone(), pager.clone());
        let mut cut_off = Vec::new();
        catalog.scan_kind(Kind::Account, &mut |_, row| {
            let object::AccountObject { account, mailboxes } = object::decode(&row.bytes)?;
            registry.know(&account.name, account.id);
            if row.as_of > mark {
                cut_off.push((account.id, mailboxes));
            }
            Ok(())
        })?;
        // Of a checkpoint that was cut off before it could say which rows it changed.
        for (id, mailboxes) in cut_off {
            changed.append(&mut keys_of(catalog, id, &mailboxes)?);
        }
        let mut deliveries = Deliveries::default();
        catalog.scan_kind(Kind::DeliveryKeys, &mut |key, row| {
            if let ObjectKey::DeliveryKeys(account, day) = key {
                if row.as_of > mark {
                    changed.insert(key);
                }
                deliveries.load(account, day, row.as_of, &row.bytes)?;
            }
            Ok(())
        })?;
        Ok(Self {
            catalog,
            pager,
            registry,
            accounts: BTreeMap::new(),
            deliveries,
            numbers,
            changed,
            deleted: BTreeSet::new(),
            unknown: BTreeSet::new(),
            recovery,
            log_damaged: false,
            lost,
            holes: Vec::new(),
            only_in_views: Lsn(0),
            inconsistent: BTreeMap::new(),
            mark,
            until,
        })
    }

    fn apply(&mut self, txn: &TxnRecord<'_>) -> Result<()> {
        // What came after the moment that is asked for.
        if txn.lsn > self.until {
            return Ok(());
        }
        let ops = op::decode(txn.payload)?;
        let Some(id) = txn.account else {
            ops.iter().for_each(|op| self.numbers.note_jump(op));
            return Ok(());
        };
        ops.iter().for_each(|op| self.numbers.note(id, op));
        self.note_deliveries(id, txn.lsn, &ops);
        self.recovery.replayed_transactions += 1;
        self.load(id, &ops)?;
        // None: it was deleted.
        let Some(replayed) = self.accounts.get_mut(&id) else { return Ok(()) };
        if txn.lsn <= replayed.as_of {
            return Ok(());
        }
        let account = &mut replayed.account;
        account.last_lsn = txn.lsn;
        for op in &ops {
            let missing = match apply_to_rest(account, op, self.pager, &mut self.numbers) {
                Ok(missing) => missing,
                // A trusted catalog may be what is damaged: it is made again first.
                Err(Error::Corrupt { why, .. }) if self.recovery.catalog_rebuilt.is_some() => Some(why),
                Err(error) => return Err(error),
            };
            if let Some(what) = missing {
                self.inconsistent.entry(id).or_insert((txn.lsn, what));
            }
        }
        if ops.iter().any(|op| matches!(op, Op::DeleteAccount)) {
            self.forget(id);
        }
        Ok(())
    }

    /// The account was deleted; its row may have gone before, with a checkpoint that was cut off.
    fn forget(&mut self, id: AccountId) {
        self.deleted.insert(id);
        self.accounts.remove(&id);
        self.deliveries.forget_account(id);
        self.unknown.remove(&id);
        self.inconsistent.remove(&id);
    }

    /// Takes in the account as it was before a transaction, unless it was deleted.
    fn load(&mut self, id: AccountId, ops: &[Op]) -> Result<()> {
        if self.deleted.contains(&id) {
            return Ok(());
        }
        if let Entry::Vacant(vacant) = self.accounts.entry(id) {
            let account = match load(self.catalog, self.pager, id)? {
                Some(account) => account,
                None => match ops.first() {
                    Some(Op::PutAccount { name, .. }) => Account::new(id, name),
                    _ => {
                        self.unknown.insert(id);
                        lost_account(id, &|name| self.registry.find(name).is_some())
                    }
                },
            };
            vacant.insert(Replayed { as_of: account.last_lsn, account });
        }
        Ok(())
    }

    /// Lost transactions make the accounts they were of read-only; where nothing says whose they were,
    /// all of them, and every counter has to jump past what they may have given. What the catalog has is
    /// not lost, and lost messages alone stop nobody from writing.
    fn hit(&mut self, damage: &[Damage]) {
        let holes = || damage.iter().filter(|damage| damage.is_hole());
        self.log_damaged |= holes().next().is_some();
        let in_views = holes().filter(|hole| hole.first_lsn <= self.mark);
        let newest = in_views.map(|hole| hole.last_lsn.min(self.mark)).max();
        self.only_in_views = self.only_in_views.max(newest.unwrap_or_default());
        self.holes.extend(damage.iter().filter(|lost| lost.is_hole() && lost.last_lsn > self.mark).cloned());
    }

    fn note_deliveries(&mut self, id: AccountId, lsn: Lsn, ops: &[Op]) {
        for op in ops {
            if let Op::Delivered { key, mailbox, uid, time_ms } = op {
                let to = DeliveredTo { mailbox: *mailbox, uid: *uid };
                self.deliveries.insert(id, *key, to, *time_ms, lsn);
            }
        }
    }

    fn finish(mut self, report: &OpenReport) -> Recovered {
        for id in &self.unknown {
            self.log_damaged = true;
            self.recovery.damage.push(format!("account {id} has transactions, but its beginning is lost"));
        }
        for id in &self.deleted {
            self.registry.remove(*id);
        }
        let dirty = self.accounts.keys().copied().collect();
        for (_, replayed) in std::mem::take(&mut self.accounts) {
            self.registry.publish(replayed.account);
        }
        let ids = self.registry.ids();
        self.lost.accounts.append(&mut self.unknown);
        self.lost.accounts.retain(|id| ids.contains(id));
        self.holes.iter().for_each(|hole| self.lost.add(hole, &ids));
        let hit = self.lost.hit();
        for (id, (lsn, what)) in self.inconsistent.into_iter().filter(|(id, _)| !hit.contains(id)) {
            self.recovery.damage.push(format!("account {id}: {what}"));
            self.lost.add(
                &Damage { first_lsn: lsn, last_lsn: lsn, accounts: vec![id], what, ..Damage::default() },
                &ids,
            );
        }
        self.lost
            .hit()
            .into_iter()
            .filter(|id| ids.contains(id))
            .for_each(|id| self.registry.set_read_only(id));
        self.recovery.read_only_accounts = self.registry.read_only();
        // What was lost from the log's end had numbers too, and a backup may have it.
        let past_loss = self.recovery.lost_up_to.map(Lsn::past_loss).unwrap_or_default();
        let lost_up_to = self.lost.everybodys_up_to().max(self.recovery.lost_up_to);
        Recovered {
            recovery: self.recovery,
            registry: self.registry,
            deliveries: self.deliveries,
            numbers: self.numbers,
            changed: self.changed,
            lost_up_to,
            only_in_views: self.only_in_views,
            lost: self.lost,
            damaged: Damaged::of_log(self.log_damaged),
            dirty,
            deleted: self.deleted,
            last_lsn: report.last_lsn,
            next_lsn: report.next_lsn.max(past_loss),
            holes: Vec::new(),
        }
    }
}
