//! Judging the end of the log: what of a segment that was being written is to be believed.
//!
//! Laws
//! - `proof` = the newest LSN that anything intact (a later group's `durable_lsn`, the manifest) says was durable. A group that is
//!   bad at or below it is damage: reported, stepped over. The first one that is bad above it ends the log: it was not
//!   acknowledged, and nothing after it is believed, however whole it looks.
//! - A group is bad when any byte of it is: header, record or block. A proven group of which only blocks are bad stays, with its
//!   messages reported.
//! - Nothing is thrown away: what is cut or damaged is handed over as ranges for the quarantine.

use super::segment::HEADER_BYTES;
use super::types::Damage;
use super::walk::{self, Depth, Expect, Group, Reader, Step};
use crate::error::Result;
use crate::types::{Lsn, MessageNo};
use std::ops::Range;

/// What a segment that was being written still holds.
pub(super) struct Judged {
    /// Believed, in order.
    pub(super) groups: Vec<Group>,
    pub(super) damage: Vec<Damage>,
    /// Bytes after the last believed group that were never acknowledged.
    pub(super) cut: Option<Range<u64>>,
    /// Damaged and cut bytes.
    pub(super) quarantine: Vec<Range<u64>>,
    /// Newest LSN believed or proven.
    pub(super) last_lsn: Lsn,
    /// Newest LSN any intact header speaks of, cut ones included.
    pub(super) highest_seen: Lsn,
}

struct Candidate {
    at: Range<u64>,
    /// `None` = bad.
    group: Option<Group>,
    why: String,
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
        let (header, group, why) = match walk::step(reader, expect, at, Depth::Blocks)? {
            Step::End => return Ok(found),
            Step::Whole(group) => (Some(group.header), Some(*group), String::new()),
            Step::Broken { header, why } => (header, None, why.to_string()),
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
                    if end > at {
                        found.candidates.push(Candidate { at: at..end, group: None, why });
                    }
                    return Ok(found);
                }
            },
        };
        found.candidates.push(Candidate { at: at..end, group, why });
        at = end;
    }
}

/// Judges a segment that was being written. `before` is the newest LSN of the segments before it; `proof` what the
/// manifest knows to have been durable.
pub(super) fn judge(reader: &mut Reader, expect: Expect, before: Lsn, proof: Lsn) -> Result<Judged> {
    let found = find(reader, expect, proof)?;
    let proof = found.proof;
    let mut out = Judged {
        groups: Vec::new(),
        damage: Vec::new(),
        cut: None,
        quarantine: Vec::new(),
        last_lsn: before,
        highest_seen: found.highest_seen.max(proof),
    };
    let hole = |first: Lsn, last: Lsn, what: &str| Damage {
        segment: expect.segment,
        first_lsn: first,
        last_lsn: last,
        accounts: Vec::new(),
        messages: Vec::new(),
        what: what.to_owned(),
    };
    let content_end = found.candidates.last().map_or(0, |c| c.at.end);
    let mut hurt = String::new();
    for candidate in found.candidates {
        let cut_here = candidate.at.start;
        let proven = out.last_lsn < proof;
        match candidate.group {
            Some(group) if believable(&group, out.last_lsn, proof) => {
                let header = group.header;
                if header.prev_lsn > out.last_lsn {
                    let what = if hurt.is_empty() { "groups are missing" } else { hurt.as_str() };
                    out.damage.push(hole(out.last_lsn.next(), header.prev_lsn, what));
                }
                hurt.clear();
                if !group.bad_messages.is_empty() {
                    out.damage.push(lost_messages(expect, &group, &group.bad_messages));
                }
                out.last_lsn = header.lsn;
                out.groups.push(group);
            }
            None if proven => {
                hurt = candidate.why;
                out.quarantine.push(candidate.at);
            }
            _ => {
                out.cut = Some(cut_here..content_end);
                out.quarantine.push(cut_here..content_end);
                break;
            }
        }
    }
    if out.last_lsn < proof {
        let what = if hurt.is_empty() { "groups are missing at the end of the log" } else { hurt.as_str() };
        out.damage.push(hole(out.last_lsn.next(), proof, what));
        out.last_lsn = proof;
    }
    Ok(out)
}

/// Whether a group that is intact in itself may follow `last`.
fn believable(group: &Group, last: Lsn, proof: Lsn) -> bool {
    let header = &group.header;
    let follows = header.lsn > last && header.prev_lsn < header.lsn && header.prev_lsn >= last;
    let gap_is_proven = header.prev_lsn == last || header.prev_lsn <= proof;
    let blocks_are_whole = group.bad_messages.is_empty() || header.lsn <= proof;
    follows && gap_is_proven && blocks_are_whole
}

fn lost_messages(expect: Expect, group: &Group, messages: &[MessageNo]) -> Damage {
    let hit = group.message_entries().filter(|m| messages.contains(&m.message));
    let mut accounts: Vec<_> = hit.flat_map(|m| m.accounts).collect();
    accounts.sort();
    accounts.dedup();
    Damage {
        segment: expect.segment,
        first_lsn: Lsn(0),
        last_lsn: Lsn(0),
        accounts,
        messages: messages.to_vec(),
        what: "the checksum of a block does not match".to_owned(),
    }
}
