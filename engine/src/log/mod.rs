//! The log: everything durable is written here once, and only here are offsets known.
//!
//! Laws
//! - A group is all or nothing, and acknowledged only after its `fdatasync`; only then are its messages found.
//! - What was acknowledged is there after any crash, or is reported as damage; what was not is there whole or not at all.
//! - Bytes from disk never panic, and none is believed or served before its CRC matched.
//! - One `LogWriter` appends; any number of readers and stagers work beside it, without a lock held over their I/O.
//! - A failed sync poisons the log: reading goes on, writing does not, until the process is restarted.
//!
//! `docs/format.md` draws every byte.

mod block;
mod bodies;
mod bytes;
mod cold;
pub mod dump;
mod footer;
mod group;
mod history;
mod image;
mod leftovers;
mod locations;
mod manifest;
mod message;
mod open;
mod orphans;
mod pin;
mod rebuild;
mod record;
mod recover;
mod remains;
mod replay;
mod reserve;
mod rewrite;
pub mod run;
mod salvage;
mod scan;
mod segment;
mod shared;
mod stager;
mod survey;
mod types;
mod walk;
mod writer;

pub use cold::ColdSegment;
pub use group::GroupBuilder;
pub use history::{Chain, Cut, HistoryGroup, HistorySegment, read_history};
pub use image::{Image, LogNumbers, Sealed};
pub use message::StoredMessage;
pub use orphans::Orphan;
pub use pin::{Pin, Pinned, StoreFile};
pub use replay::OnTxn;
pub use segment::SegmentKind;
pub use stager::{MessageStager, StagedMessage};
pub use types::*;
pub use writer::LogWriter;

use crate::error::{Error, Result};
use crate::sys::clock::Clock;
use crate::sys::disk::Disk;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use crate::work::Work;
use cold::End;
use parking_lot::Mutex;
use shared::Shared;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The log of one store. Clones share it.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
    writer: Arc<Mutex<Option<LogWriter>>>,
}

/// An open log and what was found on the way.
pub struct Opened {
    pub log: Log,
    pub report: OpenReport,
}

