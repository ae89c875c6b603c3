//! Which messages a segment's documents are: its file `docs`.
//!
//! Laws
//! - Document numbers and EmailIds ascend together, so runs of both are all there is to keep.
//! - What the file says is believed after its checksums only.

use super::bits::{Docs, join_bits};
use super::emails::EmailSet;
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::EmailId;
use std::path::Path;

const MAGIC: &[u8; 8] = b"MCTXDOCS";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 32;
const WHAT: &str = "docs of a text segment";

/// Documents in a row whose EmailIds are in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    doc: u32,
    email: u32,
    len: u32,
}

/// The documents of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DocMap {
    runs: Vec<Run>,
    len: u32,
    text_bytes: u64,
    /// Those that have a word in pieces.
    pub long: Docs,
    /// Those of which not all is indexed.
    pub opaque: Docs,
}

impl DocMap {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    pub(super) fn first(&self) -> Option<EmailId> {
        self.runs.first().map(|run| EmailId(run.email))
    }

    pub(super) fn last(&self) -> Option<EmailId> {
        self.runs.last().map(|run| EmailId(run.email + (run.len - 1)))
    }

    /// (document, EmailId), ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, EmailId)> + '_ {
        self.runs.iter().flat_map(|run| (0..run.len).map(|at| (run.doc + at, EmailId(run.email + at))))
    }

    /// The documents of those messages; of all when none are given.
    pub(super) fn docs_of(&self, emails: Option<&EmailSet>) -> Docs {
        let mut docs = Docs::none(self.len);
        for run in &self.runs {
            let (doc, email, len) = (u64::from(run.doc), u64::from(run.email), u64::from(run.len));
            match emails {
                Some(emails) => join_bits(docs.words_mut(), doc, emails.words(), email, len),
                None => (run.doc..run.doc + run.len).for_each(|doc| docs.insert(doc)),
            }
        }
        docs
    }

    /// Adds the messages of those documents.
    pub(super) fn join_emails(&self, docs: &Docs, emails: &mut EmailSet) {
        let below = self.last().map_or(0, |last| u64::from(last.0) + 1);
        let words = emails.words_below(below);
        for run in &self.runs {
            join_bits(words, u64::from(run.email), docs.words(), u64::from(run.doc), u64::from(run.len));
        }
    }

    /// The message of a document.
    pub(super) fn email(&self, doc: u32) -> Option<EmailId> {
        let at = self.runs.partition_point(|run| run.doc <= doc).checked_sub(1)?;
        let run = self.runs.get(at)?;
        let within = doc - run.doc;
        (within < run.len).then(|| EmailId(run.email + within))
    }

    /// Reads what is asked at every search.
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = open(disk, path)?;
        let header = Header::read(&*file)?;
        let bytes = section(&*file, HEADER_BYTES as u64, header.map_bytes)?;
        let mut from = Decoder::new(&bytes, WHAT);
        let runs = take_runs(&mut from)?;
        let len = runs.last().map_or(0, |run| run.doc + run.len);
        if len != header.docs {
            return Err(from.bad("the number of documents is another than its runs say"));
        }
        let long = take_docs(&mut from, len)?;
        let opaque = take_docs(&mut from, len)?;
        from.finish()?;
        Ok(Self { runs, len, text_bytes: header.text_bytes, long, opaque })
    }

    /// The bytes of text of each document: merging asks it.
    pub(super) fn sizes(disk: &dyn Disk, path: &Path) -> Result<Vec<u64>> {
        let file = open(disk, path)?;
        let header = Header::read(&*file)?;
        let at = HEADER_BYTES as u64 + u64::from(header.map_bytes) + 4;
        let bytes = section(&*file, at, header.sizes_bytes)?;
        let mut from = Decoder::new(&bytes, WHAT);
        let mut sizes = Vec::with_capacity(bytes.len().min(header.docs as usize));
        for _ in 0..header.docs {
            sizes.push(from.uint()?);
        }
        from.finish()?;
        Ok(sizes)
    }
}

/// The documents of a segment that is being made.
#[derive(Debug, Default)]
pub(super) struct DocMapBuilder {
    runs: Vec<Run>,
    len: u32,
    text_bytes: u64,
    sizes: Encoder,
    long: Vec<u32>,
    opaque: Vec<u32>,
}

