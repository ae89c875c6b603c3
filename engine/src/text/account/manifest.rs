//! MANIFEST of an account's text view: which parts count, and what they cover.
//!
//! Laws
//! - It is replaced whole: written beside, synced, renamed, folder synced. All that it names, but for
//!   the open tail, was synced before.
//! - `covered`, the marks and the list of unreadable emails are those at the beginning of the open tail;
//!   the batches of that tail tell how they went on.
//! - It says which `canon` and which Unicode made the texts. Made by others, it is not believed.

use super::batch::Marks;
use super::files;
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::text::VERSION;
use crate::types::{AccountId, EmailId, Lsn, MailboxId, Uid};
use std::path::Path;

const MAGIC: &[u8; 8] = b"MCTEXTM1";
const NAME: &str = "MANIFEST";
const WHAT: &str = "the manifest of a text view";

/// What made the texts: the version of `canon` and of the segments, and the two Unicode tables in use.
pub fn made_by() -> [u8; 8] {
    let (a, b) = (char::UNICODE_VERSION, unicode_normalization::UNICODE_VERSION);
    let version = (VERSION as u16).to_le_bytes();
    [version[0], version[1], a.0, a.1, a.2, b.0, b.1, b.2]
}

/// What has to be so, for a view to be one of this account of this store.
#[derive(Debug, Clone, Copy)]
pub struct Expect {
    pub store_id: [u8; 16],
    pub account: AccountId,
    pub next_email: EmailId,
    /// The group published last.
    pub lsn: Lsn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Segment,
    /// Closed, and waiting to become a segment.
    Tail,
}

/// A part, as the manifest names it: all but the open tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartInfo {
    pub kind: Kind,
    pub number: u32,
    pub first: EmailId,
    pub last: EmailId,
    pub messages: u32,
    pub text_bytes: u64,
    pub disk_bytes: u64,
    /// Distinct terms; 0 of a tail.
    pub terms: u64,
    /// How often what is in it was rewritten by merges.
    pub generation: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub store_id: [u8; 16],
    pub account: AccountId,
    /// The group published last when this was written.
    pub lsn: Lsn,
    pub covered: EmailId,
    pub marks: Marks,
    pub unreadable: Vec<EmailId>,
    /// No part had this number or a higher one.
    pub next_number: u32,
    /// The open tail. Its file may be absent: then it is empty.
    pub tail: u32,
    pub parts: Vec<PartInfo>,
}

/// A text view in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// Messages in segments and tails, expunged ones that are not purged yet included.
    pub messages: u64,
    pub segments: u64,
    pub tails: u64,
    /// Bytes of the segments on disk.
    pub segment_bytes: u64,
    /// Bytes of the tails on disk.
    pub tail_bytes: u64,
    /// Folded text of the messages, each part once.
    pub text_bytes: u64,
    /// Distinct terms, each counted once a segment.
    pub terms: u64,
    pub unreadable: u64,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.segments += other.segments;
        self.tails += other.tails;
        self.segment_bytes += other.segment_bytes;
        self.tail_bytes += other.tail_bytes;
        self.text_bytes += other.text_bytes;
        self.terms += other.terms;
        self.unreadable += other.unreadable;
    }

    pub(super) fn add_part(&mut self, part: &PartInfo) {
        self.messages += u64::from(part.messages);
        self.text_bytes += part.text_bytes;
        self.terms += part.terms;
        match part.kind {
            Kind::Segment => {
                self.segments += 1;
                self.segment_bytes += part.disk_bytes;
            }
            Kind::Tail => {
                self.tails += 1;
                self.tail_bytes += part.disk_bytes;
            }
        }
    }
}

impl Manifest {
    pub fn new(expect: &Expect, first_number: u32) -> Self {
        Self {
            store_id: expect.store_id,
            account: expect.account,
            lsn: expect.lsn,
            covered: EmailId(0),
            marks: Marks::default(),
            unreadable: Vec::new(),
            next_number: first_number + 1,
            tail: first_number,
            parts: Vec::new(),
        }
    }

    pub fn take_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Why it is not to be believed, if it is not.
    pub fn distrust(&self, expect: &Expect) -> Option<&'static str> {
        if self.store_id != expect.store_id || self.account != expect.account {
            return Some("it belongs to another account");
        }
        if self.lsn > expect.lsn || self.covered > expect.next_email {
            return Some("it is newer than the log: files of different moments were put together");
        }
        None
    }

    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        files::replace(disk, dir, NAME, &self.encode(made_by()))
    }

    /// `None` when there is none.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        files::read(disk, &dir.join(NAME))?.map(|bytes| Self::decode(&bytes, made_by())).transpose()
    }

    fn encode(&self, made_by: [u8; 8]) -> Vec<u8> {
        let mut body = Encoder::new();
        body.raw(&self.store_id);
        body.raw(&made_by);
        body.u32_le(self.account.0);
        body.u64_le(self.lsn.0);
        body.uint(u64::from(self.covered.0));
        body.uint(u64::from(self.next_number));
        body.uint(u64::from(self.tail));
        put_marks(&mut body, &self.marks);
        put_emails(&mut body, &self.unreadable);
        body.uint(self.parts.len() as u64);
        for part in &self.parts {
            body.u8(if part.kind == Kind::Segment { 1 } else { 2 });
            body.u8(part.generation);
            for number in [part.number, part.first.0, part.last.0, part.messages] {
                body.uint(u64::from(number));
            }
            for number in [part.text_bytes, part.disk_bytes, part.terms] {
                body.uint(number);
            }
        }
        files::frame(MAGIC, body.as_bytes())
    }

    fn decode(bytes: &[u8], made_by: [u8; 8]) -> Result<Self> {
        let mut d = Decoder::new(files::unframe(MAGIC, bytes, WHAT)?, WHAT);
        let store_id = d.array()?;
        if d.array::<8>()? != made_by {
            return Err(d.bad("it was made by another version"));
        }
        let (account, lsn) = (AccountId(d.u32_le()?), Lsn(d.u64_le()?));
        let (covered, next_number, tail) = (EmailId(d.u32()?), d.u32()?, d.u32()?);
        let (marks, unreadable) = (take_marks(&mut d)?, take_emails(&mut d)?);
        let parts = (0..d.count(9)?).map(|_| take_part(&mut d)).collect::<Result<Vec<_>>>()?;
        d.finish()?;
        let mut below = EmailId(0);
        for part in &parts {
            let in_order = part.first >= below && part.first <= part.last && part.last < covered;
            if !in_order || part.number >= next_number || part.number == tail {
                return Err(Error::corrupt(WHAT, "its parts are out of order"));
            }
            below = part.last.next();
        }
        Ok(Self { store_id, account, lsn, covered, marks, unreadable, next_number, tail, parts })
    }
}

