//! A tail: a file of batches, written at its end.
//!
//! Laws
//! - A batch is written whole behind the last good one; where a write failed, the next one begins at the
//!   same place.
//! - A closed tail is synced: a batch of it that is not as it was written is damage. In the open one
//!   everything from the first bad batch on was never promised to anybody, and is cut.

use super::batch::{Batch, HEAD_BYTES, Head};
use super::files;
use crate::codec::Encoder;
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::{AccountId, EmailId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub const FILE_HEAD_BYTES: usize = 40;
const MAGIC: &[u8; 8] = b"MCTEXTT1";
const WHAT: &str = "a tail of folded text";

/// Tells the open tails of this process apart, for what is kept of them in memory.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The file. Removed with its last user once it is doomed.
pub struct TailFile {
    pub id: u64,
    pub number: u32,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn File>,
    doomed: AtomicBool,
}

impl Drop for TailFile {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Relaxed)
            && let Err(error) = files::remove(&*self.disk, &self.path)
        {
            tracing::warn!(%error, "a tail that is not needed any more stays until the next start");
        }
    }
}

/// How much of a file is looked at when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It was closed, and so synced: nothing of it may be missing. Texts are looked at when asked for.
    Closed,
    /// It was open: every byte is looked at, and it ends before the first bad batch.
    Open,
    /// The lists only, as far as they go: to count.
    Count,
}

/// Which tail of whose.
#[derive(Debug, Clone, Copy)]
pub struct TailName {
    pub store_id: [u8; 16],
    pub account: AccountId,
    pub number: u32,
}

pub fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("tail-{number}"))
}

pub fn file_head(name: &TailName) -> Vec<u8> {
    let mut e = Encoder::with_capacity(FILE_HEAD_BYTES);
    e.raw(MAGIC);
    e.raw(&name.store_id);
    e.u32_le(name.account.0);
    e.u32_le(name.number);
    e.u32_le(0);
    let crc = crc32fast::hash(e.as_bytes());
    e.u32_le(crc);
    e.into_bytes()
}

/// A tail and what is in it, as of some moment.
#[derive(Clone)]
pub struct Tail {
    pub file: Arc<TailFile>,
    pub batches: Arc<Vec<Arc<Batch>>>,
    /// Where the next batch goes.
    pub end: u64,
    pub messages: u32,
    /// Folded text, each part once.
    pub text_bytes: u64,
    /// All that is unpacked when it is scanned.
    pub raw_bytes: usize,
}

impl Tail {
    /// A new file, in the place of whatever had the name.
    pub fn create(disk: &Arc<dyn Disk>, dir: &Path, name: &TailName) -> Result<Self> {
        let path = path(dir, name.number);
        files::remove(&**disk, &path)?;
        let io = |e| Error::io(format!("writing {}", path.display()), e);
        let file = disk.create(&path).map_err(io)?;
        file.write_all_at(&file_head(name), 0).map_err(io)?;
        Ok(Self::over(disk, path, file, name.number))
    }

    fn over(disk: &Arc<dyn Disk>, path: PathBuf, file: Box<dyn File>, number: u32) -> Self {
        let file = TailFile {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            number,
            disk: disk.clone(),
            path,
            file,
            doomed: AtomicBool::new(false),
        };
        Self {
            file: Arc::new(file),
            batches: Arc::default(),
            end: FILE_HEAD_BYTES as u64,
            messages: 0,
            text_bytes: 0,
            raw_bytes: 0,
        }
    }

