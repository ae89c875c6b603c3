//! The summaries of one account: its packs, and the tail after them.
//!
//! Laws
//! - A batch goes to the tail until that has [`TAIL_ROWS`]; then tail and batch become packs, together with
//!   the packs before them that are small. So there are as many packs as full ones and a few small ones,
//!   each about twice as large as the next: a row is written some four times in all.
//! - A change that fails may leave files that nothing names, never a state that is not true: whoever called
//!   forgets this value and opens the account again.

use super::Summary;
use super::columns::{Columns, Table};
use super::files;
use super::manifest::{Manifest, Stamp, pack_name, tail_name};
use super::pack::{self, PACK_ROWS, Pack, PackInfo};
use super::tail;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::text::index::EmailSet;
use crate::types::EmailId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many rows, or bytes, the tail has at most: what a read has to go through, and what a power cut may
/// take back.
pub(super) const TAIL_ROWS: usize = 1024;
const TAIL_BYTES_MAX: u64 = 4 << 20;

/// Fewer emails than that are not worth a second thread.
const EMAILS_FOR_TWO: usize = 16 * 1024;

pub(super) struct Account {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    stamp: Stamp,
    /// None until something was written.
    manifest: Option<Manifest>,
    tail: TailState,
}

#[derive(Debug, Clone, Copy, Default)]
struct TailState {
    bytes: u64,
    rows: usize,
    covered: EmailId,
}

