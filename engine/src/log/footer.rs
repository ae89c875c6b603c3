//! The index at the end of a sealed segment.
//!
//! Laws
//! - It is a view of the segment: a scan of the groups gives it again.
//! - It is written after what is before it was synced: where it is, all of that was durable.
//! - It names, for each group, whose transactions it holds, and for each message, where it lies and for whom: so a group
//!   that is lost still says whom it hit.
//! - Its size is known before a group is admitted, so sealing never runs out of the room allocated.

use super::bytes::set;
use super::record::NO_ACCOUNT;
use crate::codec::{Decoder, Delta, Encoder};
use crate::error::{Error, Result};
use crate::sys::disk::File;
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};

pub(super) const TRAILER_BYTES: usize = 96;
const MAGIC: &[u8; 4] = b"MCFT";
const VERSION: u8 = 1;
const ZSTD: u8 = 1;
/// No varint of a 64-bit number is longer.
const VARINT_MAX: usize = 10;

/// A group as the footer tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupEntry {
    pub(super) lsn: Lsn,
    pub(super) offset: u32,
    /// Account of each transaction in it; [`NO_ACCOUNT`] for the store.
    pub(super) accounts: Vec<u32>,
}

/// A message as the footer tells it. `offset` is that of its Message or Body record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MessageEntry {
    pub(super) message: MessageNo,
    pub(super) offset: u32,
    pub(super) stored_bytes: u32,
    /// Where the bytes are when not here.
    pub(super) body: Option<SegmentId>,
    pub(super) accounts: Vec<AccountId>,
}

/// The fixed part: what the manifest also says of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) first_lsn: Lsn,
    pub(super) last_lsn: Lsn,
    pub(super) prev_lsn: Lsn,
    pub(super) newest_time_ms: u64,
    pub(super) groups: u32,
    pub(super) messages: u32,
}

/// Grows with its segment.
#[derive(Debug, Clone, Default)]
pub(super) struct Builder {
    totals: Totals,
    groups: Encoder,
    messages: Encoder,
    last_group_offset: u32,
    message: Delta,
    message_offset: Delta,
}

impl Builder {
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// At most this many bytes at the end of the segment once `txns` transactions and `messages` messages for `accounts`
    /// accounts in all were added as one more group.
    pub(super) fn bytes_with(&self, txns: usize, messages: usize, accounts: usize) -> u64 {
        let more = VARINT_MAX * (3 + txns + 5 * messages + accounts);
        (self.groups.as_bytes().len() + self.messages.as_bytes().len() + more + TRAILER_BYTES) as u64
    }

    pub(super) fn add_group(&mut self, entry: &GroupEntry, prev_lsn: Lsn, time_ms: u64) {
        if self.totals.groups == 0 {
            self.totals.first_lsn = entry.lsn;
            self.totals.prev_lsn = prev_lsn;
            self.totals.last_lsn = prev_lsn;
        }
        self.groups.uint(entry.lsn.0.wrapping_sub(self.totals.last_lsn.0));
        self.groups.uint(u64::from(entry.offset.wrapping_sub(self.last_group_offset) / 8));
        self.groups.uint(entry.accounts.len() as u64);
        for account in &entry.accounts {
            self.groups.uint(if *account == NO_ACCOUNT { 0 } else { u64::from(*account) + 1 });
        }
        self.last_group_offset = entry.offset;
        self.totals.last_lsn = entry.lsn;
        self.totals.newest_time_ms = self.totals.newest_time_ms.max(time_ms);
        self.totals.groups += 1;
    }

    pub(super) fn add_message(&mut self, entry: &MessageEntry) {
        self.message.put(&mut self.messages, entry.message.0);
        self.message_offset.put(&mut self.messages, u64::from(entry.offset));
        self.messages.uint(u64::from(entry.stored_bytes));
        self.messages.uint(entry.body.map_or(0, |s| u64::from(s.0)));
        self.messages.uint(entry.accounts.len() as u64);
        for account in &entry.accounts {
            self.messages.uint(u64::from(account.0));
        }
        self.totals.messages += 1;
    }

    pub(super) fn note_time(&mut self, time_ms: u64) {
        self.totals.newest_time_ms = self.totals.newest_time_ms.max(time_ms);
    }

