//! Strays: messages that are intact though a transaction of their group is lost, and that no row names.

use crate::error::{Error, Result};
use crate::log::{Damage, SegmentInfo, SegmentKind, SegmentMessage, Stray};
use crate::txn::Core;
use crate::types::{AccountId, MessageNo, Uid};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, BTreeSet};

/// The strays of the accounts that a hole hit, and of those whose beginning is lost.
pub fn find(core: &Core) -> Result<BTreeMap<AccountId, Vec<Stray>>> {
    let lost = core.published.lock().lost.clone();
    let mut strays: BTreeMap<AccountId, Vec<Stray>> = BTreeMap::new();
    let mut seen: BTreeSet<(AccountId, MessageNo)> = BTreeSet::new();
    for damage in core.log.damage() {
        let overlaps = |hole: &crate::txn::lost::Hole| {
            damage.is_hole() && hole.first <= damage.last_lsn && damage.first_lsn <= hole.last
        };
        if !lost.holes.iter().any(overlaps) {
            continue;
        }
        let mut found = core.log.strays(&damage)?;
        if is_gap(core, &damage) {
            found.append(&mut without_transactions(core));
        }
        for stray in found {
            for account in &stray.accounts {
                if damage.may_have_hit(*account) && seen.insert((*account, stray.message)) {
                    strays.entry(*account).or_default().push(stray.clone());
                }
            }
        }
    }
    for (id, of) in &mut strays {
        let named = named(core, *id)?;
        of.retain(|stray| !named.contains(stray.message.0));
    }
    strays.retain(|_, of| !of.is_empty());
    Ok(strays)
}

/// Whether the log has nothing any more of the groups that are lost: then no group says what they held.
fn is_gap(core: &Core, damage: &Damage) -> bool {
    let holds = |info: &SegmentInfo| {
        info.kind == SegmentKind::Log
            && info.first_lsn <= damage.first_lsn
            && damage.first_lsn <= info.last_lsn
    };
    !core.log.segments().iter().any(holds)
}

/// The messages of cold segments: which of them are dead, only the lost transactions could tell.
fn without_transactions(core: &Core) -> Vec<Stray> {
    let cold = core.log.segments().into_iter().filter(|info| info.kind == SegmentKind::Cold);
    let of = |info: SegmentInfo| {
        let stray = move |one: SegmentMessage| Stray {
            message: one.message,
            lsn: info.last_lsn,
            time_ms: info.newest_time_ms,
            accounts: one.accounts,
        };
        // One that cannot be listed stays where it is.
        core.log.segment_messages(info.id).unwrap_or_default().into_iter().map(stray)
    };
    cold.flat_map(of).collect()
}

/// The messages that some row of the account names.
fn named(core: &Core, id: AccountId) -> Result<RoaringTreemap> {
    let mut named = RoaringTreemap::new();
    let account = match core.registry.account(id) {
        Err(Error::NoSuchAccount) => return Ok(named),
        account => account?,
    };
    for mailbox in account.mailboxes() {
        for chunk in mailbox.chunks(Uid(0), Uid(u32::MAX)) {
            let chunk = chunk?;
            named.extend((0..chunk.len()).map(|row| chunk.message(row).0));
        }
    }
    Ok(named)
}
