//! The plain words the floors above speak with the log.

use super::segment::SegmentKind;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use std::ops::Range;
use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment is closed when it would grow past this.
    pub segment_bytes: u64,
    /// Larger messages go to a body segment before their transaction.
    pub body_threshold_bytes: u64,
    /// Segments held in reserve for a full disk (at most 9).
    pub reserve_segments: u32,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, body_threshold_bytes: 256 << 10, reserve_segments: 2 }
    }
}

/// What a group is for: how deep into the reserve of a full disk it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// New mail: refused as soon as the reserve had to be touched.
    Append,
    /// Flags, expunge, delete, markers: all but the last reserved segment.
    Shrink,
    /// Compaction and recovery: all of it.
    Compaction,
}

/// What the open found.
#[derive(Debug, Clone, Default)]
pub struct OpenReport {
    /// There was no store; one was made.
    pub created: bool,
    /// The last owner stopped in order: what views say of that moment may be believed.
    pub stopped_in_order: bool,
    /// The same, and nothing is listed as damaged.
    pub clean: bool,
    /// The machine was not booted since the last owner ran.
    pub same_boot: bool,
    /// The newest LSN of the log, lost ones that are known to have been acknowledged included.
    pub last_lsn: Lsn,
    /// What the next group must be called: above `last_lsn` and above every LSN seen in bytes that were cut.
    pub next_lsn: Lsn,
    pub epoch: u32,
    /// Bytes of an unacknowledged tail that were cut.
    pub cut_tail_bytes: u64,
    /// Where cut or damaged bytes were put.
    pub quarantined: Vec<PathBuf>,
    /// Acknowledged groups that cannot be read: found now, or earlier and not yet repaired.
    pub damage: Vec<Damage>,
    /// Files that were lost or damaged and are whole again: each had a copy, or could be made from others.
    pub mended: Vec<String>,
    /// Both copies of MANIFEST were lost, and it was made again from the segments; why. What it alone knew is gone: which
    /// damage was listed, and which segments were about to be dropped.
    pub rebuilt_manifest: Option<String>,
}

/// Acknowledged bytes that are lost: either transactions (a *hole*, and what was lost with them), or messages alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    pub segment: SegmentId,
    /// The groups of which transactions are lost, both ends included. Zero, zero: no transaction, only `messages`; zero
    /// and another number: `lost_end`.
    pub first_lsn: Lsn,
    pub last_lsn: Lsn,
    /// Of a hole: whose transactions are lost; empty = unknown, so everybody's but for `spared`. Of messages alone: for
    /// whom they were first stored.
    pub accounts: Vec<AccountId>,
    /// Messages that were stored there and cannot be read.
    pub messages: Vec<MessageNo>,
    /// Whose transactions are known to be all there, though the others' are not told apart.
    pub spared: Vec<AccountId>,
    pub what: String,
}

impl Damage {
    /// Whether transactions are lost.
    #[must_use]
    pub fn is_hole(&self) -> bool {
        self.first_lsn > Lsn(0)
    }

    /// Whether a list says all of it already.
    #[must_use]
    pub fn is_known_by(&self, listed: &[Self]) -> bool {
        self.unlisted_messages(listed).is_empty() && (!self.is_hole() || self.is_hole_known_by(listed))
    }

    /// Those of its messages that no entry names.
    #[must_use]
    pub fn unlisted_messages(&self, listed: &[Self]) -> Vec<MessageNo> {
        let is_listed = |m: &MessageNo| listed.iter().any(|d| d.messages.contains(m));
        self.messages.iter().copied().filter(|m| !is_listed(m)).collect()
    }

    /// Whether entries that hit at least those accounts reach over all its groups.
    pub(super) fn is_hole_known_by(&self, listed: &[Self]) -> bool {
        let mut next = self.first_lsn;
        while next <= self.last_lsn {
            let reaches = |d: &&Self| d.is_hole() && d.first_lsn <= next && next <= d.last_lsn;
            let Some(entry) = listed.iter().filter(reaches).find(|d| d.hits_all_of(self)) else {
                return false;
            };
            next = entry.last_lsn.next();
        }
        true
    }

