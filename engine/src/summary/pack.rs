//! A pack: the summaries of up to some thousand emails as columns, written once.
//!
//! Laws
//! - Emails ascend. Each column is a section of its own, compressed where that pays, with its CRC32 in the
//!   head; the head's own CRC32 stands in the MANIFEST, so a pack is proved down to its last byte.
//! - A column is read without the others. No length is believed before its checksum.

use super::Summary;
use super::columns::{Cells, Columns, Table, TextColumn};
use super::manifest::pack_name;
use crate::codec::{Decoder, Delta, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::{Disk, File};
use crate::types::EmailId;
use std::path::Path;

/// The most rows of a pack.
pub(super) const PACK_ROWS: usize = 8192;

const MAGIC: &[u8; 8] = b"MCSUMPK1";
const SECTIONS: usize = 10;
const HEAD_BYTES: usize = 8 + 3 * 4 + SECTIONS * 12 + 4;
const ZSTD_LEVEL: i32 = 1;
/// What no section of `PACK_ROWS` rows can have.
const SECTION_BYTES_MAX: u32 = 256 << 20;

/// Sections in the order of the file.
#[derive(Clone, Copy)]
enum Section {
    Emails = 0,
    Replies = 1,
    Ids = 2,
    References = 3,
    /// And the other texts after it, in the order of `TextColumn::ALL`.
    FirstText = 4,
}

/// A pack as the MANIFEST names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackInfo {
    pub number: u32,
    pub first: EmailId,
    pub last: EmailId,
    pub rows: u32,
    pub head_crc: u32,
    pub file_bytes: u64,
}

/// The bytes of a pack, and what the MANIFEST says of it. None without rows.
pub(super) fn encode(number: u32, rows: &[(EmailId, Summary)]) -> Option<(Vec<u8>, PackInfo)> {
    let (first, last) = (rows.first()?.0, rows.last()?.0);
    let count = u32::try_from(rows.len()).ok()?;
    let mut head = Encoder::with_capacity(HEAD_BYTES);
    head.raw(MAGIC);
    [count, first.0, last.0].into_iter().for_each(|n| head.u32_le(n));
    let mut sections = Vec::new();
    for raw in sections_of(rows) {
        let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).ok().filter(|packed| packed.len() < raw.len());
        let stored = packed.as_deref().unwrap_or(&raw);
        for number in [stored.len(), raw.len()] {
            head.u32_le(u32::try_from(number).ok()?);
        }
        head.u32_le(crc32fast::hash(stored));
        sections.extend_from_slice(stored);
    }
    let head_crc = crc32fast::hash(head.as_bytes());
    head.u32_le(head_crc);
    head.raw(&sections);
    let bytes = head.into_bytes();
    let file_bytes = bytes.len() as u64;
    Some((bytes, PackInfo { number, first, last, rows: count, head_crc, file_bytes }))
}

fn sections_of(rows: &[(EmailId, Summary)]) -> [Vec<u8>; SECTIONS] {
    let mut out: [Encoder; SECTIONS] = Default::default();
    let [emails, replies, ids, references, texts @ ..] = &mut out;
    let mut delta = Delta::default();
    for (email, summary) in rows {
        delta.put(emails, u64::from(email.0));
        ids.u64_le(summary.id);
        references.uint(summary.references.len() as u64);
        for (text, column) in texts.iter_mut().zip(TextColumn::ALL) {
            text.uint(column.of(summary).len() as u64);
        }
    }
    for eight in rows.chunks(8) {
        let bits = eight.iter().enumerate().map(|(bit, (_, s))| u8::from(s.is_reply_or_forward) << bit);
        replies.u8(bits.sum());
    }
    for (_, summary) in rows {
        summary.references.iter().for_each(|id| references.u64_le(*id));
        for (text, column) in texts.iter_mut().zip(TextColumn::ALL) {
            text.raw(column.of(summary).as_bytes());
        }
    }
    out.map(Encoder::into_bytes)
}

#[derive(Clone, Copy)]
struct Stored {
    at: u64,
    stored_bytes: u32,
    raw_bytes: u32,
    crc: u32,
}

/// An open pack.
pub(super) struct Pack {
    what: String,
    file: Box<dyn File>,
    rows: usize,
    sections: [Stored; SECTIONS],
}

