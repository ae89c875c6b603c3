//! Compaction, file side: cold segments, and the end of segments that hold nothing any more.
//!
//! Laws
//! - A cold segment is written and synced while it does not count; the Relocate record makes it count, and only then do
//!   readers go there.
//! - A message is checked against its digest before it is copied. A damaged one is copied as it is, so that it stays
//!   reported; one whose record cannot be read stops the compaction of its segment.
//! - A large message stays in its body segment, and only its Body record moves, unless that segment itself is given up.
//! - A log segment goes only when its transactions are dead. Dropped segments are out of the manifest first and stay
//!   readable for their grace time.

use super::footer::{Builder, MessageEntry, TRAILER_BYTES};
use super::group::{GroupBuilder, padded};
use super::locations::Location;
use super::manifest::{Doomed, Segment, State};
use super::message::{self, Record};
use super::orphans;
use super::record::{MessageHead, Relocate};
use super::rewrite;
use super::segment::{self, HEADER_BYTES, SegmentKind};
use super::shared::{NewSegment, Shared};
use super::survey;
use super::types::{Room, SegmentInfo, SegmentMessage};
use super::writer::sealed_segment;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::types::{AccountId, MessageNo, SegmentId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const WRITE_BYTES: usize = 1 << 20;
/// When a file that cannot be removed is tried again.
const TRY_AGAIN_MS: u64 = 60_000;

/// A cold segment that waits for its Relocate.
#[derive(Debug, Clone)]
pub struct ColdSegment {
    pub id: SegmentId,
    pub bytes: u64,
    /// The segments it makes superfluous.
    pub replaces: Vec<SegmentId>,
    /// Copied though their bytes fail their checksum or digest.
    pub damaged: Vec<MessageNo>,
    pub(super) entries: Arc<Vec<MessageEntry>>,
}

impl ColdSegment {
    /// The messages in it, in their order.
    pub fn messages(&self) -> impl Iterator<Item = MessageNo> + '_ {
        self.entries.iter().map(|e| e.message)
    }
}

/// A cold segment being written.
struct ColdWriter {
    new: NewSegment,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    at: u64,
    footer: Builder,
    entries: Vec<MessageEntry>,
}

