//! A manifest made again from the files it named, when both copies of it are lost.
//!
//! Laws
//! - A segment counts when its own bytes say whose it is: header, footer, or a group that names its place. One of another
//!   store, or under another's number, is left where it is.
//! - Of two log segments with the same groups the later counts if it is sealed: recovery wrote it from the other. The one
//!   without a footer that has the newest groups was being written, and is judged as after a crash.
//! - What has a footer was durable, so its groups are proof.
//! - Snapshot runs count from the newest that is intact in every byte, back without a gap to one that holds everything.
//! - What is not taken over is moved to the quarantine by the open, never removed.

use super::footer::Totals;
use super::manifest::{Manifest, Segment, State};
use super::run::{Covers, RunReader};
use super::segment::{self, HEADER_BYTES, Header, SegmentKind};
use super::survey::survey;
use super::types::{RunInfo, RunSet};
use super::walk::{self, Expect, Reader};
use super::writer::sealed_segment;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::{Lsn, SegmentId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const KINDS: [SegmentKind; 3] = [SegmentKind::Log, SegmentKind::Body, SegmentKind::Cold];

/// No store has had that many segments: a number above is no number of ours.
const NUMBER_MAX: u32 = 1 << 31;

/// Files of segments, with their headers as far as they can be read.
pub(super) struct Found {
    /// The highest number that is taken, whosever it is.
    pub(super) highest: u32,
    segments: Vec<(SegmentKind, SegmentId, Option<Header>)>,
    /// Bytes of the segments of each store.
    bytes: BTreeMap<[u8; 16], u64>,
}

/// The number in the name of a segment's file.
pub(super) fn number_of(name: &str) -> Option<SegmentId> {
    let number = name.strip_suffix(".seg")?.parse().ok().filter(|number| *number < NUMBER_MAX);
    number.map(SegmentId)
}

/// Looks at all files but those that are `named`.
pub(super) fn find(disk: &dyn Disk, dir: &Path, named: &dyn Fn(SegmentId) -> bool) -> Result<Found> {
    let io = |e| Error::io("listing the store", e);
    let mut found = Found { highest: 0, segments: Vec::new(), bytes: BTreeMap::new() };
    for kind in KINDS {
        let folder = dir.join(kind.folder());
        for name in disk.list(&folder).map_err(io)? {
            let Some(id) = number_of(&name).filter(|id| !named(*id)) else { continue };
            let mut bytes = [0; HEADER_BYTES];
            let read = disk.open(&folder.join(&name)).and_then(|file| {
                file.read_exact_at(&mut bytes, 0)?;
                file.len_bytes()
            });
            let header = read.as_ref().ok().and_then(|_| Header::decode(&bytes).ok());
            if let (Some(header), Ok(len)) = (&header, read) {
                *found.bytes.entry(header.store_id).or_default() += len;
            }
            found.highest = found.highest.max(id.0);
            found.segments.push((kind, id, header));
        }
    }
    // Numbers are not given again though their segments are gone.
    for name in disk.list(&dir.join("quarantine")).map_err(io)? {
        found.highest = found.highest.max(number_of(&name).map_or(0, |id| id.0));
    }
    Ok(found)
}

impl Found {
    /// Whose store it is, as most of its bytes say.
    pub(super) fn store_id(&self) -> Option<[u8; 16]> {
        self.bytes.iter().max_by_key(|(_, bytes)| **bytes).map(|(id, _)| *id)
    }

    /// Whether a file stands under a name that is not its own, or belongs to another store.
    pub(super) fn is_foreign(&self, store_id: [u8; 16], kind: SegmentKind, id: SegmentId) -> bool {
        self.segments.iter().any(|(k, i, header)| {
            let other = |h: &Header| h.store_id != store_id || h.id != id || h.kind != kind;
            (*k, *i) == (kind, id) && header.as_ref().is_some_and(other)
        })
    }
}

/// A log segment that may count.
struct OfLog {
    id: SegmentId,
    totals: Totals,
    bytes: u64,
    is_sealed: bool,
}

/// What was taken over, besides the manifest.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Cold segments that nothing proves to be complete: what is found elsewhere is read there.
    pub(super) unproven: BTreeSet<SegmentId>,
}

/// Adds to a manifest the segments from number `from` on that it does not name; what it takes for being written is judged anew.
pub(super) fn adopt(
    disk: &dyn Disk,
    dir: &Path,
    found: &Found,
    manifest: &mut Manifest,
    from: SegmentId,
) -> Result<Taken> {
    let store_id = manifest.store_id;
    let mut taken = Taken::default();
    let mut logs = Vec::new();
    for (kind, id, header) in &found.segments {
        let listed = manifest.segments.get(id);
        let was_open = listed.is_some_and(|s| s.kind == SegmentKind::Log && s.state == State::Open);
        let is_new = *id >= from && listed.is_none() && !manifest.doomed.contains_key(id);
        if !(was_open || is_new) || found.is_foreign(store_id, *kind, *id) {
            continue;
        }
        manifest.epoch = manifest.epoch.max(header.as_ref().map_or(0, |h| h.epoch));
        let open = disk.open(&segment::path(dir, *kind, *id));
        let file: Arc<dyn File> = Arc::from(open.map_err(|e| Error::io("opening a segment", e))?);
        let bytes = file.len_bytes().map_err(|e| Error::io("reading a segment", e))?;
        let expect = Expect { store_id, segment: *id };
        match kind {
            SegmentKind::Log => logs.extend(log_segment(&file, expect, bytes, header.is_some())?),
            SegmentKind::Cold => {
                let survey = survey(file, *kind, expect)?;
                let is_whole = survey.lost.is_none();
                if !is_whole && survey.footer.messages.is_empty() {
                    continue;
                }
                if !is_whole {
                    taken.unproven.insert(*id);
                }
                manifest.segments.insert(*id, sealed_segment(*kind, bytes, survey.footer.totals));
            }
            // Body records name what is in it; without one it stays as it is.
            SegmentKind::Body => {
                let listed = Segment { state: State::Sealed, bytes, ..Segment::open(*kind) };
                manifest.segments.insert(*id, listed);
            }
        }
    }
    take_logs(logs, manifest);
    manifest.next_segment = manifest.next_segment.max(found.highest + 1);
    manifest.time_ms = manifest.segments.values().map(|s| s.newest_time_ms).fold(manifest.time_ms, u64::max);
    // When a body segment was last written to, nothing says: not after the last group.
    for body in manifest.segments.values_mut().filter(|s| s.kind == SegmentKind::Body) {
        body.newest_time_ms = if body.newest_time_ms == 0 { manifest.time_ms } else { body.newest_time_ms };
    }
    Ok(taken)
}

