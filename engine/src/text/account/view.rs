//! The writing side of an account's text view: the tail grows, becomes a segment, segments merge.
//!
//! Laws
//! - One `TextView` of an account at a time writes to its folder.
//! - What is long (building, merging) runs without the lock; putting its outcome in place takes it, and
//!   looks whether what was built from still counts.
//! - The manifest names a new part before a snapshot shows it, and an old one's files go only after the
//!   manifest names it no more.
//! - Numbers of parts are not used twice while somebody may hold the old part.

use super::batch::{Batch, Marks};
use super::files;
use super::manifest::{Expect, Figures, Kind, Manifest, PartInfo};
use super::part::{OpenSegment, Part, segment_dir, tail_info};
use super::snapshot::{AccountText, Shared};
use super::tail::{Tail, TailName};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::text::index::{EmailSet, Folded, Segment, SegmentInfo};
use crate::types::{AccountId, EmailId, Lsn};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub struct TextView {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) writer: Mutex<Writer>,
    pub(super) snapshot: RwLock<Arc<AccountText>>,
}

/// What the next batch and the next manifest begin from.
pub(super) struct Writer {
    pub manifest: Manifest,
    /// The manifest is on the disk.
    pub is_written: bool,
    /// In the order of the manifest's.
    pub parts: Vec<Part>,
    pub tail: Option<Tail>,
    pub covered: EmailId,
    pub marks: Marks,
    pub unreadable: BTreeSet<EmailId>,
    /// Numbers of parts that somebody builds or merges from.
    pub busy: BTreeSet<u32>,
    /// The account is gone: nothing is written any more.
    pub removed: bool,
    /// How many messages lived when it was last looked which segments are mostly dead, or at most since.
    pub looked_at: Option<u64>,
}

/// How far the view is.
#[derive(Debug, Clone)]
pub struct Uncovered {
    pub covered: EmailId,
    pub marks: Marks,
}

/// A closed tail that is to become a segment.
pub struct BuildJob {
    number: u32,
    dir: PathBuf,
    tail: Tail,
}

/// Neighbouring segments that are to become one.
pub struct MergeJob {
    number: u32,
    dir: PathBuf,
    from: Vec<u32>,
    segments: Vec<Arc<OpenSegment>>,
    generation: u8,
}

impl Writer {
    pub fn new(manifest: Manifest) -> Self {
        Self {
            covered: manifest.covered,
            marks: manifest.marks.clone(),
            unreadable: manifest.unreadable.iter().copied().collect(),
            manifest,
            is_written: false,
            parts: Vec::new(),
            tail: None,
            busy: BTreeSet::new(),
            removed: false,
            looked_at: None,
        }
    }

    /// Takes over what the batches of the open tail say.
    pub fn follow(&mut self, batch: &Batch) {
        self.covered = self.covered.max(batch.head.covered());
        self.marks.extend(batch.marks.iter().map(|(mailbox, uid)| (*mailbox, *uid)));
        self.unreadable.extend(&batch.unreadable);
    }

    pub fn snapshot(&self, shared: &Arc<Shared>) -> AccountText {
        let parts = self.parts.iter().cloned().chain(self.tail.clone().map(Part::Tail)).collect();
        let unreadable = self.unreadable.iter().copied().collect();
        AccountText::new(shared, self.manifest.account, self.covered, parts, unreadable)
    }

    fn tail_name(&self) -> TailName {
        let manifest = &self.manifest;
        TailName { store_id: manifest.store_id, account: manifest.account, number: manifest.tail }
    }

    fn usable(&self) -> Result<()> {
        if self.removed { Err(Error::NoSuchAccount) } else { Ok(()) }
    }
}

impl MergeJob {
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }
}

