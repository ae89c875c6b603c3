//! What readers see, and what the catalog holds, against the log's own story.

use super::{Check, Kind, Shadow, of_account, of_mailbox, shadow};
use crate::accounts::Account;
use crate::accounts::object;
use crate::catalog::Kind as RowKind;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::txn::registry::load;
use crate::work::Unit;
use std::sync::Arc;

/// Which two things differ, in words.
#[derive(Clone, Copy)]
struct Sides {
    kind: Kind,
    seen: &'static str,
    right: &'static str,
}

const READERS: Sides = Sides { kind: Kind::Mailbox, seen: "what readers see", right: "the log" };
const CATALOG: Sides = Sides { kind: Kind::Catalog, seen: "the catalog", right: "what readers see" };

impl Check<'_, '_> {
    pub(super) fn views(&mut self) -> Result<()> {
        let core = self.store.core().clone();
        let store = self.store;
        // The shadow reads runs and segments, and the rows of the catalog are read twice.
        let still = store.keeper().hold();
        self.work.step("reading the catalog", 0, 0, Unit::Objects)?;
        self.read_through_catalog();
        // Rows come in here: below, under the lock that a commit needs, nothing is read from a disk.
        for id in core.registry.ids() {
            match core.registry.account(id) {
                Ok(_) | Err(Error::NoSuchAccount) => {}
                Err(error) => {
                    let object = format!("account {id}");
                    self.account_is_wrong(Kind::Catalog, id, &object, &error.to_string());
                }
            }
        }
        // Rows of an account that changed since the last checkpoint say nothing of what readers see.
        drop(still);
        let _still = store.keeper().hold_written();
        let (lsn, ids, seen) = {
            let published = core.published.lock();
            let ids = core.registry.ids();
            let seen: Vec<Arc<Account>> = ids.iter().filter_map(|id| core.registry.resident(*id)).collect();
            (published.lsn, ids, seen)
        };
        self.report.lsn = lsn;
        let from_log = shadow(&core.log, lsn, self.work)?;
        self.missing_transactions(&from_log);
        let total = seen.len() as u64;
        for (done, account) in (0..).zip(&seen) {
            self.work.step("comparing accounts", done, total, Unit::Objects)?;
            self.report.accounts += 1;
            self.account(account, &from_log);
            self.rows(account)?;
        }
        for id in from_log.told.registry.ids() {
            let is_seen = seen.iter().any(|account| account.id == id);
            let is_deleted_since = ids.contains(&id) && !core.registry.ids().contains(&id);
            if !is_seen && !is_deleted_since && !self.evidence.accounts.contains_key(&id) {
                let object = format!("account {id}");
                self.account_is_wrong(Kind::Mailbox, id, &object, "the log has it, the store does not");
            }
        }
        self.deliveries(&from_log, lsn);
        Ok(())
    }

    /// A row that is in nobody's way now stops the next whole snapshot.
    fn read_through_catalog(&mut self) {
        let kinds =
            [RowKind::Store, RowKind::Account, RowKind::Mailbox, RowKind::Chunk, RowKind::DeliveryKeys];
        for kind in kinds {
            if let Err(error) = self.store.core().catalog.scan_kind(kind, &mut |_, _| Ok(())) {
                self.add(Kind::Catalog, "catalog", &error.to_string());
                self.evidence.catalog.get_or_insert(error.to_string());
            }
        }
    }

    fn account(&mut self, account: &Account, from_log: &Shadow) {
        // Where the log has a hole, it does not tell all that readers see.
        if from_log.is_whole(account.id) {
            match from_log.told.registry.account(account.id) {
                Ok(right) => self.compare(account, &right, READERS),
                Err(_) => {
                    let what = "the log does not know this account";
                    self.account_is_wrong(Kind::Mailbox, account.id, &of_account(account), what);
                }
            }
        }
        self.counters(account);
        let core = self.store.core();
        match load(&core.catalog, &core.pager, account.id) {
            Ok(Some(stored)) if stored.last_lsn == account.last_lsn => {
                self.compare(&stored, account, CATALOG);
            }
            // It changed since: nothing to say.
            Ok(_) => {}
            Err(error) => {
                let object = of_account(account);
                self.account_is_wrong(Kind::Catalog, account.id, &object, &error.to_string());
            }
        }
    }

    /// The counters in the headers against the rows, and the account's quota with them.
    fn counters(&mut self, account: &Account) {
        let mut used_bytes = 0;
        for mailbox in account.mailboxes() {
            self.report.mailboxes += 1;
            self.report.messages += u64::from(mailbox.header.exists);
            let what = match mailbox.recount() {
                Ok(counted) => {
                    used_bytes += counted.size_bytes;
                    if counted == mailbox.header.counters() {
                        continue;
                    }
                    "a recount of the rows differs".to_owned()
                }
                Err(error) => error.to_string(),
            };
            self.account_is_wrong(Kind::Counters, account.id, &of_mailbox(account, mailbox), &what);
        }
        if used_bytes != account.used_bytes() && !self.evidence.accounts.contains_key(&account.id) {
            let what = format!("{} bytes are used, its rows have {used_bytes}", account.used_bytes());
            self.account_is_wrong(Kind::Counters, account.id, &of_account(account), &what);
        }
    }

    fn compare(&mut self, seen: &Account, right: &Account, sides: Sides) {
        let Sides { kind, seen: this, right: other } = sides;
        if object::encode(seen) != object::encode(right) {
            let what = format!("the account's own row: {this} differs from {other}");
            self.account_is_wrong(kind, seen.id, &of_account(seen), &what);
        }
        for mailbox in seen.mailboxes() {
            let object = of_mailbox(seen, mailbox);
            let Some(right) = right.mailbox(mailbox.header.id) else {
                self.account_is_wrong(kind, seen.id, &object, &format!("{other} does not have it"));
                continue;
            };
            if let Err(error) = self.compare_mailboxes(seen, mailbox, right, sides) {
                self.account_is_wrong(kind, seen.id, &object, &error.to_string());
            }
        }
        for mailbox in right.mailboxes().filter(|mailbox| seen.mailbox(mailbox.header.id).is_none()) {
            let what = format!("{other} has it, {this} has not");
            self.account_is_wrong(kind, seen.id, &of_mailbox(right, mailbox), &what);
        }
    }

    fn compare_mailboxes(&mut self, of: &Account, a: &Mailbox, b: &Mailbox, sides: Sides) -> Result<()> {
        let Sides { kind, seen: this, right: other } = sides;
        let object = of_mailbox(of, a);
        if !a.header.says_the_same_as(&b.header) {
            let what = format!("names, numbers, keywords or counters: {this} differs from {other}");
            self.account_is_wrong(kind, of.id, &object, &what);
        }
        let (uids_a, uids_b) = (a.uids()?, b.uids()?);
        for (missing, whose) in [(uids_b.difference(&uids_a), this), (uids_a.difference(&uids_b), other)] {
            if !missing.is_empty() {
                self.account_is_wrong(kind, of.id, &object, &format!("UIDs {missing} are not in {whose}"));
            }
        }
        let both = uids_a.intersect(&uids_b);
        for (x, y) in a.rows(&both).zip(b.rows(&both)) {
            let (x, y) = (x?, y?);
            if x != y {
                let what = format!("UID {}: its row differs from {other}", x.uid);
                self.account_is_wrong(kind, of.id, &object, &what);
            }
        }
        Ok(())
    }
}
