//! Opening a store: from whatever a crash left to a log that can be read and written.
//!
//! Laws
//! - Nothing that was there is removed before the manifest that does without it is durable.
//! - What survived in a segment that was being written is rewritten into a sealed one; a fresh segment is opened for writing.
//! - Bytes that cannot be read are damage where it is certain what they were part of. Where the newest groups may have stood,
//!   they stop the open: nobody could tell what is lost, and nothing is cut there.
//! - Damage does not stop the open. It goes into the manifest, so that every later open reports it until it is repaired.
//! - A manifest made again does not know how far the log went: its end counts as lost until a view proves that it is not.
//! - Opening twice gives the same log.

use super::bodies::Bodies;
use super::cold::{self, End};
use super::footer::{Footer, GroupEntry, MessageEntry};
use super::leftovers::{KINDS, Leftovers, Waiting};
use super::locations::{Location, Locations};
use super::manifest::{self, Doomed, Manifest, Segment, State};
use super::rebuild;
use super::recover::{self, Judged};
use super::reserve::Reserve;
use super::rewrite;
use super::segment::{self, Files, HEADER_BYTES, Header, SegmentKind};
use super::shared::{NewSegmentPlace, Shared, create_segment};
use super::survey::survey;
use super::types::{Damage, LogOptions, OpenReport, Room};
use super::walk::{self, Expect, Item, Reader};
use super::writer::{LogWriter, OpenSegment};
use crate::error::{Error, Result};
use crate::sys::clock::Clock;
use crate::sys::disk::{Disk, File};
use crate::sys::patient::Patient;
use crate::types::{Lsn, SegmentId};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

const FOLDERS: [&str; 5] = ["log", "bodies", "cold", "snapshots", "quarantine"];

/// A log being opened.
struct Opening {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    options: LogOptions,
    manifest: Manifest,
    reserve: Reserve,
    files: Files,
    locations: Locations,
    bodies: Bodies,
    account_lsn: HashMap<u32, Lsn>,
    report: OpenReport,
    /// Cold segments whose Relocate survived in a segment that was being written.
    relocated: HashSet<SegmentId>,
    /// Files to remove, or to move into the quarantine whole, once the new manifest is durable.
    superseded: Vec<(SegmentKind, SegmentId, bool)>,
    /// Some footer was unreadable: what looks unnamed may not be.
    blind: bool,
    /// What the manifest does not name is kept: it may be older than what it should name.
    is_unsure: bool,
    /// Cold segments that count only for what is nowhere else.
    unproven: BTreeSet<SegmentId>,
    /// Something is lost of what was being written: perhaps a Relocate.
    hurt: bool,
    /// Segments that nothing names, and that are judged once it is known where each message lies.
    waiting: Waiting,
}

pub(super) fn open(
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: &Path,
    options: LogOptions,
) -> Result<(Arc<Shared>, LogWriter, OpenReport)> {
    let disk: Arc<dyn Disk> = Arc::new(Patient::new(disk));
    let io = |what: &'static str| move |e| Error::io(what, e);
    disk.create_dir_all(dir).map_err(io("making the store's folder"))?;
    let lock = disk.lock(&dir.join("LOCK")).map_err(io("locking the store"))?.ok_or(Error::Owned)?;
    for folder in FOLDERS {
        disk.create_dir_all(&dir.join(folder)).map_err(io("making the store's folders"))?;
    }
    let start = load_or_create(&disk, &*clock, dir)?;
    let (manifest, created) = (start.manifest, start.created);
    let boot_id = clock.boot_id();
    let report = OpenReport {
        created,
        stopped_in_order: manifest.clean || created,
        same_boot: !boot_id.is_empty() && manifest.boot_id == boot_id,
        mended: start.mended,
        rebuilt_manifest: start.rebuilt,
        ..OpenReport::default()
    };
    let reserve = Reserve::open(&*disk, dir, options.segment_bytes, options.reserve_segments);
    let mut opening = Opening {
        files: Files::new(Arc::clone(&disk), dir.to_path_buf()),
        disk,
        clock,
        dir: dir.to_path_buf(),
        options,
        manifest,
        reserve,
        locations: Locations::default(),
        bodies: Bodies::default(),
        account_lsn: HashMap::new(),
        report,
        relocated: HashSet::new(),
        superseded: Vec::new(),
        blind: start.is_unsure,
        is_unsure: start.is_unsure,
        unproven: start.unproven,
        hurt: false,
        waiting: Vec::new(),
    };
    opening.remove_leftovers()?;
    opening.recover()?;
    let mut told = Vec::new();
    opening.leftovers().settle(&opening.waiting, &opening.locations, &mut told)?;
    opening.report.mended.append(&mut told);
    opening.finish(lock)
}