impl TextView {
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.writer.lock().manifest.account
    }

    #[must_use]
    pub fn snapshot(&self) -> Arc<AccountText> {
        self.snapshot.read().clone()
    }

    /// Nobody reads a snapshot, and nothing is being built.
    pub(super) fn is_idle(&self) -> bool {
        let readers = Arc::strong_count(&self.snapshot.read()) - 1;
        readers == 0 && !self.is_busy()
    }

    #[must_use]
    pub fn uncovered(&self) -> Uncovered {
        let writer = self.writer.lock();
        Uncovered { covered: writer.covered, marks: writer.marks.clone() }
    }

    /// Folded text in the open tail.
    #[must_use]
    pub fn tail_text_bytes(&self) -> u64 {
        self.writer.lock().tail.as_ref().map_or(0, |tail| tail.text_bytes)
    }

    /// Tails that wait to become a segment.
    #[must_use]
    pub fn waiting_tails(&self) -> usize {
        self.writer.lock().manifest.parts.iter().filter(|part| part.kind == Kind::Tail).count()
    }

    #[must_use]
    pub fn figures(&self) -> Figures {
        let writer = self.writer.lock();
        figures(&writer.manifest.parts, writer.tail.as_ref(), writer.unreadable.len())
    }

    fn publish(&self, writer: &Writer) {
        *self.snapshot.write() = Arc::new(writer.snapshot(&self.shared));
    }

    /// Takes ascending messages in, the first not below what is covered; then everything below
    /// `covered` is. `marks` holds what changed.
    pub fn append(
        &self,
        messages: &[Folded],
        unreadable: &[EmailId],
        covered: EmailId,
        marks: &Marks,
    ) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.usable()?;
        if messages.first().is_some_and(|first| first.email < writer.covered) {
            return Err(Error::NotPossible("messages are to be indexed twice; this is a bug".to_owned()));
        }
        self.begin(&mut writer)?;
        let name = writer.tail_name();
        let mut tail = match writer.tail.take() {
            Some(tail) => tail,
            None => Tail::create(&self.disk, &self.dir, &name)?,
        };
        let appended = Batch::encode(tail.end, messages, unreadable, covered, marks)
            .and_then(|(batch, bytes)| tail.append(batch, &bytes));
        let batch = tail.batches.last().cloned();
        writer.tail = Some(tail);
        appended?;
        if let Some(batch) = batch {
            writer.follow(&batch);
        }
        self.publish(&writer);
        Ok(())
    }

    /// The first write makes the folder and a manifest.
    fn begin(&self, writer: &mut Writer) -> Result<()> {
        if writer.is_written {
            return Ok(());
        }
        let io = |e| Error::io(format!("making {}", self.dir.display()), e);
        self.disk.create_dir_all(&self.dir).map_err(io)?;
        if let Some(parent) = self.dir.parent() {
            self.disk.sync_dir(parent).map_err(io)?;
        }
        writer.manifest.write(&*self.disk, &self.dir)?;
        writer.is_written = true;
        Ok(())
    }

    /// Closes the open tail, so that it becomes a segment. False when there is nothing in it.
    pub fn close_tail(&self, lsn: Lsn) -> Result<bool> {
        let mut writer = self.writer.lock();
        writer.usable()?;
        let Some(tail) = writer.tail.clone() else { return Ok(false) };
        let Some(info) = tail_info(&tail) else { return Ok(false) };
        tail.close()?;
        let mut manifest = Manifest {
            lsn,
            covered: writer.covered,
            marks: writer.marks.clone(),
            unreadable: writer.unreadable.iter().copied().collect(),
            ..writer.manifest.clone()
        };
        manifest.parts.push(info);
        manifest.tail = manifest.take_number();
        manifest.write(&*self.disk, &self.dir)?;
        writer.manifest = manifest;
        writer.parts.push(Part::Tail(tail));
        writer.tail = None;
        self.publish(&writer);
        Ok(true)
    }

    /// True when a job can be taken: a build or a merge.
    #[must_use]
    pub fn has_work(&self, segments_max: usize) -> bool {
        let writer = self.writer.lock();
        let parts = &writer.manifest.parts;
        let waits = |part: &PartInfo| part.kind == Kind::Tail && !writer.busy.contains(&part.number);
        parts.iter().any(waits) || mergeable(&writer, segments_max).is_some()
    }

    /// True when somebody works on a job.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.writer.lock().busy.is_empty()
    }

    /// True when so few messages live that it is worth finding out which segments are mostly dead.
    /// `live` may be too high. Said once, until more have died.
    #[must_use]
    pub fn is_due_for_purge(&self, live: u64, live_percent: u64) -> bool {
        let mut writer = self.writer.lock();
        let segments = writer.manifest.parts.iter().filter(|part| part.kind == Kind::Segment);
        let held: u64 = segments.map(|part| u64::from(part.messages)).sum();
        let has_died = writer.looked_at.is_none_or(|looked_at| live < looked_at - looked_at / 20);
        let is_due = live * 100 < held * live_percent && has_died;
        let at_least = if is_due { 0 } else { writer.looked_at.unwrap_or(live) };
        writer.looked_at = (is_due || writer.looked_at.is_some()).then_some(at_least.max(live));
        is_due
    }

    /// The oldest closed tail that nobody works on.
    #[must_use]
    pub fn take_build(&self) -> Option<BuildJob> {
        let mut writer = self.writer.lock();
        let waiting = writer.parts.iter().find_map(|part| match part {
            Part::Tail(tail) if !writer.busy.contains(&tail.file.number) => Some(tail.clone()),
            _ => None,
        });
        let tail = waiting.filter(|_| !writer.removed)?;
        writer.busy.insert(tail.file.number);
        let number = writer.manifest.take_number();
        Some(BuildJob { number, dir: segment_dir(&self.dir, number), tail })
    }

    /// Neighbouring segments to merge, when there are more than `segments_max`: the newest ones, as far
    /// back as they were rewritten equally often. So each message is rewritten as rarely as that many
    /// segments allow (with 8: three times for 165 tails).
    #[must_use]
    pub fn take_merge(&self, segments_max: usize) -> Option<MergeJob> {
        let mut writer = self.writer.lock();
        let (first, end, generation) = mergeable(&writer, segments_max)?;
        self.take_segments(&mut writer, first, end, generation.saturating_add(1))
    }

    /// A segment of which less than `live_percent` lives, to be written anew.
    #[must_use]
    pub fn take_purge(&self, live: &EmailSet, live_percent: u64) -> Option<MergeJob> {
        let mut writer = self.writer.lock();
        let is_poor = |part: &Part| match part {
            Part::Segment(open) => {
                let mut alive = open.emails.clone();
                alive.meet(live);
                alive.len() * 100 < open.emails.len() * live_percent
            }
            Part::Tail(_) => false,
        };
        let at = writer
            .manifest
            .parts
            .iter()
            .zip(&writer.parts)
            .position(|(info, part)| !writer.busy.contains(&info.number) && is_poor(part))?;
        let generation = writer.manifest.parts.get(at)?.generation;
        self.take_segments(&mut writer, at, at + 1, generation)
    }

    fn take_segments(
        &self,
        writer: &mut Writer,
        first: usize,
        end: usize,
        generation: u8,
    ) -> Option<MergeJob> {
        if writer.removed {
            return None;
        }
        let from: Vec<u32> = writer.manifest.parts.get(first..end)?.iter().map(|part| part.number).collect();
        let segments = writer.parts.get(first..end)?.iter().filter_map(|part| match part {
            Part::Segment(open) => Some(open.clone()),
            Part::Tail(_) => None,
        });
        let segments = segments.collect();
        writer.busy.extend(&from);
        let number = writer.manifest.take_number();
        Some(MergeJob { number, dir: segment_dir(&self.dir, number), from, segments, generation })
    }

    /// Puts what came of a job in the place of what it was made from.
    fn finish(&self, from: &[u32], made: Option<(PartInfo, OpenSegment)>, lsn: Lsn) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.busy.retain(|number| !from.contains(number));
        let (info, open) = made.map_or((None, None), |(info, open)| (Some(info), Some(open)));
        let numbers: Vec<u32> = writer.manifest.parts.iter().map(|part| part.number).collect();
        let at = numbers.iter().position(|number| Some(number) == from.first());
        let at = at.filter(|at| !writer.removed && numbers.get(*at..*at + from.len()) == Some(from));
        let Some(at) = at else {
            // The view was made anew meanwhile, or the account is gone.
            open.iter().for_each(OpenSegment::doom);
            return Ok(());
        };
        let mut manifest = writer.manifest.clone();
        manifest.lsn = lsn;
        manifest.parts.splice(at..at + from.len(), info);
        if let Err(error) = manifest.write(&*self.disk, &self.dir) {
            open.iter().for_each(OpenSegment::doom);
            return Err(error);
        }
        writer.manifest = manifest;
        let part = open.map(|open| Part::Segment(Arc::new(open)));
        let old: Vec<Part> = writer.parts.splice(at..at + from.len(), part).collect();
        self.publish(&writer);
        old.iter().for_each(Part::doom);
        Ok(())
    }

    fn give_back(&self, from: &[u32], dir: &Path) {
        let mut writer = self.writer.lock();
        writer.busy.retain(|number| !from.contains(number));
        // What is left over is not named by any manifest.
        drop(files::remove(&*self.disk, dir));
    }

    /// Writes a segment of what lives in a closed tail. `look` is asked once for what lives and as of
    /// which group, `go_on` now and then.
    pub fn build(
        &self,
        job: BuildJob,
        look: impl FnOnce(&mut EmailSet) -> Result<Lsn>,
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<SegmentInfo>> {
        let BuildJob { number, dir, tail } = job;
        let from = [tail.file.number];
        let mut lsn = Lsn(0);
        let build = || {
            let mut live = EmailSet::new();
            lsn = look(&mut live)?;
            files::remove(&*self.disk, &dir)?;
            let mut docs = docs(&tail, &live, go_on).peekable();
            if docs.peek().is_none() {
                return Ok(None);
            }
            let info = Segment::build(&*self.disk, &dir, &mut docs)?;
            Ok(Some((info, OpenSegment::open(&self.disk, dir.clone())?)))
        };
        let made = build();
        self.settle(&from, number, &dir, 0, lsn, made)
    }

    /// Writes one segment of what lives in some. It fails soon once `stop` is set.
    pub fn merge(
        &self,
        job: MergeJob,
        look: impl FnOnce(&mut EmailSet) -> Result<Lsn>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<SegmentInfo>> {
        let MergeJob { number, dir, from, segments, generation } = job;
        let mut live = EmailSet::new();
        let mut lsn = Lsn(0);
        let merge = || {
            lsn = look(&mut live)?;
            files::remove(&*self.disk, &dir)?;
            let parts: Vec<Arc<Segment>> = segments.iter().map(|open| open.segment.clone()).collect();
            let Some(info) = Segment::merge_until(&*self.disk, &dir, &parts, &live, stop)? else {
                return Ok(None);
            };
            Ok(Some((info, OpenSegment::open(&self.disk, dir.clone())?)))
        };
        let made = merge();
        self.settle(&from, number, &dir, generation, lsn, made)
    }

    fn settle(
        &self,
        from: &[u32],
        number: u32,
        dir: &Path,
        generation: u8,
        lsn: Lsn,
        made: Result<Option<(SegmentInfo, OpenSegment)>>,
    ) -> Result<Option<SegmentInfo>> {
        match made {
            Ok(made) => {
                let info = made.as_ref().map(|(info, _)| *info);
                let part = made.map(|(info, open)| (segment_info(number, generation, &info), open));
                self.finish(from, part, lsn)?;
                Ok(info)
            }
            Err(error) => {
                self.give_back(from, dir);
                Err(error)
            }
        }
    }

    /// Holds the manifest and the files against what is known of them; with `deep` every byte.
    pub fn verify(&self, deep: bool) -> Result<()> {
        let parts = {
            let writer = self.writer.lock();
            let on_disk = Manifest::read(&*self.disk, &self.dir)?;
            // Numbers given to what is not finished are in memory only.
            let known =
                on_disk.map(|on_disk| Manifest { next_number: writer.manifest.next_number, ..on_disk });
            let is_expected =
                if writer.is_written { known.as_ref() == Some(&writer.manifest) } else { known.is_none() };
            if !is_expected && !writer.removed {
                return Err(Error::corrupt("the manifest of a text view", "it is not the one in use"));
            }
            let open_tail = writer.tail.clone().map(Part::Tail);
            writer.parts.iter().cloned().chain(open_tail).collect::<Vec<_>>()
        };
        parts.iter().try_for_each(|part| part.verify(&*self.disk, deep))
    }

    /// Forgets everything: the view begins anew.
    pub fn reset(&self, expect: &Expect) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.usable()?;
        if !writer.is_written {
            return Ok(());
        }
        let mut fresh = Writer::new(Manifest::new(expect, writer.manifest.next_number));
        fresh.manifest.write(&*self.disk, &self.dir)?;
        fresh.is_written = true;
        let old = std::mem::replace(&mut *writer, fresh);
        self.publish(&writer);
        old.parts.iter().for_each(Part::doom);
        old.tail.map(Part::Tail).iter().for_each(Part::doom);
        Ok(())
    }

    /// The account is gone.
    pub fn remove(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.removed = true;
        writer.parts.clear();
        writer.tail = None;
        *self.snapshot.write() = Arc::new(AccountText::nothing(&self.shared, writer.manifest.account));
        files::remove(&*self.disk, &self.dir)
    }
}

