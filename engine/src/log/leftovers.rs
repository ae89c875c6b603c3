//! Files in the store's folders that its manifest does not name.
//!
//! Laws
//! - Only what is proved to be a leftover of the store's own is removed: a dropped segment that the manifest lists as one,
//!   one with nothing in it, one of which everything stands elsewhere too, a snapshot run while nothing is lost, room that was
//!   held back.
//! - A segment of the store's own that is none of these may have been away while the store did without it: it goes to
//!   quarantine/ whole, and is told.
//! - Whatever has no name that the store gives, or belongs to another store, is left alone. It is no reason not to open.

use super::cold::{self, End};
use super::locations::Locations;
use super::manifest::{Manifest, Segment};
use super::rebuild;
use super::reserve::Reserve;
use super::rewrite;
use super::segment::{self, HEADER_BYTES, Header, SegmentKind};
use super::shared::Shared;
use super::survey::survey;
use super::walk::{self, Expect, Reader};
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::SegmentId;
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(super) const KINDS: [SegmentKind; 3] = [SegmentKind::Log, SegmentKind::Body, SegmentKind::Cold];

/// A segment that nothing counts, and of which it is not known yet whether all of it stands elsewhere.
pub(super) type Waiting = Vec<(SegmentKind, SegmentId)>;

/// What is looked at.
pub(super) struct Leftovers<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) dir: &'a Path,
    pub(super) manifest: &'a Manifest,
    pub(super) reserve: &'a Reserve,
    /// What the manifest does not name may count all the same.
    pub(super) is_unsure: bool,
}

/// The segment that a file of this name is, if the store would name it so.
pub(super) fn segment_named(name: &str) -> Option<SegmentId> {
    rebuild::number_of(name).filter(|id| segment::file_name(*id) == name)
}

/// Whether the store names snapshot runs so.
pub(super) fn is_run_name(name: &str) -> bool {
    let Some((lsn, generation)) = name.strip_suffix(".run").and_then(|stem| stem.split_once('-')) else {
        return false;
    };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    lsn.len() == 16
        && lsn.bytes().all(is_hex)
        && !generation.is_empty()
        && generation.bytes().all(|byte| byte.is_ascii_digit())
}

