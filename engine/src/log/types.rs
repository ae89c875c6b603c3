//! The plain words the floors above speak with the log.

use super::segment::SegmentKind;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
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
    /// The last owner stopped in order.
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
}

/// Acknowledged bytes that are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub segment: SegmentId,
    /// The groups that are missing, both ends included. Zero, zero: no group, only `messages`.
    pub first_lsn: Lsn,
    pub last_lsn: Lsn,
    /// Whom it hit; empty = unknown, so everybody.
    pub accounts: Vec<AccountId>,
    /// Messages that were stored there and cannot be read.
    pub messages: Vec<MessageNo>,
    pub what: String,
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