impl DocMapBuilder {
    /// The next document.
    pub(super) fn push(
        &mut self,
        email: EmailId,
        text_bytes: u64,
        is_long: bool,
        is_opaque: bool,
    ) -> Result<()> {
        match self.runs.last_mut() {
            Some(run) if email.0 < run.email + run.len => {
                return Err(Error::NotPossible(format!("email {email} is indexed out of turn")));
            }
            Some(run) if email.0 == run.email + run.len => run.len += 1,
            _ => self.runs.push(Run { doc: self.len, email: email.0, len: 1 }),
        }
        if email.0 == u32::MAX {
            return Err(Error::Limit("emails of an account".to_owned()));
        }
        self.sizes.uint(text_bytes);
        self.text_bytes += text_bytes;
        if is_long {
            self.long.push(self.len);
        }
        if is_opaque {
            self.opaque.push(self.len);
        }
        self.len += 1;
        Ok(())
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    fn encode(&self) -> Vec<u8> {
        let mut map = Encoder::new();
        map.uint(self.runs.len() as u64);
        let mut next = 0;
        for run in &self.runs {
            map.uint(u64::from(run.email - next));
            map.uint(u64::from(run.len - 1));
            next = run.email + run.len;
        }
        put_docs(&mut map, &self.long);
        put_docs(&mut map, &self.opaque);
        let header = Header {
            docs: self.len,
            text_bytes: self.text_bytes,
            map_bytes: map.as_bytes().len() as u32,
            sizes_bytes: self.sizes.as_bytes().len() as u32,
        };
        let mut file = header.encode();
        for section in [map.as_bytes(), self.sizes.as_bytes()] {
            file.extend_from_slice(section);
            file.extend_from_slice(&crc32fast::hash(section).to_le_bytes());
        }
        file
    }

    /// Writes the file, durably but for its name.
    pub(super) fn write(&self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let written = disk.create(path).and_then(|file| {
            file.write_all_at(&self.encode(), 0)?;
            file.sync_data()
        });
        written.map_err(|e| Error::io(format!("writing {}", path.display()), e))
    }
}

struct Header {
    docs: u32,
    text_bytes: u64,
    map_bytes: u32,
    sizes_bytes: u32,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::with_capacity(HEADER_BYTES);
        out.raw(MAGIC);
        out.u32_le(u32::from(VERSION));
        out.u32_le(self.docs);
        out.u64_le(self.text_bytes);
        out.u32_le(self.map_bytes);
        // The sizes' length takes the place of a checksum of its own: both are covered by the last one.
        let crc = crc32fast::hash(&[out.as_bytes(), &self.sizes_bytes.to_le_bytes()].concat());
        out.u32_le(crc);
        out.into_bytes()
    }

    fn read(file: &dyn File) -> Result<Self> {
        let mut bytes = [0; HEADER_BYTES];
        read(file, &mut bytes, 0)?;
        let mut from = Decoder::new(&bytes, WHAT);
        if &from.array::<8>()? != MAGIC || from.u32_le()? != u32::from(VERSION) {
            return Err(from.bad("it is none, or of another version"));
        }
        let (docs, text_bytes, map_bytes) = (from.u32_le()?, from.u64_le()?, from.u32_le()?);
        let len_bytes = file.len_bytes().map_err(failed)?;
        let sizes_bytes = len_bytes
            .checked_sub(HEADER_BYTES as u64 + u64::from(map_bytes) + 8)
            .and_then(|rest| u32::try_from(rest).ok())
            .ok_or_else(|| from.bad("its length is another than its header says"))?;
        let covered = bytes.get(..HEADER_BYTES - 4).unwrap_or_default();
        if from.u32_le()? != crc32fast::hash(&[covered, &sizes_bytes.to_le_bytes()].concat()) {
            return Err(from.bad("the CRC of its header is wrong"));
        }
        Ok(Self { docs, text_bytes, map_bytes, sizes_bytes })
    }
}

fn open(disk: &dyn Disk, path: &Path) -> Result<Box<dyn File>> {
    disk.open(path).map_err(|e| Error::io(format!("opening {}", path.display()), e))
}

fn failed(e: std::io::Error) -> Error {
    Error::io(format!("reading {WHAT}"), e)
}

fn read(file: &dyn File, buf: &mut [u8], at: u64) -> Result<()> {
    file.read_exact_at(buf, at).map_err(failed)
}

/// So many bytes and their CRC. The length is that of the file, or less.
fn section(file: &dyn File, at: u64, len_bytes: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len_bytes as usize + 4];
    read(file, &mut bytes, at)?;
    let crc = bytes.split_off(len_bytes as usize);
    if crc != crc32fast::hash(&bytes).to_le_bytes() {
        return Err(Error::corrupt(WHAT, "the CRC of a section is wrong"));
    }
    Ok(bytes)
}

