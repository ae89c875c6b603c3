//! Which files make the store of a moment, and what is known of its past after that moment.
//!
//! Laws
//! - A moment is reached exactly or refused, with the nearest ones that can be had: nothing is left out silently.
//! - The log of a later backup tells better than a clock what had happened by a moment. What a store did between a backup
//!   and its loss nobody knows.
//! - A moment between two backups has the files of both: what lived then is in the older one or in the log since.
//! - Where it is not known what changed after the moment, everything is taken for changed.

use super::description::{Copied, Description};
use super::folder::{Folder, Known};
use super::history::{Reached, reach, told_later};
use crate::error::{Error, Result};
use crate::log::{Cut, HistorySegment, Image, LogNumbers, Sealed, StoreFile};
use crate::ops::{Later, long_jump};
use crate::types::{Lsn, MessageNo};
use std::path::PathBuf;

/// Numbers that the segments of a restored store leave free for those of its past.
const SEGMENTS_JUMP: u32 = 1 << 16;

/// A moment that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// That of the newest backup.
    Newest,
    /// Milliseconds since 1970.
    At(u64),
}

/// A file of the store to be, and where its bytes are.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) file: StoreFile,
    pub(super) from: PathBuf,
    /// What is known of the copy: it may have more than the file, and all of it is compared.
    pub(super) copy: Known,
    /// Comes behind the bytes of the copy: they are fewer by that.
    pub(super) tail: Vec<u8>,
}

impl Planned {
    /// How much of the file is in the copy.
    pub(super) fn copied_bytes(&self) -> u64 {
        self.file.bytes.saturating_sub(self.tail.len() as u64)
    }
}

/// How to make the store of a moment.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The backup it rests on.
    pub backup: String,
    /// The newest backup that was looked at.
    pub newest: String,
    /// Of its newest group.
    pub lsn: Lsn,
    pub time_ms: u64,
    pub later: Later,
    /// The moment lies between two backups.
    pub is_between: bool,
    pub(super) image: Image,
    pub(super) files: Vec<Planned>,
    /// What was not there, or not all of it, when the backup was taken.
    pub missing: Vec<String>,
    /// Where its groups go on.
    pub(super) next_lsn: Lsn,
}

/// Plans the store of a moment.
pub fn plan(folder: &Folder, moment: Moment) -> Result<Plan> {
    plan_up_to(folder, moment, None)
}

/// The same, as if there were no backup after the one named.
pub(super) fn plan_up_to(folder: &Folder, moment: Moment, newest: Option<&str>) -> Result<Plan> {
    let mut backups: Vec<&Description> = folder.backups().iter().collect();
    if let Some(newest) = newest {
        let at = backups.iter().position(|found| found.file_name() == newest);
        let at = at.ok_or_else(|| Error::NotPossible(format!("the backup {newest} is gone")))?;
        backups.truncate(at + 1);
    }
    let Some(newest) = backups.last().copied() else {
        return Err(Error::NotPossible(format!("there is no backup in {}", folder.dir().display())));
    };
    let chosen = match moment {
        Moment::Newest => Chosen::of(newest, backups.len())?,
        Moment::At(at_ms) => choose(folder, &backups, at_ms)?,
    };
    let after = backups.get(chosen.after..).unwrap_or_default();
    let later = told_later(folder, after, chosen.lsn)?;
    let mut image = chosen.image;
    let numbers = numbers(&backups)?;
    let sources = [Some(chosen.base), chosen.next];
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for file in image.files() {
        let named = format!("{}/{}", file.folder, file.name);
        let bytes = file.bytes;
        let planned = find(folder, &sources, chosen.sealed.as_ref(), file);
        match &planned {
            None => missing.push(format!("{named}: it was lost when the backup was taken")),
            Some(planned) if planned.file.bytes < bytes => {
                missing.push(format!("{named}: its end was lost when the backup was taken"));
            }
            Some(_) => {}
        }
        files.extend(planned);
    }
    image.set_numbers(numbers);
    let highest = backups.iter().map(|found| found.lsn).max().unwrap_or_default();
    Ok(Plan {
        backup: chosen.base.file_name(),
        newest: newest.file_name(),
        lsn: chosen.lsn,
        time_ms: chosen.time_ms,
        later,
        is_between: chosen.next.is_some(),
        image,
        files,
        missing,
        next_lsn: highest.past_loss(),
    })
}

struct Chosen<'a> {
    base: &'a Description,
    /// The next backup, when its log is needed too.
    next: Option<&'a Description>,
    image: Image,
    sealed: Option<Sealed>,
    lsn: Lsn,
    time_ms: u64,
    /// The backups from here on are later.
    after: usize,
}

impl<'a> Chosen<'a> {
    fn of(base: &'a Description, after: usize) -> Result<Self> {
        let (lsn, time_ms) = (base.lsn, base.time_ms);
        Ok(Self { base, next: None, image: base.image()?, sealed: None, lsn, time_ms, after })
    }
}

