//! A batch of a tail: the folded texts of some messages, compressed together.
//!
//! Laws
//! - A batch says of itself how far the view is covered with it, and which emails of that stretch could
//!   not be read: so a tail cut after any batch is whole.
//! - Its head, its list and its texts have a checksum each. The list can be read without the texts.
//! - Its place in the file is in its head: what an earlier, longer write left behind is not taken
//!   for a batch.

use super::manifest::{put_emails, put_marks, take_emails, take_marks};
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::text::index::{Folded, Group};
use crate::types::{EmailId, MailboxId, Uid};
use std::collections::BTreeMap;

/// By mailbox, the UID from which on its rows were not looked at: below it, every email is below
/// `covered`.
pub type Marks = BTreeMap<MailboxId, Uid>;

pub const HEAD_BYTES: usize = 40;
const MAGIC: &[u8; 4] = b"MCTB";
const ZSTD_LEVEL: i32 = 1;
const WHAT: &str = "a batch of a tail";
pub const GROUPS: usize = Group::ALL.len();

/// Where a message's texts lie in the raw bytes of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub email: EmailId,
    start: u32,
    lens: [u32; GROUPS],
}

impl Entry {
    /// The bytes of one group.
    pub fn text<'a>(&self, raw: &'a [u8], group: Group) -> &'a [u8] {
        let before: u32 = self.lens.iter().take(group as usize).sum();
        let from = (self.start + before) as usize;
        let len = self.lens.get(group as usize).map_or(0, |len| *len as usize);
        raw.get(from..from + len).unwrap_or_default()
    }

    pub fn text_bytes(&self) -> u64 {
        u64::from(self.lens[Group::Body as usize]) + u64::from(self.lens[Group::Header as usize])
    }

    pub fn folded(&self, raw: &[u8]) -> Result<Folded> {
        let mut folded = Folded { email: self.email, texts: Default::default() };
        for (group, text) in Group::ALL.into_iter().zip(&mut folded.texts) {
            let bytes = self.text(raw, group).to_vec();
            *text = String::from_utf8(bytes).map_err(|_| Error::corrupt(WHAT, "a text is not UTF-8"))?;
        }
        Ok(folded)
    }
}

/// The fixed part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    list_bytes: u32,
    data_bytes: u32,
    raw_bytes: u32,
    messages: u32,
    offset: u32,
    list_crc: u32,
    data_crc: u32,
    covered: EmailId,
}

/// A batch as it is known in memory: all but the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub head: Head,
    pub entries: Vec<Entry>,
    pub unreadable: Vec<EmailId>,
    pub marks: Marks,
}

impl Head {
    pub fn decode(bytes: &[u8; HEAD_BYTES], offset: u64) -> Result<Self> {
        let mut d = Decoder::new(bytes, WHAT);
        if d.array::<4>()? != *MAGIC {
            return Err(d.bad("it does not begin as one"));
        }
        let head = Self {
            list_bytes: d.u32_le()?,
            data_bytes: d.u32_le()?,
            raw_bytes: d.u32_le()?,
            messages: d.u32_le()?,
            offset: d.u32_le()?,
            list_crc: d.u32_le()?,
            data_crc: d.u32_le()?,
            covered: EmailId(d.u32_le()?),
        };
        if d.u32_le()? != crc32fast::hash(bytes.get(..HEAD_BYTES - 4).unwrap_or_default()) {
            return Err(d.bad("the checksum of its head does not match"));
        }
        if u64::from(head.offset) != offset {
            return Err(d.bad("it is of another place"));
        }
        Ok(head)
    }

    fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::with_capacity(HEAD_BYTES);
        e.raw(MAGIC);
        for number in [
            self.list_bytes,
            self.data_bytes,
            self.raw_bytes,
            self.messages,
            self.offset,
            self.list_crc,
            self.data_crc,
            self.covered.0,
        ] {
            e.u32_le(number);
        }
        let crc = crc32fast::hash(e.as_bytes());
        e.u32_le(crc);
        e.into_bytes()
    }

    pub fn list_at(&self) -> (u64, usize) {
        (u64::from(self.offset) + HEAD_BYTES as u64, self.list_bytes as usize)
    }

    pub fn data_at(&self) -> (u64, usize) {
        (self.list_at().0 + u64::from(self.list_bytes), self.data_bytes as usize)
    }

    pub fn end(&self) -> u64 {
        self.data_at().0 + u64::from(self.data_bytes)
    }

    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes as usize
    }

    pub fn covered(&self) -> EmailId {
        self.covered
    }
}

