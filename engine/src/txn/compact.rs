//! Compaction: what lives in segments that are mostly dead moves to cold segments, and the old ones go.
//!
//! Laws
//! - A segment of any kind may go only when what it holds is older than the retention, unless that is given up in so
//!   many words: so a message that came and went between two backups, not further apart than that, is in the second.
//! - A log segment may go only when its transactions are dead besides: covered by both snapshot sets, every byte of
//!   which was just proved.
//! - What lives is counted from rows, never from reference counts.
//! - It goes in batches: the segments of one are dropped before the next is begun, so that it needs room for
//!   one batch and can be ended, or killed, between any two. On a full disk batches become smaller, down to
//!   one segment.
//! - Only the `Relocate` record is sequenced. Before it the old place is right, after it the new one;
//!   readers find either through `locations`.
//! - What cannot be read is not dead: its segment stays, and the others are compacted all the same.
//! - A segment is unlinked only after the grace time of sessions that still show its messages; while the disk
//!   is full, at once.

use super::core::Core;
use super::snapshot;
use crate::error::{Error, Result};
use crate::log::{LogBytes, Room, RunSet, SegmentInfo, SegmentKind, SegmentMessage};
use crate::types::{AccountId, Lsn, MessageNo, SegmentId, Uid};
use crate::work::{Unit, Work};
use roaring::RoaringTreemap;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// How it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CompactOptions {
    /// Give up the history that is kept for a restore to a point in time.
    pub ignore_retention: bool,
}

/// What one run of compaction did.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct CompactReport {
    pub segments_dropped: u64,
    pub messages_moved: u64,
    pub messages_dropped: u64,
    /// Of the segments dropped, and of those that took what lived in them.
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub batches: u64,
    /// Segments worth compacting for which the disk had no room, or which are damaged.
    pub put_off: u64,
    /// Segments kept for the sake of the retention alone.
    pub kept_for_history: u64,
    pub history_bytes: u64,
    /// Stored bytes of all messages that live, wherever they lie.
    pub live_bytes: u64,
    /// The store's files before and after. What waits for its grace time is not counted.
    pub disk_before: LogBytes,
    pub disk_after: LogBytes,
}

impl CompactReport {
    /// What was done before and now.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        Self {
            segments_dropped: self.segments_dropped + later.segments_dropped,
            messages_moved: self.messages_moved + later.messages_moved,
            messages_dropped: self.messages_dropped + later.messages_dropped,
            bytes_before: self.bytes_before + later.bytes_before,
            bytes_after: self.bytes_after + later.bytes_after,
            batches: self.batches + later.batches,
            disk_before: self.disk_before,
            ..later.clone()
        }
    }
}

/// A segment that is looked over, with what lives in it.
#[derive(Debug, Clone)]
struct Looked {
    info: SegmentInfo,
    live_bytes: u64,
    may_go: bool,
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

/// One run of compaction, batch by batch. Between two batches the store may be tidied otherwise.
pub struct Compaction {
    live: RoaringTreemap,
    waiting: VecDeque<Looked>,
    /// Segments for which there was no room; tried again whenever some became free.
    put_off: Vec<Looked>,
    batch_live_bytes: u64,
    done_bytes: u64,
    total_bytes: u64,
    /// The snapshot sets whose bytes were proved.
    proved: Option<(RunSet, RunSet)>,
    report: CompactReport,
}

impl Compaction {
    /// Looks over all segments and says which are worth it.
    pub fn plan(
        core: &Core,
        damaged: &mut Damaged,
        options: CompactOptions,
        work: &mut Work<'_>,
    ) -> Result<Self> {
        let mut this = Self {
            live: RoaringTreemap::new(),
            waiting: VecDeque::new(),
            put_off: Vec::new(),
            batch_live_bytes: core.keep.compact_batch_bytes,
            done_bytes: 0,
            total_bytes: 0,
            proved: None,
            report: CompactReport { disk_before: core.log.bytes()?, ..CompactReport::default() },
        };
        if damaged.log {
            return Ok(this);
        }
        let (_, previous) = core.log.manifest_runs();
        core.log.dead_before(previous.as_of);
        let segments: Vec<SegmentInfo> = core.log.segments().into_iter().filter(|info| info.sealed).collect();
        let (read, accounts) = read_all(core, &segments, damaged, work)?;
        this.live = live_messages(core, &accounts, work)?;
        let mut elsewhere = this.live.clone();
        for (info, messages) in read {
            let live_bytes =
                messages.iter().filter(|(no, _)| this.live.contains(no.0)).map(|(_, bytes)| bytes).sum();
            this.report.live_bytes += live_bytes;
            if info.kind != SegmentKind::Body {
                elsewhere -= messages.iter().map(|(no, _)| no.0).collect::<RoaringTreemap>();
            }
            let may_go = may_go(core, &info, previous.as_of, options);
            this.take(core, Looked { info, live_bytes, may_go });
        }
        this.report.live_bytes += being_written(core, &this.live, &elsewhere);
        // What holds nothing any more needs no room to go.
        this.waiting.make_contiguous().sort_by_key(|looked| (looked.live_bytes > 0, looked.info.id));
        this.total_bytes = this.waiting.iter().map(|looked| looked.info.bytes).sum();
        Ok(this)
    }

