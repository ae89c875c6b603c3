//! The summaries of all accounts of a store: opened when asked for, forgotten when there are many.
//!
//! Laws
//! - One account is changed by one thread at a time; readers of it wait for that, and for nothing else.
//! - What is open takes a few hundred bytes an account, and rows are in memory only while they are read
//!   or written.

use super::Summary;
use super::account::Account;
use super::columns::{Columns, Table};
use super::manifest::Stamp;
use crate::error::Result;
use crate::sys::disk::Disk;
use crate::text::index::EmailSet;
use crate::types::{AccountId, EmailId};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How many accounts are open at once, those in use aside.
const OPEN_MAX: usize = 1024;

/// None: not opened yet, or to be opened again after a failure.
type Cell = Arc<RwLock<Option<Account>>>;

/// See the laws of [`super`].
pub struct Summaries {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    stamp: Stamp,
    accounts: Mutex<HashMap<AccountId, Cell>>,
}

impl Summaries {
    /// Those in `STORE/summaries`. Touches nothing yet.
    #[must_use]
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, store_id: [u8; 16]) -> Self {
        let stamp = Stamp::of(store_id);
        Self { disk, dir: dir.to_owned(), stamp, accounts: Mutex::new(HashMap::new()) }
    }

    /// Adds the summaries of the live emails from [`covered`](Self::covered) to the new `covered`,
    /// ascending; what is below the old one is passed over. Batches may be as small as one; every 1,024
    /// emails it syncs. After a power cut `covered` may be lower again, by that many at most.
    pub fn append(&self, account: AccountId, rows: &[(EmailId, Summary)], covered: EmailId) -> Result<()> {
        self.change(account, |account| account.append(rows, covered))
    }

    /// Every live email with a lower id was appended.
    pub fn covered(&self, account: AccountId) -> Result<EmailId> {
        self.look(account, |account| Ok(account.covered()))
    }

    /// The columns asked for of the emails wanted, which ascend and may repeat.
    pub fn read(
        &self,
        account: AccountId,
        wanted: &[EmailId],
        columns: Columns,
        cancel: &AtomicBool,
    ) -> Result<Table> {
        self.look(account, |account| account.read(wanted, columns, cancel))
    }

    /// Forgets emails that no mailbox has any more, where that is worth rewriting a pack. All that live
    /// have to be in `live`.
    pub fn purge(&self, account: AccountId, live: &EmailSet) -> Result<()> {
        self.change(account, |account| account.purge(live))
    }

    /// Removes the account's summaries: it was deleted, or they are to be made again.
    pub fn remove(&self, account: AccountId) -> Result<()> {
        self.change(account, Account::remove)
    }

    /// What of its files cannot be read, in words; with `deep` every byte of them is looked at.
    pub fn damage(&self, account: AccountId, deep: bool) -> Result<Vec<String>> {
        self.look(account, |account| Ok(account.damage(deep)))
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self, account: AccountId) -> Result<u64> {
        self.look(account, |account| Ok(account.disk_bytes()))
    }

    /// How many packs the account has: full ones, and a few small ones.
    pub fn packs(&self, account: AccountId) -> Result<usize> {
        self.look(account, |account| Ok(account.packs()))
    }

    fn cell(&self, id: AccountId) -> Cell {
        let mut accounts = self.accounts.lock();
        if accounts.len() >= OPEN_MAX && !accounts.contains_key(&id) {
            // Cells that somebody holds stay: there is one for each account.
            accounts.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        accounts.entry(id).or_default().clone()
    }

    fn open_account(&self, id: AccountId) -> Result<Account> {
        Account::open(self.disk.clone(), self.dir.join(id.to_string()), self.stamp)
    }

    fn look<T>(&self, id: AccountId, look: impl Fn(&Account) -> Result<T>) -> Result<T> {
        let cell = self.cell(id);
        if let Some(account) = &*cell.read() {
            return look(account);
        }
        let mut open = cell.write();
        match &*open {
            Some(account) => look(account),
            None => look(open.insert(self.open_account(id)?)),
        }
    }

    fn change(&self, id: AccountId, change: impl FnOnce(&mut Account) -> Result<()>) -> Result<()> {
        let cell = self.cell(id);
        let mut open = cell.write();
        let mut account = match open.take() {
            Some(account) => account,
            None => self.open_account(id)?,
        };
        change(&mut account)?;
        *open = Some(account);
        Ok(())
    }
}
