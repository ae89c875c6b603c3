//! Snapshot runs: the catalog's rows that changed since the last run, durable beside the log, so that
//! old transactions may go and a lost catalog comes back without all of history.
//!
//! Laws
//! - A run is made from the catalog right after a checkpoint, so all of it is as of one group.
//! - A set is a list of runs, newest first; the MANIFEST names the two newest sets. A transaction is
//!   dead only once both cover it, so losing the newest run loses nothing.
//!   What is asked for proof is the run's file, never the list.
//! - Runs are merged size-tiered: a run is at least twice as large as the next newer one.
//! - A set that rests on a run found lost or damaged is not added to: the next run holds every row.

use super::checkpoint::ChangedKeys;
use super::core::Core;
use crate::catalog::{Catalog, Change, Kind, ObjectKey};
use crate::error::{Error, Result};
use crate::log::run::{Covers, RunReader, RunWriter, merge};
use crate::log::{Log, RunInfo, RunSet};
use crate::types::Lsn;
use std::path::PathBuf;

fn folder(core: &Core) -> PathBuf {
    core.log.dir().join("snapshots")
}

/// Writes a run of the changed rows as of `lsn`, the catalog's mark, and makes it count; with `whole`
/// a run of every row, which needs none of the older ones.
pub fn write_run(core: &Core, lsn: Lsn, changed: &mut ChangedKeys, whole: bool) -> Result<()> {
    if core.log.is_poisoned() {
        // Perhaps a manifest failed that is on the disk all the same: a run that it names must stay as it is.
        return Err(Error::Poisoned);
    }
    let (current, previous) = core.log.manifest_runs();
    if !whole && (changed.is_empty() || lsn <= current.as_of) {
        return Ok(());
    }
    // The store's own row changes with every checkpoint.
    changed.insert(ObjectKey::Store);
    let known = |file: &String| current.runs.iter().chain(&previous.runs).any(|run| run.file == *file);
    let mut names = (0..).map(|generation| file_name(lsn, generation)).filter(|file| !known(file));
    let file = names.next().unwrap_or_default();
    let covers = if whole { Covers::Whole } else { Covers::Since(current.as_of) };
    let mut writer = RunWriter::create(core.log.disk(), &folder(core).join(&file), lsn, covers)?;
    if whole {
        put_all_rows(core, &mut writer)?;
    } else {
        for key in changed.iter() {
            let row = core.catalog.get(key)?;
            let value = row.as_ref().map(|row| row.bytes.as_slice());
            writer.put(&key.to_bytes(), row.as_ref().map_or(lsn, |row| row.as_of), value)?;
        }
    }
    let finished = writer.finish()?;
    let mut runs = vec![RunInfo { file, as_of_lsn: lsn, bytes: finished.bytes, objects: finished.objects }];
    if !whole {
        runs.extend(current.runs.iter().cloned());
    }
    let runs = merge_tiers(core, runs, &mut names)?;
    core.log.install_runs(RunSet { as_of: lsn, runs })?;
    changed.clear();
    Ok(())
}

fn put_all_rows(core: &Core, writer: &mut RunWriter) -> Result<()> {
    for kind in [Kind::Store, Kind::Account, Kind::Mailbox, Kind::Chunk, Kind::DeliveryKeys] {
        core.catalog
            .scan_kind(kind, &mut |key, row| writer.put(&key.to_bytes(), row.as_of, Some(&row.bytes)))?;
    }
    Ok(())
}

/// Whether the files of a set are there; with `deep` every byte of them is compared with its checksum.
pub fn is_intact(log: &Log, set: &RunSet, deep: bool) -> bool {
    set.runs.iter().all(|run| {
        let read = RunReader::open(log.disk(), &log.dir().join("snapshots").join(&run.file));
        let proved = read.and_then(|reader| if deep { reader.verify() } else { Ok(()) });
        if let Err(error) = &proved {
            tracing::error!(%error, "a snapshot run is lost or damaged; the next one will hold every row");
        }
        proved.is_ok()
    })
}

/// Merges newest runs until each is at least twice as large as the next newer one.
fn merge_tiers(
    core: &Core,
    mut runs: Vec<RunInfo>,
    names: &mut dyn Iterator<Item = String>,
) -> Result<Vec<RunInfo>> {
    while let [newer, older, ..] = runs.as_slice() {
        if older.bytes >= newer.bytes.saturating_mul(2) {
            break;
        }
        let file = names.next().unwrap_or_default();
        let readers = [newer, older]
            .into_iter()
            .map(|run| RunReader::open(core.log.disk(), &folder(core).join(&run.file)))
            .collect::<Result<Vec<_>>>()?;
        let is_oldest = runs.len() == 2;
        // The oldest one is merged with nothing below: with it every object is there.
        let covers = match readers.last().and_then(RunReader::covers) {
            Some(covers) => covers,
            None if is_oldest => Covers::Whole,
            None => Covers::Since(runs.get(2).map_or(Lsn(0), |below| below.as_of_lsn)),
        };
        let path = folder(core).join(&file);
        let mut writer = RunWriter::create(core.log.disk(), &path, newer.as_of_lsn, covers)?;
        merge(&readers, &mut |key, as_of, value| {
            // Below the oldest run nothing is left that a removal could hide.
            if value.is_some() || !is_oldest { writer.put(key, as_of, value) } else { Ok(()) }
        })?;
        let finished = writer.finish()?;
        let as_of_lsn = newer.as_of_lsn;
        let merged = RunInfo { file, as_of_lsn, bytes: finished.bytes, objects: finished.objects };
        runs.splice(0..2, [merged]);
    }
    Ok(runs)
}

fn file_name(as_of: Lsn, generation: u32) -> String {
    format!("{:016x}-{generation}.run", as_of.0)
}

/// Why a set of runs did not fill the catalog.
pub enum NotLoaded {
    /// A run is damaged, or gone, or does not let itself be read.
    Set(Error),
    /// The catalog takes nothing: that says nothing of the set.
    Catalog(Error),
}

/// Fills an empty catalog from a set of runs. An error leaves the catalog to be emptied again.
pub fn load(log: &Log, catalog: &Catalog, set: &RunSet) -> std::result::Result<(), NotLoaded> {
    const BATCH: usize = 256;
    let dir = log.dir().join("snapshots");
    let opened = set.runs.iter().map(|run| RunReader::open(log.disk(), &dir.join(&run.file)));
    let readers = opened.collect::<Result<Vec<_>>>().map_err(NotLoaded::Set)?;
    let mut batch = Vec::new();
    let mut refused = None;
    let mut put = |batch: &mut Vec<Change>| match catalog.put_all(std::mem::take(batch)) {
        Ok(()) => Ok(()),
        Err(error) => {
            refused = Some(error);
            // Ends the reading; what counts is the other one.
            Err(Error::Interrupted)
        }
    };
    let mut merged = merge(&readers, &mut |key, as_of, value| {
        let Some(value) = value else { return Ok(()) };
        batch.push((ObjectKey::from_bytes(key)?, as_of, Some(value.to_vec())));
        if batch.len() >= BATCH { put(&mut batch) } else { Ok(()) }
    });
    if merged.is_ok() {
        merged = put(&mut batch);
    }
    match refused {
        Some(error) => Err(NotLoaded::Catalog(error)),
        None => merged.map_err(NotLoaded::Set),
    }
}
