//! Compaction: what lives in a segment that is mostly dead moves to a cold segment, and the old one
//! goes.
//!
//! Laws
//! - A log segment may go only when its transactions are dead: covered by both snapshot sets, every
//!   byte of which was just proved, and older than the retention.
//! - What lives is counted from rows, never from reference counts.
//! - Only the `Relocate` record is sequenced. Before it the old place is right, after it the new one;
//!   readers find either through `locations`.
//! - What cannot be read is not dead: its segment stays, and the others are compacted all the same.
//! - A segment is unlinked only after the grace time of sessions that still show its messages.

use super::core::Core;
use super::snapshot;
use crate::error::{Error, Result};
use crate::log::{Room, SegmentInfo, SegmentKind, SegmentMessage};
use crate::types::{AccountId, MessageNo, SegmentId, Uid};
use crate::work::{Unit, Work};
use roaring::RoaringTreemap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What one run of compaction did.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct CompactReport {
    pub segments_dropped: u64,
    pub messages_moved: u64,
    pub messages_dropped: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

struct Victim {
    info: SegmentInfo,
    messages: Vec<SegmentMessage>,
}

/// What is known to be damaged, and so is left as it is until somebody has seen to it.
#[derive(Debug, Default)]
pub struct Damaged {
    /// The log lost acknowledged bytes: which messages live cannot be told from what is left.
    pub log: bool,
    /// A snapshot set that the log's segments would have to be covered by is not intact.
    pub runs: bool,
    /// Segments with something in them that cannot be read.
    segments: BTreeSet<SegmentId>,
}

/// Compacts what is worth it.
pub fn compact(core: &Core, damaged: &mut Damaged, work: &mut Work<'_>) -> Result<CompactReport> {
    let report = CompactReport::default();
    if damaged.log {
        return Ok(report);
    }
    let candidates = candidates(core, damaged);
    if candidates.is_empty() {
        return Ok(report);
    }
    let live = live_messages(core, &candidates)?;
    let mut victims: Vec<Victim> =
        candidates.into_iter().filter(|victim| is_worth_it(core, victim, &live)).collect();
    let is_log = |victim: &Victim| victim.info.kind == SegmentKind::Log;
    if victims.iter().any(is_log) && !are_runs_intact(core) {
        damaged.runs = true;
        victims.retain(|victim| !is_log(victim));
    }
    while !victims.is_empty() {
        work.step("compacting", 0, victims.len() as u64, Unit::Objects)?;
        match replace(core, &victims, &live) {
            Err(Error::Damaged { message, what }) => {
                let holds = |victim: &Victim| victim.messages.iter().any(|one| one.message == message);
                let (hit, others): (Vec<_>, Vec<_>) = victims.into_iter().partition(holds);
                if hit.is_empty() {
                    return Err(Error::Damaged { message, what });
                }
                for victim in hit {
                    damaged.leave(victim.info.id, &what);
                }
                victims = others;
            }
            replaced => return replaced,
        }
    }
    Ok(report)
}

impl Damaged {
    #[must_use]
    pub fn of_log(log: bool) -> Self {
        Self { log, ..Self::default() }
    }

    fn leave(&mut self, segment: SegmentId, what: &str) {
        tracing::error!(segment = segment.0, what, "a damaged segment is left as it is");
        self.segments.insert(segment);
    }
}

/// Moves what lives and drops the rest.
fn replace(core: &Core, victims: &[Victim], live: &RoaringTreemap) -> Result<CompactReport> {
    let mut report = CompactReport::default();
    // By account, then in order of arrival: what is read together lies together.
    let mut keep: Vec<(MessageNo, Vec<AccountId>)> = victims
        .iter()
        .flat_map(|victim| &victim.messages)
        .filter(|one| live.contains(one.message.0))
        .map(|one| (one.message, one.accounts.clone()))
        .collect();
    keep.sort_by(|a, b| (a.1.first(), a.0).cmp(&(b.1.first(), b.0)));
    // A large message stands in the segment that names it and in the one that holds it.
    keep.dedup_by_key(|(message, _)| *message);
    report.messages_moved = keep.len() as u64;
    let is_dead = |one: &&SegmentMessage| !live.contains(one.message.0);
    report.messages_dropped =
        victims.iter().map(|victim| victim.messages.iter().filter(is_dead).count() as u64).sum();
    report.bytes_before = victims.iter().map(|victim| victim.info.bytes).sum();
    report.segments_dropped = victims.len() as u64;
    let drops: Vec<SegmentId> = victims.iter().map(|victim| victim.info.id).collect();
    relocate(core, &keep, &drops, &mut report)?;
    let not_before_ms = core.clock.now_ms() + core.keep.grace_ms;
    core.log.drop_segments(&drops, not_before_ms)?;
    core.metrics.compacted(report.segments_dropped);
    Ok(report)
}

fn relocate(
    core: &Core,
    keep: &[(MessageNo, Vec<AccountId>)],
    drops: &[SegmentId],
    report: &mut CompactReport,
) -> Result<()> {
    if keep.is_empty() {
        return Ok(());
    }
    let cold = Arc::new(core.log.write_cold(keep, drops)?);
    report.bytes_after = cold.bytes;
    let sequenced = cold.clone();
    let relocated = core.submit(move |head| {
        head.admit(Room::Compaction)?;
        head.builder().push_relocate(&sequenced, &|_| true);
        Ok(())
    });
    if let Err(Error::StoreFull | Error::Corrupt { .. }) = relocated {
        // Nothing of the group was written. Kept, each attempt on a full disk would fill it more.
        core.log.discard_cold(&cold)?;
    }
    relocated
}

/// The transactions of a log segment are dead only if what covers them can be read.
fn are_runs_intact(core: &Core) -> bool {
    let (current, previous) = core.log.manifest_runs();
    snapshot::is_intact(&core.log, &current, true) && snapshot::is_intact(&core.log, &previous, true)
}

/// Sealed segments that may go, as far as their transactions are concerned.
fn candidates(core: &Core, damaged: &mut Damaged) -> Vec<Victim> {
    let (_, previous) = core.log.manifest_runs();
    core.log.dead_before(previous.as_of);
    let now_ms = core.clock.now_ms();
    let mut found = Vec::new();
    for info in core.log.segments() {
        let may_go = match info.kind {
            SegmentKind::Log => {
                info.last_lsn <= previous.as_of
                    && info.newest_time_ms.saturating_add(core.keep.retention_ms) <= now_ms
            }
            SegmentKind::Body | SegmentKind::Cold => true,
        };
        if info.sealed && may_go && !damaged.segments.contains(&info.id) {
            match core.log.segment_messages(info.id) {
                Ok(messages) => found.push(Victim { info, messages }),
                Err(error) => damaged.leave(info.id, &error.to_string()),
            }
        }
    }
    found
}

/// The messages that some row of the candidates' accounts names.
fn live_messages(core: &Core, candidates: &[Victim]) -> Result<RoaringTreemap> {
    let accounts: BTreeSet<AccountId> = candidates
        .iter()
        .flat_map(|victim| &victim.messages)
        .flat_map(|one| &one.accounts)
        .copied()
        .collect();
    let mut live = RoaringTreemap::new();
    for id in accounts {
        let account = match core.registry.account(id) {
            Ok(account) => account,
            // A deleted account has no rows. Any other error says nothing about what lives.
            Err(Error::NoSuchAccount) => continue,
            Err(error) => return Err(error),
        };
        for mailbox in account.mailboxes() {
            for chunk in mailbox.chunks(Uid(0), Uid(u32::MAX)) {
                let chunk = chunk?;
                live.extend((0..chunk.len()).map(|row| chunk.message(row).0));
            }
        }
    }
    Ok(live)
}

fn is_worth_it(core: &Core, victim: &Victim, live: &RoaringTreemap) -> bool {
    let live_bytes: u64 =
        victim.messages.iter().filter(|one| live.contains(one.message.0)).map(|one| one.stored_bytes).sum();
    let dead = victim.info.bytes.saturating_sub(live_bytes);
    dead.saturating_mul(100) >= victim.info.bytes.saturating_mul(u64::from(core.keep.compact_dead_percent))
}
