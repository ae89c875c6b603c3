//! Bytes that rot: among all files of a store.

use crate::common::Rng;
use crate::stored::DIR;
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use std::path::{Path, PathBuf};

/// The files that hold what was acknowledged.
pub fn files(disk: &SimDisk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["log", "bodies", "cold", "snapshots"] {
        let dir = Path::new(DIR).join(folder);
        let names = disk.list(&dir).unwrap();
        files.extend(names.iter().filter(|name| !name.starts_with("reserve")).map(|name| dir.join(name)));
    }
    let names = disk.list(Path::new(DIR)).unwrap();
    let is_listing = |name: &&String| name.starts_with("MANIFEST") || name.starts_with("FORMAT");
    files.extend(names.iter().filter(is_listing).map(|name| Path::new(DIR).join(name)));
    files
}

fn len(disk: &SimDisk, file: &Path) -> u64 {
    disk.open(file).unwrap().len_bytes().unwrap()
}

/// Damages one file somehow; says how.
pub fn rot(disk: &SimDisk, rng: &mut Rng) -> String {
    let files = files(disk);
    let file = rng.pick(&files).unwrap().clone();
    let (len, name) = (len(disk, &file), file.display().to_string());
    let at = rng.next() % len.max(1);
    // Where not even one copy can be read the store is not opened.
    let is_top = file.parent() == Some(Path::new(DIR));
    match rng.below(12) {
        0 => {
            disk.remove_file(&file).unwrap();
            disk.sync_dir(file.parent().unwrap()).unwrap();
            format!("{name} removed")
        }
        1 => {
            let opened = disk.open(&file).unwrap();
            opened.truncate(at).unwrap();
            opened.sync_data().unwrap();
            format!("{name} truncated to {at} of {len}")
        }
        2 | 3 => {
            let count = (1 + rng.next() % 2000).min(len - at);
            let opened = disk.open(&file).unwrap();
            opened.write_all_at(&vec![0; count as usize], at).unwrap();
            opened.sync_data().unwrap();
            format!("{count} zeroes at {at} of {len} of {name}")
        }
        4 | 5 if !is_top => {
            let (at, count) = (at / 512 * 512, 512 * (1 + rng.next() % 4));
            assert!(disk.bad_sector(&file, at, count));
            format!("{count} bytes at {at} of {len} of {name} cannot be read")
        }
        _ => {
            let bit = rng.below(8) as u8;
            assert!(disk.flip_bit(&file, at, bit));
            format!("bit {bit} of byte {at} of {len} of {name}")
        }
    }
}