impl Leftovers<'_> {
    /// Deals with what can be judged by the manifest alone. Returns the highest number a segment had, and what has to wait
    /// until it is known where each message lies.
    pub(super) fn sort_out(&self, told: &mut Vec<String>) -> Result<(u32, Waiting)> {
        for (id, doomed) in self.manifest.doomed.iter().filter(|(_, d)| d.end == End::Quarantined) {
            cold::quarantine_segment(&**self.disk, self.dir, doomed.kind, *id)?;
        }
        let is_named = |id| self.manifest.segments.contains_key(&id);
        let found = rebuild::find(&**self.disk, self.dir, &is_named)?;
        let mut waiting = Vec::new();
        for kind in KINDS {
            let counts: HashSet<String> =
                self.manifest.of(kind).map(|(id, _)| segment::file_name(id)).collect();
            let mut is_changed = false;
            for name in self.list(kind.folder())?.into_iter().filter(|name| !counts.contains(name)) {
                match segment_named(&name) {
                    Some(id) if found.is_foreign(self.manifest.store_id, kind, id) => {
                        self.leave(kind.folder(), &name)
                    }
                    Some(id) => match self.is_dead(kind, id) {
                        Ok(true) => {
                            self.remove(kind.folder(), &name)?;
                            is_changed = true;
                        }
                        Ok(false) => waiting.push((kind, id)),
                        // No file that can be opened.
                        Err(_) => self.leave(kind.folder(), &name),
                    },
                    None if kind == SegmentKind::Log && self.reserve.is_name(&name) => {}
                    None if kind == SegmentKind::Log && Reserve::is_left_over(&name) => {
                        self.remove(kind.folder(), &name)?;
                    }
                    None => self.leave(kind.folder(), &name),
                }
            }
            if is_changed {
                self.sync(kind.folder())?;
            }
        }
        self.runs(told)?;
        Ok((found.highest, waiting))
    }

    /// Whether the manifest says that it was dropped, or nothing is in it.
    fn is_dead(&self, kind: SegmentKind, id: SegmentId) -> io::Result<bool> {
        let file: Arc<dyn File> = Arc::from(self.disk.open(&segment::path(self.dir, kind, id))?);
        let len = file.len_bytes()?;
        if self.is_unsure {
            return Ok(false);
        }
        if self.manifest.doomed.get(&id).is_some_and(|d| d.kind == kind && d.end == End::Unlinked) {
            return Ok(true);
        }
        let mut header = [0; HEADER_BYTES];
        let is_ours = file.read_exact_at(&mut header, 0).is_ok() && Header::decode(&header).is_ok();
        let from = if is_ours { HEADER_BYTES as u64 } else { 0 };
        Ok(walk::content_end(&mut Reader::new(file, len), from).is_ok_and(|end| end <= from))
    }

    fn runs(&self, told: &mut Vec<String>) -> Result<()> {
        let sets = [&self.manifest.current_runs, &self.manifest.previous_runs];
        let counts: HashSet<&str> =
            sets.iter().flat_map(|set| &set.runs).map(|run| run.file.as_str()).collect();
        // With something lost, what an old run has may be wanted.
        let is_wanted = self.is_unsure || !self.manifest.damage.is_empty();
        for name in self.list("snapshots")?.iter().filter(|name| !counts.contains(name.as_str())) {
            if !is_run_name(name) || self.disk.open(&self.dir.join("snapshots").join(name)).is_err() {
                self.leave("snapshots", name);
            } else if is_wanted {
                self.quarantine("snapshots", name, told)?;
            } else {
                self.remove("snapshots", name)?;
            }
        }
        Ok(())
    }

    /// Judges the segments that had to wait.
    pub(super) fn settle(
        &self,
        waiting: &Waiting,
        locations: &Locations,
        told: &mut Vec<String>,
    ) -> Result<()> {
        for (kind, id) in waiting {
            let name = segment::file_name(*id);
            if !self.is_unsure && self.is_elsewhere(*kind, *id, locations) {
                self.remove(kind.folder(), &name)?;
                self.sync(kind.folder())?;
            } else {
                self.quarantine(kind.folder(), &name, told)?;
            }
        }
        Ok(())
    }

    /// Whether every message in it is read elsewhere, and every group stands in another segment.
    fn is_elsewhere(&self, kind: SegmentKind, id: SegmentId, locations: &Locations) -> bool {
        if kind == SegmentKind::Body {
            return false;
        }
        let expect = Expect { store_id: self.manifest.store_id, segment: id };
        let opened = self.disk.open(&segment::path(self.dir, kind, id));
        let Ok(survey) =
            opened.map_err(drop).and_then(|file| survey(Arc::from(file), kind, expect).map_err(drop))
        else {
            return false;
        };
        let (messages, totals) = (&survey.footer.messages, survey.footer.totals);
        let reaches_over = |s: &Segment| s.first_lsn <= totals.first_lsn && totals.last_lsn <= s.last_lsn;
        let is_held = match kind {
            SegmentKind::Log => totals.groups > 0 && self.manifest.of(kind).any(|(_, s)| reaches_over(s)),
            // One that was never finished has no footer.
            _ => !messages.is_empty() || survey.lost.is_none(),
        };
        is_held && messages.iter().all(|entry| locations.get(entry.message).is_some())
    }

    fn list(&self, folder: &str) -> Result<BTreeSet<String>> {
        let names = self.disk.list(&self.dir.join(folder)).map_err(|e| Error::io("listing the store", e))?;
        Ok(names.into_iter().collect())
    }

    fn leave(&self, folder: &str, name: &str) {
        tracing::warn!(name, folder, "a file that is none of this store's is left alone");
    }

    fn remove(&self, folder: &str, name: &str) -> Result<()> {
        let path = self.dir.join(folder).join(name);
        self.disk.remove_file(&path).map_err(|e| Error::io("removing a leftover", e))
    }

    fn sync(&self, folder: &str) -> Result<()> {
        self.disk.sync_dir(&self.dir.join(folder)).map_err(|e| Error::io("removing a leftover", e))
    }

    fn quarantine(&self, folder: &str, name: &str, told: &mut Vec<String>) -> Result<()> {
        let to = rewrite::free_name(&**self.disk, self.dir, name);
        let moved = || {
            self.disk.rename(&self.dir.join(folder).join(name), &to)?;
            self.disk.sync_dir(&self.dir.join("quarantine"))?;
            self.disk.sync_dir(&self.dir.join(folder))
        };
        moved().map_err(|e| Error::io("moving a leftover", e))?;
        let kept = to.file_name().unwrap_or_default().to_string_lossy();
        told.push(format!("{folder}/{name} is not named by the manifest, and what is in it stands nowhere else: it is in quarantine/{kept}"));
        Ok(())
    }
}