    fn hits_all_of(&self, other: &Self) -> bool {
        match (self.accounts.is_empty(), other.accounts.is_empty()) {
            (true, true) => self.spared.iter().all(|a| other.spared.contains(a)),
            (true, false) => other.accounts.iter().all(|a| !self.spared.contains(a)),
            (false, true) => false,
            (false, false) => other.accounts.iter().all(|a| self.accounts.contains(a)),
        }
    }

    /// Whether a transaction of the account may be among those that are lost.
    #[must_use]
    pub fn may_have_hit(&self, account: AccountId) -> bool {
        let is_named = self.accounts.contains(&account);
        let may_be = self.accounts.is_empty() && !self.spared.contains(&account);
        self.is_hole() && (is_named || may_be)
    }

    /// The log's end is lost up to there, as a view tells that was ahead of it: no group and no message that could be
    /// named.
    #[must_use]
    pub fn lost_end(up_to: Lsn) -> Self {
        Self {
            last_lsn: up_to,
            what: format!("acknowledged groups up to {up_to} are lost from the end of the log"),
            ..Self::default()
        }
    }

    /// Up to where, if that is what this is.
    #[must_use]
    pub fn lost_up_to(&self) -> Option<Lsn> {
        let is_lost_end = self.first_lsn == Lsn(0) && self.last_lsn > Lsn(0) && self.messages.is_empty();
        is_lost_end.then_some(self.last_lsn)
    }
}

/// A stored message that is intact though a transaction of its group is lost: perhaps no row names it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    pub message: MessageNo,
    pub lsn: Lsn,
    /// When its group was written.
    pub time_ms: u64,
    /// For whom it was first stored; a hint.
    pub accounts: Vec<AccountId>,
}

/// What can be proved of a stored message, however damaged it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    pub message: MessageNo,
    pub segment: SegmentId,
    /// The record's checksum matches: size and digest are those that were stored.
    pub is_record_intact: bool,
    /// Size of the raw message: the record's, or the sum of what its table tells.
    pub size_bytes: u64,
    pub header_len_bytes: u64,
    pub digest: Option<[u8; 32]>,
    /// The whole header, blank line included, when every byte of it is proved.
    pub header: Option<Vec<u8>>,
    /// The raw message from its first byte to its last, by block; `None` = nothing is known of these bytes.
    pub pieces: Vec<(Range<u64>, Option<Vec<u8>>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    pub id: SegmentId,
    pub kind: SegmentKind,
    /// No longer written to and not awaiting a transaction: may be compacted.
    pub sealed: bool,
    pub bytes: u64,
    pub first_lsn: Lsn,
    pub last_lsn: Lsn,
    /// Messages ever stored in it; of a body segment: those that a Body record names.
    pub messages: u64,
    pub newest_time_ms: u64,
}

/// A message that lies in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMessage {
    pub message: MessageNo,
    pub stored_bytes: u64,
    pub accounts: Vec<AccountId>,
}

/// A snapshot run that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// File name in `snapshots/`.
    pub file: String,
    pub as_of_lsn: Lsn,
    pub bytes: u64,
    pub objects: u64,
}

/// Runs that together hold every object as of an LSN; newest first or last as the snapshots like it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunSet {
    pub as_of: Lsn,
    pub runs: Vec<RunInfo>,
}

/// A transaction as replay gives it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnRecord<'a> {
    pub lsn: Lsn,
    pub time_ms: u64,
    /// `None`: the store as a whole.
    pub account: Option<AccountId>,
    /// What the transactions' floor wrote; opaque here.
    pub payload: &'a [u8],
}

/// Bytes on disk by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct LogBytes {
    pub log: u64,
    pub bodies: u64,
    pub cold: u64,
    pub snapshots: u64,
    pub quarantine: u64,
}

/// Something `scan_all` found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub segment: SegmentId,
    pub offset: u64,
    pub messages: Vec<MessageNo>,
    /// The bytes are as they should be, but a transaction that they name is not there.
    pub missing: Option<Lsn>,
    pub what: String,
}

/// What `scan_all` looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanTotals {
    pub segments: u64,
    pub groups: u64,
    pub transactions: u64,
    pub messages: u64,
    pub bytes: u64,
}