impl ColdWriter {
    /// Appends one record (and its blocks).
    fn push(
        &mut self,
        message: MessageNo,
        body: Option<SegmentId>,
        accounts: &[AccountId],
        put: impl FnOnce(&mut Vec<u8>) -> u64,
    ) -> Result<()> {
        let place = self.at + self.buffer.len() as u64;
        let offset = u32::try_from(place).map_err(|_| {
            Error::Limit("a cold segment holds at most 4 GiB; compact fewer messages at once".to_owned())
        })?;
        let stored = put(&mut self.buffer);
        self.buffer.resize(padded(self.buffer.len() as u64) as usize, 0);
        let entry =
            MessageEntry { message, offset, stored_bytes: stored as u32, body, accounts: accounts.to_vec() };
        self.footer.add_message(&entry);
        self.entries.push(entry);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.new.file.write_all_at(&self.buffer, self.at);
        written.map_err(|e| Error::io("writing a cold segment", e))?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// At most the bytes the given messages take in a cold segment.
fn room_for(shared: &Shared, live: &[(MessageNo, Vec<AccountId>)], replaces: &[SegmentId]) -> Result<u64> {
    let mut stored: HashMap<MessageNo, u64> = HashMap::new();
    for id in replaces {
        // Of a damaged one not all can be listed: what lives is asked itself.
        let listed = segment_messages(shared, *id).unwrap_or_default();
        stored.extend(listed.into_iter().map(|m| (m.message, m.stored_bytes)));
    }
    let asked = |message: MessageNo| {
        let head = message::read(shared, message).ok().map(|m| m.head().clone())?;
        Some(head.covered_len() as u64 + head.blocks_len())
    };
    let each = |(message, accounts): &(MessageNo, Vec<AccountId>)| {
        let stored_bytes = stored.get(message).copied().or_else(|| asked(*message)).unwrap_or(0);
        stored_bytes + 160 + 14 * accounts.len() as u64
    };
    Ok(live.iter().map(each).sum::<u64>() + (HEADER_BYTES + TRAILER_BYTES) as u64)
}

/// Copies the live messages, in the order given, to a new cold segment that does not count yet.
pub(super) fn write_cold(
    shared: &Shared,
    live: &[(MessageNo, Vec<AccountId>)],
    replaces: &[SegmentId],
) -> Result<ColdSegment> {
    shared.check_writable()?;
    let room_bytes = room_for(shared, live, replaces)?;
    let new = shared.create_segment(SegmentKind::Cold, Some(room_bytes), Room::Compaction)?;
    let id = new.id;
    let written = fill(shared, new, live, replaces);
    if written.is_err() {
        shared.files.forget(id);
        let _ = shared.disk.remove_file(&segment::path(&shared.dir, SegmentKind::Cold, id));
    }
    written
}

fn fill(
    shared: &Shared,
    new: NewSegment,
    live: &[(MessageNo, Vec<AccountId>)],
    replaces: &[SegmentId],
) -> Result<ColdSegment> {
    let mut out = ColdWriter {
        new,
        buffer: Vec::new(),
        at: HEADER_BYTES as u64,
        footer: Builder::default(),
        entries: Vec::new(),
    };
    let mut damaged = Vec::new();
    for (message, accounts) in live {
        if !copy(shared, &mut out, *message, accounts, replaces)? {
            damaged.push(*message);
        }
    }
    out.flush()?;
    let (id, at) = (out.new.id, out.at);
    out.footer.note_time(newest_of(shared, replaces));
    let at32 =
        u32::try_from(at).map_err(|_| Error::Limit("a cold segment holds at most 4 GiB".to_owned()))?;
    let footer = out.footer.encode(shared.store_id, id, at32);
    let bytes = at + footer.len() as u64;
    let file = &out.new.file;
    let sync = || {
        file.sync_data().map_err(|e| {
            shared.poison(&e);
            Error::io("syncing a cold segment", e)
        })
    };
    let write = || {
        file.write_all_at(&footer, at)?;
        file.truncate(bytes)
    };
    // A footer says that what is before it is durable.
    sync()?;
    write().map_err(|e| Error::io("writing a cold segment", e))?;
    sync()?;
    let totals = out.footer.totals();
    let listed = Segment { state: State::Pending, ..sealed_segment(SegmentKind::Cold, bytes, totals) };
    shared.update_manifest(|m| {
        m.segments.insert(id, listed);
    })?;
    let entries = Arc::new(out.entries);
    shared.pending_cold.lock().insert(id, Arc::clone(&entries));
    Ok(ColdSegment { id, bytes, replaces: replaces.to_vec(), damaged, entries })
}

/// When the newest message of these segments was stored, or later: the copies are not younger for being copied.
fn newest_of(shared: &Shared, replaces: &[SegmentId]) -> u64 {
    let manifest = shared.manifest.load();
    let times = replaces.iter().map(|id| manifest.segments.get(id).map(|segment| segment.newest_time_ms));
    times.max().flatten().unwrap_or_else(|| shared.clock.now_ms())
}

/// Copies one message; false when it is damaged.
fn copy(
    shared: &Shared,
    out: &mut ColdWriter,
    message: MessageNo,
    accounts: &[AccountId],
    replaces: &[SegmentId],
) -> Result<bool> {
    let at = shared.locations.get(message).ok_or(Error::NoSuchMessage)?;
    let stored = match message::record_at(shared, message, at)? {
        Record::Body(body) if !replaces.contains(&body.segment) => {
            let body = super::record::Body { accounts: accounts.to_vec(), ..body };
            let stored_bytes = u64::from(body.stored_bytes);
            out.push(message, Some(body.segment), accounts, |buffer| {
                body.put(buffer);
                stored_bytes
            })?;
            return Ok(true);
        }
        Record::Body(body) => message::open_body(shared, &body)?,
        Record::Message(stored) => stored,
    };
    let blocks = stored.stored_blocks()?;
    let whole = stored.verify_stored(&blocks).is_ok();
    let head =
        MessageHead { message, accounts: accounts.to_vec(), blocks_before: false, ..stored.head().clone() };
    out.push(message, None, accounts, |buffer| {
        let before = buffer.len();
        head.put(buffer);
        buffer.extend_from_slice(&blocks);
        (buffer.len() - before) as u64
    })?;
    Ok(whole)
}

impl GroupBuilder {
    /// Whether a Relocate was pushed.
    #[must_use]
    pub fn relocates(&self) -> bool {
        !self.effects.relocates.is_empty()
    }
}

/// The group that holds the Relocate is durable: readers go to the cold segment.
pub(super) fn apply_relocate(shared: &Shared, relocate: &Relocate) {
    let left_out: HashSet<MessageNo> = relocate.left_out.iter().copied().collect();
    let entries = shared.pending_cold.lock().remove(&relocate.cold);
    for entry in entries.iter().flat_map(|e| e.iter()).filter(|e| !left_out.contains(&e.message)) {
        let place = Location { segment: relocate.cold, offset: entry.offset };
        shared.locations.set(entry.message, place);
    }
    shared.note_in_manifest(|m| {
        if let Some(segment) = m.segments.get_mut(&relocate.cold) {
            segment.state = State::Sealed;
        }
    });
}

/// What becomes of the file of a segment that does not count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Unlinked,
    /// Something in it is damaged: it is kept, out of the way.
    Quarantined,
}

/// Takes segments out of the manifest; their files go once the time has come. One with damage in it is kept all the same.
pub(super) fn drop_segments(shared: &Shared, ids: &[SegmentId], not_before_ms: u64, end: End) -> Result<()> {
    let manifest = shared.manifest.load_full();
    let dead_before = shared.dead_before.load(Ordering::Acquire);
    for id in ids {
        let Some(segment) = manifest.segments.get(id) else { continue };
        let why = match segment.kind {
            _ if segment.state == State::Open => "it is being written",
            SegmentKind::Log if segment.last_lsn.0 > dead_before => "its transactions are still needed",
            SegmentKind::Body if shared.bodies.is_pinned(*id) => "a message in it waits to be committed",
            _ => continue,
        };
        return Err(Error::NotPossible(format!("segment {id} cannot be dropped: {why}")));
    }
    let suspect: HashSet<SegmentId> = ids.iter().copied().filter(|id| is_suspect(shared, *id)).collect();
    shared.update_manifest(|m| {
        for id in ids {
            let end = if suspect.contains(id) { End::Quarantined } else { end };
            if let Some(segment) = m.segments.remove(id) {
                shared.pins.note_dropped(*id, m.version + 1);
                m.doomed.insert(*id, Doomed { kind: segment.kind, not_before_ms, end });
            }
        }
    })?;
    let mut pending = shared.pending_cold.lock();
    ids.iter().for_each(|id| drop(pending.remove(id)));
    drop(pending);
    sweep(shared)
}

/// Whether damage is known in a segment: what of it was not copied may still be wanted.
fn is_suspect(shared: &Shared, id: SegmentId) -> bool {
    let manifest = shared.manifest.load_full();
    let Some(segment) = manifest.segments.get(&id) else { return false };
    if segment.kind == SegmentKind::Body && orphans::is_loss_known(shared) && orphans::has_any(shared, id) {
        return true;
    }
    let lost_its_footer = || survey::of_segment(shared, segment.kind, id).is_ok_and(|s| s.lost.is_some());
    manifest.damage.iter().any(|d| d.segment == id)
        || (segment.kind != SegmentKind::Body && segment.state == State::Sealed && lost_its_footer())
}

/// Has every dropped segment's time come.
pub(super) fn end_grace(shared: &Shared) -> Result<()> {
    let now_ms = shared.clock.now_ms();
    if shared.manifest.load().doomed.values().any(|doomed| doomed.not_before_ms > now_ms) {
        shared.note_in_manifest(|m| m.doomed.values_mut().for_each(|doomed| doomed.not_before_ms = now_ms));
    }
    Ok(())
}

/// Unlinks dropped segments whose time has come, but for those that somebody holds still.
pub(super) fn sweep(shared: &Shared) -> Result<()> {
    let (manifest, now_ms) = (shared.manifest.load_full(), shared.clock.now_ms());
    let is_due = |id: SegmentId, d: &Doomed| d.not_before_ms <= now_ms && !shared.pins.keep(id);
    let due: BTreeMap<_, _> = manifest.doomed.iter().filter(|(id, d)| is_due(**id, d)).collect();
    if due.is_empty() {
        return Ok(());
    }
    // Before the segment is unknown: what has a place in a segment that is not there is taken for damaged.
    due.iter().for_each(|(id, doomed)| forget_messages(shared, **id, doomed.kind));
    // Those for the quarantine are there before the manifest forgets that they are to go there.
    for (id, doomed) in due.iter().filter(|(_, d)| d.end == End::Quarantined) {
        shared.files.forget(**id);
        quarantine_segment(&*shared.disk, &shared.dir, doomed.kind, **id)?;
    }
    // Likewise: what the manifest neither names nor lists as dropped is somebody's at the next opening.
    let mut folders: HashSet<SegmentKind> = HashSet::new();
    let mut stays: HashSet<SegmentId> = HashSet::new();
    for (id, doomed) in due.iter().filter(|(_, d)| d.end == End::Unlinked) {
        shared.files.forget(**id);
        folders.insert(doomed.kind);
        match shared.disk.remove_file(&segment::path(&shared.dir, doomed.kind, **id)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(segment = id.0, error = %e, "a dropped segment cannot be removed");
                stays.insert(**id);
            }
            _ => {}
        }
    }
    for kind in folders {
        let synced = shared.disk.sync_dir(&shared.dir.join(kind.folder()));
        synced.map_err(|e| Error::io("removing dropped segments", e))?;
    }
    shared.update_manifest(|m| {
        m.doomed.retain(|id, _| !due.contains_key(id) || stays.contains(id));
        let later = m.doomed.iter_mut().filter(|(id, _)| stays.contains(id));
        later.for_each(|(_, d)| d.not_before_ms = now_ms + TRY_AGAIN_MS);
    })?;
    due.keys().filter(|id| !stays.contains(**id)).for_each(|id| shared.pins.forget(**id));
    Ok(())
}