impl Batch {
    /// A batch of ascending messages, and its bytes at that place of the file.
    pub fn encode(
        offset: u64,
        messages: &[Folded],
        unreadable: &[EmailId],
        covered: EmailId,
        marks: &Marks,
    ) -> Result<(Self, Vec<u8>)> {
        let mut raw = Vec::new();
        let mut entries = Vec::with_capacity(messages.len());
        for folded in messages {
            let start = small(raw.len())?;
            let mut lens = [0; GROUPS];
            for (text, len) in folded.texts.iter().zip(&mut lens) {
                *len = small(text.len())?;
                raw.extend_from_slice(text.as_bytes());
            }
            entries.push(Entry { email: folded.email, start, lens });
        }
        let list = encode_list(&entries, unreadable, marks);
        let data = zstd::bulk::compress(&raw, ZSTD_LEVEL).map_err(|e| Error::io("compressing texts", e))?;
        let head = Head {
            list_bytes: small(list.len())?,
            data_bytes: small(data.len())?,
            raw_bytes: small(raw.len())?,
            messages: small(messages.len())?,
            offset: u32::try_from(offset).map_err(|_| too_large())?,
            list_crc: crc32fast::hash(&list),
            data_crc: crc32fast::hash(&data),
            covered,
        };
        let mut bytes = head.encode();
        bytes.extend_from_slice(&list);
        bytes.extend_from_slice(&data);
        Ok((Self { head, entries, unreadable: unreadable.to_vec(), marks: marks.clone() }, bytes))
    }

    pub fn decode(head: Head, list: &[u8]) -> Result<Self> {
        let mut d = Decoder::new(list, WHAT);
        if crc32fast::hash(list) != head.list_crc {
            return Err(d.bad("the checksum of its list does not match"));
        }
        let emails = take_emails(&mut d)?;
        let mut entries = Vec::with_capacity(emails.len());
        let mut start = 0u32;
        for email in emails {
            let mut lens = [0; GROUPS];
            let from = start;
            for len in &mut lens {
                *len = d.u32()?;
                start = start.checked_add(*len).ok_or_else(|| d.bad("its texts are too long"))?;
            }
            entries.push(Entry { email, start: from, lens });
        }
        let (unreadable, marks) = (take_emails(&mut d)?, take_marks(&mut d)?);
        d.finish()?;
        let ascends = entries.is_sorted_by(|a, b| a.email < b.email);
        let is_below = entries.last().is_none_or(|entry| entry.email < head.covered);
        if !ascends || !is_below || start != head.raw_bytes || entries.len() != head.messages as usize {
            return Err(d.bad("its list and its head do not agree"));
        }
        Ok(Self { head, entries, unreadable, marks })
    }

    /// The texts of all its messages.
    pub fn unpack(&self, data: &[u8]) -> Result<Vec<u8>> {
        if crc32fast::hash(data) != self.head.data_crc {
            return Err(Error::corrupt(WHAT, "the checksum of its texts does not match"));
        }
        let raw = zstd::bulk::decompress(data, self.head.raw_bytes())
            .map_err(|_| Error::corrupt(WHAT, "its texts cannot be unpacked"))?;
        if raw.len() != self.head.raw_bytes() {
            return Err(Error::corrupt(WHAT, "its texts have another length"));
        }
        Ok(raw)
    }

    pub fn text_bytes(&self) -> u64 {
        self.entries.iter().map(Entry::text_bytes).sum()
    }
}

fn encode_list(entries: &[Entry], unreadable: &[EmailId], marks: &Marks) -> Vec<u8> {
    let mut e = Encoder::new();
    let emails: Vec<EmailId> = entries.iter().map(|entry| entry.email).collect();
    put_emails(&mut e, &emails);
    for len in entries.iter().flat_map(|entry| entry.lens) {
        e.uint(u64::from(len));
    }
    put_emails(&mut e, unreadable);
    put_marks(&mut e, marks);
    e.into_bytes()
}

fn small(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| too_large())
}

fn too_large() -> Error {
    Error::Limit("a batch of texts has less than 4 GiB".into())
}
