//! The consistency check: every view against the log, and the log against itself.
//!
//! Laws
//! - The log is read again from the oldest transaction needed; what comes of it is compared with what
//!   readers see now. Nothing is changed.
//! - Works beside a busy store: both sides are taken as of one group, and only checkpoints, snapshots and
//!   compaction wait meanwhile.
//! - What cannot be read is a finding, and the check goes on; it fails only when it is not wanted any more.
//! - A finding says what is wrong and with what; no message's text stands in it.

mod compare;
mod deliveries;
mod evidence;
mod files;
mod report;
mod rows;
mod segments;
mod shadow;
mod summaries;
mod text;

pub use evidence::Evidence;
pub use report::{CheckReport, Finding, Kind, Severity};
pub(crate) use shadow::{Shadow, replay as shadow};

use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::mailbox::Mailbox;
use crate::ops::Store;
use crate::types::{AccountId, Lsn, SegmentId};
use crate::work::Work;

/// A check under way.
struct Check<'a, 'w> {
    store: &'a Store,
    deep: bool,
    report: CheckReport,
    evidence: Evidence,
    /// Transactions that others name and that are not there: of which segment, and in words.
    missing: Vec<(SegmentId, Lsn, String)>,
    work: &'a mut Work<'w>,
}

impl Store {
    /// Compares catalog, mailboxes, counters and the text index with the log; with `deep` reads every byte of it.
    pub fn check(&self, deep: bool) -> Result<CheckReport> {
        self.check_told(deep, &mut Work::quiet())
    }

    /// The same, saying how far it is.
    pub fn check_told(&self, deep: bool, work: &mut Work<'_>) -> Result<CheckReport> {
        self.examine(deep, work).map(|(report, _)| report)
    }

    /// The same with what repair plans from.
    pub(crate) fn examine(&self, deep: bool, work: &mut Work<'_>) -> Result<(CheckReport, Evidence)> {
        let report = CheckReport { deep, ..CheckReport::default() };
        let (evidence, missing) = Default::default();
        let mut check = Check { store: self, deep, report, evidence, missing, work };
        check.known_damage();
        check.files()?;
        // Before the rows: what the log says of its messages is asked for there.
        check.segments()?;
        check.views()?;
        check.texts()?;
        check.summaries()?;
        let Check { mut report, evidence, .. } = check;
        report.finish();
        Ok((report, evidence))
    }
}

impl Check<'_, '_> {
    fn add(&mut self, kind: Kind, object: &str, what: &str) {
        self.report.add(kind, object, what);
    }

    /// Looks at an account. Where a mailbox was deleted meanwhile, its rows are gone with it: it looks again.
    fn look(&mut self, id: AccountId, look: fn(&mut Self, AccountId) -> Result<()>) -> Result<()> {
        loop {
            let before = self.store.account(id)?;
            match look(self, id) {
                Err(Error::Corrupt { .. }) if self.has_lost_mailboxes(&before) => {}
                looked => return looked,
            }
        }
    }

    fn has_lost_mailboxes(&self, before: &Account) -> bool {
        match self.store.account(before.id) {
            Ok(now) => before.mailboxes().any(|mailbox| now.mailbox(mailbox.header.id).is_none()),
            Err(error) => matches!(error, Error::NoSuchAccount),
        }
    }

    /// The account is to be made again from the log.
    fn account_is_wrong(&mut self, kind: Kind, id: AccountId, object: &str, what: &str) {
        self.add(kind, object, what);
        self.evidence.accounts.entry(id).or_insert_with(|| what.to_owned());
    }
}

fn of_account(account: &Account) -> String {
    format!("account {} ({})", account.id, account.name)
}

fn of_mailbox(account: &Account, mailbox: &Mailbox) -> String {
    format!("{}, mailbox {} ({})", of_account(account), mailbox.header.id, mailbox.header.name)
}
