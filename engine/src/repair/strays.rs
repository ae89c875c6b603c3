//! Strays: messages that are intact though a transaction of their group is lost, and that no row names.

use super::quarantine::is_gone;
use crate::error::{Error, Result};
use crate::log::{Damage, SegmentInfo, SegmentKind, SegmentMessage, Stray};
use crate::txn::Core;
use crate::txn::op::{self, Op};
use crate::types::{AccountId, Lsn, MessageNo, Uid};
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
            found.append(&mut without_transactions(core)?);
        }
        for stray in found {
            for account in &stray.accounts {
                if damage.may_have_hit(*account) && seen.insert((*account, stray.message)) {
                    strays.entry(*account).or_default().push(stray.clone());
                }
            }
        }
    }
    let known: BTreeSet<AccountId> = core.registry.ids().into_iter().collect();
    if strays.keys().any(|id| !known.contains(id)) {
        let deleted = deleted(core)?;
        strays.retain(|id, _| !deleted.contains(id));
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
fn without_transactions(core: &Core) -> Result<Vec<Stray>> {
    let mut strays = Vec::new();
    for info in core.log.segments().into_iter().filter(|info| info.kind == SegmentKind::Cold) {
        let stray = |one: SegmentMessage| Stray {
            message: one.message,
            lsn: info.last_lsn,
            time_ms: info.newest_time_ms,
            accounts: one.accounts,
        };
        match core.log.segment_messages(info.id) {
            Ok(messages) => strays.extend(messages.into_iter().map(stray)),
            // It is gone, or cannot be listed: then it stays as it is.
            Err(Error::Io { source, .. }) if is_gone(&source) => {}
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => tracing::error!(segment = info.id.0, %error, "a cold segment cannot be listed"),
        }
    }
    Ok(strays)
}

/// The accounts that were deleted, as far as the log tells: nothing of theirs comes back.
fn deleted(core: &Core) -> Result<BTreeSet<AccountId>> {
    let mut deleted = BTreeSet::new();
    core.log.replay(Lsn(0), &mut |txn| {
        // One that cannot be understood tells nothing.
        let ops = op::decode(txn.payload).unwrap_or_default();
        if ops.iter().any(|op| matches!(op, Op::DeleteAccount)) {
            deleted.extend(txn.account);
        }
        Ok(())
    })?;
    Ok(deleted)
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