impl Pack {
    pub fn open(disk: &dyn Disk, dir: &Path, info: &PackInfo) -> Result<Self> {
        let path = dir.join(pack_name(info.number));
        let what = format!("the summary pack {}", path.display());
        let failed = |e| Error::io(format!("reading {what}"), e);
        let file = disk.open(&path).map_err(failed)?;
        if file.len_bytes().map_err(failed)? != info.file_bytes {
            return Err(Error::corrupt(what, "its length is not what it was"));
        }
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        let sections = read_head(&head, info, &what)?;
        Ok(Self { rows: info.rows as usize, file, sections, what })
    }

    fn section(&self, section: usize) -> Result<Vec<u8>> {
        let bad = |why: &str| Error::corrupt(self.what.clone(), why);
        let s = self.sections.get(section).ok_or_else(|| bad("it has no such section"))?;
        let mut stored = vec![0; s.stored_bytes as usize];
        let read = self.file.read_exact_at(&mut stored, s.at);
        read.map_err(|e| Error::io(format!("reading {}", self.what), e))?;
        if crc32fast::hash(&stored) != s.crc {
            return Err(bad("the checksum of a section does not match"));
        }
        if s.stored_bytes == s.raw_bytes {
            return Ok(stored);
        }
        let raw = zstd::bulk::decompress(&stored, s.raw_bytes as usize);
        raw.ok()
            .filter(|raw| raw.len() == s.raw_bytes as usize)
            .ok_or_else(|| bad("a section cannot be decompressed"))
    }

    pub fn emails(&self) -> Result<Vec<EmailId>> {
        let raw = self.section(Section::Emails as usize)?;
        let mut c = Decoder::new(&raw, &self.what);
        let mut delta = Delta::default();
        let emails: Vec<EmailId> =
            (0..self.rows).map(|_| delta.take_u32(&mut c).map(EmailId)).collect::<Result<_>>()?;
        c.finish()?;
        if emails.iter().zip(emails.iter().skip(1)).any(|(a, b)| a >= b) {
            return Err(c.bad("its emails are out of order"));
        }
        Ok(emails)
    }

    /// The columns asked for of the emails wanted, which ascend.
    pub fn table(&self, wanted: &[EmailId], columns: Columns) -> Result<Table> {
        let pick = Pick::new(&self.emails()?, wanted);
        let mut table = Table::with_rows(0, columns);
        if columns.replies {
            let bits = self.section(Section::Replies as usize)?;
            table.replies =
                pick.each(|row| bits.get(row / 8).is_some_and(|byte| byte & (1 << (row % 8)) != 0));
        }
        if columns.ids {
            let raw = self.section(Section::Ids as usize)?;
            let ids = u64s(&raw);
            table.ids = pick.each(|row| ids.get(row).copied().unwrap_or_default());
            let raw = self.section(Section::References as usize)?;
            let (places, at) = self.places(&raw, 8)?;
            table.references = pick.cells(u64s(raw.get(at..).unwrap_or_default()), 0, &places);
        }
        for column in TextColumn::ALL.into_iter().filter(|column| columns.has(*column)) {
            let raw = self.section(Section::FirstText as usize + column as usize)?;
            let (places, at) = self.places(&raw, 1)?;
            *table.text_mut(column) = pick.cells(raw, at, &places);
        }
        table.found = pick.rows.iter().map(Option::is_some).collect();
        Ok(table)
    }

    /// All of it, row by row: for making a pack out of packs.
    pub fn rows(&self) -> Result<Vec<(EmailId, Summary)>> {
        let emails = self.emails()?;
        let table = self.table(&emails, Columns::all())?;
        let summary = |row: usize| -> Result<Summary> {
            let mut summary = Summary {
                is_reply_or_forward: table.replies.get(row).copied().unwrap_or_default(),
                id: table.ids.get(row).copied().unwrap_or_default(),
                references: table.references.get(row).to_vec(),
                ..Summary::default()
            };
            for column in TextColumn::ALL {
                *column.of_mut(&mut summary) = String::from_utf8(table.text(column).get(row).to_vec())
                    .map_err(|_| Error::corrupt(self.what.clone(), "a text is not UTF-8"))?;
            }
            Ok(summary)
        };
        emails.iter().enumerate().map(|(row, email)| Ok((*email, summary(row)?))).collect()
    }

