//! Judging the end of the log: what of a segment that was being written is to be believed.
//!
//! Laws
//! - `proof` = the newest LSN that anything intact (a later group's `durable_lsn`, the manifest) says was durable. A group that is
//!   bad at or below it is damage: reported, stepped over. The first one that is bad above it ends the log: it was not
//!   acknowledged, and nothing after it is believed, however whole it looks.
//! - A group is bad when any byte of it is: header, record or block. A proven group of which only blocks are bad stays, with its
//!   messages reported; of one whose header or records are bad stays what is intact of it.
//! - Where the newest groups may have stood and nothing can be read, nothing is judged at all: what was acknowledged there
//!   nobody knows.
//! - Nothing is thrown away: what is cut or damaged is handed over as ranges for the quarantine.

use super::group::Header;
use super::salvage::{Around, Before, Elimination, Rest, salvage};
use super::segment::HEADER_BYTES;
use super::types::Damage;
use super::walk::{self, Depth, Expect, Group, Reader, Step};
use crate::error::{Error, Result};
use crate::types::Lsn;
use std::ops::Range;

/// What a segment that was being written still holds.
pub(super) struct Judged {
    /// Believed, in order.
    pub(super) groups: Vec<Believed>,
    pub(super) damage: Vec<Damage>,
    /// Some proven bytes could not be understood: what was said there is not known.
    pub(super) hurt: bool,
    /// Bytes after the last believed group that were never acknowledged.
    pub(super) cut: Option<Range<u64>>,
    /// Damaged and cut bytes.
    pub(super) quarantine: Vec<Range<u64>>,
    /// Newest LSN believed or proven.
    pub(super) last_lsn: Lsn,
    /// Newest LSN any intact header speaks of, cut ones included.
    pub(super) highest_seen: Lsn,
}

/// A group that counts.
pub(super) struct Believed {
    pub(super) group: Group,
    /// Of one that is not whole: where the records are that it still has.
    pub(super) pieces: Option<Vec<Range<u64>>>,
}

struct Candidate {
    at: Range<u64>,
    header: Option<Header>,
    /// `None` = bad.
    group: Option<Group>,
    why: String,
    /// Something of it cannot be read; what.
    unreadable: Option<String>,
}

/// All that stands in the segment, believed or not, and the newest LSNs that intact headers prove and mention.
struct Found {
    candidates: Vec<Candidate>,
    proof: Lsn,
    highest_seen: Lsn,
}

fn find(reader: &mut Reader, expect: Expect, proof: Lsn) -> Result<Found> {
    let mut found = Found { candidates: Vec::new(), proof, highest_seen: Lsn(0) };
    let mut at = HEADER_BYTES as u64;
    loop {
        let (header, group, why, mut unreadable) = match walk::step(reader, expect, at, Depth::Blocks)? {
            Step::End => return Ok(found),
            Step::Whole(group) => {
                let range = at..at + group.header.whole_len();
                let bad = reader.unreadable_in(&range).filter(|_| !group.bad_messages.is_empty());
                let unreadable = bad.map(|bad| bad.why.clone());
                (Some(group.header), Some(*group), String::new(), unreadable)
            }
            Step::Broken { header, why } => {
                let unreadable = walk::is_unreadable(&why).then(|| why.to_string());
                (header, None, why.to_string(), unreadable)
            }
        };
        let end = match header {
            Some(header) => {
                found.proof = found.proof.max(header.durable_lsn);
                found.highest_seen = found.highest_seen.max(header.lsn);
                at + header.whole_len()
            }
            None => match walk::next_header(reader, expect, at + 1)? {
                Some(next) => next,
                None => {
                    let end = walk::content_end(reader, at)?;
                    if end > at || unreadable.is_some() {
                        let at = at..end;
                        found.candidates.push(Candidate { at, header: None, group: None, why, unreadable });
                    }
                    return Ok(found);
                }
            },
        };
        found.candidates.push(Candidate { at: at..end, header, group, why, unreadable: unreadable.take() });
        at = end;
    }
}

