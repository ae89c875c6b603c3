//! Making a whole store from a backup.
//!
//! Laws
//! - The folder is new or empty, and marked (RESTORING) before anything else is in it: until the mark is gone nobody
//!   serves it.
//! - The mark says what is restored: the same restore run again goes on, another one is refused.
//! - Copies are compared whole. What is damaged or missing is refused, or, where that is asked for, named: in the mark
//!   too, so that a restore that goes on forgets none of it.
//! - Files are copied under another name and renamed once they are synced, FORMAT and MANIFEST come after all of them,
//!   and only then is the store opened and are its numbers moved.

use super::copy::is_of_unreadable;
use super::folder::{FOLDERS, Folder};
use super::plan::{Moment, Plan, Planned, plan_up_to};
use super::take::Rate;
use crate::error::{Error, Result};
use crate::ops::{RESTORING, Store, StoreOptions, Unavailable};
use crate::sys::clock::Clock;
use crate::sys::disk::Disk;
use crate::work::{Unit, Work};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

const CHUNK_BYTES: usize = 1 << 20;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Restore {
    pub moment: Moment,
    /// The store was stopped before the backup was taken: its numbers are those it goes on with.
    pub nothing_since: bool,
    /// A copy that changed is restored all the same, and so is a store of which files were lost when it was copied: what
    /// is wrong is found when it is read.
    pub damaged_too: bool,
}

/// What was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    pub backup: String,
    pub lsn: u64,
    pub time_ms: u64,
    pub files: u64,
    pub bytes: u64,
    pub accounts: u64,
    pub messages: u64,
    /// Mailboxes got a new UIDVALIDITY: those that are known to have changed after that moment, or all.
    pub new_uid_validities: String,
    /// Copies that changed since they were made, files that were lost before, and what opening the store found; in words.
    pub damaged: Vec<String>,
    pub unavailable: Vec<Unavailable>,
}

/// What RESTORING says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    newest: String,
    at_ms: Option<u64>,
    nothing_since: bool,
    /// All files are there.
    copied: bool,
    /// What is damaged in what was restored.
    #[serde(default)]
    damaged: Vec<String>,
}

impl Mark {
    /// Says whether that is news.
    fn add(&mut self, damaged: String) -> bool {
        let is_news = !self.damaged.contains(&damaged);
        if is_news {
            self.damaged.push(damaged);
        }
        is_news
    }
}

/// Where the store is made.
pub struct Target<'a> {
    pub disk: &'a Arc<dyn Disk>,
    pub clock: &'a Arc<dyn Clock>,
    pub dir: &'a Path,
    pub options: StoreOptions,
}

/// A store being made.
struct Restoring<'a> {
    folder: &'a Folder,
    disk: &'a dyn Disk,
    dir: &'a Path,
    asked: Restore,
}

/// Makes a store.
pub fn restore(
    folder: &Folder,
    asked: Restore,
    into: Target<'_>,
    rate: &mut Rate,
    work: &mut Work<'_>,
) -> Result<Restored> {
    let (disk, dir) = (&**into.disk, into.dir);
    let restoring = Restoring { folder, disk, dir, asked };
    disk.create_dir_all(dir).map_err(|e| restoring.io(e))?;
    let lock = disk.lock(&dir.join("LOCK")).map_err(|e| restoring.io(e))?.ok_or(Error::Owned)?;
    let mut mark = restoring.mark()?;
    let plan = plan_up_to(folder, asked.moment, Some(&mark.newest))?;
    if !mark.copied {
        restoring.refuse_missing(&plan)?;
        restoring.copy_all(&plan, &mut mark, rate, work)?;
        plan.image.write(disk, dir, into.clock.now_ms())?;
        mark.copied = true;
        restoring.write_mark(&mark)?;
    }
    drop(lock);
    work.step("opening", 0, 1, Unit::Objects)?;
    let (of_store, clock) = (into.disk.clone(), into.clock.clone());
    let store = Store::open_restoring(of_store, clock, dir, into.options, plan.next_lsn)?;
    let restored = restoring.settle(&store, &plan, &mut mark);
    // Closed whatever came of it: the next run opens it again.
    let closed = store.close();
    drop(store);
    let restored = restored?;
    closed?;
    disk.remove_file(&dir.join(RESTORING)).map_err(|e| restoring.io(e))?;
    disk.sync_dir(dir).map_err(|e| restoring.io(e))?;
    Ok(restored)
}