/// Moves a segment's file into the quarantine, and says under which name. Done again after an interruption it finds nothing
/// to do.
pub(super) fn quarantine_segment(
    disk: &dyn Disk,
    dir: &Path,
    kind: SegmentKind,
    id: SegmentId,
) -> Result<Option<PathBuf>> {
    let from = segment::path(dir, kind, id);
    let to = rewrite::free_name(disk, dir, &segment::file_name(id));
    let io = |e| Error::io(format!("moving {} into the quarantine", from.display()), e);
    if !disk.exists(&from) {
        return Ok(None);
    }
    disk.rename(&from, &to).map_err(io)?;
    disk.sync_dir(&dir.join("quarantine")).map_err(io)?;
    disk.sync_dir(&dir.join(kind.folder())).map_err(io)?;
    Ok(Some(to))
}

/// The messages that would still be read from a segment that goes have no place any more.
fn forget_messages(shared: &Shared, id: SegmentId, kind: SegmentKind) {
    if kind == SegmentKind::Body {
        for (message, _) in shared.bodies.named_in(id) {
            let Some(at) = shared.locations.get(message) else { continue };
            if let Ok(Record::Body(body)) = message::record_at(shared, message, at)
                && body.segment == id
            {
                shared.locations.clear(message, at);
            }
        }
        shared.bodies.forget(id);
        return;
    }
    let survey = survey::of_segment(shared, kind, id);
    for entry in survey.iter().flat_map(|s| &s.footer.messages) {
        shared.locations.clear(entry.message, Location { segment: id, offset: entry.offset });
    }
}