    /// The bytes that seal a segment whose content ends at `at`.
    pub(super) fn encode(&self, store_id: [u8; 16], segment: SegmentId, at: u32) -> Vec<u8> {
        let mut out = [self.groups.as_bytes(), self.messages.as_bytes()].concat();
        let raw_len = out.len() as u32;
        let mut flags = 0;
        if let Ok(frame) = zstd::bulk::compress(&out, 1)
            && frame.len() < out.len()
        {
            out = frame;
            flags = ZSTD;
        }
        let mut trailer = [0; TRAILER_BYTES];
        let t = &self.totals;
        set(&mut trailer, 0, MAGIC);
        set(&mut trailer, 4, &[VERSION, flags]);
        set(&mut trailer, 8, &store_id);
        for (i, field) in
            [segment.0, at, out.len() as u32, raw_len, crc32fast::hash(&out)].into_iter().enumerate()
        {
            set(&mut trailer, 24 + 4 * i, &field.to_le_bytes());
        }
        let words = [t.first_lsn.0, t.last_lsn.0, t.prev_lsn.0, t.newest_time_ms];
        for (i, field) in words.into_iter().enumerate() {
            set(&mut trailer, 48 + 8 * i, &field.to_le_bytes());
        }
        set(&mut trailer, 80, &t.groups.to_le_bytes());
        set(&mut trailer, 84, &t.messages.to_le_bytes());
        let crc = crc32fast::hash(&trailer[..92]);
        set(&mut trailer, 92, &crc.to_le_bytes());
        out.extend_from_slice(&trailer);
        out
    }
}

/// A footer as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) totals: Totals,
    /// Where the groups or records end.
    pub(super) content_end: u64,
    pub(super) groups: Vec<GroupEntry>,
    pub(super) messages: Vec<MessageEntry>,
}

struct Trailer {
    totals: Totals,
    at: u32,
    stored_len: u32,
    raw_len: u32,
    crc32: u32,
    zstd: bool,
}

fn read_trailer(bytes: &[u8], store_id: [u8; 16], segment: SegmentId) -> Result<Trailer> {
    let mut c = Decoder::new(bytes, "a segment's footer");
    if c.raw(4)? != MAGIC || c.u8()? != VERSION {
        return Err(c.bad("there is none"));
    }
    let flags = c.u8()?;
    c.zeros(2)?;
    let ours = c.array::<16>()? == store_id && c.u32_le()? == segment.0;
    let (at, stored_len, raw_len, crc32) = (c.u32_le()?, c.u32_le()?, c.u32_le()?, c.u32_le()?);
    c.zeros(4)?;
    let totals = Totals {
        first_lsn: Lsn(c.u64_le()?),
        last_lsn: Lsn(c.u64_le()?),
        prev_lsn: Lsn(c.u64_le()?),
        newest_time_ms: c.u64_le()?,
        groups: c.u32_le()?,
        messages: c.u32_le()?,
    };
    c.zeros(4)?;
    if !ours || c.u32_le()? != crc32fast::hash(bytes.get(..92).unwrap_or_default()) {
        return Err(c.bad("it is of another segment, or its checksum does not match"));
    }
    Ok(Trailer { totals, at, stored_len, raw_len, crc32, zstd: flags & ZSTD != 0 })
}

fn read_groups(c: &mut Decoder<'_>, totals: &Totals) -> Result<Vec<GroupEntry>> {
    let (mut lsn, mut offset) = (totals.prev_lsn.0, 0u32);
    let mut groups = Vec::new();
    for _ in 0..totals.groups {
        lsn = lsn.wrapping_add(c.uint()?);
        offset = offset.wrapping_add(c.u32()?.wrapping_mul(8));
        let mut accounts = Vec::new();
        for _ in 0..c.uint()? {
            accounts.push(c.uint()?.checked_sub(1).map_or(NO_ACCOUNT, |a| a as u32));
        }
        groups.push(GroupEntry { lsn: Lsn(lsn), offset, accounts });
    }
    Ok(groups)
}

fn read_messages(c: &mut Decoder<'_>, totals: &Totals) -> Result<Vec<MessageEntry>> {
    let (mut message, mut offset) = (Delta::default(), Delta::default());
    let mut messages = Vec::new();
    for _ in 0..totals.messages {
        let (message, offset) = (message.take(c)?, offset.take_u32(c)?);
        let stored_bytes = c.u32()?;
        let body = Some(SegmentId(c.u32()?)).filter(|s| s.0 != 0);
        let mut accounts = Vec::new();
        for _ in 0..c.uint()? {
            accounts.push(AccountId(c.u32()?));
        }
        messages.push(MessageEntry { message: MessageNo(message), offset, stored_bytes, body, accounts });
    }
    Ok(messages)
}

impl Footer {
    /// The messages of the groups that are asked for, each with its group.
    pub(super) fn messages_of(
        &self,
        is_asked: impl Fn(&GroupEntry) -> bool,
    ) -> impl Iterator<Item = (&GroupEntry, &MessageEntry)> {
        self.messages.iter().filter_map(move |message| {
            // Groups stand in the order of their offsets.
            let behind = self.groups.partition_point(|g| g.offset <= message.offset);
            let group = self.groups.get(behind.checked_sub(1)?)?;
            is_asked(group).then_some((group, message))
        })
    }

