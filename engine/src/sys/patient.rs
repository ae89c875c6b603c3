//! A disk that is asked again when it cannot read, and what can be read around a place that it never can.
//!
//! Laws
//! - A read that fails is tried once more before anybody hears of it: an error that passes costs nothing.
//! - The error says which file and which place, so that whoever reads it looks at the disk and not for a bug.
//! - Where a piece stays unreadable the others are read all the same. Its bytes are zeros, and it is named: who takes them for
//!   anything has to ask first.

use super::disk::{Disk, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the system reads, and so fails to read, at once.
const PIECE_BYTES: u64 = 4096;
/// First in pieces of this: one that is good needs no smaller ones.
const STRETCH_BYTES: u64 = 64 << 10;
/// With so many bad pieces in one reading the disk is too far gone to be asked for each: an attempt may take it seconds.
const SMALL_PIECES_MAX: usize = 256;

/// Whether the disk failed, rather than that there is nothing to read.
#[must_use]
pub fn is_unreadable(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let others = [Kind::UnexpectedEof, Kind::NotFound, Kind::PermissionDenied, Kind::OutOfMemory];
    !others.contains(&error.kind())
}

/// Another disk, asked patiently. Clones share it.
#[derive(Clone)]
pub struct Patient(Arc<dyn Disk>);

impl Patient {
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self(disk)
    }

    fn file(path: &Path, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(PatientFile { file, path: path.to_owned() })
    }
}

struct PatientFile {
    file: Box<dyn File>,
    path: PathBuf,
}

impl File for PatientFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let error = match self.file.read_exact_at(buf, offset) {
            Err(error) if is_unreadable(&error) => error,
            read => return read,
        };
        let path = self.path.display();
        match self.file.read_exact_at(buf, offset) {
            Err(e) if is_unreadable(&e) => {
                Err(io::Error::new(e.kind(), format!("{path}, offset {offset}: {e}")))
            }
            read => {
                // Nobody else hears of it.
                tracing::warn!(%path, offset, %error, "a read failed, and did not when it was tried again");
                read
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
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
        self.file.sync_data()
    }

    fn forget_cached(&self, bytes: Range<u64>) {
        self.file.forget_cached(bytes);
    }
}

impl Disk for Patient {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Self::file(path, self.0.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Self::file(path, self.0.open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Self::file(path, self.0.open_read(path)?))
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<Option<u64>> {
        self.0.free_bytes(dir)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.0.lock(path)
    }

    fn is_real(&self) -> bool {
        self.0.is_real()
    }
}

/// A range of a file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPiece {
    pub range: Range<u64>,
    pub why: String,
}

/// The pieces of one file that could not be read so far, in their order. They are not tried again.
#[derive(Debug, Clone, Default)]
pub struct BadPieces(Vec<BadPiece>);

impl BadPieces {
    /// Fills `buf` with what can be read, and with zeros where nothing can. Any error but the disk's own is one.
    pub fn read(&mut self, file: &dyn File, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let whole = offset..offset + buf.len() as u64;
        if self.within(&whole).is_none() {
            match file.read_exact_at(buf, offset) {
                Err(e) if is_unreadable(&e) => {}
                read => return read,
            }
        }
        let mut found = 0;
        self.each(file, buf, offset, STRETCH_BYTES, &mut found)
    }