/// The segments that count.
pub(super) fn segments(shared: &Shared) -> Vec<SegmentInfo> {
    let manifest = shared.manifest.load_full();
    let info = |(id, s): (&SegmentId, &Segment)| SegmentInfo {
        id: *id,
        kind: s.kind,
        sealed: s.state == State::Sealed && !(s.kind == SegmentKind::Body && shared.bodies.is_pinned(*id)),
        bytes: shared.open_end.lock().get(id).copied().unwrap_or(s.bytes),
        first_lsn: s.first_lsn,
        last_lsn: s.last_lsn,
        messages: match s.kind {
            SegmentKind::Body => shared.bodies.named_in(*id).len() as u64,
            _ => s.messages,
        },
        newest_time_ms: s.newest_time_ms,
    };
    manifest.segments.iter().map(info).collect()
}

/// The messages that are read from this segment, with what they take there.
pub(super) fn segment_messages(shared: &Shared, id: SegmentId) -> Result<Vec<SegmentMessage>> {
    let segment = shared.manifest.load().segments.get(&id).copied();
    let segment = segment.ok_or_else(|| Error::NotPossible(format!("there is no segment {id}")))?;
    if segment.kind == SegmentKind::Body {
        return body_messages(shared, id);
    }
    if segment.state == State::Open {
        return Err(Error::NotPossible(format!("segment {id} is being written")));
    }
    let footer = survey::of_segment(shared, segment.kind, id)?.footer;
    let resident = |e: &MessageEntry| {
        shared.locations.get(e.message) == Some(Location { segment: id, offset: e.offset })
    };
    let own_bytes = |e: &MessageEntry| match e.body {
        Some(_) => (super::record::BODY_FIXED_BYTES + 4 * e.accounts.len()) as u64,
        None => u64::from(e.stored_bytes),
    };
    let entries = footer.messages.into_iter().filter(resident);
    Ok(entries
        .map(|e| SegmentMessage { stored_bytes: own_bytes(&e), message: e.message, accounts: e.accounts })
        .collect())
}

fn body_messages(shared: &Shared, id: SegmentId) -> Result<Vec<SegmentMessage>> {
    // What names the rest of it may be among what is lost: whoever asks in order to drop it has to wait for repair.
    if orphans::is_loss_known(shared) && orphans::has_any(shared, id) {
        let why = "something is lost that may name messages in it";
        return Err(Error::NotPossible(format!(
            "body segment {id} is not all told: {why}; run `mailcask repair`"
        )));
    }
    let mut out = Vec::new();
    for (message, stored_bytes) in shared.bodies.named_in(id) {
        let Some(at) = shared.locations.get(message) else { continue };
        match message::record_at(shared, message, at)? {
            Record::Body(body) if body.segment == id => out.push(SegmentMessage {
                message,
                stored_bytes: u64::from(stored_bytes),
                accounts: body.accounts,
            }),
            _ => {}
        }
    }
    Ok(out)
}