/// What the files at the top of the store say, or what could be made of the others.
struct Start {
    manifest: Manifest,
    created: bool,
    mended: Vec<String>,
    rebuilt: Option<String>,
    /// What the manifest does not name may count all the same.
    is_unsure: bool,
    unproven: BTreeSet<SegmentId>,
}

fn load_or_create(disk: &Arc<dyn Disk>, clock: &dyn Clock, dir: &Path) -> Result<Start> {
    let format = manifest::load_format(&**disk, dir)?;
    let loaded = manifest::load(&**disk, dir, format.store_id)?;
    let mut mended = [format.faults.clone(), loaded.faults.clone()].concat();
    let make_format = |store_id: [u8; 16]| {
        // A store made before there were copies gets its own.
        if !format.incomplete {
            return Ok(());
        }
        let is_known = format.store_id.is_some();
        let created_ms = if is_known { format.created_ms } else { clock.now_ms() };
        manifest::create_format(&**disk, dir, store_id, created_ms)
    };
    if let Some(mut manifest) = loaded.manifest {
        if format.store_id.is_none() && format.faults.is_empty() {
            mended.push("FORMAT was missing".to_owned());
        }
        make_format(manifest.store_id)?;
        let mut unproven = BTreeSet::new();
        if loaded.may_be_old {
            let found = rebuild::find(&**disk, dir, &|_| false)?;
            let from = SegmentId(manifest.next_segment);
            unproven = rebuild::adopt(&**disk, dir, &found, &mut manifest, from)?.unproven;
        }
        let is_unsure = loaded.may_be_old;
        return Ok(Start { manifest, created: false, mended, rebuilt: None, is_unsure, unproven });
    }
    let is_new = loaded.faults.is_empty() && is_without_segments(&**disk, dir)?;
    if is_new && format.faults.is_empty() {
        let store_id = match format.store_id {
            Some(store_id) => store_id,
            None => new_store_id()?,
        };
        make_format(store_id)?;
        let (manifest, rebuilt) = (Manifest::new(store_id), None);
        let unproven = BTreeSet::new();
        return Ok(Start { manifest, created: true, mended, rebuilt, is_unsure: false, unproven });
    }
    let (manifest, unproven) = rebuild_manifest(disk, dir, format.store_id)?;
    make_format(manifest.store_id)?;
    let why = match loaded.faults.is_empty() {
        true => "MANIFEST and its copy were missing".to_owned(),
        false => loaded.faults.join("; "),
    };
    Ok(Start { manifest, created: false, mended, rebuilt: Some(why), is_unsure: true, unproven })
}

fn new_store_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| Error::NotPossible(format!("no random numbers: {e}")))?;
    Ok(id)
}

/// Segments or runs without a manifest are a store that lost it, not one about to be made.
fn is_without_segments(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    for kind in KINDS {
        let names = disk.list(&dir.join(kind.folder())).map_err(|e| Error::io("listing the store", e))?;
        if names.iter().any(|n| n.ends_with(".seg")) && !interrupted_creation(disk, dir, kind, &names) {
            return Ok(false);
        }
    }
    let runs = disk.list(&dir.join("snapshots")).map_err(|e| Error::io("listing the store", e))?;
    Ok(runs.is_empty())
}

fn rebuild_manifest(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    store_id: Option<[u8; 16]>,
) -> Result<(Manifest, BTreeSet<SegmentId>)> {
    let found = rebuild::find(&**disk, dir, &|_| false)?;
    let Some(store_id) = store_id.or_else(|| found.store_id()) else {
        let why = "FORMAT and MANIFEST are lost, and no segment says whose it is; restore it from a backup";
        return Err(Error::corrupt("the store", why));
    };
    let mut manifest = Manifest::new(store_id);
    manifest.current_runs = rebuild::runs(disk, dir)?;
    let taken = rebuild::adopt(&**disk, dir, &found, &mut manifest, SegmentId(0))?;
    manifest.durable_lsn = manifest.durable_lsn.max(manifest.current_runs.as_of);
    if manifest.segments.is_empty() && manifest.current_runs.runs.is_empty() {
        let why = "MANIFEST is lost, and nothing of the log is left; restore it from a backup";
        return Err(Error::corrupt("the store", why));
    }
    // Above whatever was cut and may have been seen.
    manifest.epoch += 1;
    tracing::error!(segments = manifest.segments.len(), "MANIFEST was made again from the segments");
    Ok((manifest, taken.unproven))
}

