//! Finds a source's format from its path, and opens it.

use super::eml::{DateParser, EmlReader, is_eml};
use super::maildir::{MaildirReader, is_maildir};
use super::mbox_read::MboxReader;
use super::{Format, Source};
use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Opens `path` as `format`, or as what it looks like.
pub fn open(path: &Path, format: Option<Format>, date: DateParser) -> anyhow::Result<Box<dyn Source>> {
    let shown = path.display();
    let metadata = fs::metadata(path).with_context(|| format!("reading {shown}"))?;
    let format = match format {
        Some(format) => format,
        None => detect(path)?,
    };
    Ok(match format {
        Format::Maildir if !is_maildir(path) => {
            bail!("{shown} is not a Maildir: it has no folders cur and new")
        }
        Format::Maildir => Box::new(MaildirReader::open(path)?),
        Format::Eml => Box::new(EmlReader::open(path, date)?),
        Format::Mbox | Format::Mboxo if metadata.is_dir() => bail!("{shown} is a folder, not an mbox file"),
        Format::Mbox | Format::Mboxo => {
            let position = Arc::new(AtomicU64::new(0));
            let input = open_file(path, Arc::clone(&position)).with_context(|| format!("reading {shown}"))?;
            Box::new(MboxReader::new(
                input,
                shown.to_string(),
                position,
                metadata.len(),
                format == Format::Mbox,
            )?)
        }
    })
}

/// What a path looks like.
pub fn detect(path: &Path) -> anyhow::Result<Format> {
    let shown = path.display();
    if path.is_dir() {
        if is_maildir(path) {
            return Ok(Format::Maildir);
        }
        let mut entries = fs::read_dir(path).with_context(|| format!("reading {shown}"))?;
        if entries.any(|entry| entry.is_ok_and(|entry| is_eml(&entry.path()))) {
            return Ok(Format::Eml);
        }
        bail!("{shown} is neither a Maildir (no cur and new) nor a folder of .eml files");
    }
    if is_eml(path) {
        return Ok(Format::Eml);
    }
    let mut input = open_file(path, Arc::default()).with_context(|| format!("reading {shown}"))?;
    let head = input.fill_buf().with_context(|| format!("reading {shown}"))?;
    if head.trim_ascii_start().starts_with(b"From ") || head.is_empty() {
        return Ok(Format::Mbox);
    }
    bail!("cannot tell what {shown} is (no `From ` line at its start); say --format");
}

/// Opens a file, decompressing it where it is gzip. `position` counts the file's own bytes.
fn open_file(path: &Path, position: Arc<AtomicU64>) -> std::io::Result<Box<dyn BufRead + Send>> {
    let counted = Counted { file: File::open(path)?, position };
    let mut input = BufReader::with_capacity(128 * 1024, counted);
    if input.fill_buf()?.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::with_capacity(128 * 1024, MultiGzDecoder::new(input))));
    }
    Ok(Box::new(input))
}

struct Counted {
    file: File,
    position: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(out)?;
        self.position.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;

    const MBOX: &str = "From a@b Wed Jan  2 18:55:00 2002\nA: 1\n\n";

    fn count(path: &Path) -> usize {
        let mut source = open(path, None, |_| None).unwrap();
        std::iter::from_fn(|| source.next().unwrap()).count()
    }

    #[test]
    fn each_format_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("plain"), MBOX).unwrap();
        let mut gzip =
            flate2::write::GzEncoder::new(File::create(at("packed")).unwrap(), flate2::Compression::fast());
        gzip.write_all(MBOX.repeat(3).as_bytes()).unwrap();
        gzip.finish().unwrap();
        fs::create_dir_all(at("maildir/cur")).unwrap();
        fs::create_dir_all(at("maildir/new")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        fs::write(at("folder/1.eml"), "From a@b Wed Jan  2 18:55:00 2002\nA: 1\n").unwrap();
        fs::create_dir(at("nothing")).unwrap();
        fs::write(at("prose"), "Dear reader").unwrap();

        assert_eq!(count(&at("plain")), 1);
        assert_eq!(count(&at("packed")), 3);
        assert_eq!(detect(&at("maildir")).unwrap(), Format::Maildir);
        assert_eq!(detect(&at("folder")).unwrap(), Format::Eml);
        assert_eq!(detect(&at("folder/1.eml")).unwrap(), Format::Eml);
        for bad in ["nothing", "prose", "absent"] {
            assert!(open(&at(bad), None, |_| None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cut_gzip_is_an_error_and_no_message() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.gz");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(MBOX.as_bytes()).unwrap();
        let bytes = gzip.finish().unwrap();
        fs::write(&path, &bytes[..bytes.len() - 6]).unwrap();
        let mut source = open(&path, Some(Format::Mbox), |_| None).unwrap();
        assert!(source.next().is_err());
    }
}
