//! The text views of a store: opened when asked for, the ones used longest ago closed.
//!
//! Laws
//! - At most one view of an account is open. One that somebody uses, or reads a snapshot of, is not
//!   closed; so there may be more than the limit for a while.
//! - Views live in folders by AccountId, never by name.
//! - A view that cannot be opened is as good as an empty one: searches read the messages.

use super::manifest::{Expect, Figures};
use super::open;
use super::snapshot::{AccountText, Shared};
use super::texts::TailTexts;
use super::view::TextView;
use super::{TextOptions, files, settled};
use crate::error::Result;
use crate::sys::disk::Disk;
use crate::types::{AccountId, Lsn};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub struct TextViews {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open_max: usize,
    shared: Arc<Shared>,
    slots: Mutex<HashMap<AccountId, Arc<Slot>>>,
    uses: AtomicU64,
}

#[derive(Default)]
struct Slot {
    view: Mutex<Option<Arc<TextView>>>,
    used: AtomicU64,
}

impl TextViews {
    /// The views below `dir`. `alarm` is told of accounts whose view is damaged.
    #[must_use]
    pub fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        options: &TextOptions,
        alarm: Box<dyn Fn(AccountId) + Send + Sync>,
    ) -> Self {
        let shared = Arc::new(Shared { texts: TailTexts::new(options.cache_bytes), alarm });
        let open_max = options.open_accounts.max(1);
        Self { disk, dir, open_max, shared, slots: Mutex::default(), uses: AtomicU64::new(0) }
    }

    /// The view of an account, opened if it is not. `expect` is asked when it is: what it says must not be
    /// older than what the view was when it was closed.
    pub fn open(&self, id: AccountId, expect: impl FnOnce() -> Result<Expect>) -> Result<Arc<TextView>> {
        let slot = {
            let mut slots = self.slots.lock();
            let slot = slots.entry(id).or_default().clone();
            slot.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            self.close_some(&mut slots);
            slot
        };
        let mut view = slot.view.lock();
        if let Some(view) = &*view {
            return Ok(view.clone());
        }
        let opened = TextView::open(&self.shared, &self.disk, self.folder(id), &expect()?)?;
        Ok(view.insert(Arc::new(opened)).clone())
    }

    /// The view of an account, if it is open.
    #[must_use]
    pub fn resident(&self, account: AccountId) -> Option<Arc<TextView>> {
        let slot = self.slots.lock().get(&account).cloned()?;
        let view = slot.view.try_lock()?;
        view.clone()
    }

    /// What a search of that account may ask now.
    pub fn snapshot(&self, id: AccountId, expect: impl FnOnce() -> Result<Expect>) -> Arc<AccountText> {
        match self.open(id, expect) {
            Ok(view) => view.snapshot(),
            Err(error) => {
                tracing::warn!(account = id.0, %error, "a text view cannot be opened: messages are read");
                Arc::new(AccountText::nothing(&self.shared, id))
            }
        }
    }

    /// Closes what was used longest ago, down to the limit.
    fn close_some(&self, slots: &mut HashMap<AccountId, Arc<Slot>>) {
        if slots.len() <= self.open_max {
            return;
        }
        let mut by_use: Vec<(u64, AccountId)> =
            slots.iter().map(|(id, slot)| (slot.used.load(Ordering::Relaxed), *id)).collect();
        by_use.sort_unstable();
        // The newest is the one asked for.
        let too_many = slots.len() - self.open_max;
        let idle = by_use.iter().take(by_use.len() - 1).filter(|(_, id)| slots.get(id).is_some_and(is_idle));
        let go: Vec<AccountId> = idle.take(too_many).map(|(_, id)| *id).collect();
        go.iter().for_each(|id| drop(slots.remove(id)));
    }

    /// How many are open.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.slots.lock().len()
    }

    /// A view in numbers; it is not opened for that.
    pub fn figures(&self, expect: &Expect) -> Result<Figures> {
        match self.resident(expect.account) {
            Some(view) => Ok(view.figures()),
            None => open::count(&self.disk, &self.folder(expect.account), expect),
        }
    }

    /// Removes the view of an account that is gone.
    pub fn remove(&self, account: AccountId) -> Result<()> {
        let slot = self.slots.lock().remove(&account);
        match slot.and_then(|slot| slot.view.lock().take()) {
            Some(view) => view.remove(),
            None => files::remove(&*self.disk, &self.folder(account)),
        }
    }

    /// Up to which group every account was known to be covered, and built as far as it is to be. A
    /// hint for the next start, which saves looking at every account; no answer rests on it.
    #[must_use]
    pub fn settled(&self, store_id: [u8; 16]) -> Lsn {
        settled::read(&*self.disk, &self.dir, store_id)
    }

    pub fn set_settled(&self, store_id: [u8; 16], lsn: Lsn) -> Result<()> {
        settled::write(&*self.disk, &self.dir, store_id, lsn)
    }

    /// Some account is about to be less than settled, though nothing of it changed.
    pub fn clear_settled(&self) -> Result<()> {
        settled::clear(&*self.disk, &self.dir)
    }

    fn folder(&self, account: AccountId) -> PathBuf {
        self.dir.join(account.to_string())
    }
}

/// Nobody has it, nobody reads a snapshot of it.
fn is_idle(slot: &Arc<Slot>) -> bool {
    Arc::strong_count(slot) == 1
        && slot.view.try_lock().is_some_and(|view| match &*view {
            Some(view) => Arc::strong_count(view) == 1 && view.is_idle(),
            None => true,
        })
}