/// The first open makes a log segment before there is a manifest; until the manifest names it, it holds no group. Tried
/// again and again it leaves several.
fn interrupted_creation(disk: &dyn Disk, dir: &Path, kind: SegmentKind, names: &[String]) -> bool {
    let is_empty = |name: &String| -> Result<bool> {
        let file = disk.open(&dir.join("log").join(name)).map_err(|e| Error::io("opening a segment", e))?;
        let len = file.len_bytes().map_err(|e| Error::io("opening a segment", e))?;
        let mut reader = Reader::new(Arc::from(file), len);
        let is_zero = walk::content_end(&mut reader, HEADER_BYTES as u64)? <= HEADER_BYTES as u64;
        // Nobody knows what stands where nothing can be read.
        Ok(is_zero && reader.bad_pieces().all().is_empty())
    };
    let mut segments = names.iter().filter(|n| n.ends_with(".seg"));
    kind == SegmentKind::Log && segments.all(|name| is_empty(name).unwrap_or(false))
}

impl Opening {
    fn io<T>(&self, what: &str, result: std::io::Result<T>) -> Result<T> {
        result.map_err(|e| Error::io(what, e))
    }

    fn expect(&self, segment: SegmentId) -> Expect {
        Expect { store_id: self.manifest.store_id, segment }
    }