/// A log segment as its bytes tell; `None`: nothing says that it is one of ours, or there is no group in it.
fn log_segment(file: &Arc<dyn File>, expect: Expect, bytes: u64, ours: bool) -> Result<Option<OfLog>> {
    let mut reader = Reader::new(Arc::clone(file), bytes);
    let is_ours = ours
        || super::footer::Footer::read(&**file, expect.store_id, expect.segment).is_ok()
        || walk::next_header(&mut reader, expect, HEADER_BYTES as u64)?.is_some();
    if !is_ours {
        return Ok(None);
    }
    let survey = survey(Arc::clone(file), SegmentKind::Log, expect)?;
    let (totals, is_sealed) = (survey.footer.totals, survey.lost.is_none());
    Ok((totals.groups > 0).then_some(OfLog { id: expect.segment, totals, bytes, is_sealed }))
}

fn take_logs(mut logs: Vec<OfLog>, manifest: &mut Manifest) {
    let overlap = |a: &OfLog, b: &OfLog| {
        a.totals.first_lsn <= b.totals.last_lsn && b.totals.first_lsn <= a.totals.last_lsn
    };
    // Recovery wrote what survived of the one into the other, and sealed it.
    let is_superseded = |one: &OfLog| {
        logs.iter().any(|other| {
            let is_newer = if one.id < other.id { other.is_sealed } else { !one.is_sealed };
            one.id != other.id && is_newer && overlap(one, other)
        })
    };
    let superseded: BTreeSet<SegmentId> = logs.iter().filter(|l| is_superseded(l)).map(|l| l.id).collect();
    logs.retain(|l| !superseded.contains(&l.id));
    logs.sort_by_key(|l| (l.totals.first_lsn, l.id));
    let newest = logs.last().map(|l| l.id);
    for id in superseded {
        manifest.segments.remove(&id);
    }
    let mut last_lsn = manifest.of(SegmentKind::Log).map(|(_, s)| s.last_lsn).max().unwrap_or_default();
    for log in &logs {
        if log.is_sealed || Some(log.id) != newest {
            manifest.segments.insert(log.id, sealed_segment(SegmentKind::Log, log.bytes, log.totals));
            manifest.durable_lsn = manifest.durable_lsn.max(log.totals.last_lsn);
            last_lsn = last_lsn.max(log.totals.last_lsn);
        } else {
            // What is between was lost, but for what the snapshots made superfluous.
            let is_covered = log.totals.prev_lsn <= manifest.current_runs.as_of;
            let told = if is_covered { log.totals.prev_lsn } else { last_lsn.min(log.totals.prev_lsn) };
            let prev_lsn = manifest.segments.get(&log.id).map_or(told, |listed| listed.prev_lsn);
            manifest.segments.insert(log.id, Segment { prev_lsn, ..Segment::open(SegmentKind::Log) });
        }
    }
}

/// The newest runs that together hold every object, newest first.
pub(super) fn runs(disk: &Arc<dyn Disk>, dir: &Path) -> Result<RunSet> {
    let folder = dir.join("snapshots");
    let mut intact = Vec::new();
    for file in disk.list(&folder).map_err(|e| Error::io("listing the snapshot runs", e))? {
        let read = RunReader::open(disk, &folder.join(&file)).and_then(|run| run.verify().map(|()| run));
        match read {
            Ok(run) => {
                let (as_of_lsn, bytes, objects) = (run.as_of(), run.file_bytes(), run.objects());
                let info = RunInfo { file, as_of_lsn, bytes, objects };
                intact.extend(run.covers().map(|covers| (info, covers)));
            }
            Err(error) => tracing::warn!(%error, "a snapshot run does not count"),
        }
    }
    // Of the same LSN, that which reaches back further: others were merged into it.
    let reach = |covers: &Covers| match covers {
        Covers::Whole => Lsn(0),
        Covers::Since(lsn) => *lsn,
    };
    intact.sort_by_key(|(info, covers)| (std::cmp::Reverse(info.as_of_lsn), reach(covers)));
    for newest in 0..intact.len() {
        let mut runs: Vec<RunInfo> = Vec::new();
        let mut wanted = None;
        for (info, covers) in intact.iter().skip(newest) {
            if wanted.is_some_and(|wanted| info.as_of_lsn != wanted) {
                continue;
            }
            runs.push(info.clone());
            if reach(covers) == Lsn(0) {
                let as_of = runs.first().map_or(Lsn(0), |run| run.as_of_lsn);
                return Ok(RunSet { as_of, runs });
            }
            wanted = Some(reach(covers));
        }
    }
    Ok(RunSet::default())
}