    fn take(&mut self, core: &Core, looked: Looked) {
        let dead = looked.info.bytes.saturating_sub(looked.live_bytes);
        let is_worth_it = dead.saturating_mul(100)
            >= looked.info.bytes.saturating_mul(u64::from(core.keep.compact_dead_percent));
        match (is_worth_it, looked.may_go) {
            (true, true) => self.waiting.push_back(looked),
            (true, false) => {
                self.report.kept_for_history += 1;
                self.report.history_bytes += dead;
            }
            (false, _) => {}
        }
    }

    /// Moves and drops one batch; `false` when nothing is left to do.
    pub fn batch(&mut self, core: &Core, damaged: &mut Damaged, work: &mut Work<'_>) -> Result<bool> {
        work.step("compacting", self.done_bytes, self.total_bytes, Unit::Bytes)?;
        let batch = self.next_batch(core, damaged);
        if batch.is_empty() {
            return Ok(false);
        }
        match replace(core, &batch, &self.live) {
            Ok(done) => self.add(&done),
            Err(Error::StoreFull) => self.make_smaller(batch),
            Err(Error::Damaged { message, what }) => self.without(core, damaged, batch, message, &what)?,
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// What was done, once no batch is left.
    pub fn finish(mut self, core: &Core) -> Result<CompactReport> {
        if self.report.batches == 0 && !self.put_off.is_empty() {
            return Err(Error::StoreFull);
        }
        self.report.put_off += self.put_off.len() as u64;
        self.report.disk_after = core.log.bytes()?;
        Ok(self.report)
    }

    /// The next segments to go together. Those that went away meanwhile are passed over, and log segments whose
    /// cover cannot be read.
    fn next_batch(&mut self, core: &Core, damaged: &mut Damaged) -> Vec<Looked> {
        let present: BTreeSet<SegmentId> = core.log.segments().into_iter().map(|info| info.id).collect();
        let mut batch: Vec<Looked> = Vec::new();
        let mut live_bytes = 0;
        while let Some(next) = self.waiting.front() {
            let would_be: u64 = live_bytes + next.live_bytes;
            if !batch.is_empty() && would_be > self.batch_live_bytes {
                break;
            }
            let Some(next) = self.waiting.pop_front() else { break };
            let is_covered = next.info.kind != SegmentKind::Log || self.are_runs_intact(core, damaged);
            if !present.contains(&next.info.id) {
                self.done_bytes += next.info.bytes;
            } else if is_covered && !damaged.segments.contains(&next.info.id) {
                live_bytes = would_be;
                batch.push(next);
            } else {
                self.done_bytes += next.info.bytes;
                self.report.put_off += 1;
            }
        }
        batch
    }

    /// The transactions of a log segment are dead only if what covers them can be read.
    fn are_runs_intact(&mut self, core: &Core, damaged: &mut Damaged) -> bool {
        let sets = core.log.manifest_runs();
        if self.proved.as_ref() != Some(&sets) {
            let is_intact = |set| snapshot::is_intact(&core.log, set, true);
            if !is_intact(&sets.0) || !is_intact(&sets.1) {
                damaged.runs = true;
                return false;
            }
            self.proved = Some(sets);
        }
        true
    }

    fn add(&mut self, done: &CompactReport) {
        let report = &mut self.report;
        report.segments_dropped += done.segments_dropped;
        report.messages_moved += done.messages_moved;
        report.messages_dropped += done.messages_dropped;
        report.bytes_before += done.bytes_before;
        report.bytes_after += done.bytes_after;
        report.batches += 1;
        self.done_bytes += done.bytes_before;
        // There is more room now.
        self.waiting.extend(self.put_off.drain(..));
    }

    /// There was no room for what lives in these: less at once, and first where least lives.
    fn make_smaller(&mut self, batch: Vec<Looked>) {
        let live_bytes: u64 = batch.iter().map(|looked| looked.live_bytes).sum();
        self.batch_live_bytes = live_bytes / 2;
        // Where nothing lives there is nothing to make less: it would be the same batch again, for ever.
        if batch.len() == 1 || live_bytes == 0 {
            self.put_off.extend(batch);
        } else {
            self.waiting.extend(batch);
        }
        self.waiting.make_contiguous().sort_by_key(|looked| (looked.live_bytes, looked.info.id));
    }

    /// One of these has a message that cannot be read: the others are tried again.
    fn without(
        &mut self,
        core: &Core,
        damaged: &mut Damaged,
        batch: Vec<Looked>,
        message: MessageNo,
        what: &str,
    ) -> Result<()> {
        let mut was_found = false;
        for looked in batch.into_iter().rev() {
            let holds = core.log.segment_messages(looked.info.id)?.iter().any(|one| one.message == message);
            if holds {
                damaged.leave(looked.info.id, what);
                self.report.put_off += 1;
                was_found = true;
            } else {
                self.waiting.push_front(looked);
            }
        }
        if was_found { Ok(()) } else { Err(Error::Damaged { message, what: what.to_owned() }) }
    }
}

/// Moves what lives and drops the rest.
fn replace(core: &Core, batch: &[Looked], live: &RoaringTreemap) -> Result<CompactReport> {
    let mut report = CompactReport::default();
    let mut messages: Vec<SegmentMessage> = Vec::new();
    for looked in batch {
        messages.extend(core.log.segment_messages(looked.info.id)?);
    }
    report.messages_dropped = messages.iter().filter(|one| !live.contains(one.message.0)).count() as u64;
    let mut keep: Vec<(MessageNo, Vec<AccountId>)> = messages
        .into_iter()
        .filter(|one| live.contains(one.message.0))
        .map(|one| (one.message, one.accounts))
        .collect();
    // By account, then in order of arrival: what is read together lies together.
    keep.sort_by(|a, b| (a.1.first(), a.0).cmp(&(b.1.first(), b.0)));
    // A large message stands in the segment that names it and in the one that holds it.
    keep.dedup_by_key(|(message, _)| *message);
    report.messages_moved = keep.len() as u64;
    report.bytes_before = batch.iter().map(|looked| looked.info.bytes).sum();
    report.segments_dropped = batch.len() as u64;
    let drops: Vec<SegmentId> = batch.iter().map(|looked| looked.info.id).collect();
    report.bytes_after = relocate(core, &keep, &drops)?;
    drop_all(core, &drops)?;
    core.metrics.compacted(report.segments_dropped);
    Ok(report)
}

/// That segments are dropped has to be written before their bytes are free: on a full disk the reserve pays for it.
fn drop_all(core: &Core, drops: &[SegmentId]) -> Result<()> {
    let grace_ms = if core.log.admits(Room::Append) { core.keep.grace_ms } else { 0 };
    match core.log.drop_segments(drops, core.clock.now_ms() + grace_ms) {
        Err(Error::StoreFull) if core.log.lend_reserve(Room::Compaction) => {
            let done = core.log.drop_segments(drops, core.clock.now_ms());
            core.log.end_lending();
            done
        }
        done => done,
    }
}

/// Copies messages to a cold segment and has readers go there. Says how large it is.
pub(super) fn relocate(
    core: &Core,
    keep: &[(MessageNo, Vec<AccountId>)],
    drops: &[SegmentId],
) -> Result<u64> {
    if keep.is_empty() {
        return Ok(0);
    }
    let cold = Arc::new(core.log.write_cold(keep, drops)?);
    let sequenced = cold.clone();
    let relocated = core.submit(move |head| {
        head.admit(Room::Compaction)?;
        head.builder().push_relocate(&sequenced, &|_| true);
        Ok(())
    });
    match relocated {
        Ok(()) => Ok(cold.bytes),
        // The Relocate may be on the disk: the next opening knows.
        Err(error @ (Error::OutcomeUnknown | Error::Poisoned | Error::Closed)) => Err(error),
        Err(error) => {
            // Nothing of the group was written. Kept, each attempt would fill the disk more.
            if let Err(error) = core.log.discard_cold(&cold) {
                tracing::warn!(%error, segment = cold.id.0, "a cold segment could not be given up");
            }
            Err(error)
        }
    }
}

/// Whether the segment may go, as far as history and the transactions in it are concerned.
fn may_go(core: &Core, info: &SegmentInfo, covered: Lsn, options: CompactOptions) -> bool {
    is_history_over(core, info, options) && (info.kind != SegmentKind::Log || info.last_lsn <= covered)
}

/// Whether all in a segment is older than what a restore to a point in time has to reach: what is alive at such a
/// time and was stored before the retention began is in the backup before that time.
fn is_history_over(core: &Core, info: &SegmentInfo, options: CompactOptions) -> bool {
    options.ignore_retention
        || info.newest_time_ms.saturating_add(core.keep.retention_ms) <= core.clock.now_ms()
}

/// The newest LSN that two snapshot sets would have to cover for all log segments to go that may.
#[must_use]
pub fn wanted_cover(core: &Core, options: CompactOptions) -> Option<Lsn> {
    let segments = core.log.segments().into_iter();
    let is_over = |info: &SegmentInfo| {
        info.sealed && info.kind == SegmentKind::Log && is_history_over(core, info, options)
    };
    segments.filter(is_over).map(|info| info.last_lsn).max()
}

/// What lives in segments that are still written to, or cannot be listed. `records` are the messages whose records lie
/// there.
fn being_written(core: &Core, live: &RoaringTreemap, records: &RoaringTreemap) -> u64 {
    let is_open_body = |info: &SegmentInfo| info.kind == SegmentKind::Body && !info.sealed;
    let open_bodies = core.log.segments().into_iter().filter(is_open_body);
    let bodies = open_bodies.flat_map(|info| core.log.segment_messages(info.id).unwrap_or_default());
    let bodies: u64 = bodies.filter(|one| live.contains(one.message.0)).map(|one| one.stored_bytes).sum();
    bodies + records.iter().map(|no| core.log.record_bytes(MessageNo(no))).sum::<u64>()
}

/// A segment with its messages and the bytes of each.
type Read = (SegmentInfo, Vec<(MessageNo, u64)>);

/// The messages of the segments, and the accounts there are or that have any.
fn read_all(
    core: &Core,
    segments: &[SegmentInfo],
    damaged: &mut Damaged,
    work: &mut Work<'_>,
) -> Result<(Vec<Read>, BTreeSet<AccountId>)> {
    let (mut read, mut accounts) = (Vec::new(), BTreeSet::from_iter(core.registry.ids()));
    for (done, info) in segments.iter().enumerate() {
        work.step("looking over the segments", done as u64, segments.len() as u64, Unit::Objects)?;
        if damaged.segments.contains(&info.id) {
            continue;
        }
        match core.log.segment_messages(info.id) {
            Ok(messages) => {
                accounts.extend(messages.iter().flat_map(|one| &one.accounts).copied());
                let sizes = messages.iter().map(|one| (one.message, one.stored_bytes)).collect();
                read.push((info.clone(), sizes));
            }
            Err(error) => damaged.leave(info.id, &error.to_string()),
        }
    }
    Ok((read, accounts))
}

/// The messages that some row of the accounts names.
fn live_messages(core: &Core, accounts: &BTreeSet<AccountId>, work: &mut Work<'_>) -> Result<RoaringTreemap> {
    let mut live = RoaringTreemap::new();
    for (done, id) in accounts.iter().enumerate() {
        work.step("counting what lives", done as u64, accounts.len() as u64, Unit::Objects)?;
        let account = match core.registry.account(*id) {
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
