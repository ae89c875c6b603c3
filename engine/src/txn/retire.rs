//! Emptying damaged segments: what lives in them moves to cold ones, and their files go to quarantine/.
//!
//! Laws
//! - Whose a damaged segment's messages are is not asked of it: whatever any row names lives.
//! - What lives and cannot be proved keeps its segment: it is seen to first.
//! - A log segment goes only when both snapshot sets, proved, cover all of it.

use super::compact::relocate;
use super::core::Core;
use super::snapshot;
use crate::error::{Error, Result};
use crate::log::SegmentKind;
use crate::types::{AccountId, MessageNo, SegmentId, Uid};
use crate::work::{Unit, Work};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of messages in one cold segment, but for a message that is larger.
const COLD_BYTES: u64 = 256 << 20;

/// A message that lives: whose it is, and its size.
struct Living {
    accounts: Vec<AccountId>,
    size_bytes: u64,
}

/// What became of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Retired {
    /// It is in quarantine/, and so many messages were moved out of it before.
    Gone { moved: u64 },
    /// It stays; why.
    Stays(String),
}

/// Empties a segment and gives it to the quarantine.
pub fn retire(core: &Core, id: SegmentId, told: &mut Work<'_>) -> Result<Retired> {
    let Some(info) = core.log.segments().into_iter().find(|info| info.id == id) else {
        return Ok(Retired::Gone { moved: 0 });
    };
    if !info.sealed {
        let why = "it is being written, and could not be closed; repair again";
        return Ok(Retired::Stays(why.to_owned()));
    }
    if info.kind == SegmentKind::Log {
        let (current, previous) = core.log.manifest_runs();
        let covered = current.as_of.min(previous.as_of);
        if covered < info.last_lsn
            || !snapshot::is_intact(&core.log, &current, true)
            || !snapshot::is_intact(&core.log, &previous, true)
        {
            return Ok(Retired::Stays("no two snapshots cover its transactions".to_owned()));
        }
        core.log.dead_before(covered);
    }
    let living = living(core, id, info.kind, told)?;
    for message in living.keys() {
        if let Err(error) = core.log.read(*message).and_then(|stored| stored.verify()) {
            return Ok(Retired::Stays(format!("a message in it lives and cannot be proved: {error}")));
        }
    }
    let moved = living.len() as u64;
    let mut batch = Vec::new();
    let mut bytes = 0;
    for (message, Living { accounts, size_bytes }) in living {
        if bytes + size_bytes > COLD_BYTES && !batch.is_empty() {
            relocate(core, &std::mem::take(&mut batch), &[id])?;
            bytes = 0;
        }
        bytes += size_bytes;
        batch.push((message, accounts));
    }
    relocate(core, &batch, &[id])?;
    // At once: what sessions still show of it is expunged mail, and that it is damaged weighs more.
    core.log.retire_segments(&[id], core.clock.now_ms())?;
    Ok(Retired::Gone { moved })
}

/// The messages of rows that are read from the segment.
fn living(
    core: &Core,
    id: SegmentId,
    kind: SegmentKind,
    told: &mut Work<'_>,
) -> Result<BTreeMap<MessageNo, Living>> {
    let mut living: BTreeMap<MessageNo, Living> = BTreeMap::new();
    let in_body = if kind == SegmentKind::Body { core.log.body_messages(id) } else { BTreeSet::new() };
    let ids = core.registry.ids();
    for (done, account) in (0..).zip(&ids) {
        let doing = format!("looking for what lives in segment {id}");
        told.step(&doing, done, ids.len() as u64, Unit::Objects)?;
        let account = match core.registry.account(*account) {
            Err(Error::NoSuchAccount) => continue,
            account => account?,
        };
        for mailbox in account.mailboxes() {
            for chunk in mailbox.chunks(Uid(0), Uid(u32::MAX)) {
                let chunk = chunk?;
                for row in 0..chunk.len() {
                    let message = chunk.message(row);
                    let is_here = match kind {
                        SegmentKind::Body => in_body.contains(&message),
                        _ => core.log.record_segment(message) == Some(id),
                    };
                    if is_here {
                        let size_bytes = u64::from(chunk.size_bytes(row));
                        let one = living
                            .entry(message)
                            .or_insert_with(|| Living { accounts: Vec::new(), size_bytes });
                        if !one.accounts.contains(&account.id) {
                            one.accounts.push(account.id);
                        }
                    }
                }
            }
        }
    }
    Ok(living)
}
