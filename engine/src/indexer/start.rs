//! Which accounts are behind when the store is opened.
//!
//! Laws
//! - An account without a folder, or that changed since everything was settled, is looked at. The note
//!   of that moment is a hint: an account that it wrongly leaves out is looked at when it is searched.
//! - A folder without an account goes.

use super::Shared;
use crate::accounts::object;
use crate::catalog::ObjectKey;
use crate::error::Result;
use crate::types::{AccountId, Lsn};
use std::collections::BTreeSet;

/// Tells the queue of every account that may be behind.
pub fn look(shared: &Shared) {
    let settled = shared.views.settled(shared.core.log.store_id());
    let folders = folders_of(shared, "text");
    let summaries = folders_of(shared, "summaries");
    let accounts: BTreeSet<AccountId> = shared.core.registry.ids().into_iter().collect();
    for id in &accounts {
        let is_behind = !folders.contains(id)
            || !summaries.contains(id)
            || last_lsn(shared, *id).map_or(true, |lsn| lsn > settled);
        if is_behind {
            shared.queue.changed(*id);
        }
    }
    folders.union(&summaries).filter(|id| !accounts.contains(id)).for_each(|id| shared.queue.changed(*id));
    shared.queue.looked();
}

/// The accounts that have a folder in a view.
fn folders_of(shared: &Shared, view: &str) -> BTreeSet<AccountId> {
    let names = shared.core.log.disk().list(&shared.core.log.dir().join(view));
    names.unwrap_or_default().iter().filter_map(|name| name.parse().ok().map(AccountId)).collect()
}

/// The account's last change, without loading it.
fn last_lsn(shared: &Shared, id: AccountId) -> Result<Lsn> {
    if let Some(account) = shared.core.registry.resident(id) {
        return Ok(account.last_lsn);
    }
    let row = shared.core.catalog.get(&ObjectKey::Account(id))?;
    let row = row.map(|row| object::decode(&row.bytes)).transpose()?;
    Ok(row.map_or(Lsn(u64::MAX), |row| row.account.last_lsn))
}

/// Notes that everything up to there is settled, if it is.
pub fn note_settled(shared: &Shared, lsn: Lsn) {
    let store_id = shared.core.log.store_id();
    let is_settled = shared.queue.is_settled() && shared.queue.nothing_failed();
    if !shared.builds || !is_settled || shared.views.settled(store_id) >= lsn {
        return;
    }
    if let Err(error) = shared.views.set_settled(store_id, lsn) {
        tracing::warn!(%error, "that the index is settled could not be noted; the next start looks again");
    }
}
