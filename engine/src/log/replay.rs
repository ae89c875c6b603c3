//! Reading the transactions back, in order.
//!
//! Laws
//! - Transactions are given out in the order of their groups' LSNs; of a group that is damaged, those that are intact.
//! - Memory is bounded by a read buffer and the transactions of one group.
//! - A hole is reported with the LSNs that are missing and the accounts and messages it hit, as the footer names them. Without a
//!   footer that reaches over all of it, the accounts are unknown but for those that later transactions of the segment
//!   clear: naming some would call the others unhurt. Reading goes on after it.

use super::footer::{Footer, GroupEntry};
use super::manifest::{Segment, State};
use super::salvage::{Around, Before, Elimination, Rest, salvage};
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
    /// Holes of this segment of which it is not known whom they hit, by their place in the list.
    open: Vec<(usize, Elimination)>,
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
    // Several entries may reach over it together.
    let known_hole = |first_lsn: Lsn, last_lsn: Lsn| {
        let missing = Damage { first_lsn, last_lsn, accounts: vec![AccountId(0)], ..Damage::default() };
        let whoevers = |d: &Damage| Damage { accounts: Vec::new(), spared: Vec::new(), ..d.clone() };
        missing.is_hole_known_by(&manifest.damage.iter().map(whoevers).collect::<Vec<_>>())
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
    let mut replay = Replay { shared, last: after, holes: Vec::new(), open: Vec::new(), on_txn };
    for (id, segment) in log_segments(shared) {
        if segment.state == State::Open || segment.last_lsn > after {
            replay.segment(id, &segment)?;
        }
    }
    Ok(replay.holes)
}