/// The files in the folders of an open store that are none of its own, as `FOLDER/NAME`. Snapshots must not be written
/// meanwhile.
pub(super) fn strange(shared: &Shared) -> Result<Vec<String>> {
    let io = |e| Error::io("listing the store", e);
    let mut strange = Vec::new();
    for kind in KINDS {
        for name in shared.disk.list(&shared.dir.join(kind.folder())).map_err(io)? {
            let is_ours = match segment_named(&name) {
                Some(id) => is_ours(shared, kind, id),
                None => kind == SegmentKind::Log && Reserve::is_left_over(&name),
            };
            if !is_ours {
                strange.push(format!("{}/{name}", kind.folder()));
            }
        }
    }
    let names = shared.disk.list(&shared.dir.join("snapshots")).map_err(io)?;
    let manifest = shared.manifest.load_full();
    let sets = [&manifest.current_runs, &manifest.previous_runs];
    let counts = |name: &String| sets.iter().any(|set| set.runs.iter().any(|run| run.file == *name));
    // A backup may be reading those that counted when it began.
    let is_kept = |name: &String| counts(name) || (is_run_name(name) && shared.pins.are_held());
    strange.extend(names.iter().filter(|name| !is_kept(name)).map(|name| format!("snapshots/{name}")));
    Ok(strange)
}

/// Whether the segment counts, goes, or is just being made.
fn is_ours(shared: &Shared, kind: SegmentKind, id: SegmentId) -> bool {
    let manifest = shared.manifest.load_full();
    if manifest.kind(id) == Some(kind) {
        return true;
    }
    let mut header = [0; HEADER_BYTES];
    let read = shared.disk.open(&segment::path(&shared.dir, kind, id));
    let is_read = read.and_then(|file| file.read_exact_at(&mut header, 0)).is_ok();
    let foreign = |h: Header| h.store_id != shared.store_id || h.id != id || h.kind != kind;
    id.0 < manifest.next_segment && !(is_read && Header::decode(&header).is_ok_and(foreign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_store_gives_are_its_own() {
        assert_eq!(segment_named("17.seg"), Some(SegmentId(17)));
        for name in ["017.seg", "17.seg.bak", "17", "seg", "+17.seg", "notes.txt", "5000000000.seg"] {
            assert_eq!(segment_named(name), None, "{name}");
        }
        assert!(is_run_name("00000000000000ff-0.run"));
        for name in
            ["ff-0.run", "00000000000000FF-0.run", "00000000000000ff-.run", "00000000000000ff-0.run.old"]
        {
            assert!(!is_run_name(name), "{name}");
        }
    }
}