impl Restoring<'_> {
    fn io(&self, source: std::io::Error) -> Error {
        Error::io(format!("restoring into {}", self.dir.display()), source)
    }

    /// The mark of a restore that goes on, or that of this one, made now.
    fn mark(&self) -> Result<Mark> {
        let at_ms = match self.asked.moment {
            Moment::Newest => None,
            Moment::At(at_ms) => Some(at_ms),
        };
        let path = self.dir.join(RESTORING);
        if self.disk.exists(&path) {
            let file = self.disk.open(&path).map_err(|e| self.io(e))?;
            let len = usize::try_from(file.len_bytes().map_err(|e| self.io(e))?).unwrap_or(0);
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, 0).map_err(|e| self.io(e))?;
            let found: Mark = serde_json::from_slice(&bytes)
                .map_err(|e| Error::corrupt(RESTORING, format!("{e}; empty the folder and begin again")))?;
            if (found.at_ms, found.nothing_since) == (at_ms, self.asked.nothing_since) {
                return Ok(found);
            }
            let why = "another restore into this folder was not finished; run that one again, or empty it";
            return Err(Error::NotPossible(why.to_owned()));
        }
        let ours = ["LOCK", "RESTORING.new"];
        let names = self.disk.list(self.dir).map_err(|e| self.io(e))?;
        if let Some(name) = names.iter().find(|name| !ours.contains(&name.as_str())) {
            let why =
                format!("{} is not empty (there is {name}); restore into a new folder", self.dir.display());
            return Err(Error::NotPossible(why));
        }
        let plan = plan_up_to(self.folder, self.asked.moment, None)?;
        self.refuse_missing(&plan)?;
        let nothing_since = self.asked.nothing_since;
        let mark = Mark { newest: plan.newest, at_ms, nothing_since, copied: false, damaged: Vec::new() };
        self.write_mark(&mark)?;
        Ok(mark)
    }

    fn refuse_missing(&self, plan: &Plan) -> Result<()> {
        match plan.missing.first() {
            Some(what) if !self.asked.damaged_too => {
                Err(Error::corrupt(what.clone(), "restore an older backup (--at), or --damaged-too"))
            }
            _ => Ok(()),
        }
    }

    fn write_mark(&self, mark: &Mark) -> Result<()> {
        let (path, beside) = (self.dir.join(RESTORING), self.dir.join("RESTORING.new"));
        let write = || {
            if self.disk.exists(&beside) {
                self.disk.remove_file(&beside)?;
            }
            let file = self.disk.create(&beside)?;
            file.write_all_at(&serde_json::to_vec(mark)?, 0)?;
            file.sync_data()?;
            self.disk.rename(&beside, &path)?;
            self.disk.sync_dir(self.dir)?;
            let above = self.dir.parent().filter(|above| *above != Path::new(""));
            self.disk.sync_dir(above.unwrap_or(Path::new(".")))
        };
        write().map_err(|e| self.io(e))
    }

    fn copy_all(&self, plan: &Plan, mark: &mut Mark, rate: &mut Rate, work: &mut Work<'_>) -> Result<()> {
        for folder in FOLDERS {
            self.disk.create_dir_all(&self.dir.join(folder)).map_err(|e| self.io(e))?;
        }
        let total: u64 = plan.files.iter().map(|planned| planned.file.bytes).sum();
        let free = self.disk.free_bytes(self.dir).map_err(|e| self.io(e))?;
        if let Some(free) = free.filter(|free| *free < total) {
            let why = format!("{total} bytes are to be restored, {} has {free} left", self.dir.display());
            return Err(Error::NotPossible(why));
        }
        let mut done = 0;
        for planned in &plan.files {
            self.copy(planned, mark, rate, &mut |more| {
                done += more;
                work.step("restoring", done, total, Unit::Bytes)
            })?;
        }
        for folder in FOLDERS {
            self.disk.sync_dir(&self.dir.join(folder)).map_err(|e| self.io(e))?;
        }
        self.disk.sync_dir(self.dir).map_err(|e| self.io(e))
    }

    fn copy(
        &self,
        planned: &Planned,
        mark: &mut Mark,
        rate: &mut Rate,
        told: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let bytes = planned.copied_bytes();
        let path = self.dir.join(&planned.file.folder).join(&planned.file.name);
        if self.disk.exists(&path) {
            // Renamed, so synced before.
            return told(bytes);
        }
        let part = path.with_extension("part");
        if self.disk.exists(&part) {
            self.disk.remove_file(&part).map_err(|e| self.io(e))?;
        }
        let reading = |e| Error::io(format!("reading {}", planned.from.display()), e);
        let from = self.folder.disk.open_read(&planned.from).map_err(reading)?;
        let to = self.disk.create(&part).map_err(|e| self.io(e))?;
        let mut hasher = crc32fast::Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = 0;
        // What the copy has beyond the file only proves it.
        while at < planned.copy.bytes {
            let len = usize::try_from(planned.copy.bytes - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let piece = chunk.get_mut(..len).unwrap_or_default();
            from.read_exact_at(piece, at).map_err(reading)?;
            hasher.update(piece);
            let of_file = usize::try_from(bytes.saturating_sub(at)).unwrap_or(CHUNK_BYTES).min(len);
            let of_file = piece.get(..of_file).unwrap_or_default();
            to.write_all_at(of_file, at).map_err(|e| self.io(e))?;
            at += len as u64;
            rate.spend(len as u64);
            told(of_file.len() as u64)?;
        }
        if planned.copy.crc32 != hasher.finalize() {
            let what = planned.from.display().to_string();
            if !self.asked.damaged_too {
                let why = "it changed since it was made; restore an older backup (--at), or --damaged-too";
                return Err(Error::corrupt(what, why));
            }
            // Before the file has its name: a run that finds it there passes it over.
            self.note(mark, format!("{what}: it changed since it was made"))?;
        }
        if is_of_unreadable(&planned.from) {
            let what = planned.from.display();
            self.note(mark, format!("{what}: it could not be read whole when it was copied"))?;
        }
        to.write_all_at(&planned.tail, bytes).map_err(|e| self.io(e))?;
        to.sync_data().map_err(|e| self.io(e))?;
        self.disk.rename(&part, &path).map_err(|e| self.io(e))
    }

    fn note(&self, mark: &mut Mark, what: String) -> Result<()> {
        if mark.add(what) { self.write_mark(mark) } else { Ok(()) }
    }

    /// Moves the numbers, and makes that durable twice over: in the log and in a snapshot.
    fn settle(&self, store: &Store, plan: &Plan, mark: &mut Mark) -> Result<Restored> {
        let known = mark.damaged.len();
        for what in plan.missing.iter().chain(&store.recovery().damage) {
            mark.add(what.clone());
        }
        if mark.damaged.len() > known {
            self.write_mark(mark)?;
        }
        let mut later = plan.later.clone();
        later.nothing = self.asked.nothing_since;
        let unavailable = if plan.is_between { store.give_up_unavailable()? } else { Vec::new() };
        let changed = store.jump_after_restore(&later)?;
        store.snapshot()?;
        let accounts = store.accounts()?;
        Ok(Restored {
            backup: plan.backup.clone(),
            lsn: plan.lsn.0,
            time_ms: plan.time_ms,
            files: plan.files.len() as u64,
            bytes: plan.files.iter().map(|planned| planned.file.bytes).sum(),
            accounts: accounts.len() as u64,
            messages: accounts.iter().map(|account| account.messages).sum(),
            new_uid_validities: match (later.nothing, later.all_changed) {
                (true, _) => "none".to_owned(),
                (_, true) => "all".to_owned(),
                (_, false) => changed.to_string(),
            },
            damaged: std::mem::take(&mut mark.damaged),
            unavailable,
        })
    }
}