impl Replay<'_, '_> {
    fn segment(&mut self, id: SegmentId, listed: &Segment) -> Result<()> {
        let open_end = self.shared.open_end.lock().get(&id).copied();
        // Listed as open and no longer written to: it was closed meanwhile, and all of it counts.
        let closed = match (listed.state, open_end) {
            (State::Open, None) => self.shared.manifest.load().segments.get(&id).copied(),
            _ => None,
        };
        let segment = closed.as_ref().unwrap_or(listed);
        let file = match self.shared.files.get(segment.kind, id) {
            Ok(file) => file,
            Err(e) if segment.state == State::Sealed => {
                self.hole(id, segment.last_lsn, None, &e.to_string());
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let footer = match open_end {
            None => Footer::read(&*file, self.shared.store_id, id).ok(),
            Some(_) => None,
        };
        let end = match (&footer, open_end) {
            (Some(footer), _) => footer.content_end,
            (None, Some(end)) => end,
            // A file that was cut is shorter than it was sealed.
            (None, None) => file.len_bytes().map_or(0, |len| len.min(segment.bytes)),
        };
        let expect = Expect { store_id: self.shared.store_id, segment: id };
        let mut reader = Reader::new(file, end);
        let before = Before { lsn: segment.prev_lsn, is_next_to: true, ..Before::default() };
        let why = self.groups(&mut reader, expect, footer.as_ref(), before)?;
        if segment.state == State::Sealed && self.last < segment.last_lsn {
            self.hole(id, segment.last_lsn, footer.as_ref(), &why);
        }
        for (i, whom) in self.open.drain(..) {
            self.holes.get_mut(i).map(|hole| whom.settle(hole)).unwrap_or_default();
        }
        Ok(())
    }

    /// Gives out what a segment holds. Returns what was wrong with its last bytes, if that was not told.
    fn groups(
        &mut self,
        reader: &mut Reader,
        expect: Expect,
        footer: Option<&Footer>,
        mut before: Before,
    ) -> Result<String> {
        let (mut at, end) = (HEADER_BYTES as u64, reader.end());
        let mut why = String::new();
        while at < end {
            if let Some(header) = walk::peek(reader, expect, at).filter(|h| h.lsn <= self.last) {
                at += header.whole_len();
                before = Before::of(&header);
                continue;
            }
            let (header, broken) = match walk::step(reader, expect, at, Depth::Records)? {
                Step::End => break,
                Step::Whole(group) => {
                    at += group.header.whole_len();
                    before = Before::of(&group.header);
                    self.group(expect.segment, &group, footer, &mut why)?;
                    continue;
                }
                Step::Broken { header, why } => (header, why.to_string()),
            };
            // Where the bytes end that may be this group's.
            let next = match footer {
                Some(footer) => footer.group_behind(at).unwrap_or(end),
                None => walk::next_header(reader, expect, at + 1)?.unwrap_or(end),
            };
            let around = Around { before, footer, depth: Depth::Records };
            let rest = salvage(reader, expect, at, header, next, around)?;
            match rest.filter(|rest| rest.group.header.lsn > before.lsn) {
                Some(rest) => {
                    at = rest.end;
                    before = Before::of(&rest.group.header);
                    self.salvaged(expect, rest, footer, &broken)?;
                    why.clear();
                }
                None => {
                    at = next;
                    why = broken;
                    before.is_next_to = false;
                }
            }
        }
        Ok(why)
    }

    /// What is left of a group.
    fn salvaged(&mut self, expect: Expect, rest: Rest, footer: Option<&Footer>, why: &str) -> Result<()> {
        let header = rest.group.header;
        // It is older than what is wanted.
        if header.lsn <= self.last {
            return Ok(());
        }
        if header.prev_lsn > self.last {
            self.hole(expect.segment, header.prev_lsn, footer, why);
        }
        self.last = header.lsn;
        if let Some(damage) = rest.lost.damage(expect, header.lsn, why) {
            if damage.is_hole() && damage.accounts.is_empty() {
                let whom = Elimination::new(header.lsn..=header.lsn, Some(&rest));
                self.open.push((self.holes.len(), whom));
            }
            self.holes.push(damage);
        }
        self.give_out(&rest.group)
    }

    fn group(
        &mut self,
        id: SegmentId,
        group: &Group,
        footer: Option<&Footer>,
        why: &mut String,
    ) -> Result<()> {
        let header = group.header;
        if header.prev_lsn > self.last {
            self.hole(id, header.prev_lsn, footer, why);
        }
        why.clear();
        self.last = header.lsn;
        self.open.iter_mut().for_each(|(_, whom)| whom.later(group));
        self.give_out(group)
    }

    fn give_out(&mut self, group: &Group) -> Result<()> {
        let header = group.header;
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
        // Groups of nobody's transactions: nothing is lost but what they held beside.
        if reaches_over_all && accounts.is_empty() && messages.is_empty() {
            return;
        }
        if !reaches_over_all {
            self.open.push((self.holes.len(), Elimination::new(missing.clone(), None)));
        }
        let is_hole = !(reaches_over_all && accounts.is_empty());
        self.holes.push(Damage {
            segment,
            first_lsn: if is_hole { *missing.start() } else { Lsn(0) },
            last_lsn: if is_hole { *missing.end() } else { Lsn(0) },
            accounts: if reaches_over_all { accounts } else { Vec::new() },
            messages,
            spared: Vec::new(),
            what: if why.is_empty() { "groups are missing".to_owned() } else { why.to_owned() },
        });
    }
}

/// Whom and which messages the groups of a range of LSNs held, as the footer tells.
fn lost_groups(footer: &Footer, first: Lsn, last: Lsn) -> (Vec<AccountId>, Vec<MessageNo>) {
    let is_lost = |g: &GroupEntry| (first..=last).contains(&g.lsn);
    let of_accounts = footer.groups.iter().filter(|g| is_lost(g)).flat_map(|g| &g.accounts);
    let accounts: BTreeSet<AccountId> =
        of_accounts.filter(|a| **a != super::record::NO_ACCOUNT).map(|a| AccountId(*a)).collect();
    let messages = footer.messages_of(is_lost).map(|(_, m)| m.message).collect();
    (accounts.into_iter().collect(), messages)
}