fn take_runs(from: &mut Decoder<'_>) -> Result<Vec<Run>> {
    let count = from.count(2)?;
    let mut runs = Vec::with_capacity(count);
    let (mut doc, mut next) = (0u32, 0u32);
    for _ in 0..count {
        let overflows = |from: &Decoder<'_>| from.bad("an EmailId overflows");
        let email = next.checked_add(from.u32()?).ok_or_else(|| overflows(from))?;
        let len = from.u32()?.checked_add(1).ok_or_else(|| overflows(from))?;
        runs.push(Run { doc, email, len });
        next = email.checked_add(len).ok_or_else(|| overflows(from))?;
        doc += len; // the EmailIds did not overflow, and there are as many
    }
    Ok(runs)
}

fn put_docs(to: &mut Encoder, docs: &[u32]) {
    to.uint(docs.len() as u64);
    let mut next = 0;
    for doc in docs {
        to.uint(u64::from(doc - next));
        next = doc + 1;
    }
}

fn take_docs(from: &mut Decoder<'_>, len: u32) -> Result<Docs> {
    let mut docs = Docs::none(len);
    let mut next = 0u32;
    for _ in 0..from.count(1)? {
        let doc = next.checked_add(from.u32()?).filter(|doc| *doc < len);
        let doc = doc.ok_or_else(|| from.bad("a document is past the last one"))?;
        docs.insert(doc);
        next = doc + 1;
    }
    Ok(docs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;
    use crate::sys::sim::SimDisk;
    use proptest::prelude::*;

    const PATH: &str = "/s/docs";

    fn write(docs: &[(u32, u64, bool, bool)]) -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/s")).unwrap();
        let mut builder = DocMapBuilder::default();
        for (email, text_bytes, is_long, is_opaque) in docs {
            builder.push(EmailId(*email), *text_bytes, *is_long, *is_opaque).unwrap();
        }
        builder.write(&disk, Path::new(PATH)).unwrap();
        disk
    }

    fn bytes(disk: &SimDisk) -> Vec<u8> {
        let file = disk.open(Path::new(PATH)).unwrap();
        let mut bytes = vec![0; file.len_bytes().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn golden_bytes() {
        let disk = write(&[(5, 300, true, false), (6, 1, false, false), (9, 0, true, true)]);
        let wanted = golden(include_str!("../../../tests/data/format/drawn/text-docs.hex"));
        assert_eq!(bytes(&disk), wanted, "{:02x?}", bytes(&disk));
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let disk = write(&[(5, 300, true, false), (6, 1, false, false), (9, 0, true, true)]);
        let file = disk.open(Path::new(PATH)).unwrap();
        for (at, byte) in (0u64..).zip(bytes(&disk)) {
            file.write_all_at(&[byte ^ 0x10], at).unwrap();
            let read =
                DocMap::open(&disk, Path::new(PATH)).and_then(|_| DocMap::sizes(&disk, Path::new(PATH)));
            assert!(read.is_err(), "byte {at}");
            file.write_all_at(&[byte], at).unwrap();
        }
        file.truncate(bytes(&disk).len() as u64 - 1).unwrap();
        assert!(DocMap::open(&disk, Path::new(PATH)).is_err());
    }

    #[test]
    fn out_of_turn() {
        let mut builder = DocMapBuilder::default();
        builder.push(EmailId(3), 0, false, false).unwrap();
        assert!(builder.push(EmailId(3), 0, false, false).is_err());
    }

    proptest! {
        #[test]
        fn documents_and_messages(emails in prop::collection::btree_map(0u32..400, (any::<u16>(), any::<bool>(), any::<bool>()), 1..100), asked in prop::collection::btree_set(0u32..400, 0..100)) {
            let list: Vec<_> = emails.iter().map(|(e, (s, l, o))| (*e, u64::from(*s), *l, *o)).collect();
            let disk = write(&list);
            let map = DocMap::open(&disk, Path::new(PATH)).unwrap();
            prop_assert_eq!(map.len() as usize, list.len());
            let sizes = DocMap::sizes(&disk, Path::new(PATH)).unwrap();
            prop_assert_eq!(map.text_bytes(), sizes.iter().sum::<u64>());
            for ((doc, email), wanted) in map.iter().zip(&list) {
                prop_assert_eq!((email.0, sizes[doc as usize]), (wanted.0, wanted.1));
                prop_assert_eq!((map.long.contains(doc), map.opaque.contains(doc)), (wanted.2, wanted.3));
                prop_assert_eq!(map.email(doc), Some(email));
            }
            prop_assert_eq!(map.email(map.len()), None);
            let set: EmailSet = asked.iter().map(|e| EmailId(*e)).collect();
            let docs = map.docs_of(Some(&set));
            let mut back = EmailSet::new();
            map.join_emails(&docs, &mut back);
            prop_assert_eq!(back.iter().map(|e| e.0).collect::<Vec<_>>(), asked.iter().copied().filter(|e| emails.contains_key(e)).collect::<Vec<_>>());
            prop_assert_eq!(map.docs_of(None).count(), map.len());
        }
    }
}