impl Account {
    /// As the disk has it. What does not count is removed.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, stamp: Stamp) -> Result<Self> {
        let manifest = Manifest::load(&*disk, &dir, stamp)?;
        let mut account = Self { disk, dir, stamp, manifest, tail: TailState::default() };
        let names = account.disk.list(&account.dir).map_err(|e| Error::io("listing the summaries", e))?;
        let Some(manifest) = &account.manifest else {
            if !names.is_empty() {
                account.remove()?;
            }
            return Ok(account);
        };
        for name in names.iter().filter(|name| !manifest.names(name)) {
            files::remove(&*account.disk, &account.dir.join(name))?;
        }
        let path = account.dir.join(tail_name(manifest.tail));
        let bytes = files::read(&*account.disk, &path, u64::MAX)?;
        let content =
            tail::read(stamp, manifest.tail, manifest.covered, bytes.as_deref().unwrap_or_default());
        let good_bytes = content.good_bytes as u64;
        if bytes.is_some_and(|bytes| bytes.len() as u64 > good_bytes) {
            let cut = account.disk.open(&path).and_then(|file| file.truncate(good_bytes));
            cut.map_err(|e| Error::io(format!("truncating {}", path.display()), e))?;
        }
        account.tail = TailState { bytes: good_bytes, rows: content.rows.len(), covered: content.covered };
        Ok(account)
    }

    pub fn covered(&self) -> EmailId {
        self.tail.covered
    }

    pub fn disk_bytes(&self) -> u64 {
        let packs = self.manifest.iter().flat_map(|manifest| &manifest.packs);
        packs.map(|pack| pack.file_bytes).sum::<u64>() + self.tail.bytes
    }

    /// How many packs there are.
    pub fn packs(&self) -> usize {
        self.manifest.as_ref().map_or(0, |manifest| manifest.packs.len())
    }

    /// What of the files cannot be read, in words.
    pub fn damage(&self, deep: bool) -> Vec<String> {
        let packs = self.manifest.iter().flat_map(|manifest| &manifest.packs);
        let read = |info: &PackInfo| {
            let pack = Pack::open(&*self.disk, &self.dir, info)?;
            if deep { pack.rows().map(drop) } else { pack.emails().map(drop) }
        };
        let tail = self.tail_rows().err();
        packs.filter_map(|info| read(info).err()).chain(tail).map(|error| error.to_string()).collect()
    }

    /// Removes everything.
    pub fn remove(&mut self) -> Result<()> {
        let removed = self.disk.remove_dir_all(&self.dir);
        removed.map_err(|e| Error::io(format!("removing {}", self.dir.display()), e))?;
        self.manifest = None;
        self.tail = TailState::default();
        Ok(())
    }

    /// Goes on to `covered`. What is below what is covered already is passed over.
    pub fn append(&mut self, rows: &[(EmailId, Summary)], covered: EmailId) -> Result<()> {
        let from = self.tail.covered;
        if covered <= from {
            return Ok(());
        }
        let rows = rows.get(rows.partition_point(|(email, _)| *email < from)..).unwrap_or_default();
        let ascend = rows.iter().zip(rows.iter().skip(1)).all(|(a, b)| a.0 < b.0);
        if !ascend || rows.last().is_some_and(|(email, _)| *email >= covered) {
            return Err(Error::corrupt("a batch of summaries", "its emails are out of order"));
        }
        let manifest = match &mut self.manifest {
            Some(manifest) => manifest,
            None => {
                let made = self.disk.create_dir_all(&self.dir);
                made.map_err(|e| Error::io(format!("making {}", self.dir.display()), e))?;
                let first = Manifest { tail: 1, ..Manifest::default() };
                first.store(&*self.disk, &self.dir, self.stamp)?;
                self.manifest.insert(first)
            }
        };
        if self.tail.rows + rows.len() >= TAIL_ROWS {
            return self.make_packs(rows, covered);
        }
        let record = tail::record(self.stamp, manifest.tail, from, covered, rows);
        if self.tail.bytes + record.len() as u64 > TAIL_BYTES_MAX {
            return self.make_packs(rows, covered);
        }
        let path = self.dir.join(tail_name(manifest.tail));
        let file = if self.tail.bytes == 0 && !self.disk.exists(&path) {
            self.disk.create(&path)
        } else {
            self.disk.open(&path)
        };
        let written = file.and_then(|file| file.write_all_at(&record, self.tail.bytes));
        written.map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
        self.tail.bytes += record.len() as u64;
        self.tail.rows += rows.len();
        self.tail.covered = covered;
        Ok(())
    }

    fn tail_rows(&self) -> Result<Vec<(EmailId, Summary)>> {
        let Some(manifest) = self.manifest.as_ref().filter(|_| self.tail.bytes > 0) else {
            return Ok(Vec::new());
        };
        let path = self.dir.join(tail_name(manifest.tail));
        let bytes = files::read(&*self.disk, &path, self.tail.bytes)?.unwrap_or_default();
        let content = tail::read(self.stamp, manifest.tail, manifest.covered, &bytes);
        if content.covered != self.tail.covered {
            return Err(Error::corrupt(path.display().to_string(), "records were lost"));
        }
        Ok(content.rows)
    }

    /// Tail and batch become packs.
    fn make_packs(&mut self, batch: &[(EmailId, Summary)], covered: EmailId) -> Result<()> {
        let mut manifest = self.manifest.clone().unwrap_or_default();
        let mut rows = self.tail_rows()?;
        rows.extend_from_slice(batch);
        while let Some(last) = manifest.packs.last()
            && (last.rows as usize) < PACK_ROWS.min(2 * rows.len())
        {
            // One that is damaged stays as it is; what can be read of it can be read on.
            let Ok(mut before) = Pack::open(&*self.disk, &self.dir, last).and_then(|pack| pack.rows()) else {
                break;
            };
            before.append(&mut rows);
            rows = before;
            manifest.packs.pop();
        }
        let mut number = self.next_number();
        for rows in rows.chunks(PACK_ROWS) {
            manifest.packs.extend(self.write_pack(&mut number, rows)?);
        }
        manifest.covered = covered;
        self.install(manifest, number)
    }

    /// A number that no file has that counts.
    fn next_number(&self) -> u32 {
        let Some(manifest) = &self.manifest else { return 1 };
        manifest.packs.iter().map(|pack| pack.number).fold(manifest.tail, u32::max).saturating_add(1)
    }

    fn write_pack(&self, number: &mut u32, rows: &[(EmailId, Summary)]) -> Result<Option<PackInfo>> {
        let Some((bytes, info)) = pack::encode(*number, rows) else { return Ok(None) };
        files::write_new(&*self.disk, &self.dir.join(pack_name(*number)), &bytes)?;
        *number = number.saturating_add(1);
        Ok(Some(info))
    }

    /// Makes the manifest count, with an empty tail of that number; the files it no longer names go.
    fn install(&mut self, mut manifest: Manifest, tail_number: u32) -> Result<()> {
        manifest.tail = tail_number;
        files::sync_dir(&*self.disk, &self.dir)?;
        manifest.store(&*self.disk, &self.dir, self.stamp)?;
        self.tail = TailState { covered: manifest.covered, ..TailState::default() };
        let old = self.manifest.replace(manifest.clone()).unwrap_or_default();
        let old_packs = old.packs.iter().map(|pack| pack_name(pack.number));
        for name in old_packs.chain([tail_name(old.tail)]).filter(|name| !manifest.names(name)) {
            let path = self.dir.join(name);
            // What stays goes at the next opening.
            if self.disk.exists(&path) && self.disk.remove_file(&path).is_err() {
                tracing::debug!(path = %path.display(), "a summary file that counts no more was not removed");
            }
        }
        Ok(())
    }

    /// Rewrites the packs of which a quarter or more is dead, without the dead.
    pub fn purge(&mut self, live: &EmailSet) -> Result<()> {
        let Some(old) = self.manifest.clone() else { return Ok(()) };
        let mut manifest = Manifest { packs: Vec::new(), ..old.clone() };
        let mut number = self.next_number();
        let mut rows = Vec::new();
        for info in &old.packs {
            match self.living(info, live) {
                Some(mut living) => {
                    rows.append(&mut living);
                    while rows.len() >= PACK_ROWS {
                        let rest = rows.split_off(PACK_ROWS);
                        manifest.packs.extend(self.write_pack(&mut number, &rows)?);
                        rows = rest;
                    }
                }
                None => {
                    manifest.packs.extend(self.write_pack(&mut number, &rows)?);
                    rows.clear();
                    manifest.packs.push(*info);
                }
            }
        }
        manifest.packs.extend(self.write_pack(&mut number, &rows)?);
        if manifest == old {
            return Ok(());
        }
        // The tail's rows would be lost with its number: they stay in a pack.
        let tail: Vec<_> = self.tail_rows()?.into_iter().filter(|(email, _)| live.contains(*email)).collect();
        manifest.packs.extend(self.write_pack(&mut number, &tail)?);
        manifest.covered = self.tail.covered;
        self.install(manifest, number)
    }

    /// The rows that live, where enough are dead; None: leave the pack as it is.
    fn living(&self, info: &PackInfo, live: &EmailSet) -> Option<Vec<(EmailId, Summary)>> {
        let pack = Pack::open(&*self.disk, &self.dir, info).ok()?;
        let emails = pack.emails().ok()?;
        let dead = emails.iter().filter(|email| !live.contains(**email)).count();
        if dead == 0 || dead < emails.len() / 4 {
            return None;
        }
        let mut rows = pack.rows().ok()?;
        rows.retain(|(email, _)| live.contains(*email));
        Some(rows)
    }

    /// The columns asked for of the emails wanted, which ascend and may repeat. Stops early, with less
    /// found, when cancelled.
    pub fn read(&self, wanted: &[EmailId], columns: Columns, cancel: &AtomicBool) -> Result<Table> {
        let mut table = Table::with_rows(wanted.len(), columns);
        let packs = self.manifest.as_ref().map_or(&[][..], |manifest| &manifest.packs);
        let jobs: Vec<Job<'_>> = packs.iter().filter_map(|info| Job::new(info, wanted)).collect();
        let half = if wanted.len() < EMAILS_FOR_TWO { jobs.len() } else { jobs.len() / 2 };
        let (ours, theirs) = jobs.split_at(half);
        let run = |jobs: &[Job<'_>]| self.run(jobs, columns, cancel);
        let (ours, theirs) = std::thread::scope(|scope| {
            let other = (!theirs.is_empty()).then(|| scope.spawn(|| run(theirs)));
            (run(ours), other.map(|other| other.join().unwrap_or_default()).unwrap_or_default())
        });
        for (start, part) in ours.into_iter().chain(theirs) {
            table.absorb(start, part);
        }
        let tail = self.tail_rows().unwrap_or_else(|error| {
            tracing::warn!(%error, "its summaries are computed on the spot");
            Vec::new()
        });
        for (email, summary) in tail {
            let first = wanted.partition_point(|w| *w < email);
            let same = wanted.iter().skip(first).take_while(|w| **w == email).count();
            (first..first + same).for_each(|row| table.set(row, &summary, columns));
        }
        Ok(table)
    }

    fn run(&self, jobs: &[Job<'_>], columns: Columns, cancel: &AtomicBool) -> Vec<(usize, Table)> {
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs.iter().take_while(|_| !cancel.load(Ordering::Relaxed)) {
            let table =
                Pack::open(&*self.disk, &self.dir, job.info).and_then(|pack| pack.table(job.wanted, columns));
            match table {
                Ok(table) => done.push((job.start, table)),
                Err(error) => tracing::warn!(%error, "its summaries are computed on the spot"),
            }
        }
        done
    }
}

/// A pack and the part of the emails wanted that may lie in it.
struct Job<'a> {
    info: &'a PackInfo,
    start: usize,
    wanted: &'a [EmailId],
}

impl<'a> Job<'a> {
    fn new(info: &'a PackInfo, wanted: &'a [EmailId]) -> Option<Self> {
        let start = wanted.partition_point(|email| *email < info.first);
        let end = wanted.partition_point(|email| *email <= info.last);
        let wanted = wanted.get(start..end).filter(|wanted| !wanted.is_empty())?;
        Some(Self { info, start, wanted })
    }
}