impl Log {
    /// Takes the store's lock and opens its log, making the store when there is none. `Owned` when another has it.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        options: LogOptions,
    ) -> Result<Opened> {
        let (shared, writer, report) = open::open(disk, clock, dir, options)?;
        let log = Self { shared, writer: Arc::new(Mutex::new(Some(writer))) };
        Ok(Opened { log, report })
    }

    /// The writing half: there is one, so only the first call has it.
    #[must_use]
    pub fn writer(&self) -> Option<LogWriter> {
        self.writer.lock().take()
    }

    /// Whether a group for `room` may be written now: the store is not poisoned, and the reserve for a full disk is
    /// deep enough.
    #[must_use]
    pub fn admits(&self, room: Room) -> bool {
        self.shared.admits(room)
    }

    /// Segments held back for a full disk, and how many should be.
    #[must_use]
    pub fn reserve(&self) -> (u32, u32) {
        self.shared.reserve.depth()
    }

    /// A sync failed: this process writes no more.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.shared.poisoned.load(Ordering::Acquire)
    }

    /// The newest durable LSN.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        Lsn(self.shared.durable_lsn.load(Ordering::Acquire))
    }

    /// Gives out every transaction above `after`, in order. Returns the holes.
    pub fn replay(&self, after: Lsn, on_txn: &mut OnTxn<'_>) -> Result<Vec<Damage>> {
        replay::replay(&self.shared, after, on_txn)
    }

    /// The oldest LSN from which on every group is held (known damage apart).
    #[must_use]
    pub fn first_lsn_held(&self) -> Lsn {
        replay::first_lsn_held(&self.shared)
    }

    /// Prepares a message.
    #[must_use]
    pub fn stager(&self) -> MessageStager {
        MessageStager::new(Arc::clone(&self.shared))
    }

    /// Opens a durable message.
    pub fn read(&self, message: MessageNo) -> Result<StoredMessage> {
        message::read(&self.shared, message)
    }

    #[must_use]
    pub fn contains(&self, message: MessageNo) -> bool {
        self.shared.locations.get(message).is_some()
    }

    /// No greater number was ever durable.
    #[must_use]
    pub fn highest_message_no(&self) -> MessageNo {
        self.shared.locations.highest()
    }

    /// Where the message's bytes lie: its body segment when it has one.
    #[must_use]
    pub fn segment_of(&self, message: MessageNo) -> Option<SegmentId> {
        message::segment_of(&self.shared, message)
    }

    /// The segments that reading the message needs: its record's, and its body's when it has one.
    #[must_use]
    pub fn places_of(&self, message: MessageNo) -> Vec<SegmentId> {
        message::places_of(&self.shared, message)
    }

    /// The messages whose bodies may be read from a body segment: all that were placed there, but for those of which a
    /// record says that they are read elsewhere by now. What cannot be read says no such thing.
    #[must_use]
    pub fn body_messages(&self, id: SegmentId) -> BTreeSet<MessageNo> {
        let placed = self.shared.bodies.named_in(id).into_iter().map(|(message, _)| message);
        placed.filter(|message| message::may_be_in_body(&self.shared, *message, id)).collect()
    }

    /// Where the message's record lies; nothing is read for it.
    #[must_use]
    pub fn record_segment(&self, message: MessageNo) -> Option<SegmentId> {
        self.shared.locations.get(message).map(|at| at.segment)
    }

    /// What the message takes where its record lies: of a large one, that record alone. 0 when it cannot be read.
    #[must_use]
    pub fn record_bytes(&self, message: MessageNo) -> u64 {
        message::record_bytes(&self.shared, message)
    }

    /// The segments that count, oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        cold::segments(&self.shared)
    }

    /// The messages that are read from a segment which is no longer written to.
    pub fn segment_messages(&self, id: SegmentId) -> Result<Vec<SegmentMessage>> {
        cold::segment_messages(&self.shared, id)
    }

    /// Copies the live messages, in the order given, into a new cold segment. It counts once a group with its
    /// Relocate is durable. Large messages stay in their body segment unless that is among `replaces`.
    pub fn write_cold(
        &self,
        live: &[(MessageNo, Vec<AccountId>)],
        replaces: &[SegmentId],
    ) -> Result<ColdSegment> {
        cold::write_cold(&self.shared, live, replaces)
    }

    /// Gives segments up (or a cold one that was never relocated to): out of the manifest at once, unlinked when the
    /// time has come.
    pub fn drop_segments(&self, ids: &[SegmentId], not_before_ms: u64) -> Result<()> {
        cold::drop_segments(&self.shared, ids, not_before_ms, End::Unlinked)
    }

    /// The same for segments with damage in them: their files go to `quarantine/`, never away. Log segments too go only
    /// when their transactions are dead.
    pub fn retire_segments(&self, ids: &[SegmentId], not_before_ms: u64) -> Result<()> {
        cold::drop_segments(&self.shared, ids, not_before_ms, End::Quarantined)
    }

    /// The intact messages of the groups that a hole hit. Which of them a row still names, the log does not know.
    pub fn strays(&self, hole: &Damage) -> Result<Vec<Stray>> {
        remains::strays(&self.shared, hole)
    }

    /// What can be proved of a message, damaged or not. `NoSuchMessage`: nothing says where it lies.
    pub fn remains(&self, message: MessageNo) -> Result<Remains> {
        remains::remains(&self.shared, message)
    }

    /// What lies in body segments and no Body record names: dead, or its Body record is lost.
    pub fn orphans(&self, work: &mut Work<'_>) -> Result<Vec<Orphan>> {
        orphans::find(&self.shared, work)
    }

    /// Opens an orphan that is a message. It has no number; `verify` proves it.
    pub fn read_orphan(&self, orphan: &Orphan) -> Result<StoredMessage> {
        orphans::read(&self.shared, orphan)
    }

    /// Copies an orphan to `quarantine/`, durably: `body-SEGMENT-OFFSET.eml` where it is proved, else `SEGMENT-OFFSET.bytes`.
    pub fn quarantine_orphan(&self, orphan: &Orphan) -> Result<PathBuf> {
        orphans::quarantine(&self.shared, orphan)
    }

    /// Whether the message's bytes may be an orphan: nothing that can be read says where they lie.
    #[must_use]
    pub fn may_be_orphaned(&self, message: MessageNo) -> bool {
        orphans::may_hold(&self.shared, message)
    }

    /// The size above which a message lies in a body segment.
    #[must_use]
    pub fn body_threshold_bytes(&self) -> u64 {
        self.shared.options.body_threshold_bytes
    }

    /// Copies what is stored of a message, whatever it is, to `quarantine/message-NUMBER.bytes`, durably. Done again it
    /// gives the same file.
    pub fn quarantine_message(&self, message: MessageNo, reason: &str) -> Result<PathBuf> {
        remains::quarantine_message(&self.shared, message, reason)
    }

    /// Unlinks dropped segments whose time has come.
    pub fn sweep(&self) -> Result<()> {
        cold::sweep(&self.shared)
    }

    /// Holds the files of this moment still until the pin is dropped, and tells what they are.
    pub fn pin(&self) -> Result<(Pin, Pinned)> {
        pin::pin(&self.shared)
    }

    /// Closes the body segments that nobody writes to now, so that they may be compacted.
    pub fn close_idle_bodies(&self) {
        self.shared.bodies.close_idle(&self.shared);
    }

    /// Has the next group begin a new log segment, so that the one before may be compacted.
    pub fn roll_at_next_group(&self) {
        self.shared.roll_wanted.store(true, Ordering::Release);
    }

    /// The size at which log segments are closed.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.shared.options.segment_bytes
    }

    /// Gives up the grace time of dropped segments: the disk is full, and what they take is needed.
    pub fn end_grace(&self) -> Result<()> {
        cold::end_grace(&self.shared)
    }

    /// Whether the disk has that much room now, beside the reserve. `StoreFull` when not: asked before something
    /// is written that does not take a full disk well.
    pub fn ask_for_room(&self, bytes: u64) -> Result<()> {
        reserve::ask_for_room(&*self.shared.disk, &self.shared.dir, bytes)
    }

    /// The disk is full, and something has to be written that frees space or lets the store stop in order: has it the
    /// room of one reserved segment, as deep in the reserve as `room` may go. False when none can be spared.
    #[must_use]
    pub fn lend_reserve(&self, room: Room) -> bool {
        self.shared.reserve.lend(&*self.shared.disk, room)
    }

    /// What was lent was used, or is not needed any more: the reserve may be filled again.
    pub fn end_lending(&self) {
        self.shared.reserve.end_lending();
    }

    /// Transactions up to this LSN are in two snapshot sets and outside retention: log segments up to it may go.
    pub fn dead_before(&self, lsn: Lsn) {
        self.shared.dead_before.fetch_max(lsn.0, Ordering::AcqRel);
    }

    /// The snapshot runs that count: the newest set, and the one before.
    #[must_use]
    pub fn manifest_runs(&self) -> (RunSet, RunSet) {
        let manifest = self.shared.manifest.load();
        (manifest.current_runs.clone(), manifest.previous_runs.clone())
    }

    /// Gives up a cold segment whose Relocate was refused.
    pub fn discard_cold(&self, cold: &ColdSegment) -> Result<()> {
        if self.shared.pins.are_held() {
            return self.drop_segments(&[cold.id], 0);
        }
        self.shared.update_manifest(|m| {
            m.segments.remove(&cold.id);
        })?;
        self.shared.pending_cold.lock().remove(&cold.id);
        self.shared.files.forget(cold.id);
        let path = segment::path(&self.shared.dir, SegmentKind::Cold, cold.id);
        self.shared.disk.remove_file(&path).map_err(|e| Error::io(format!("removing {}", path.display()), e))
    }

    /// Makes `set` the newest set; runs that are in no set any more are removed, unless a pin holds the files: then the
    /// next set does it.
    pub fn install_runs(&self, set: RunSet) -> Result<()> {
        self.shared.update_manifest(|m| {
            m.previous_runs = std::mem::replace(&mut m.current_runs, set);
        })?;
        if self.shared.pins.are_held() {
            return Ok(());
        }
        let (current, previous) = self.manifest_runs();
        let counts = |name: &String| current.runs.iter().chain(&previous.runs).any(|run| run.file == *name);
        let folder = self.shared.dir.join("snapshots");
        let names = self.shared.disk.list(&folder).map_err(|e| Error::io("listing the snapshot runs", e))?;
        for name in names.iter().filter(|name| leftovers::is_run_name(name) && !counts(name)) {
            // What stays is a leftover that the next opening removes.
            if let Err(error) = self.shared.disk.remove_file(&folder.join(name)) {
                tracing::debug!(%error, name, "a snapshot run could not be removed");
            }
        }
        Ok(())
    }

    /// Damage that is known and not yet repaired.
    #[must_use]
    pub fn damage(&self) -> Vec<Damage> {
        self.shared.manifest.load().damage.clone()
    }

    /// Keeps damage found later (by `replay`, by a scan) so that every open reports it.
    pub fn report_damage(&self, damage: &[Damage]) -> Result<()> {
        self.shared.update_manifest(|m| {
            for d in damage {
                m.add_damage(d.clone());
            }
        })
    }

    /// Repair has dealt with all known damage.
    pub fn clear_damage(&self) -> Result<()> {
        self.shared.update_manifest(|m| m.damage.clear())
    }

    /// Takes damage off the list: entries of `segment` (of all when there is none) of which all lies in `lsns`. Messages
    /// alone are in every range that begins with 0.
    pub fn clear_damage_of(&self, segment: Option<SegmentId>, lsns: RangeInclusive<Lsn>) -> Result<()> {
        let is_meant = |d: &Damage| {
            segment.is_none_or(|s| s == d.segment)
                && lsns.contains(&d.first_lsn)
                && lsns.contains(&d.last_lsn)
        };
        self.shared.update_manifest(|m| m.damage.retain(|d| !is_meant(d)))
    }

    /// Bytes of a segment were read that nobody else asked for: they need not stay in the system's cache.
    pub fn forget_cached(&self, id: SegmentId, bytes: std::ops::Range<u64>) {
        if let Ok(file) = self.shared.file(id) {
            file.forget_cached(bytes);
        }
    }

    /// Reads one segment and reports what does not fit; deep, with every digest. A segment that is gone has nothing wrong.
    pub fn verify_segment(
        &self,
        id: SegmentId,
        deep: bool,
        work: &mut Work<'_>,
        found: &mut dyn FnMut(Finding),
    ) -> Result<ScanTotals> {
        scan::verify_segment(&self.shared, id, deep, work, found)
    }

    /// A view has what the log lost from its end: kept until `loss_settled`, so that no crash makes it forgotten.
    pub fn report_loss(&self, up_to: Lsn) -> Result<()> {
        self.shared.update_manifest(|m| {
            m.add_damage(Damage::lost_end(up_to));
        })
    }

    /// Up to where acknowledged groups are lost from the log's end, while that is not settled.
    #[must_use]
    pub fn loss(&self) -> Option<Lsn> {
        self.shared.manifest.load().damage.iter().filter_map(Damage::lost_up_to).max()
    }

    /// Every counter is past what the lost groups may have given.
    pub fn loss_settled(&self) -> Result<()> {
        if self.loss().is_none() {
            return Ok(());
        }
        self.shared.update_manifest(|m| m.damage.retain(|d| d.lost_up_to().is_none()))
    }

    /// Reads everything and reports what does not fit; deep, with every digest.
    pub fn scan_all(
        &self,
        deep: bool,
        work: &mut Work<'_>,
        found: &mut dyn FnMut(Finding),
    ) -> Result<ScanTotals> {
        scan::scan_all(&self.shared, deep, work, found)
    }

    /// What is wrong with FORMAT, MANIFEST and their copies, by name.
    #[must_use]
    pub fn verify_listing(&self) -> Vec<(String, String)> {
        let shared = &self.shared;
        let _nobody_writes = shared.manifest_writer.lock();
        manifest::verify(&*shared.disk, &shared.dir, &shared.manifest.load())
    }

    /// Writes FORMAT, MANIFEST and their copies anew.
    pub fn rewrite_listing(&self) -> Result<()> {
        let shared = &self.shared;
        shared.check_writable()?;
        let (disk, dir) = (&*shared.disk, &shared.dir);
        let created_ms = manifest::created_ms(disk, dir).unwrap_or_else(|| shared.clock.now_ms());
        manifest::create_format(disk, dir, shared.store_id, created_ms)?;
        shared.update_manifest(|_| {})
    }

    /// Files in the folders of log and snapshots that are none of the store's, as `FOLDER/NAME`. No snapshot may be written
    /// meanwhile.
    pub fn strange_files(&self) -> Result<Vec<String>> {
        leftovers::strange(&self.shared)
    }

    /// Whether the segment's file is there.
    #[must_use]
    pub fn has_file(&self, id: SegmentId) -> bool {
        let kind = self.shared.manifest.load().kind(id);
        kind.is_some_and(|kind| self.shared.disk.exists(&segment::path(&self.shared.dir, kind, id)))
    }

    pub fn bytes(&self) -> Result<LogBytes> {
        let mut bytes = LogBytes::default();
        for segment in self.segments() {
            match segment.kind {
                SegmentKind::Log => bytes.log += segment.bytes,
                SegmentKind::Body => bytes.bodies += segment.bytes,
                SegmentKind::Cold => bytes.cold += segment.bytes,
            }
        }
        bytes.snapshots = self.folder_bytes("snapshots")?;
        bytes.quarantine = self.folder_bytes("quarantine")?;
        Ok(bytes)
    }

    fn folder_bytes(&self, folder: &str) -> Result<u64> {
        let dir = self.shared.dir.join(folder);
        let names = self.shared.disk.list(&dir).map_err(|e| Error::io("listing the store", e))?;
        // A file that goes away meanwhile counts nothing.
        let len =
            |name: &String| self.shared.disk.open(&dir.join(name)).and_then(|f| f.len_bytes()).unwrap_or(0);
        Ok(names.iter().map(len).sum())
    }

    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.shared.disk
    }

    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.clock)
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.shared.store_id
    }

    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.shared.epoch()
    }
}