pub(super) fn figures(parts: &[PartInfo], tail: Option<&Tail>, unreadable: usize) -> Figures {
    let mut figures = Figures { unreadable: unreadable as u64, ..Figures::default() };
    parts.iter().for_each(|part| figures.add_part(part));
    if let Some(tail) = tail {
        figures.messages += u64::from(tail.messages);
        figures.text_bytes += tail.text_bytes;
        figures.tail_bytes += tail.end;
        figures.tails += 1;
    }
    figures
}

fn segment_info(number: u32, generation: u8, info: &SegmentInfo) -> PartInfo {
    PartInfo {
        kind: Kind::Segment,
        number,
        first: info.first,
        last: info.last,
        messages: info.docs,
        text_bytes: info.text_bytes,
        disk_bytes: info.disk_bytes,
        terms: info.terms,
        generation,
    }
}

/// The neighbours to merge, from and to, and how often they were rewritten.
fn mergeable(writer: &Writer, segments_max: usize) -> Option<(usize, usize, u8)> {
    let parts = &writer.manifest.parts;
    let count = parts.iter().take_while(|part| part.kind == Kind::Segment).count();
    let segments = parts.get(..count)?;
    if count <= segments_max || segments.iter().any(|part| writer.busy.contains(&part.number)) {
        return None;
    }
    let generations: Vec<u8> = segments.iter().map(|part| part.generation).collect();
    let (first, generation) = newest_run(&generations)?;
    Some((first, count, generation))
}