/// Judges a segment that was being written. `before` is the newest LSN of the segments before it; `proof` what the
/// manifest knows to have been durable.
pub(super) fn judge(reader: &mut Reader, expect: Expect, before: Lsn, proof: Lsn) -> Result<Judged> {
    let found = find(reader, expect, proof)?;
    let judged = Judged {
        groups: Vec::new(),
        damage: Vec::new(),
        hurt: false,
        cut: None,
        quarantine: Vec::new(),
        last_lsn: before,
        highest_seen: found.highest_seen.max(found.proof),
    };
    let before = Before { lsn: before, is_next_to: true, ..Before::default() };
    let mut judge =
        Judge { expect, proof: found.proof, before, out: judged, open: Vec::new(), why: String::new() };
    judge.all(reader, found.candidates)?;
    Ok(judge.out)
}

struct Judge {
    expect: Expect,
    proof: Lsn,
    /// The group before.
    before: Before,
    out: Judged,
    /// Holes of which it is not known yet whom they hit, by their place in the list.
    open: Vec<(usize, Elimination)>,
    /// What was wrong with the bytes stepped over last.
    why: String,
}

impl Judge {
    fn all(&mut self, reader: &mut Reader, candidates: Vec<Candidate>) -> Result<()> {
        let (content_end, count) = (candidates.last().map_or(0, |c| c.at.end), candidates.len());
        for (i, candidate) in candidates.into_iter().enumerate() {
            let cut_here = candidate.at.start;
            let is_proven = self.out.last_lsn < self.proof;
            // Without a header of its own, only the next one says how many groups were there.
            let is_endless = candidate.header.is_none() && i + 1 == count;
            match candidate.group {
                Some(group) if believable(&group, self.out.last_lsn, self.proof) => {
                    self.take(group, candidate.unreadable);
                }
                _ if candidate.unreadable.is_some() && (is_endless || !is_proven) => {
                    return Err(end_is_unreadable(self.expect, &candidate.unreadable.unwrap_or_default()));
                }
                None if is_proven => self.take_rest(reader, candidate)?,
                _ => {
                    self.out.cut = Some(cut_here..content_end);
                    self.out.quarantine.push(cut_here..content_end);
                    break;
                }
            }
        }
        if self.out.last_lsn < self.proof {
            let what =
                if self.why.is_empty() { "groups are missing at the end of the log" } else { &self.why };
            self.hole(self.proof, what.to_owned());
            self.out.last_lsn = self.proof;
        }
        for (i, whom) in &self.open {
            self.out.damage.get_mut(*i).map(|damage| whom.settle(damage)).unwrap_or_default();
        }
        Ok(())
    }

    fn take(&mut self, group: Group, unreadable: Option<String>) {
        self.up_to(group.header.prev_lsn);
        if !group.bad_messages.is_empty() {
            self.out.damage.push(lost_messages(self.expect, &group, unreadable));
        }
        self.believe(Believed { group, pieces: None });
    }

    /// Everything after the last group up to this LSN is missing.
    fn up_to(&mut self, prev_lsn: Lsn) {
        if prev_lsn > self.out.last_lsn {
            let what = if self.why.is_empty() { "groups are missing" } else { &self.why };
            self.hole(prev_lsn, what.to_owned());
        }
        self.why.clear();
    }

    fn hole(&mut self, to: Lsn, what: String) {
        let first_lsn = self.out.last_lsn.next();
        self.out.hurt = true;
        self.open.push((self.out.damage.len(), Elimination::new(first_lsn..=to, None)));
        let segment = self.expect.segment;
        self.out.damage.push(Damage { segment, first_lsn, last_lsn: to, what, ..Damage::default() });
    }

    fn believe(&mut self, believed: Believed) {
        let group = &believed.group;
        self.open.iter_mut().for_each(|(_, whom)| whom.later(group));
        self.before = Before::of(&group.header);
        self.out.last_lsn = group.header.lsn;
        self.out.groups.push(believed);
    }

