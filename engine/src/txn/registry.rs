//! The accounts as readers see them: each one's latest published version, and who waits for the next.
//!
//! Laws
//! - A slot's version is replaced whole; a reader keeps the one it took for as long as it likes.
//! - The feed only wakes: it queues nothing, so a slow session costs nobody anything.
//! - Accounts come from the catalog when first asked for. The map's lock is not held over that read.

use crate::accounts::{Account, object, route::fold_name};
use crate::catalog::{Catalog, ObjectKey};
use crate::error::{Error, Result};
use crate::mailbox::{Pager, decode_header};
use crate::types::AccountId;
use arc_swap::ArcSwap;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::watch;

struct Slot {
    published: ArcSwap<Account>,
    feed: watch::Sender<u64>,
}

/// Wakes its holder when a new version of an account was published.
pub struct Watch {
    receiver: watch::Receiver<u64>,
}

impl Watch {
    /// Returns at once when something was published since the last call. `false`: the account is
    /// gone.
    pub async fn changed(&mut self) -> bool {
        self.receiver.changed().await.is_ok()
    }

    /// The number of the group published last; does not count as having been told.
    #[must_use]
    pub fn version(&self) -> u64 {
        *self.receiver.borrow()
    }
}

pub struct Registry {
    catalog: Arc<Catalog>,
    pager: Arc<Pager>,
    slots: RwLock<HashMap<AccountId, Arc<Slot>>>,
    names: RwLock<BTreeMap<String, AccountId>>,
    /// Hit by damage: no writes until repair.
    read_only: RwLock<HashSet<AccountId>>,
}

impl Registry {
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, pager: Arc<Pager>) -> Self {
        Self {
            catalog,
            pager,
            slots: RwLock::default(),
            names: RwLock::default(),
            read_only: RwLock::default(),
        }
    }

    /// The latest published version.
    pub fn account(&self, id: AccountId) -> Result<Arc<Account>> {
        Ok(self.slot(id)?.published.load_full())
    }

    /// The latest published version, if its rows were read already.
    #[must_use]
    pub fn resident(&self, id: AccountId) -> Option<Arc<Account>> {
        Some(self.slots.read().get(&id)?.published.load_full())
    }

    pub fn watch(&self, id: AccountId) -> Result<Watch> {
        Ok(Watch { receiver: self.slot(id)?.feed.subscribe() })
    }

    fn slot(&self, id: AccountId) -> Result<Arc<Slot>> {
        if let Some(slot) = self.slots.read().get(&id) {
            return Ok(slot.clone());
        }
        if !self.names.read().values().any(|known| *known == id) {
            return Err(Error::NoSuchAccount);
        }
        let account = load(&self.catalog, &self.pager, id)?.ok_or(Error::NoSuchAccount)?;
        let mut slots = self.slots.write();
        // It may have been deleted while its rows were read.
        if !self.names.read().values().any(|known| *known == id) {
            return Err(Error::NoSuchAccount);
        }
        Ok(slots.entry(id).or_insert_with(|| Arc::new(Slot::new(account))).clone())
    }

    /// Replaces an account's version and wakes its watchers.
    pub fn publish(&self, account: Account) {
        let (id, lsn) = (account.id, account.last_lsn);
        let name = fold_name(&account.name);
        if self.names.read().get(&name) != Some(&id) {
            let mut names = self.names.write();
            names.retain(|_, known| *known != id);
            names.insert(name, id);
        }
        let present = self.slots.read().get(&id).cloned();
        match present {
            Some(slot) => {
                slot.published.store(Arc::new(account));
                slot.feed.send_replace(lsn.0);
            }
            None => {
                self.slots.write().insert(id, Arc::new(Slot::new(account)));
            }
        }
    }

    /// Forgets a deleted account; its watchers are told by their feed's end.
    pub fn remove(&self, id: AccountId) {
        self.names.write().retain(|_, known| *known != id);
        self.slots.write().remove(&id);
    }

    /// Makes a name known whose account stays in the catalog until asked for.
    pub fn know(&self, name: &str, id: AccountId) {
        self.names.write().insert(fold_name(name), id);
    }

    #[must_use]
    pub fn find(&self, folded_name: &str) -> Option<AccountId> {
        self.names.read().get(folded_name).copied()
    }

    /// Every account, in the order of the names.
    #[must_use]
    pub fn ids(&self) -> Vec<AccountId> {
        self.names.read().values().copied().collect()
    }

    pub fn set_read_only(&self, id: AccountId) {
        self.read_only.write().insert(id);
    }

    /// The account takes writes again.
    pub fn set_writable(&self, id: AccountId) {
        self.read_only.write().remove(&id);
    }

    #[must_use]
    pub fn is_read_only(&self, id: AccountId) -> bool {
        self.read_only.read().contains(&id)
    }

    #[must_use]
    pub fn read_only(&self) -> Vec<AccountId> {
        self.read_only.read().iter().copied().collect()
    }
}

impl Slot {
    fn new(account: Account) -> Self {
        let feed = watch::Sender::new(account.last_lsn.0);
        Self { published: ArcSwap::from_pointee(account), feed }
    }
}

/// An account from its rows in the catalog.
pub fn load(catalog: &Catalog, pager: &Arc<Pager>, id: AccountId) -> Result<Option<Account>> {
    let Some(row) = catalog.get(&ObjectKey::Account(id))? else { return Ok(None) };
    let object::AccountObject { mut account, mailboxes } = object::decode(&row.bytes)?;
    for mailbox in mailboxes {
        let key = ObjectKey::Mailbox(id, mailbox);
        let row = catalog.get(&key)?.ok_or_else(|| {
            Error::corrupt(format!("account {id}"), format!("the row of mailbox {mailbox} is missing"))
        })?;
        let mailbox = decode_header(&row.bytes, pager)?;
        account.names.insert(mailbox.header.name.to_string(), mailbox.header.id);
        account.mailboxes.insert(mailbox.header.id, Arc::new(mailbox));
    }
    Ok(Some(account))
}