    /// `None` when there is none, or not yet a whole head of one.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, name: &TailName, reading: Reading) -> Result<Option<Self>> {
        let is_closed = reading == Reading::Closed;
        let path = path(dir, name.number);
        let io = |e| Error::io(format!("reading {}", path.display()), e);
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(e)),
        };
        let len = file.len_bytes().map_err(io)?;
        let mut head = [0; FILE_HEAD_BYTES];
        if len < FILE_HEAD_BYTES as u64 {
            return if is_closed { Err(Error::corrupt(WHAT, "it is too short")) } else { Ok(None) };
        }
        file.read_exact_at(&mut head, 0).map_err(io)?;
        if head[..] != file_head(name) {
            return if is_closed { Err(Error::corrupt(WHAT, "it is another's")) } else { Ok(None) };
        }
        let mut tail = Self::over(disk, path, file, name.number);
        while tail.end < len {
            match tail.next_batch(len, reading == Reading::Open) {
                Ok(batch) => tail.push(batch),
                Err(Error::Corrupt { .. }) if !is_closed => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(tail))
    }

    fn next_batch(&self, len: u64, with_texts: bool) -> Result<Batch> {
        let short = || Error::corrupt(WHAT, "a batch ends too early");
        if len - self.end < HEAD_BYTES as u64 {
            return Err(short());
        }
        let mut bytes = [0; HEAD_BYTES];
        self.file.read(&mut bytes, self.end)?;
        let head = Head::decode(&bytes, self.end)?;
        if head.end() > len {
            return Err(short());
        }
        let batch = Batch::decode(head, &self.file.take(head.list_at())?)?;
        let ascends = match (self.last_email(), batch.entries.first()) {
            (Some(last), Some(first)) => last < first.email,
            _ => true,
        };
        if !ascends {
            return Err(Error::corrupt(WHAT, "its batches are out of order"));
        }
        if with_texts {
            self.file.texts(&batch)?;
        }
        Ok(batch)
    }

    fn last_email(&self) -> Option<EmailId> {
        self.batches.iter().rev().find_map(|batch| batch.entries.last()).map(|entry| entry.email)
    }

    fn push(&mut self, batch: Batch) {
        self.end = batch.head.end();
        self.messages = self.messages.saturating_add(u32::try_from(batch.entries.len()).unwrap_or(u32::MAX));
        self.text_bytes += batch.text_bytes();
        self.raw_bytes += batch.head.raw_bytes();
        Arc::make_mut(&mut self.batches).push(Arc::new(batch));
    }

    /// Writes a batch behind the last.
    pub fn append(&mut self, batch: Batch, bytes: &[u8]) -> Result<()> {
        self.file.file.write_all_at(bytes, self.end).map_err(|e| self.file.io("writing", e))?;
        self.push(batch);
        Ok(())
    }

    /// Makes all of it durable, and its file end with its last batch.
    pub fn close(&self) -> Result<()> {
        let sync = || {
            if self.file.file.len_bytes()? > self.end {
                self.file.file.truncate(self.end)?;
            }
            self.file.file.sync_data()
        };
        sync().map_err(|e| self.file.io("syncing", e))
    }

    /// Finds its file; with `deep` reads every byte of it that counts.
    pub fn verify(&self, deep: bool) -> Result<()> {
        if !self.file.disk.exists(&self.file.path) {
            return Err(Error::corrupt(WHAT, "it is not there"));
        }
        let mut texts = self.batches.iter().filter(|_| deep);
        texts.try_for_each(|batch| self.file.texts(batch).map(drop))
    }

    /// The first and the last email in it.
    pub fn range(&self) -> Option<(EmailId, EmailId)> {
        let first = self.batches.iter().find_map(|batch| batch.entries.first())?;
        Some((first.email, self.last_email()?))
    }
}

impl TailFile {
    /// Lets the file go with the last one who reads it.
    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    fn io(&self, doing: &str, error: std::io::Error) -> Error {
        Error::io(format!("{doing} {}", self.path.display()), error)
    }

