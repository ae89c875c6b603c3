//! A folder of `.eml` files, one message each, read in the order of their names.
//!
//! INTERNALDATE is the Date header's when it has one (an unpacked archive or a checkout says
//! nothing by its file times), else the file's modification time.

use super::maildir::read_file;
use super::sidecar::Place;
use super::sink::{Outgoing, Put, Sink, set_modified, sync_folder};
use super::{Incoming, Source, Total};
use anyhow::Context;
use engine::types::ZonedTime;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Reads the date of a Date header's value.
pub type DateParser = fn(&[u8]) -> Option<ZonedTime>;

/// True for a name that ends in `.eml`.
#[must_use]
pub fn is_eml(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("eml"))
}

pub struct EmlReader {
    files: VecDeque<PathBuf>,
    date: DateParser,
    total_files: u64,
    done_files: u64,
}

impl EmlReader {
    /// `path` is a folder, or one message's file.
    pub fn open(path: &Path, date: DateParser) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        if path.is_dir() {
            for entry in fs::read_dir(path).with_context(|| format!("reading {}", path.display()))? {
                let file = entry.with_context(|| format!("reading {}", path.display()))?.path();
                if is_eml(&file) && file.is_file() {
                    files.push(file);
                }
            }
            files.sort();
        } else {
            files.push(path.to_owned());
        }
        Ok(Self { total_files: files.len() as u64, files: files.into(), date, done_files: 0 })
    }
}

impl Source for EmlReader {
    fn next(&mut self) -> anyhow::Result<Option<Incoming>> {
        let Some(path) = self.files.pop_front() else { return Ok(None) };
        let (body, modified) = read_file(&path)?;
        self.done_files += 1;
        let internal_date = date_header(body.head()).and_then(self.date).or(modified);
        let at = Place::File(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        Ok(Some(Incoming { body, flags: Vec::new(), internal_date, at, origin: path.display().to_string() }))
    }

    fn position(&self) -> u64 {
        self.done_files
    }

    fn total(&self) -> Total {
        Total::Files(self.total_files)
    }
}

/// The value of the first Date field, on its first line.
fn date_header(head: &[u8]) -> Option<&[u8]> {
    for line in head.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        if let Some((name, value)) = line.split_at_checked(5)
            && name.eq_ignore_ascii_case(b"Date:")
        {
            return Some(value.trim_ascii());
        }
    }
    None
}

/// Writes `UID.eml` files into a new folder. Flags have no place in them.
pub struct EmlWriter {
    root: PathBuf,
    lf: bool,
}

impl EmlWriter {
    pub fn create(root: &Path, lf: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
        Ok(Self { root: root.to_owned(), lf })
    }
}

impl Sink for EmlWriter {
    fn put(&mut self, message: Outgoing<'_>) -> anyhow::Result<Put> {
        let name = format!("{:010}.eml", message.uid.0);
        let path = self.root.join(&name);
        let mut write = || -> io::Result<()> {
            let mut file = BufWriter::new(File::create_new(&path)?);
            message.body.write_to(&mut file, self.lf)?;
            file.flush()?;
            set_modified(file.get_ref(), message.internal_date)
        };
        write().with_context(|| format!("writing {}", path.display()))?;
        Ok(Put { at: Place::File(name), left_out: message.flags.to_vec() })
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        sync_folder(&self.root)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seventh(value: &[u8]) -> Option<ZonedTime> {
        (value == b"the seventh").then_some(ZonedTime::utc(7))
    }

    #[test]
    fn reads_in_order_of_names_with_the_date_header() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.eml"), "X: 1\r\n\r\nDate: the seventh\r\n").unwrap();
        fs::write(dir.path().join("a.EML"), "X: 1\r\ndate: the seventh\r\n\r\n").unwrap();
        fs::write(dir.path().join("c.txt"), "no message").unwrap();
        let mut reader = EmlReader::open(dir.path(), seventh).unwrap();
        assert_eq!(reader.total(), Total::Files(2));
        let first = reader.next().unwrap().unwrap();
        assert_eq!(first.internal_date, Some(ZonedTime::utc(7)));
        let second = reader.next().unwrap().unwrap();
        assert!(second.internal_date.unwrap().unix_s > 1_600_000_000);
        assert!(reader.next().unwrap().is_none());
    }
}
