//! Reading backups back.
//!
//! Laws
//! - Every byte that any description names is read and compared with its CRC32.
//! - The newest backup is opened as a store (in memory), and every group, record and message in it compared with its
//!   own checksums and digests: damage that was copied is found too.

use super::copy::{crc_of, is_of_unreadable};
use super::folder::Folder;
use super::plan::{Moment, plan};
use super::source::open_log;
use crate::error::{Error, Result};
use crate::work::{Unit, Work};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What verifying found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    pub backups: u64,
    pub files: u64,
    pub bytes: u64,
    pub messages: u64,
    /// Empty: all is well.
    pub findings: Vec<String>,
}

/// Reads everything.
pub fn verify(folder: &Folder, work: &mut Work<'_>) -> Result<Verified> {
    let mut verified = Verified { backups: folder.backups().len() as u64, ..Verified::default() };
    let unreadable = folder.unreadable().iter();
    verified.findings.extend(unreadable.map(|name| format!("backups/{name}: it cannot be read")));
    // One copy at its various lengths.
    let mut wanted: BTreeMap<_, BTreeSet<(u64, u32)>> = BTreeMap::new();
    for copied in folder.backups().iter().flat_map(|found| &found.files) {
        wanted.entry(folder.path_of(copied)).or_default().insert((copied.file.bytes, copied.crc32));
    }
    let longest = |lengths: &BTreeSet<(u64, u32)>| lengths.last().map_or(0, |(bytes, _)| *bytes);
    let total: u64 = wanted.values().map(longest).sum();
    for (path, lengths) in &wanted {
        verified.files += 1;
        if is_of_unreadable(path) {
            let what = format!("{}: its file could not be read whole when it was copied", path.display());
            verified.findings.push(what);
        }
        let file = match folder.disk.open_read(path) {
            Ok(file) => file,
            Err(error) => {
                verified.findings.push(format!("{}: {error}", path.display()));
                continue;
            }
        };
        for (bytes, crc32) in lengths {
            let is_longest = *bytes == longest(lengths);
            let done = &mut verified.bytes;
            let found = crc_of(&*file, *bytes, &mut |more| {
                *done += if is_longest { more } else { 0 };
                work.step("reading the copies", *done, total, Unit::Bytes)
            });
            match found {
                Ok(found) if found == *crc32 => {}
                Ok(_) => verified.findings.push(format!("{}: its bytes changed", path.display())),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => verified.findings.push(format!("{}: {error}", path.display())),
            }
        }
    }
    if verified.findings.is_empty() && !folder.backups().is_empty() {
        inside(folder, &mut verified, work)?;
    }
    Ok(verified)
}

/// What the newest backup holds, by its own checksums.
fn inside(folder: &Folder, verified: &mut Verified, work: &mut Work<'_>) -> Result<()> {
    let newest = plan(folder, Moment::Newest)?;
    let opened = open_log(folder, &newest)?;
    for damage in &opened.report.damage {
        verified.findings.push(format!("the store was damaged when it was copied: {}", damage.what));
    }
    let findings = &mut verified.findings;
    let totals = opened.log.scan_all(true, work, &mut |finding| {
        findings.push(format!("segment {} at {}: {}", finding.segment, finding.offset, finding.what));
    })?;
    verified.messages = totals.messages;
    let (current, previous) = opened.log.manifest_runs();
    for set in [current, previous] {
        if !crate::txn::snapshot::is_intact(&opened.log, &set, true) {
            verified.findings.push(format!("the snapshot as of {} is damaged", set.as_of));
        }
    }
    Ok(())
}
