//! Opening a view from its folder.
//!
//! Laws
//! - What the manifest does not name is a leftover of an interrupted step, and is removed.
//! - A view that cannot be believed is dropped whole, and begins anew: it is only a view. One that is
//!   merely out of reach (an I/O error) is left as it is.

use super::files;
use super::manifest::{Expect, Figures, Kind, Manifest, PartInfo};
use super::part::{OpenSegment, Part, segment_dir};
use super::snapshot::Shared;
use super::tail::{self, Reading, Tail, TailName};
use super::view::{TextView, Writer, figures};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl TextView {
    pub(super) fn open(
        shared: &Arc<Shared>,
        disk: &Arc<dyn Disk>,
        dir: PathBuf,
        expect: &Expect,
    ) -> Result<Self> {
        let writer = match load(disk, &dir, expect) {
            Ok(Some(writer)) => writer,
            Ok(None) => Writer::new(Manifest::new(expect, 1)),
            Err(Error::Corrupt { what, why }) => {
                tracing::warn!(account = expect.account.0, what, why, "a text view is made again");
                files::remove(&**disk, &dir)?;
                Writer::new(Manifest::new(expect, 1))
            }
            Err(error) => return Err(error),
        };
        let snapshot = RwLock::new(Arc::new(writer.snapshot(shared)));
        Ok(Self { shared: shared.clone(), disk: disk.clone(), dir, writer: Mutex::new(writer), snapshot })
    }
}

fn load(disk: &Arc<dyn Disk>, dir: &Path, expect: &Expect) -> Result<Option<Writer>> {
    let Some(manifest) = Manifest::read(&**disk, dir)? else { return Ok(None) };
    if let Some(why) = manifest.distrust(expect) {
        return Err(Error::corrupt("a text view", why));
    }
    let mut writer = Writer::new(manifest);
    writer.is_written = true;
    for part in &writer.manifest.parts {
        writer.parts.push(open_part(disk, dir, expect, part)?);
    }
    let number = writer.manifest.tail;
    if let Some(tail) = Tail::open(disk, dir, &name(expect, number), Reading::Open)? {
        for batch in tail.batches.iter() {
            writer.follow(batch);
        }
        let begins_below = tail.range().is_some_and(|(first, _)| first < writer.manifest.covered);
        if begins_below || writer.covered > expect.next_email {
            return Err(Error::corrupt("a text view", "its tail is of another moment"));
        }
        writer.tail = Some(tail);
    }
    remove_leftovers(&**disk, dir, &writer.manifest)?;
    Ok(Some(writer))
}

fn name(expect: &Expect, number: u32) -> TailName {
    TailName { store_id: expect.store_id, account: expect.account, number }
}

fn open_part(disk: &Arc<dyn Disk>, dir: &Path, expect: &Expect, info: &PartInfo) -> Result<Part> {
    match info.kind {
        Kind::Segment => {
            let open = OpenSegment::open(disk, segment_dir(dir, info.number))?;
            if open.emails.len() != u64::from(info.messages) {
                return Err(Error::corrupt("a segment of a text view", "it has another number of messages"));
            }
            Ok(Part::Segment(Arc::new(open)))
        }
        Kind::Tail => {
            let tail = Tail::open(disk, dir, &name(expect, info.number), Reading::Closed)?;
            let tail = tail.filter(|tail| tail.end == info.disk_bytes && tail.messages == info.messages);
            tail.map(Part::Tail).ok_or_else(|| Error::corrupt("a closed tail", "it is lost or too short"))
        }
    }
}

fn remove_leftovers(disk: &dyn Disk, dir: &Path, manifest: &Manifest) -> Result<()> {
    let file_of = |number: u32| tail::path(Path::new(""), number).to_string_lossy().into_owned();
    let mut named = vec!["MANIFEST".to_owned(), file_of(manifest.tail)];
    named.extend(manifest.parts.iter().map(|part| match part.kind {
        Kind::Segment => part.number.to_string(),
        Kind::Tail => file_of(part.number),
    }));
    let names = disk.list(dir).map_err(|e| Error::io(format!("listing {}", dir.display()), e))?;
    names
        .iter()
        .filter(|name| !named.contains(name))
        .try_for_each(|name| files::remove(disk, &dir.join(name)))
}

/// A view in numbers, without opening it; all zero where there is none that can be believed.
pub fn count(disk: &Arc<dyn Disk>, dir: &Path, expect: &Expect) -> Result<Figures> {
    let manifest = match Manifest::read(&**disk, dir) {
        Ok(Some(manifest)) if manifest.distrust(expect).is_none() => manifest,
        Ok(_) | Err(Error::Corrupt { .. }) => return Ok(Figures::default()),
        Err(error) => return Err(error),
    };
    let tail = Tail::open(disk, dir, &name(expect, manifest.tail), Reading::Count)?;
    let unreadable = tail.iter().flat_map(|tail| tail.batches.iter()).map(|batch| batch.unreadable.len());
    let unreadable = manifest.unreadable.len() + unreadable.sum::<usize>();
    Ok(figures(&manifest.parts, tail.as_ref(), unreadable))
}
