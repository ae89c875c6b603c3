//! Reading the transactions back, in order.
//!
//! Laws
//! - A transaction is given out only when its whole group is intact; groups in the order of their LSNs.
//! - Memory is bounded by a read buffer and the transactions of one group.
//! - A hole is reported with the LSNs that are missing and the accounts and messages it hit, as the footer names them. Without a
//!   footer that reaches over all of it, the accounts are unknown: naming some would call the others unhurt. Reading goes
//!   on after it.

use super::footer::Footer;
use super::manifest::{Segment, State};
use super::segment::{HEADER_BYTES, SegmentKind};
use super::shared::Shared;
use super::types::{Damage, TxnRecord};
use super::walk::{self, Depth, Expect, Group, Item, Reader, Step};
use crate::error::Result;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use std::collections::BTreeSet;

/// Takes each transaction.
pub type OnTxn<'a> = dyn FnMut(&TxnRecord<'_>) -> Result<()> + 'a;

struct Replay<'a, 'b> {
    shared: &'a Shared,
    /// Groups up to this LSN are wanted by nobody, or were given out.
    last: Lsn,
    holes: Vec<Damage>,
    on_txn: &'a mut OnTxn<'b>,
}

/// Log segments in the order of their groups.
fn log_segments(shared: &Shared) -> Vec<(SegmentId, Segment)> {
    let manifest = shared.manifest.load();
    manifest.of(SegmentKind::Log).map(|(id, s)| (id, *s)).collect()
}

/// The oldest LSN from which on every group is held.
pub(super) fn first_lsn_held(shared: &Shared) -> Lsn {
    let durable = Lsn(shared.durable_lsn.load(std::sync::atomic::Ordering::Acquire));
    let manifest = shared.manifest.load_full();
    let open = manifest.of(SegmentKind::Log).rfind(|(_, s)| s.state == State::Open);
    let mut first = durable.next();
    if let Some((_, segment)) = open {
        first = first.min(segment.prev_lsn.next());
    }
    let known_hole = |from: Lsn, to: Lsn| {
        manifest.damage.iter().any(|d| d.first_lsn <= from && d.last_lsn >= to && d.first_lsn.0 != 0)
    };
    for (_, segment) in manifest.of(SegmentKind::Log).rev().filter(|(_, s)| s.last_lsn.0 != 0) {
        let (end, prev) = (segment.last_lsn.next(), Lsn(first.0.saturating_sub(1)));
        if end < first && !known_hole(end, prev) {
            break;
        }
        first = segment.first_lsn.min(segment.prev_lsn.next());
    }
    first
}

/// Gives out every transaction with an LSN above `after`. Returns what could not be read.
pub(super) fn replay(shared: &Shared, after: Lsn, on_txn: &mut OnTxn<'_>) -> Result<Vec<Damage>> {
    let mut replay = Replay { shared, last: after, holes: Vec::new(), on_txn };
    for (id, segment) in log_segments(shared) {
        if segment.state == State::Open || segment.last_lsn > after {
            replay.segment(id, &segment)?;
        }
    }
    Ok(replay.holes)
}

impl Replay<'_, '_> {
    fn segment(&mut self, id: SegmentId, segment: &Segment) -> Result<()> {
        let file = match self.shared.files.get(segment.kind, id) {
            Ok(file) => file,
            Err(e) if segment.state == State::Sealed => {
                self.hole(id, segment.last_lsn, None, &e.to_string());
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let footer = match segment.state {
            State::Sealed => Footer::read(&*file, self.shared.store_id, id).ok(),
            _ => None,
        };
        let end = match (&footer, segment.state) {
            (Some(footer), _) => footer.content_end,
            (None, State::Open) => self.shared.open_end.lock().get(&id).copied().unwrap_or(0),
            (None, _) => segment.bytes,
        };
        let expect = Expect { store_id: self.shared.store_id, segment: id };
        let mut reader = Reader::new(file, end);
        let mut at = HEADER_BYTES as u64;
        let mut why = String::new();
        while at < end {
            if let Some(header) = walk::peek(&mut reader, expect, at).filter(|h| h.lsn <= self.last) {
                at += header.whole_len();
                continue;
            }
            match walk::step(&mut reader, expect, at, Depth::Records)? {
                Step::End => break,
                Step::Whole(group) => {
                    at += group.header.whole_len();
                    self.group(id, *group, footer.as_ref(), &mut why)?;
                }
                Step::Broken { why: broken, .. } => {
                    why = broken.to_string();
                    let next =
                        footer.as_ref().and_then(|f| f.groups.iter().find(|g| u64::from(g.offset) > at));
                    at = match next {
                        Some(group) => u64::from(group.offset),
                        None if footer.is_some() => end,
                        None => walk::next_header(&mut reader, expect, at + 1)?.unwrap_or(end),
                    };
                }
            }
        }
        if segment.state == State::Sealed && self.last < segment.last_lsn {
            self.hole(id, segment.last_lsn, footer.as_ref(), &why);
        }
        Ok(())
    }

    fn group(
        &mut self,
        id: SegmentId,
        group: Group,
        footer: Option<&Footer>,
        why: &mut String,
    ) -> Result<()> {
        let header = group.header;
        if header.prev_lsn > self.last {
            self.hole(id, header.prev_lsn, footer, why);
        }
        why.clear();
        self.last = header.lsn;
        for item in &group.items {
            let Item::Txn { account, payload, .. } = item else { continue };
            (self.on_txn)(&TxnRecord {
                lsn: header.lsn,
                time_ms: header.time_ms,
                account: *account,
                payload,
            })?;
        }
        Ok(())
    }

    /// Everything from the last group given out up to `to` is missing.
    fn hole(&mut self, segment: SegmentId, to: Lsn, footer: Option<&Footer>, why: &str) {
        let missing = self.last.next()..=to;
        self.last = to;
        let lost = footer.map(|f| lost_groups(f, *missing.start(), *missing.end()));
        let (accounts, messages) = lost.unwrap_or_default();
        let reaches_over_all = footer.is_some_and(|f| f.totals.prev_lsn < *missing.start());
        self.holes.push(Damage {
            segment,
            first_lsn: *missing.start(),
            last_lsn: *missing.end(),
            accounts: if reaches_over_all { accounts } else { Vec::new() },
            messages,
            what: if why.is_empty() { "groups are missing".to_owned() } else { why.to_owned() },
        });
    }
}

/// Whom and which messages the groups of a range of LSNs held, as the footer tells.
fn lost_groups(footer: &Footer, first: Lsn, last: Lsn) -> (Vec<AccountId>, Vec<MessageNo>) {
    let lost = |g: &&super::footer::GroupEntry| (first..=last).contains(&g.lsn);
    let (mut accounts, mut messages) = (BTreeSet::new(), Vec::new());
    for group in footer.groups.iter().filter(lost) {
        let of_accounts = group.accounts.iter().filter(|a| **a != super::record::NO_ACCOUNT);
        accounts.extend(of_accounts.map(|a| AccountId(*a)));
        let next = footer.groups.iter().map(|g| g.offset).find(|o| *o > group.offset).unwrap_or(u32::MAX);
        let held = footer.messages.iter().filter(|m| (group.offset..next).contains(&m.offset));
        messages.extend(held.map(|m| m.message));
    }
    (accounts.into_iter().collect(), messages)
}