    fn read(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buf, offset).map_err(|e| self.io("reading", e))
    }

    fn take(&self, (offset, len): (u64, usize)) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// The texts of a batch of this file.
    pub fn texts(&self, batch: &Batch) -> Result<Vec<u8>> {
        batch.unpack(&self.take(batch.head.data_at())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;
    use crate::sys::sim::SimDisk;
    use crate::text::account::Marks;
    use crate::text::index::{Folded, Group};
    use crate::types::{MailboxId, Uid};

    const NAME: TailName = TailName {
        store_id: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        account: AccountId(3),
        number: 8,
    };

    fn drawn() -> Vec<u8> {
        golden(include_str!("../../../tests/data/format/drawn/text-tail.hex"))
    }

    fn messages() -> Vec<Folded> {
        let texts = |texts: [&str; 7]| texts.map(str::to_owned);
        vec![
            Folded { email: EmailId(300), texts: texts(["BODY ONE", "SUBJECT: A\n", "A", "", "", "", ""]) },
            Folded { email: EmailId(302), texts: texts(["", "TO: B", "", "", "B@C", "", ""]) },
        ]
    }

    fn disk_with(bytes: &[u8]) -> Arc<dyn Disk> {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/t")).unwrap();
        disk.create(Path::new("/t/tail-8")).unwrap().write_all_at(bytes, 0).unwrap();
        Arc::new(disk)
    }

    fn open(bytes: &[u8], reading: Reading) -> Result<Option<Tail>> {
        Tail::open(&disk_with(bytes), Path::new("/t"), &NAME, reading)
    }

    fn read(tail: &Tail) -> Vec<Folded> {
        let folded = |batch: &Arc<Batch>| {
            let raw = tail.file.texts(batch).unwrap();
            batch.entries.iter().map(|entry| entry.folded(&raw).unwrap()).collect::<Vec<_>>()
        };
        tail.batches.iter().flat_map(folded).collect()
    }

    #[test]
    fn a_tail_is_as_drawn() {
        let tail = open(&drawn(), Reading::Closed).unwrap().unwrap();
        assert_eq!(read(&tail), messages());
        let batch = &tail.batches[0];
        assert_eq!((batch.head.covered(), &batch.unreadable[..]), (EmailId(303), &[EmailId(301)][..]));
        assert_eq!(batch.marks, Marks::from([(MailboxId(1), Uid(284))]));
        assert_eq!((tail.messages, tail.range()), (2, Some((EmailId(300), EmailId(302)))));
        assert_eq!(tail.text_bytes, 8 + 11 + 5);
        // What is written today is read in the same way; the frame is the compressor's.
        let disk = disk_with(b"what was there before");
        let mut written = Tail::create(&disk, Path::new("/t"), &NAME).unwrap();
        let (again, bytes) =
            Batch::encode(written.end, &messages(), &batch.unreadable, EmailId(303), &batch.marks).unwrap();
        assert_eq!(&file_head(&NAME)[..], &drawn()[..FILE_HEAD_BYTES]);
        assert_eq!(bytes[..8], drawn()[FILE_HEAD_BYTES..FILE_HEAD_BYTES + 8]);
        written.append(again, &bytes).unwrap();
        let opened = Tail::open(&disk, Path::new("/t"), &NAME, Reading::Open).unwrap().unwrap();
        assert_eq!(read(&opened), messages());
        assert_eq!(opened.end, written.end);
    }

    #[test]
    fn every_bad_byte_is_seen() {
        let drawn = drawn();
        for at in 0..drawn.len() {
            let mut bad = drawn.clone();
            bad[at] ^= 0x10;
            let closed = open(&bad, Reading::Closed);
            // The texts of a closed one are looked at when they are read.
            let seen = closed.is_err()
                || closed
                    .is_ok_and(|tail| tail.is_none_or(|tail| tail.file.texts(&tail.batches[0]).is_err()));
            assert!(seen, "byte {at}");
            let open_one = open(&bad, Reading::Open).unwrap();
            assert!(open_one.is_none_or(|tail| tail.batches.is_empty()), "byte {at}");
            let cut = open(&drawn[..at], Reading::Open).unwrap();
            assert!(cut.is_none_or(|tail| tail.batches.is_empty()), "cut at {at}");
        }
    }

    #[test]
    fn a_failed_write_is_written_over() {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/t")).unwrap();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut tail = Tail::create(&shared, Path::new("/t"), &NAME).unwrap();
        let encode = |tail: &Tail, count: usize| {
            Batch::encode(tail.end, &messages()[..count], &[], EmailId(303), &Marks::new()).unwrap()
        };
        disk.fail_after(crate::sys::sim::FaultKind::WriteEio, 0);
        let (batch, bytes) = encode(&tail, 2);
        assert!(tail.append(batch, &bytes).is_err());
        let (batch, bytes) = encode(&tail, 1);
        tail.append(batch, &bytes).unwrap();
        let opened = Tail::open(&shared, Path::new("/t"), &NAME, Reading::Open).unwrap().unwrap();
        assert_eq!(read(&opened), &messages()[..1]);
        assert_eq!(opened.batches[0].entries[0].text(b"BODY ONE", Group::Body), b"BODY ONE");
    }
}