    /// Where each cell of a section begins, counted from the first, and how long it is; and where the first
    /// begins.
    fn places(&self, raw: &[u8], value_bytes: usize) -> Result<(Vec<(u32, u32)>, usize)> {
        let mut c = Decoder::new(raw, &self.what);
        let mut at = 0_u32;
        let mut places = Vec::with_capacity(self.rows);
        for _ in 0..self.rows {
            let len = c.u32()?;
            places.push((at, len));
            at = at.checked_add(len).ok_or_else(|| c.bad("its cells are too long"))?;
        }
        if at as usize != c.left_bytes() / value_bytes || !c.left_bytes().is_multiple_of(value_bytes) {
            return Err(c.bad("the lengths of its cells are not those of a section"));
        }
        Ok((places, raw.len() - c.left_bytes()))
    }
}

fn read_head(head: &[u8], info: &PackInfo, what: &str) -> Result<[Stored; SECTIONS]> {
    let mut c = Decoder::new(head, what);
    let covered = c.raw(HEAD_BYTES - 4)?;
    if crc32fast::hash(covered) != info.head_crc || c.u32_le()? != info.head_crc {
        return Err(c.bad("the checksum of its head does not match"));
    }
    let mut c = Decoder::new(covered, what);
    if c.raw(8)? != MAGIC || [c.u32_le()?, c.u32_le()?, c.u32_le()?] != [info.rows, info.first.0, info.last.0]
    {
        return Err(c.bad("it is another pack"));
    }
    let mut at = HEAD_BYTES as u64;
    let mut sections = [Stored { at: 0, stored_bytes: 0, raw_bytes: 0, crc: 0 }; SECTIONS];
    for section in &mut sections {
        *section = Stored { at, stored_bytes: c.u32_le()?, raw_bytes: c.u32_le()?, crc: c.u32_le()? };
        if section.raw_bytes > SECTION_BYTES_MAX || section.stored_bytes > section.raw_bytes {
            return Err(c.bad("a section claims to be too long"));
        }
        at += u64::from(section.stored_bytes);
    }
    if at != info.file_bytes {
        return Err(c.bad("its sections are not as long as the file"));
    }
    Ok(sections)
}

fn u64s(raw: &[u8]) -> Vec<u64> {
    raw.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight)).collect()
}

/// Which rows of a pack are wanted, in the order they are.
struct Pick {
    rows: Vec<Option<u32>>,
    /// Most of the pack is wanted: its cells are kept as they lie.
    is_dense: bool,
}

impl Pick {
    fn new(emails: &[EmailId], wanted: &[EmailId]) -> Self {
        let mut here = emails.iter().zip(0_u32..).peekable();
        let rows: Vec<Option<u32>> = wanted
            .iter()
            .map(|email| {
                while here.next_if(|(own, _)| *own < email).is_some() {}
                here.peek().filter(|(own, _)| *own == email).map(|(_, row)| *row)
            })
            .collect();
        Self { is_dense: rows.iter().flatten().count() >= emails.len() / 2, rows }
    }

    fn each<T: Default>(&self, value: impl Fn(usize) -> T) -> Vec<T> {
        self.rows.iter().map(|row| row.map(|row| value(row as usize)).unwrap_or_default()).collect()
    }

    /// Cells that lie in `values` from `from` on.
    fn cells<T: Copy>(&self, values: Vec<T>, from: usize, places: &[(u32, u32)]) -> Cells<T> {
        let place = |row: &Option<u32>| {
            row.and_then(|row| places.get(row as usize)).map_or((0, 0), |(at, len)| (at + from as u32, *len))
        };
        if self.is_dense {
            return Cells::of_part(values, self.rows.iter().map(place));
        }
        let mut cells = Cells::with_rows(self.rows.len());
        for (i, (at, len)) in self.rows.iter().map(place).enumerate().filter(|(_, (_, len))| *len > 0) {
            cells.set(i, values.get(at as usize..(at + len) as usize).unwrap_or_default());
        }
        cells
    }
}