    /// Where the first group behind this offset begins.
    pub(super) fn group_behind(&self, at: u64) -> Option<u64> {
        let next = self.groups.partition_point(|g| u64::from(g.offset) <= at);
        self.groups.get(next).map(|g| u64::from(g.offset))
    }

    /// Reads the footer of a sealed segment.
    pub(super) fn read(file: &dyn File, store_id: [u8; 16], segment: SegmentId) -> Result<Self> {
        let io = |e| Error::io(format!("reading the footer of segment {segment}"), e);
        let bad = |why| Error::corrupt(format!("the footer of segment {segment}"), why);
        let len = file.len_bytes().map_err(io)?;
        let trailer_at = len.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| bad("the file is too short"))?;
        let mut bytes = vec![0; TRAILER_BYTES];
        file.read_exact_at(&mut bytes, trailer_at).map_err(io)?;
        let trailer = read_trailer(&bytes, store_id, segment)?;
        if u64::from(trailer.at) + u64::from(trailer.stored_len) != trailer_at {
            return Err(bad("it is not where it says"));
        }
        let mut index = vec![0; trailer.stored_len as usize];
        file.read_exact_at(&mut index, u64::from(trailer.at)).map_err(io)?;
        if crc32fast::hash(&index) != trailer.crc32 {
            return Err(bad("its checksum does not match"));
        }
        if trailer.zstd {
            index = zstd::bulk::decompress(&index, trailer.raw_len as usize)
                .map_err(|_| bad("it does not decompress"))?;
        }
        let mut c = Decoder::new(&index, "a segment's footer");
        let groups = read_groups(&mut c, &trailer.totals)?;
        let messages = read_messages(&mut c, &trailer.totals)?;
        c.finish()?;
        Ok(Self { totals: trailer.totals, content_end: u64::from(trailer.at), groups, messages })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::disk::Disk;
    use crate::sys::sim::SimDisk;
    use std::path::Path;

    #[test]
    fn a_footer_comes_back_and_fits_its_estimate() {
        let mut builder = Builder::default();
        let mut groups = Vec::new();
        let mut messages = Vec::new();
        for i in 0..100u32 {
            let estimate = builder.bytes_with(2, 1, 1);
            let group = GroupEntry {
                lsn: Lsn(u64::from(10 + i)),
                offset: 64 + i * 800,
                accounts: vec![NO_ACCOUNT, i],
            };
            builder.add_group(&group, Lsn(u64::from(9 + i)), u64::from(i));
            let message = MessageEntry {
                message: MessageNo(u64::from(1000 - i)),
                offset: 64 + i,
                stored_bytes: 4000 + i,
                body: (i % 2 == 1).then_some(SegmentId(i)),
                accounts: vec![AccountId(i)],
            };
            builder.add_message(&message);
            assert!(builder.encode([1; 16], SegmentId(3), 0).len() as u64 <= estimate);
            groups.push(group);
            messages.push(message);
        }
        let disk = SimDisk::new(0);
        disk.create_dir_all(Path::new("/s")).unwrap();
        let file = disk.create(Path::new("/s/f")).unwrap();
        file.write_all_at(&builder.encode([1; 16], SegmentId(3), 640), 640).unwrap();
        let footer = Footer::read(&*file, [1; 16], SegmentId(3)).unwrap();
        assert_eq!((footer.group_behind(0), footer.group_behind(64)), (Some(64), Some(864)));
        assert_eq!(footer.group_behind(64 + 99 * 800), None);
        // All messages lie in the first group here.
        assert_eq!(footer.messages_of(|g| g.lsn == Lsn(10)).count(), 100);
        assert_eq!(footer.messages_of(|g| g.lsn != Lsn(10)).count(), 0);
        assert_eq!((footer.groups, footer.messages, footer.content_end), (groups, messages, 640));
        assert_eq!((footer.totals.first_lsn, footer.totals.last_lsn), (Lsn(10), Lsn(109)));
        assert!(Footer::read(&*file, [1; 16], SegmentId(4)).is_err());
        disk.flip_bit(Path::new("/s/f"), 700, 1);
        assert!(Footer::read(&*file, [1; 16], SegmentId(3)).is_err());
    }

    /// Version 1, as first written; so small that it is not compressed.
    #[test]
    fn the_bytes_stay() {
        let mut builder = Builder::default();
        let group = GroupEntry { lsn: Lsn(300), offset: 64, accounts: vec![NO_ACCOUNT, 200] };
        builder.add_group(&group, Lsn(2), 5);
        for (message, offset, body) in [(1000, 152, None), (900, 300, Some(SegmentId(7)))] {
            let message = MessageNo(message);
            let accounts = vec![AccountId(130)];
            builder.add_message(&MessageEntry { message, offset, stored_bytes: 4000, body, accounts });
        }
        assert_eq!(crc32fast::hash(&builder.encode([1; 16], SegmentId(3), 640)), 3_386_687_404);
    }
}
