//! What readers see, and what the catalog holds, against the log's own story.

use super::{CheckReport, shadow};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::ops::Store;
use crate::txn::registry::load;
use crate::types::Uid;
use std::sync::Arc;

/// At most this many rows of one mailbox are named.
const MAX_ROWS_NAMED: usize = 10;

pub fn views(store: &Store, report: &mut CheckReport) -> Result<()> {
    let core = store.core();
    // The shadow reads runs and segments, and the rows of the catalog are read twice.
    let _still = store.keeper().hold();
    // Rows come in here: below, under the lock that a commit needs, nothing is read from a disk.
    for id in core.registry.ids() {
        match core.registry.account(id) {
            Ok(_) | Err(Error::NoSuchAccount) => {}
            Err(error) => report.add("catalog", &format!("account {id}"), &error.to_string()),
        }
    }
    let (lsn, seen) = {
        let published = core.published.lock();
        let seen: Vec<Arc<Account>> =
            core.registry.ids().into_iter().filter_map(|id| core.registry.resident(id)).collect();
        (published.lsn, seen)
    };
    report.lsn = lsn;
    let told = shadow::replay(&core.log, lsn)?;
    for damage in &told.recovery.damage {
        report.add("log", "replayed", damage);
    }
    for account in &seen {
        report.accounts += 1;
        match told.registry.account(account.id) {
            Ok(from_log) => compare_accounts(account, &from_log, "mailbox", report)?,
            Err(_) => report.add("mailbox", &name_of(account), "the log does not know this account"),
        }
        counters(store, account, report)?;
        catalog(store, account, report)?;
    }
    for id in told.registry.ids() {
        if !seen.iter().any(|account| account.id == id) {
            report.add("mailbox", &format!("account {id}"), "the log has it, the store does not");
        }
    }
    Ok(())
}

/// The counters in the headers against the rows, and the rows' messages against the log.
fn counters(store: &Store, account: &Account, report: &mut CheckReport) -> Result<()> {
    for mailbox in account.mailboxes() {
        report.mailboxes += 1;
        report.messages += u64::from(mailbox.header.exists);
        if mailbox.recount()? != mailbox.header.counters() {
            report.add("counters", &object(account, mailbox), "a recount of the rows differs");
        }
        for chunk in mailbox.chunks(Uid(0), Uid(u32::MAX)) {
            let chunk = chunk?;
            for row in 0..chunk.len() {
                if !store.core().log.contains(chunk.message(row)) {
                    let what = format!("UID {}: message {} is lost", chunk.uid(row), chunk.message(row));
                    report.add("message", &object(account, mailbox), &what);
                }
            }
        }
    }
    Ok(())
}

/// The catalog's rows of an account, if they are as of the version that is compared.
fn catalog(store: &Store, account: &Account, report: &mut CheckReport) -> Result<()> {
    let core = store.core();
    match load(&core.catalog, &core.pager, account.id) {
        Ok(Some(stored)) if stored.last_lsn == account.last_lsn => {
            compare_accounts(&stored, account, "catalog", report)
        }
        // Older or newer than what is compared, or not there yet: nothing to say.
        Ok(_) => Ok(()),
        Err(error) => {
            report.add("catalog", &name_of(account), &error.to_string());
            Ok(())
        }
    }
}

fn compare_accounts(a: &Account, b: &Account, area: &str, report: &mut CheckReport) -> Result<()> {
    let of_row = |x: &Account| crate::accounts::object::encode(x);
    if of_row(a) != of_row(b) {
        report.add(area, &name_of(a), "the account's own row differs from the log");
    }
    for mailbox in a.mailboxes() {
        match b.mailbox(mailbox.header.id) {
            Some(other) => compare_mailboxes(a, mailbox, other, area, report)?,
            None => report.add(area, &object(a, mailbox), "the log does not have this mailbox"),
        }
    }
    for mailbox in b.mailboxes() {
        if a.mailbox(mailbox.header.id).is_none() {
            report.add(area, &object(b, mailbox), "the log has this mailbox, the view does not");
        }
    }
    Ok(())
}

fn compare_mailboxes(
    of: &Account,
    a: &Mailbox,
    b: &Mailbox,
    area: &str,
    report: &mut CheckReport,
) -> Result<()> {
    if !a.header.says_the_same_as(&b.header) {
        report.add(area, &object(of, a), "names, numbers, keywords or counters differ from the log");
    }
    let (uids_a, uids_b) = (a.uids()?, b.uids()?);
    for (missing, whose) in
        [(uids_b.difference(&uids_a), "the view"), (uids_a.difference(&uids_b), "the log")]
    {
        if !missing.is_empty() {
            report.add(area, &object(of, a), &format!("UIDs {missing} are not in {whose}"));
        }
    }
    let both = uids_a.intersect(&uids_b);
    let differing = a
        .rows(&both)
        .zip(b.rows(&both))
        .filter_map(|(x, y)| match (x, y) {
            (Ok(x), Ok(y)) if x == y => None,
            (Ok(x), Ok(_)) => Some(Ok(x.uid)),
            (Err(error), _) | (_, Err(error)) => Some(Err(error)),
        })
        .take(MAX_ROWS_NAMED);
    for uid in differing {
        report.add(area, &object(of, a), &format!("UID {}: its row differs from the log", uid?));
    }
    Ok(())
}

fn name_of(account: &Account) -> String {
    format!("account {}", account.id)
}

fn object(account: &Account, mailbox: &Mailbox) -> String {
    format!("account {}, mailbox {}", account.id, mailbox.header.id)
}