/// Where the newest run begins of segments that were rewritten at most as often as the second newest,
/// and how often that is.
fn newest_run(generations: &[u8]) -> Option<(usize, u8)> {
    let of_two = generations.iter().rev().take(2).max()?;
    // Two at least: else nothing would get fewer.
    let run = generations.iter().rev().take_while(|generation| *generation <= of_two).count();
    (run >= 2).then_some((generations.len() - run, *of_two))
}

/// The live messages of a tail, in order.
fn docs<'a>(
    tail: &'a Tail,
    live: &'a EmailSet,
    go_on: &'a mut dyn FnMut() -> Result<()>,
) -> impl Iterator<Item = Result<Folded>> + 'a {
    tail.batches.iter().flat_map(move |batch| {
        let lives = batch.entries.iter().filter(|entry| live.contains(entry.email));
        let mut docs = Vec::new();
        let unpacked = go_on().and_then(|()| {
            let raw = tail.file.texts(batch)?;
            lives.map(|entry| entry.folded(&raw)).collect::<Result<Vec<_>>>()
        });
        match unpacked {
            Ok(folded) => docs.extend(folded.into_iter().map(Ok)),
            Err(error) => docs.push(Err(error)),
        }
        docs
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tails come one after the other; when there are too many segments, one merge.
    #[test]
    fn each_message_is_rewritten_rarely() {
        for (max, tails, rewrites) in [(8, 165, 3), (8, 45, 2), (3, 20, 3), (8, 495, 4)] {
            let mut generations: Vec<u8> = Vec::new();
            for _ in 0..tails {
                generations.push(0);
                if generations.len() > max {
                    let (first, generation) = newest_run(&generations).unwrap();
                    generations.truncate(first);
                    generations.push(generation + 1);
                }
                assert!(generations.len() <= max);
            }
            assert!(generations.iter().all(|g| *g <= rewrites), "{max} {tails}: {generations:?}");
        }
        assert_eq!(newest_run(&[2, 1, 1]), Some((1, 1)));
        assert_eq!(newest_run(&[0]), None);
    }
}
