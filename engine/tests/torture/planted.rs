//! Disks with a bug between the store and them: what a careless store would do. The torture has to see it.

use super::life::DIR;
use engine::sys::disk::{Disk, File};
use engine::sys::sim::SimDisk;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is left out or done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Groups are acknowledged without their `fdatasync`.
    NoLogSync,
    /// Large messages are committed without having been synced.
    NoBodySync,
    /// New names in the log's folder are never made durable.
    NoFolderSync,
    /// The manifest is renamed into place before its bytes are durable.
    ManifestUnsynced,
    /// A failed sync is taken for a good one.
    SyncErrorIgnored,
    /// A write that failed is taken for a good one.
    ShortWriteIgnored,
    /// The name of the new manifest is never made durable.
    ManifestNeverDurable,
    /// A sync that finds another thread's under way, of whatever file, takes it for its own.
    SyncOfAnother,
    /// Of the syncs of the log's files each twelfth is left out.
    OneSyncInTwelve,
}

pub struct Planted {
    disk: SimDisk,
    bug: Bug,
    syncs: Arc<Syncs>,
}

#[derive(Default)]
struct Syncs {
    under_way: AtomicU64,
    asked: AtomicU64,
}

pub fn plant(disk: &SimDisk, bug: Bug) -> Arc<dyn Disk> {
    Arc::new(Planted { disk: disk.clone(), bug, syncs: Arc::default() })
}

struct PlantedFile {
    file: Box<dyn File>,
    /// The bug, where this is the kind of file that it is about.
    bug: Option<Bug>,
    syncs: Arc<Syncs>,
}

impl PlantedFile {
    fn sync_unless_another_does(&self) -> io::Result<()> {
        if self.syncs.under_way.fetch_add(1, Ordering::SeqCst) > 0 {
            self.syncs.under_way.fetch_sub(1, Ordering::SeqCst);
            return Ok(());
        }
        // A sync takes its time; the simulated one takes none.
        std::thread::sleep(Duration::from_micros(200));
        let synced = self.file.sync_data();
        self.syncs.under_way.fetch_sub(1, Ordering::SeqCst);
        synced
    }
}

impl Planted {
    fn wrap(&self, path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        let within = |folder: &str| path.starts_with(Path::new(DIR).join(folder));
        let is_hit = match self.bug {
            Bug::NoLogSync => within("log"),
            Bug::NoBodySync => within("bodies"),
            Bug::ManifestUnsynced => path.ends_with("MANIFEST.new"),
            Bug::SyncErrorIgnored | Bug::ShortWriteIgnored | Bug::OneSyncInTwelve => within("log"),
            Bug::SyncOfAnother => true,
            Bug::NoFolderSync | Bug::ManifestNeverDurable => false,
        };
        Box::new(PlantedFile { file, bug: is_hit.then_some(self.bug), syncs: self.syncs.clone() })
    }
}

impl File for PlantedFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, offset);
        if self.bug == Some(Bug::ShortWriteIgnored) { Ok(()) } else { written }
    }

    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.truncate(len_bytes)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.file.allocate(len_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.bug {
            Some(Bug::NoLogSync | Bug::NoBodySync | Bug::ManifestUnsynced) => Ok(()),
            Some(Bug::SyncErrorIgnored) => {
                drop(self.file.sync_data());
                Ok(())
            }
            Some(Bug::SyncOfAnother) => self.sync_unless_another_does(),
            Some(Bug::OneSyncInTwelve) if self.syncs.asked.fetch_add(1, Ordering::SeqCst) % 12 == 11 => {
                Ok(())
            }
            _ => self.file.sync_data(),
        }
    }
}

impl Disk for Planted {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(path, self.disk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(self.wrap(path, self.disk.open(path)?))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let skipped = match self.bug {
            Bug::NoFolderSync => dir == Path::new(DIR).join("log"),
            Bug::ManifestNeverDurable => dir == Path::new(DIR),
            _ => false,
        };
        if skipped { Ok(()) } else { self.disk.sync_dir(dir) }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.disk.lock(path)
    }

    fn is_real(&self) -> bool {
        false
    }
}
