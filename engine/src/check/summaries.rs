//! What SORT and THREAD need of messages, against the headers.
//!
//! Laws
//! - What is not there is computed on the spot by whoever needs it: no finding. What is there has to be right.

use super::{Check, Kind, of_account};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::indexer::{Waiting, window};
use crate::ops::Store;
use crate::summary::{Columns, Summary, Table, TextColumn};
use crate::text::account::{Marks, Uncovered};
use crate::types::{AccountId, EmailId};
use crate::work::Unit;
use std::sync::atomic::AtomicBool;

const WINDOW_EMAILS: u32 = 4096;

impl Check<'_, '_> {
    pub(super) fn summaries(&mut self) -> Result<()> {
        let ids = self.store.core().registry.ids();
        let total = ids.len() as u64;
        for (done, id) in (0..).zip(ids) {
            self.work.step("comparing summaries", done, total, Unit::Objects)?;
            match self.look(id, Self::summaries_of) {
                Ok(()) | Err(Error::NoSuchAccount) => {}
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                // Rows that cannot be read are the catalog's finding.
                Err(_) if self.evidence.accounts.contains_key(&id) => {}
                Err(error) => self.summaries_are_wrong(id, &format!("account {id}"), &error.to_string()),
            }
        }
        Ok(())
    }

    fn summaries_are_wrong(&mut self, id: AccountId, object: &str, what: &str) {
        self.add(Kind::Summaries, object, what);
        self.evidence.summaries.entry(id).or_insert_with(|| what.to_owned());
    }

    fn summaries_of(&mut self, id: AccountId) -> Result<()> {
        let summaries = self.store.summaries();
        let covered = summaries.covered(id)?;
        let account = self.store.account(id)?;
        let object = of_account(&account);
        if covered > account.next_email {
            self.summaries_are_wrong(id, &object, "they are ahead of the account");
        }
        for what in summaries.damage(id, self.deep)? {
            self.summaries_are_wrong(id, &object, &what);
        }
        if self.deep { self.summary_contents(&account, covered) } else { Ok(()) }
    }

    fn summary_contents(&mut self, account: &Account, covered: EmailId) -> Result<()> {
        let mut from = Uncovered { covered: EmailId(0), marks: Marks::new() };
        while from.covered < covered.min(account.next_email) {
            self.work.step(
                "reading headers",
                u64::from(from.covered.0),
                u64::from(covered.0),
                Unit::Messages,
            )?;
            let next = window(account, &from, WINDOW_EMAILS)?;
            let rows: Vec<&Waiting> = next.rows.iter().filter(|row| row.email < covered).collect();
            let emails: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
            let never = AtomicBool::new(false);
            let table = self.store.summaries().read(account.id, &emails, Columns::all(), &never)?;
            for (at, row) in rows.iter().enumerate() {
                if table.found.get(at) != Some(&true) {
                    continue;
                }
                // What cannot be read is a finding of the rows.
                let Ok(header) = header(self.store, row) else { continue };
                if !says(&table, at, &Summary::of(&header)) {
                    let what = format!("email {}: it differs from the header", row.email);
                    self.summaries_are_wrong(account.id, &of_account(account), &what);
                }
            }
            from.covered = next.covered;
        }
        Ok(())
    }
}

fn header(store: &Store, row: &Waiting) -> Result<Vec<u8>> {
    let stored = store.core().log.read(row.message)?;
    let header = stored.read_range(0..stored.header_len_bytes())?;
    Ok([&row.prefix[..], &header].concat())
}

fn says(table: &Table, at: usize, right: &Summary) -> bool {
    let mut expected = Table::with_rows(1, Columns::all());
    expected.set(0, right, Columns::all());
    let same = |column: TextColumn| table.text(column).get(at) == expected.text(column).get(0);
    TextColumn::ALL.into_iter().all(same)
        && table.replies.get(at) == expected.replies.first()
        && table.ids.get(at) == expected.ids.first()
        && table.references.get(at) == expected.references.get(0)
}