fn choose<'a>(folder: &Folder, backups: &[&'a Description], at_ms: u64) -> Result<Chosen<'a>> {
    let exact = backups.iter().rposition(|found| (found.time_ms..=found.as_of_ms).contains(&at_ms));
    let newest_before = exact.or_else(|| backups.iter().rposition(|found| found.as_of_ms <= at_ms));
    let before = newest_before.map_or(0, |at| at + 1);
    let Some(base) = newest_before.and_then(|at| backups.get(at)).copied() else {
        let earliest = backups.first().map_or(0, |found| found.time_ms);
        return Err(refuse(format!("the earliest moment in these backups is {}", show_time(earliest))));
    };
    // As of a backup nothing that was acknowledged is missing in it. Its moment may be told in whole seconds.
    let is_as_of = exact.is_some() || at_ms / 1000 == base.as_of_ms / 1000;
    let Some(next) = backups.get(before).copied() else {
        if is_as_of {
            return Chosen::of(base, before);
        }
        return Err(refuse(format!(
            "the newest backup is as of {}; leave --at away to restore that",
            show_time(base.as_of_ms)
        )));
    };
    match reach(folder, next, base.lsn, at_ms)? {
        Reached::Base => Chosen::of(base, before),
        Reached::Group(cut) => between(folder, base, next, &cut, before),
        Reached::Hole(_) | Reached::Lost(..) if is_as_of => Chosen::of(base, before),
        Reached::Hole(last) => Err(refuse_between(base, last, next.time_ms)),
        Reached::Lost(last, until_ms) => Err(refuse_between(base, last, until_ms)),
        Reached::Fork => {
            after_fork(folder, backups.get(..before - 1).unwrap_or_default(), next, at_ms, before)
        }
    }
}

/// The store of a moment after it had gone on from some older backup, or from a moment after one.
fn after_fork<'a>(
    folder: &Folder,
    older: &[&'a Description],
    next: &'a Description,
    at_ms: u64,
    after: usize,
) -> Result<Chosen<'a>> {
    for base in older.iter().rev().copied() {
        match reach(folder, next, base.lsn, at_ms)? {
            Reached::Fork => {}
            Reached::Group(cut) => return between(folder, base, next, &cut, after),
            Reached::Base => return Chosen::of(base, after),
            Reached::Hole(last) => return Err(refuse_between(base, last, next.time_ms)),
            Reached::Lost(last, until_ms) => return Err(refuse_between(base, last, until_ms)),
        }
    }
    Err(refuse(format!(
        "the transactions of that time are in no backup; the nearest moment after it is {}",
        show_time(next.time_ms)
    )))
}

fn refuse_between(base: &Description, last: Option<Cut>, until_ms: u64) -> Error {
    let from_ms = last.map_or(base.as_of_ms, |cut| cut.time_ms);
    refuse(format!(
        "the transactions of that time are in no backup; the nearest moments are {} and {}",
        show_time(from_ms),
        show_time(until_ms)
    ))
}

/// The store of a moment after `base`, with the log of `next`.
fn between<'a>(
    folder: &Folder,
    base: &'a Description,
    next: &'a Description,
    cut: &Cut,
    after: usize,
) -> Result<Chosen<'a>> {
    let (image, later) = (base.image()?, next.image()?);
    let seal = |open: HistorySegment| {
        let is_it = |copied: &&Copied| copied.file == open.file;
        let copied = base.files.iter().find(is_it).ok_or_else(|| {
            Error::NotPossible(format!("the backup {} lacks {}", base.file_name(), open.file.name))
        })?;
        Sealed::of(&*folder.disk, &folder.path_of(copied), base.store_id, &open)
    };
    let sealed = image.left_open(&later).map(seal).transpose()?;
    let image = image.at(&later, cut, sealed.as_ref());
    let (lsn, time_ms) = (cut.lsn, cut.time_ms);
    Ok(Chosen { base, next: Some(next), image, sealed, lsn, time_ms, after })
}

fn refuse(why: String) -> Error {
    Error::NotPossible(why)
}

/// Above those of every backup: of whatever history they are.
fn numbers(backups: &[&Description]) -> Result<LogNumbers> {
    let mut highest = LogNumbers::default();
    for backup in backups {
        let numbers = backup.image()?.numbers();
        highest.epoch = highest.epoch.max(numbers.epoch);
        highest.next_segment = highest.next_segment.max(numbers.next_segment);
        highest.highest_message = highest.highest_message.max(numbers.highest_message);
    }
    Ok(LogNumbers {
        epoch: highest.epoch.saturating_add(1),
        next_segment: highest.next_segment.saturating_add(SEGMENTS_JUMP),
        highest_message: MessageNo(long_jump(highest.highest_message.0)),
    })
}

/// The copy of a file, the longest of both backups. A file that was lost when the backup was taken has none, and one that
/// had lost its end is shorter: opening the store finds that.
fn find(
    folder: &Folder,
    sources: &[Option<&Description>],
    sealed: Option<&Sealed>,
    mut file: StoreFile,
) -> Option<Planned> {
    let files = sources.iter().flatten().flat_map(|source| &source.files);
    let same = files.filter(|copied| copied.file.folder == file.folder && copied.file.name == file.name);
    let copied = same.max_by_key(|copied| copied.file.bytes)?;
    let is_sealed = |sealed: &&Sealed| file.folder == "log" && sealed.file_name() == file.name;
    let tail = sealed.filter(is_sealed).map(|sealed| sealed.footer.clone()).unwrap_or_default();
    file.bytes = file.bytes.min(copied.file.bytes + tail.len() as u64);
    let copy = Known { bytes: copied.file.bytes, crc32: copied.crc32 };
    Some(Planned { from: folder.path_of(copied), copy, tail, file })
}

/// `2026-11-23 04:00:05 UTC`.
#[must_use]
pub fn show_time(ms: u64) -> String {
    let s = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let ((year, month, day), second) =
        (crate::types::civil::civil(s.div_euclid(86_400)), s.rem_euclid(86_400));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}