fn take_part(d: &mut Decoder<'_>) -> Result<PartInfo> {
    let kind = match d.u8()? {
        1 => Kind::Segment,
        2 => Kind::Tail,
        _ => return Err(d.bad("a part is of no known kind")),
    };
    let generation = d.u8()?;
    let (number, first, last, messages) = (d.u32()?, EmailId(d.u32()?), EmailId(d.u32()?), d.u32()?);
    let (text_bytes, disk_bytes, terms) = (d.uint()?, d.uint()?, d.uint()?);
    Ok(PartInfo { kind, number, first, last, messages, text_bytes, disk_bytes, terms, generation })
}

pub fn put_marks(out: &mut Encoder, marks: &Marks) {
    out.uint(marks.len() as u64);
    for (mailbox, uid) in marks {
        out.uint(u64::from(mailbox.0));
        out.uint(u64::from(uid.0));
    }
}

pub fn take_marks(d: &mut Decoder<'_>) -> Result<Marks> {
    (0..d.count(2)?).map(|_| Ok((MailboxId(d.u32()?), Uid(d.u32()?)))).collect()
}

/// Ascending emails, by their distances.
pub fn put_emails(out: &mut Encoder, emails: &[EmailId]) {
    out.uint(emails.len() as u64);
    let mut last = 0;
    for email in emails {
        out.uint(u64::from(email.0.saturating_sub(last)));
        last = email.0;
    }
}

pub fn take_emails(d: &mut Decoder<'_>) -> Result<Vec<EmailId>> {
    let mut last = 0u32;
    (0..d.count(1)?)
        .map(|_| {
            last = last.checked_add(d.u32()?).ok_or_else(|| d.bad("an EmailId overflows"))?;
            Ok(EmailId(last))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;

    const MADE_BY: [u8; 8] = [2, 0, 17, 0, 0, 16, 0, 0];

    #[test]
    fn the_manifest_is_as_drawn() {
        let drawn = golden(include_str!("../../../tests/data/format/drawn/text-manifest.hex"));
        let segment = PartInfo {
            kind: Kind::Segment,
            number: 7,
            first: EmailId(1),
            last: EmailId(250),
            messages: 240,
            text_bytes: 1_000_000,
            disk_bytes: 350_000,
            terms: 4000,
            generation: 2,
        };
        let tail = PartInfo {
            kind: Kind::Tail,
            number: 6,
            first: EmailId(251),
            last: EmailId(298),
            messages: 40,
            text_bytes: 200_000,
            disk_bytes: 70_000,
            terms: 0,
            generation: 0,
        };
        let manifest = Manifest {
            store_id: std::array::from_fn(|n| n as u8),
            account: AccountId(3),
            lsn: Lsn(70_000),
            covered: EmailId(300),
            marks: Marks::from([(MailboxId(1), Uid(281)), (MailboxId(6), Uid(20))]),
            unreadable: vec![EmailId(5), EmailId(205)],
            next_number: 9,
            tail: 8,
            parts: vec![segment, tail],
        };
        assert_eq!(manifest.encode(MADE_BY), drawn);
        assert_eq!(Manifest::decode(&drawn, MADE_BY).unwrap(), manifest);
        assert!(Manifest::decode(&drawn, [9; 8]).is_err());
        for at in 0..drawn.len() {
            assert!(Manifest::decode(&drawn[..at], MADE_BY).is_err());
            let mut bad = drawn.clone();
            bad[at] ^= 1;
            assert!(Manifest::decode(&bad, MADE_BY).is_err(), "{at}");
        }
        let expect = Expect {
            store_id: manifest.store_id,
            account: AccountId(3),
            next_email: EmailId(300),
            lsn: Lsn(70_000),
        };
        assert_eq!(manifest.distrust(&expect), None);
        for other in [
            Expect { account: AccountId(4), ..expect },
            Expect { store_id: [1; 16], ..expect },
            Expect { next_email: EmailId(299), ..expect },
            Expect { lsn: Lsn(69_999), ..expect },
        ] {
            assert!(manifest.distrust(&other).is_some(), "{other:?}");
        }
    }
}