    fn leftovers(&self) -> Leftovers<'_> {
        Leftovers {
            disk: &self.disk,
            dir: &self.dir,
            manifest: &self.manifest,
            reserve: &self.reserve,
            is_unsure: self.is_unsure,
        }
    }

    /// Files that no manifest names: steps that were interrupted, and dropped segments whose grace is over with
    /// the process that gave it.
    fn remove_leftovers(&mut self) -> Result<()> {
        // A MANIFEST that an earlier process renamed may not be durable, and what it does without goes now.
        self.io("syncing the store's folder", self.disk.sync_dir(&self.dir))?;
        let is_open = |s: &Segment| s.kind == SegmentKind::Log && s.state == State::Open;
        let is_gone = |id| !self.disk.exists(&segment::path(&self.dir, SegmentKind::Log, id));
        // What was written last may have been elsewhere.
        self.is_unsure |= self.manifest.segments.iter().any(|(id, s)| is_open(s) && is_gone(*id));
        let mut told = Vec::new();
        let (highest, waiting) = self.leftovers().sort_out(&mut told)?;
        self.manifest.next_segment = self.manifest.next_segment.max(highest + 1);
        self.report.mended.append(&mut told);
        self.waiting = waiting;
        self.manifest.doomed.clear();
        Ok(())
    }

    fn recover(&mut self) -> Result<()> {
        let ids: Vec<(SegmentId, Segment)> = self.manifest.segments.iter().map(|(id, s)| (*id, *s)).collect();
        let (mut last, mut highest_seen) = (self.manifest.durable_lsn, self.manifest.durable_lsn);
        // Before all others: what is found elsewhere too is read there.
        for (id, segment) in
            ids.iter().filter(|(id, _)| self.unproven.contains(id)).copied().collect::<Vec<_>>()
        {
            self.load_sealed(id, &segment)?;
        }
        for (id, segment) in ids.iter().filter(|(_, s)| s.kind == SegmentKind::Log) {
            if segment.state != State::Open {
                self.load_sealed(*id, segment)?;
                last = last.max(segment.last_lsn);
            }
        }
        for (id, segment) in ids.iter().filter(|(_, s)| s.kind == SegmentKind::Log && s.state == State::Open)
        {
            let judged = self.recover_open(*id, segment)?;
            last = last.max(judged.last_lsn);
            highest_seen = highest_seen.max(judged.highest_seen);
        }
        for (id, segment) in ids.iter().filter(|(_, s)| s.kind == SegmentKind::Cold) {
            // Its messages are copies that were proved: they may count though nothing says so any more.
            if segment.state == State::Pending && !self.relocated.contains(id) && !self.hurt {
                self.manifest.segments.remove(id);
                self.superseded.push((SegmentKind::Cold, *id, false));
                continue;
            }
            if let Some(s) = self.manifest.segments.get_mut(id) {
                s.state = State::Sealed;
            }
            self.load_sealed(*id, segment)?;
        }
        for (id, _) in ids.iter().filter(|(_, s)| s.kind == SegmentKind::Body) {
            self.close_body(*id);
        }
        self.report.last_lsn = last;
        self.report.next_lsn = last.max(highest_seen).next();
        self.locations.raise_highest(self.manifest.highest_message);
        if self.report.cut_tail_bytes > 0 {
            self.manifest.epoch += 1;
        }
        Ok(())
    }

    fn add_damage(&mut self, damage: Damage) {
        let (segment, first, last) = (damage.segment.0, damage.first_lsn.0, damage.last_lsn.0);
        let what = damage.what.clone();
        if self.manifest.add_damage(damage) {
            tracing::error!(segment, first, last, what, "acknowledged bytes are damaged");
        }
    }

    /// Takes over what a sealed log or cold segment holds, as its footer tells, or its content when the footer is lost.
    fn load_sealed(&mut self, id: SegmentId, segment: &Segment) -> Result<()> {
        let expect = self.expect(id);
        let read = self.files.get(segment.kind, id).and_then(|file| survey(file, segment.kind, expect));
        let footer = match read {
            Ok(survey) => {
                if let Some(why) = survey.lost {
                    tracing::warn!(segment = id.0, error = %why, "a footer is unreadable; the segment is read instead");
                    self.blind = true;
                }
                survey.footer
            }
            // The file is not there, or the disk does not give it.
            Err(e) => {
                self.blind = true;
                self.add_damage(Damage {
                    segment: id,
                    first_lsn: segment.first_lsn,
                    last_lsn: segment.last_lsn,
                    accounts: Vec::new(),
                    messages: Vec::new(),
                    spared: Vec::new(),
                    what: e.to_string(),
                });
                return Ok(());
            }
        };
        self.take_entries(id, &footer.groups, &footer.messages);
        Ok(())
    }

    fn take_entries(&mut self, id: SegmentId, groups: &[GroupEntry], messages: &[MessageEntry]) {
        for group in groups {
            for account in &group.accounts {
                let newest = self.account_lsn.entry(*account).or_default();
                *newest = (*newest).max(group.lsn);
            }
        }
        for entry in messages {
            match entry.body {
                // Its body segment was dropped, so it was dead by then.
                Some(body) if !self.manifest.segments.contains_key(&body) => continue,
                Some(body) => self.bodies.name(body, entry.message, entry.stored_bytes),
                None => {}
            }
            self.locations.set(entry.message, Location { segment: id, offset: entry.offset });
        }
    }

    /// Judges a segment that was being written, and rewrites what survived.
    fn recover_open(&mut self, id: SegmentId, segment: &Segment) -> Result<Judged> {
        let found = self.files.get(SegmentKind::Log, id).and_then(|file| self.content_of(file, id));
        let (file, end, sealed_at) = match found {
            Ok(found) => found,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return self.lost_open(id, segment);
            }
            Err(e) => return Err(e),
        };
        let mut reader = Reader::new(file, end);
        let proof = self.manifest.durable_lsn.max(sealed_at);
        let judged = recover::judge(&mut reader, self.expect(id), segment.prev_lsn, proof)?;
        // The disk may yet be made to give what it does not now.
        let mut keep_whole = !reader.bad_pieces().all().is_empty();
        // Copied would be less than is kept.
        let to_copy = judged.quarantine.iter().filter(|_| !keep_whole);
        for range in to_copy.collect::<Vec<_>>() {
            match rewrite::quarantine(&*self.disk, &self.dir, id, &mut reader, range) {
                Ok(path) => self.report.quarantined.push(path),
                Err(Error::StoreFull) => keep_whole = true,
                Err(e) => return Err(e),
            }
        }
        if let Some(cut) = &judged.cut {
            self.report.cut_tail_bytes += cut.end - cut.start;
        }
        for damage in &judged.damage {
            self.add_damage(damage.clone());
        }
        self.hurt |= judged.hurt;
        for item in judged.groups.iter().flat_map(|b| &b.group.items) {
            if let Item::Relocate(relocate) = item {
                self.relocated.insert(relocate.cold);
            }
        }
        self.manifest.segments.remove(&id);
        self.superseded.push((SegmentKind::Log, id, keep_whole));
        if keep_whole {
            // Whatever interrupts the rest of the opening, it is not taken for a leftover.
            let doomed = Doomed { kind: SegmentKind::Log, not_before_ms: 0, end: End::Quarantined };
            self.manifest.doomed.insert(id, doomed);
        }
        if !judged.groups.is_empty() {
            self.rewrite(&judged, &mut reader)?;
        }
        Ok(judged)
    }

    /// A segment that was being written may have been sealed already, only the manifest did not know. Then all that
    /// its footer names was durable.
    fn content_of(&self, file: Arc<dyn File>, id: SegmentId) -> Result<(Arc<dyn File>, u64, Lsn)> {
        let (end, sealed_at) = match Footer::read(&*file, self.manifest.store_id, id) {
            Ok(footer) => (footer.content_end, footer.totals.last_lsn),
            Err(_) => (self.io("opening a segment", file.len_bytes())?, Lsn::default()),
        };
        Ok((file, end, sealed_at))
    }

    fn lost_open(&mut self, id: SegmentId, segment: &Segment) -> Result<Judged> {
        let mut nothing = Reader::new(self.empty_file()?, 0);
        let judged =
            recover::judge(&mut nothing, self.expect(id), segment.prev_lsn, self.manifest.durable_lsn)?;
        for damage in &judged.damage {
            self.add_damage(damage.clone());
        }
        self.hurt |= judged.hurt;
        self.manifest.segments.remove(&id);
        Ok(judged)
    }

    fn empty_file(&self) -> Result<Arc<dyn File>> {
        let opened = self.disk.open(&self.dir.join("FORMAT"));
        Ok(Arc::from(self.io("opening FORMAT", opened)?))
    }

    fn new_header(&mut self, kind: SegmentKind) -> Header {
        Header {
            kind,
            id: self.manifest.take_segment_id(),
            store_id: self.manifest.store_id,
            epoch: self.manifest.epoch + u32::from(self.report.cut_tail_bytes > 0),
            created_ms: self.clock.now_ms(),
        }
    }

    fn rewrite(&mut self, judged: &Judged, reader: &mut Reader) -> Result<()> {
        let header = self.new_header(SegmentKind::Log);
        let place = NewSegmentPlace { disk: &*self.disk, dir: &self.dir, reserve: &self.reserve };
        let rewritten = rewrite::survivors(&place, &header, &judged.groups, reader)?;
        self.take_entries(header.id, &rewritten.groups, &rewritten.messages);
        self.manifest.time_ms = self.manifest.time_ms.max(rewritten.listed.newest_time_ms);
        self.manifest.segments.insert(header.id, rewritten.listed);
        Ok(())
    }

    /// No body segment is written to again. One that no record names goes with the next compaction: that asks first whether
    /// something is lost that may have named it.
    fn close_body(&mut self, id: SegmentId) {
        let len =
            self.files.get(SegmentKind::Body, id).and_then(|f| self.io("opening a segment", f.len_bytes()));
        let now_ms = self.clock.now_ms();
        if let Some(segment) = self.manifest.segments.get_mut(&id)
            && segment.state == State::Open
        {
            // A file that is missing shows when its messages are read.
            segment.bytes = len.unwrap_or(0);
            segment.state = State::Sealed;
            segment.newest_time_ms = now_ms;
        }
    }

    /// Opens a fresh segment, makes the new manifest durable, and only then removes what it does without.
    fn finish(mut self, lock: Box<dyn Send + Sync>) -> Result<(Arc<Shared>, LogWriter, OpenReport)> {
        let header = self.new_header(SegmentKind::Log);
        let place = NewSegmentPlace { disk: &*self.disk, dir: &self.dir, reserve: &self.reserve };
        let fresh = match create_segment(&place, &header, Some(self.options.segment_bytes), Room::Compaction)
        {
            // A disk that is full to the last is no reason not to read: room is asked for again with every group.
            Err(Error::StoreFull) => create_segment(&place, &header, None, Room::Compaction)?,
            made => made?,
        };
        self.files.put(fresh.id, Arc::clone(&fresh.file));
        let m = &mut self.manifest;
        let prev_lsn = self.report.last_lsn;
        m.segments.insert(fresh.id, Segment { prev_lsn, ..Segment::open(SegmentKind::Log) });
        m.version += 1;
        m.clean = false;
        m.boot_id = self.clock.boot_id();
        m.durable_lsn = m.durable_lsn.max(prev_lsn);
        m.highest_message = m.highest_message.max(self.locations.highest());
        m.time_ms = m.segments.values().map(|s| s.newest_time_ms).fold(m.time_ms, u64::max);
        if self.report.rebuilt_manifest.is_some() {
            // With the first manifest that does not show any more how it came to be.
            m.add_damage(Damage::lost_end(prev_lsn.max(Lsn(1))));
        }
        // Listed, so that a crash before they are gone leaves nobody in doubt what is to become of them.
        for (kind, id, to_quarantine) in &self.superseded {
            let end = if *to_quarantine { End::Quarantined } else { End::Unlinked };
            m.doomed.insert(*id, Doomed { kind: *kind, not_before_ms: 0, end });
        }
        m.store(&*self.disk, &self.dir).map_err(manifest::Replace::into_error)?;
        self.remove_superseded();
        self.reserve.refill(&*self.disk, self.clock.now_ms());
        let mut report = self.report;
        report.epoch = self.manifest.epoch;
        // A lost end is asked for by itself: a view may prove that there is none.
        let is_proved = |d: &&Damage| d.lost_up_to().is_none();
        report.damage = self.manifest.damage.iter().filter(is_proved).cloned().collect();
        report.stopped_in_order &= report.cut_tail_bytes == 0 && report.rebuilt_manifest.is_none();
        report.clean = report.stopped_in_order && self.manifest.damage.is_empty();
        let shared = Arc::new(Shared {
            store_id: self.manifest.store_id,
            durable_lsn: AtomicU64::new(report.last_lsn.0),
            time_ms: AtomicU64::new(self.manifest.time_ms),
            manifest: ArcSwap::from_pointee(self.manifest),
            disk: self.disk,
            clock: self.clock,
            dir: self.dir,
            options: self.options,
            files: self.files,
            locations: self.locations,
            bodies: self.bodies,
            reserve: self.reserve,
            manifest_writer: Mutex::new(()),
            poisoned: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            roll_wanted: AtomicBool::new(false),
            dead_before: AtomicU64::new(0),
            open_end: Mutex::default(),
            blind: AtomicBool::new(self.blind),
            pending_cold: Mutex::default(),
            pins: Default::default(),
            _lock: lock,
        });
        let segment = OpenSegment::new(fresh);
        let writer =
            LogWriter::new(Arc::clone(&shared), segment, report.last_lsn, report.next_lsn, self.account_lsn);
        Ok((shared, writer, report))
    }

    /// What the new manifest does without. What cannot be removed stays listed, for the sweep.
    fn remove_superseded(&mut self) {
        let mut folders: Vec<SegmentKind> = Vec::new();
        for (kind, id, to_quarantine) in &self.superseded {
            self.files.forget(*id);
            let gone = if *to_quarantine {
                let moved = cold::quarantine_segment(&*self.disk, &self.dir, *kind, *id);
                self.report.quarantined.extend(moved.as_ref().ok().cloned().flatten());
                moved.map(drop)
            } else {
                let removed = self.disk.remove_file(&segment::path(&self.dir, *kind, *id));
                folders.push(*kind);
                removed.map_err(|e| Error::io("removing a superseded segment", e))
            };
            if let Err(e) = gone {
                tracing::warn!(segment = id.0, error = %e, "a superseded segment cannot be removed");
            }
        }
        folders.dedup();
        let are_durable =
            folders.iter().all(|kind| self.disk.sync_dir(&self.dir.join(kind.folder())).is_ok());
        if are_durable {
            let is_there = |kind: SegmentKind, id| self.disk.exists(&segment::path(&self.dir, kind, id));
            self.manifest.doomed.retain(|id, doomed| is_there(doomed.kind, *id));
        }
    }
}
