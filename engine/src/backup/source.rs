//! A backup opened as a store, in memory.
//!
//! Law: nothing is written to the backup; what opening makes of it is gone with it.

use super::folder::Folder;
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::log::{Log, LogOptions, Opened};
use crate::ops::{Store, StoreOptions};
use crate::scrub::ScrubOptions;
use crate::sys::clock::SystemClock;
use crate::sys::disk::Disk;
use crate::sys::overlay::Overlay;
use std::path::Path;
use std::sync::Arc;

/// Above the mailboxes that came back from a backup.
pub const RESTORED: &str = "Restored";
/// Where the store is, in the overlay.
const DIR: &str = "/backup";
/// Little is written while it is read.
const SEGMENT_BYTES: u64 = 1 << 20;

fn overlay(folder: &Folder, plan: &Plan) -> Result<Overlay> {
    let overlay = Overlay::new(folder.disk.clone());
    let dir = Path::new(DIR);
    overlay.create_dir_all(dir).map_err(|e| Error::io("opening a backup", e))?;
    for planned in &plan.files {
        let name = dir.join(&planned.file.folder).join(&planned.file.name);
        if planned.tail.is_empty() {
            overlay.show(&name, &planned.from, planned.file.bytes);
            continue;
        }
        let whole = || {
            let from = folder.disk.open_read(&planned.from)?;
            let mut bytes = vec![0; usize::try_from(planned.copied_bytes()).unwrap_or(0)];
            from.read_exact_at(&mut bytes, 0)?;
            bytes.extend_from_slice(&planned.tail);
            overlay.create_dir_all(&dir.join(&planned.file.folder))?;
            overlay.create(&name)?.write_all_at(&bytes, 0)
        };
        whole().map_err(|e| Error::io(format!("reading {}", planned.from.display()), e))?;
    }
    plan.image.write(&overlay, dir, 0)?;
    Ok(overlay)
}

fn log_options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES, reserve_segments: 0, ..LogOptions::default() }
}

pub(super) fn open_log(folder: &Folder, plan: &Plan) -> Result<Opened> {
    Log::open(Arc::new(overlay(folder, plan)?), Arc::new(SystemClock), Path::new(DIR), log_options())
}

/// Opens the store of a moment for reading.
pub fn open_source(folder: &Folder, plan: &Plan) -> Result<Store> {
    let scrub = ScrubOptions { every_ms: 0, ..ScrubOptions::default() };
    let options = StoreOptions { log: log_options(), scrub, ..StoreOptions::default() };
    let (disk, clock) = (Arc::new(overlay(folder, plan)?), Arc::new(SystemClock));
    Store::open_restoring(disk, clock, Path::new(DIR), options, plan.next_lsn)
}