    /// What is intact of proven bytes that are not.
    fn take_rest(&mut self, reader: &mut Reader, candidate: Candidate) -> Result<()> {
        self.out.quarantine.push(candidate.at.clone());
        let (mut at, limit) = (candidate.at.start, candidate.at.end);
        let mut header = candidate.header;
        while at < limit {
            let around = Around { before: self.before, footer: None, depth: Depth::Blocks };
            let rest = salvage(reader, self.expect, at, header.take(), limit, around)?;
            let Some(rest) = rest.filter(|rest| self.may_follow(&rest.group.header)) else { break };
            at = rest.end;
            self.take_salvaged(rest, &candidate.why, candidate.unreadable.clone());
        }
        if at < limit {
            self.why = candidate.why;
        }
        Ok(())
    }

    fn may_follow(&self, header: &Header) -> bool {
        let last = self.out.last_lsn;
        header.lsn > last
            && header.lsn <= self.proof
            && header.prev_lsn >= last
            && header.prev_lsn < header.lsn
    }

    fn take_salvaged(&mut self, rest: Rest, why: &str, unreadable: Option<String>) {
        let lsn = rest.group.header.lsn;
        self.up_to(rest.group.header.prev_lsn);
        let whom = Elimination::new(lsn..=lsn, Some(&rest));
        match rest.lost.damage(self.expect, lsn, why) {
            Some(damage) => {
                self.out.hurt = true;
                if damage.is_hole() {
                    self.open.push((self.out.damage.len(), whom));
                }
                self.out.damage.push(damage);
            }
            None => tracing::warn!(lsn = lsn.0, why, "a group is damaged, and nothing of it is lost"),
        }
        let Rest { group, pieces, .. } = rest;
        if !group.bad_messages.is_empty() {
            self.out.damage.push(lost_messages(self.expect, &group, unreadable));
        }
        // It does not stand before itself.
        self.before = Before::of(&group.header);
        self.out.last_lsn = lsn;
        let believed = Believed { group, pieces: Some(pieces) };
        let others = |(i, _): &&mut (usize, Elimination)| {
            self.out.damage.get(*i).is_some_and(|damage| damage.last_lsn != lsn)
        };
        let group = &believed.group;
        self.open.iter_mut().filter(others).for_each(|(_, whom)| whom.later(group));
        self.out.groups.push(believed);
    }
}

/// What was acknowledged last may stand there: neither is it known what is lost, nor that anything is.
fn end_is_unreadable(expect: Expect, why: &str) -> Error {
    let why = format!(
        "{why}. Mail that was acknowledged last may stand there, so nothing was changed and the store is not opened. Copy the \
         disk to a good one (ddrescue tries again and again) and start on the copy, or restore the newest backup; a copy of \
         segment {} with zeros in that place gives up what stood there",
        expect.segment
    );
    Error::corrupt("the end of the log", why)
}

/// Whether a group that is intact in itself may follow `last`.
fn believable(group: &Group, last: Lsn, proof: Lsn) -> bool {
    let header = &group.header;
    let follows = header.lsn > last && header.prev_lsn < header.lsn && header.prev_lsn >= last;
    let gap_is_proven = header.prev_lsn == last || header.prev_lsn <= proof;
    let blocks_are_whole = group.bad_messages.is_empty() || header.lsn <= proof;
    follows && gap_is_proven && blocks_are_whole
}

fn lost_messages(expect: Expect, group: &Group, unreadable: Option<String>) -> Damage {
    let messages = &group.bad_messages;
    let hit = group.message_entries().filter(|m| messages.contains(&m.message));
    let mut accounts: Vec<_> = hit.flat_map(|m| m.accounts).collect();
    accounts.sort();
    accounts.dedup();
    Damage {
        segment: expect.segment,
        first_lsn: Lsn(0),
        last_lsn: Lsn(0),
        accounts,
        messages: messages.clone(),
        spared: Vec::new(),
        what: unreadable.unwrap_or_else(|| "the checksum of a block does not match".to_owned()),
    }
}