    fn each(
        &mut self,
        file: &dyn File,
        buf: &mut [u8],
        offset: u64,
        piece_bytes: u64,
        found: &mut usize,
    ) -> io::Result<()> {
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let next = (at / piece_bytes + 1) * piece_bytes;
            let len = usize::try_from(next - at).unwrap_or(usize::MAX).min(rest.len());
            let (piece, others) = rest.split_at_mut(len);
            let range = at..at + len as u64;
            let is_small = piece_bytes <= PIECE_BYTES;
            if is_small && self.within(&range).is_some() {
                piece.fill(0);
            } else {
                match file.read_exact_at(piece, at) {
                    Err(e) if !is_unreadable(&e) => return Err(e),
                    Err(e) if is_small || *found >= SMALL_PIECES_MAX => {
                        piece.fill(0);
                        *found += 1;
                        self.add(BadPiece { range, why: e.to_string() });
                    }
                    Err(_) => self.each(file, piece, at, PIECE_BYTES, found)?,
                    Ok(()) => {}
                }
            }
            (at, rest) = (at + len as u64, others);
        }
        Ok(())
    }

    fn add(&mut self, bad: BadPiece) {
        let at = self.0.partition_point(|one| one.range.start <= bad.range.start);
        match at.checked_sub(1).and_then(|before| self.0.get_mut(before)) {
            Some(before) if before.range.end >= bad.range.start => {
                before.range.end = before.range.end.max(bad.range.end);
            }
            _ => self.0.insert(at, bad),
        }
    }

    /// The first that lies in the range, or reaches into it.
    #[must_use]
    pub fn within(&self, range: &Range<u64>) -> Option<&BadPiece> {
        let first = self.0.partition_point(|bad| bad.range.end <= range.start);
        self.0.get(first).filter(|bad| bad.range.start < range.end && !range.is_empty())
    }

    /// In words for who has a copy with zeros in their place, a line each; empty when there are none.
    #[must_use]
    pub fn note(&self) -> String {
        let line = |bad: &BadPiece| {
            let (at, bytes) = (bad.range.start, bad.range.end - bad.range.start);
            format!("offset {at}, {bytes} bytes: zeros here, they could not be read: {}\n", bad.why)
        };
        self.0.iter().map(line).collect()
    }

    #[must_use]
    pub fn all(&self) -> &[BadPiece] {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::sim::{FaultKind, SimDisk};

    fn made(bytes: usize) -> (SimDisk, Patient) {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/s")).unwrap();
        let content: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8 | 1).collect();
        disk.create(Path::new("/s/a")).unwrap().write_all_at(&content, 0).unwrap();
        let patient = Patient::new(Arc::new(disk.clone()));
        (disk, patient)
    }

    #[test]
    fn an_error_that_passes_is_not_heard_of() {
        let (disk, patient) = made(100);
        let file = patient.open(Path::new("/s/a")).unwrap();
        disk.fail_after(FaultKind::ReadEio, 0);
        let mut buf = [0; 100];
        file.read_exact_at(&mut buf, 0).unwrap();
        assert!(buf.iter().all(|b| *b != 0));
        let ends = file.read_exact_at(&mut buf, 1).unwrap_err();
        assert_eq!(ends.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn around_a_bad_place_everything_is_read_and_it_is_named() {
        let (disk, patient) = made(300_000);
        disk.bad_sector(Path::new("/s/a"), 70_000, 512);
        disk.bad_sector(Path::new("/s/a"), 200_000, 10_000);
        let file = patient.open(Path::new("/s/a")).unwrap();
        let mut bad = BadPieces::default();
        let mut buf = vec![9; 299_990];
        bad.read(&*file, &mut buf, 10).unwrap();
        let ranges: Vec<Range<u64>> = bad.all().iter().map(|bad| bad.range.clone()).collect();
        assert_eq!(ranges, [69_632..73_728, 196_608..212_992]);
        assert!(bad.all()[0].why.starts_with("/s/a, offset 69632: "), "{:?}", bad.all());
        for (i, byte) in buf.iter().enumerate() {
            let at = i as u64 + 10;
            assert_eq!(*byte == 0, ranges.iter().any(|range| range.contains(&at)), "byte {at}");
        }
        assert!(bad.within(&(73_728..196_608)).is_none());
        assert!(bad.within(&(0..69_633)).is_some() && bad.within(&(212_991..300_000)).is_some());
        // What is written anew can be read again.
        disk.open(Path::new("/s/a")).unwrap().write_all_at(&[1; 4096], 69_632).unwrap();
        let mut again = BadPieces::default();
        again.read(&*file, &mut buf[..100_000], 10).unwrap();
        assert!(again.all().is_empty());
    }
}
