//! What is intact in a group that is not.
//!
//! Laws
//! - Only groups that are proven come here: each of their records whose checksum matches is true, whatever became of the
//!   others. Only what is lost is said to be lost.
//! - A record is believed where the one before it ends, from the group's first on. Where a length is wrong, the next place is
//!   what the footer says, or what the record's own parts add up to.
//! - Failing that, bytes are searched for the next record. What lies in a message was written by strangers, so what is found
//!   by searching is believed only when the group's header says how many records there are, and they come out exact.
//! - A header that is wrong costs nothing while its group's place in the order is certain.

use super::block::Entry;
use super::footer::{Footer, GroupEntry, MessageEntry};
use super::group::{ALIGN, HEADER_BYTES, Header, padded};
use super::record::{BODY_FIXED_BYTES, HEAD_BYTES, Head, MessageHead, NO_ACCOUNT, VERSION};
use super::types::Damage;
use super::walk::{self, Depth, Expect, Group, Item, Reader, message_entry};
use crate::codec::Decoder;
use crate::error::{Error, Result};
use crate::types::{AccountId, Lsn, MessageNo};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// At most this much is put through checksums in vain.
const SEARCH_MAX_BYTES: u64 = 1 << 32;

/// What is known from around the group.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// The group before: what a header that is lost is made up from.
    pub(super) before: Before,
    /// That of the segment, if it has one.
    pub(super) footer: Option<&'a Footer>,
    pub(super) depth: Depth,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    /// It stands right before, so that the next one's number is the next; else nothing follows from it.
    pub(super) is_next_to: bool,
    pub(super) lsn: Lsn,
    pub(super) durable_lsn: Lsn,
    pub(super) time_ms: u64,
    pub(super) epoch: u32,
}

impl Before {
    pub(super) fn of(header: &Header) -> Self {
        Self {
            is_next_to: true,
            lsn: header.lsn,
            durable_lsn: header.durable_lsn,
            time_ms: header.time_ms,
            epoch: header.epoch,
        }
    }
}

/// A group as far as it is intact.
#[derive(Debug)]
pub(super) struct Rest {
    /// With a header made up where it was lost, and only the records that are intact.
    pub(super) group: Group,
    /// Where the bytes of each of them are.
    pub(super) pieces: Vec<Range<u64>>,
    /// Where the next group begins.
    pub(super) end: u64,
    pub(super) lost: Lost,
}

/// What of a group is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) whose: Whose,
    pub(super) messages: Vec<MessageNo>,
    /// For whom these were first stored, as the footer says.
    pub(super) stored_for: Vec<AccountId>,
}

/// Whose transactions are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    Nobodys,
    Of(Vec<AccountId>),
    /// How many at most, if that is known.
    Unknown(Option<usize>),
}

/// One stretch of bytes that is no record any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Message(MessageNo),
    /// A record that is neither message nor transaction.
    Relocate,
    /// One record that may have been a transaction.
    Record,
    /// Nobody knows how many.
    Several,
}

impl Lost {
    /// What is to be reported, if anything is lost. `whom` settles it later where it is not known whose it was.
    pub(super) fn damage(&self, expect: Expect, lsn: Lsn, why: &str) -> Option<Damage> {
        let what = format!("in group {lsn}: {why}");
        let messages = self.messages.clone();
        let hole = Damage {
            segment: expect.segment,
            first_lsn: lsn,
            last_lsn: lsn,
            messages,
            what,
            ..Damage::default()
        };
        match &self.whose {
            Whose::Nobodys if self.messages.is_empty() => None,
            Whose::Nobodys => {
                let accounts = self.stored_for.clone();
                Some(Damage { first_lsn: Lsn(0), last_lsn: Lsn(0), accounts, ..hole })
            }
            Whose::Of(accounts) => Some(Damage { accounts: accounts.clone(), ..hole }),
            Whose::Unknown(_) => Some(hole),
        }
    }
}

/// The account field of a transaction, as in a footer.
fn account_of(item: &Item) -> Option<u32> {
    match item {
        Item::Txn { account, .. } => Some(account.map_or(NO_ACCOUNT, |a| a.0)),
        _ => None,
    }
}

/// What is intact of the group at `at`, whose header is given if it is; it ends at `limit` at the latest. `None`: not even
/// which group it is can be told.
pub(super) fn salvage(
    reader: &mut Reader,
    expect: Expect,
    at: u64,
    header: Option<Header>,
    limit: u64,
    around: Around<'_>,
) -> Result<Option<Rest>> {
    let listed = around.footer.and_then(|f| f.groups.iter().find(|g| u64::from(g.offset) == at));
    let records = at + HEADER_BYTES as u64;
    let end = match (&header, next_listed(around.footer, at)) {
        (Some(header), _) => (records + u64::from(header.len)).min(limit),
        (None, Some(next)) => next.min(limit),
        (None, None) => limit,
    };
    if records > end {
        return Ok(None);
    }
    let mut found = Search { reader, records: records..end, footer: around.footer, depth: around.depth }
        .run(header.as_ref())?;
    let ends_clean = found.losses.is_empty();
    let next = match &header {
        Some(header) => at + header.whole_len(),
        None if around.footer.is_some() => limit,
        None => padded(found.end),
    };
    let header = match (header, listed) {
        (Some(header), _) => header,
        (None, Some(listed)) => made_up(expect, at, listed.lsn, around.before),
        // Nothing says where it ends but its records, so these must be whole.
        (None, None) if ends_clean => {
            let after = walk::peek(reader, expect, next);
            if after.is_none() && next < limit {
                return Ok(None);
            }
            let told = after.map(|after| after.prev_lsn);
            let follows = around.before.is_next_to.then(|| around.before.lsn.next());
            let Some(lsn) = told.or(follows) else { return Ok(None) };
            made_up(expect, at, lsn, around.before)
        }
        (None, None) => return Ok(None),
    };
    let lost = found.lost(at..next, around.footer, listed);
    let (items, pieces) = found.items.drain(..).unzip();
    let group = Group { header, items, bad_messages: found.bad_messages };
    Ok(Some(Rest { group, pieces, end: next, lost }))
}

fn next_listed(footer: Option<&Footer>, at: u64) -> Option<u64> {
    footer?.groups.iter().map(|g| u64::from(g.offset)).find(|offset| *offset > at)
}

fn made_up(expect: Expect, at: u64, lsn: Lsn, before: Before) -> Header {
    Header {
        store_id: expect.store_id,
        epoch: before.epoch,
        segment: expect.segment,
        offset: at as u32,
        len: 0,
        lsn,
        prev_lsn: before.lsn,
        durable_lsn: before.durable_lsn,
        time_ms: before.time_ms,
        records: 0,
        records_crc32: 0,
    }
}

/// The intact record at a place, and its length.
fn record_at(reader: &mut Reader, at: u64, end: u64) -> Result<Option<(Item, u64)>> {
    if at + HEAD_BYTES as u64 > end {
        return Ok(None);
    }
    let read = |reader: &mut Reader| {
        let head = Head::decode(reader.bytes(at, HEAD_BYTES)?)?;
        if at + u64::from(head.len) > end {
            return Err(Error::corrupt("a record", "it is longer than its group"));
        }
        Ok((walk::read_record(reader, &head, at)?, u64::from(head.len)))
    };
    match read(reader) {
        Ok(found) => Ok(Some(found)),
        Err(Error::Io { context, source }) => Err(Error::Io { context, source }),
        Err(_) => Ok(None),
    }
}

struct Search<'r, 'f> {
    reader: &'r mut Reader,
    records: Range<u64>,
    footer: Option<&'f Footer>,
    depth: Depth,
}

#[derive(Default)]
struct Found {
    items: Vec<(Item, Range<u64>)>,
    losses: Vec<Loss>,
    bad_messages: Vec<MessageNo>,
    /// Where the last record ends.
    end: u64,
}

/// A place to go on at after a record that is wrong.
struct Resync {
    loss: Loss,
    at: u64,
    searched: bool,
}

impl Search<'_, '_> {
    fn run(mut self, header: Option<&Header>) -> Result<Found> {
        let mut found = Found { end: self.records.start, ..Found::default() };
        // Items and losses before the first that was found by searching.
        let mut certain = None;
        let mut at = self.records.start;
        while at < self.records.end {
            if let Some((item, len)) = record_at(self.reader, at, self.records.end)? {
                self.look_at_blocks(&item, &mut found)?;
                found.items.push((item, at..at + len));
                at += len;
            } else if header.is_none() && self.is_padding(at)? {
                break;
            } else if header.is_none() && self.footer.is_none() {
                found.losses.push(Loss::Several);
                break;
            } else {
                let next = self.resync(at)?;
                if next.searched {
                    certain = certain.or(Some((found.items.len(), found.losses.len())));
                }
                found.losses.push(next.loss);
                at = next.at;
            }
            found.end = at;
        }
        let comes_out = header.is_some_and(|h| found.items.len() + found.losses.len() == h.records as usize);
        if let Some((items, losses)) = certain
            && !comes_out
            && self.footer.is_none()
        {
            found.items.truncate(items);
            found.losses.truncate(losses);
            found.losses.push(Loss::Several);
        }
        Ok(found)
    }

    fn look_at_blocks(&mut self, item: &Item, found: &mut Found) -> Result<()> {
        if let Item::Message { head, offset, .. } = item
            && !walk::is_whole(self.reader, head, u64::from(*offset) + head.covered_len() as u64, self.depth)?
        {
            found.bad_messages.push(head.message);
        }
        Ok(())
    }

    /// Nothing but the zeros that fill up a group, as far as its end is known.
    fn is_padding(&mut self, at: u64) -> Result<bool> {
        let len = padded(at) - at;
        if self.footer.is_some() && at + len != self.records.end {
            return Ok(false);
        }
        let is_inside = at + len <= self.records.end;
        let is_zero = is_inside && self.reader.raw(at, len as usize)?.iter().all(|b| *b == 0);
        Ok(is_zero && self.reader.unreadable_in(&(at..at + len)).is_none())
    }

    fn listed_at(&self, at: u64) -> Option<&MessageEntry> {
        self.footer?.messages.iter().find(|m| u64::from(m.offset) == at)
    }

    /// Whether a record or the group's end is there.
    fn is_boundary(&mut self, at: u64) -> Result<bool> {
        let end = self.records.end;
        let is_end = at == end || (at < end && end - at < ALIGN as u64 && self.is_padding(at)?);
        Ok(is_end || (at < end && record_at(self.reader, at, end)?.is_some()))
    }

    /// Where the reading goes on after the record at `at`, which is wrong.
    fn resync(&mut self, at: u64) -> Result<Resync> {
        if let Some(entry) = self.listed_at(at) {
            let body_len = (BODY_FIXED_BYTES + 4 * entry.accounts.len()) as u64;
            let len = if entry.body.is_some() { body_len } else { u64::from(entry.stored_bytes) };
            let next = (at + len).min(self.records.end);
            return Ok(Resync { loss: Loss::Message(entry.message), at: next, searched: false });
        }
        let lens = self.lengths(at)?;
        for (len, loss) in lens {
            let next = at + len;
            if len >= HEAD_BYTES as u64 && self.is_boundary(next)? {
                return Ok(Resync { loss, at: next, searched: false });
            }
        }
        self.search(at + 1)
    }

    /// How long the record may be, and what it then was: by its own length, and by what it holds.
    fn lengths(&mut self, at: u64) -> Result<Vec<(u64, Loss)>> {
        let have = (self.records.end - at).min(BODY_FIXED_BYTES as u64) as usize;
        let bytes = self.reader.raw(at, have)?.to_vec();
        let mut lens = Vec::new();
        let mut c = Decoder::new(&bytes, "a record");
        let (Ok(version), Ok(kind), Ok(_), Ok(len)) = (c.u8(), c.u8(), c.raw(2), c.u32_le()) else {
            return Ok(lens);
        };
        let len = u64::from(len);
        let (own, computed) = match kind {
            1 => (self.message_loss(&bytes), self.message_len(at, &bytes)),
            3 => (Loss::Relocate, relocate_len(&bytes)),
            4 => (self.message_loss(&bytes), body_len(&bytes)),
            _ => (Loss::Record, None),
        };
        // A kind is believed when the record is as long as one of that kind is.
        let told =
            if version == VERSION && (computed == Some(len) || kind == 1) { own } else { Loss::Record };
        lens.push((len, told));
        if let Some(computed) = computed.filter(|computed| *computed != len) {
            lens.push((computed, own));
        }
        Ok(lens)
    }

    fn message_loss(&self, bytes: &[u8]) -> Loss {
        let mut c = Decoder::new(bytes, "a record");
        let number = c.raw(HEAD_BYTES).and_then(|_| c.u64_le());
        Loss::Message(MessageNo(number.unwrap_or_default()))
    }

    /// The length of a Message record as its table adds up.
    fn message_len(&mut self, at: u64, fixed: &[u8]) -> Option<u64> {
        let covered = MessageHead::covered_len_of(fixed).ok()?;
        if at + covered as u64 > self.records.end {
            return None;
        }
        let bytes = self.reader.bytes(at, covered).ok()?.to_vec();
        let mut c = Decoder::new(&bytes, "a message record");
        c.raw(64).ok()?;
        let (blocks, accounts) = (c.u32_le().ok()?, c.u32_le().ok()?);
        c.raw(4 * accounts as usize).ok()?;
        let mut len = covered as u64;
        for _ in 0..blocks {
            len += u64::from(Entry::read(&mut c).ok()?.stored_len);
        }
        Some(len)
    }

    /// The next record, byte by byte, but not into one that the footer lists.
    fn search(&mut self, from: u64) -> Result<Resync> {
        let end = self.records.end;
        let inside = |m: &&MessageEntry| (from..end).contains(&u64::from(m.offset));
        let listed = self.footer.and_then(|f| f.messages.iter().find(inside)).map(|m| u64::from(m.offset));
        let stop = listed.unwrap_or(end);
        let mut spent_bytes = 0;
        for at in from..stop {
            // The head of a record begins with its version, a kind, and flags of which most are zero.
            let head = self.reader.raw(at, (end - at).min(4) as usize)?;
            if !matches!(head, [VERSION, 1..=4, 0, 0]) {
                continue;
            }
            if record_at(self.reader, at, end)?.is_some() {
                return Ok(Resync { loss: Loss::Record, at, searched: true });
            }
            // Bytes made to look like the beginnings of long records do not keep an open busy for ever.
            spent_bytes += end - at;
            if spent_bytes > SEARCH_MAX_BYTES {
                break;
            }
        }
        Ok(Resync { loss: Loss::Record, at: stop, searched: true })
    }
}

/// The length of a Body as its accounts add up.
fn body_len(fixed: &[u8]) -> Option<u64> {
    let mut c = Decoder::new(fixed, "a record");
    c.raw(BODY_FIXED_BYTES - 4).ok()?;
    Some(BODY_FIXED_BYTES as u64 + 4 * u64::from(c.u32_le().ok()?))
}

/// The length of a Relocate as its lists add up.
fn relocate_len(fixed: &[u8]) -> Option<u64> {
    let mut c = Decoder::new(fixed, "a record");
    c.raw(16).ok()?;
    let (replaces, left_out) = (u64::from(c.u32_le().ok()?), u64::from(c.u32_le().ok()?));
    Some(24 + 4 * replaces + 8 * left_out)
}

/// What is found of a cold segment's records, one by one.
pub(super) enum ColdStep {
    Record(Box<Item>),
    /// The record at this place cannot be read; which message it was, if the footer tells.
    Lost(u64, Option<MessageNo>),
}

/// Gives out the records of a cold segment in turn. Where one cannot be read it goes on with the next that the footer has, or
/// that is found at a multiple of 8 right before another, or before the end.
pub(super) fn cold_records(
    reader: &mut Reader,
    end: u64,
    footer: Option<&Footer>,
    each: &mut dyn FnMut(&mut Reader, ColdStep) -> Result<()>,
) -> Result<()> {
    let mut at = super::segment::HEADER_BYTES as u64;
    while at < end {
        if let Some((item, len)) = record_at(reader, at, end)? {
            each(reader, ColdStep::Record(Box::new(item)))?;
            at = padded(at + len);
            continue;
        }
        let listed = |m: &&MessageEntry| u64::from(m.offset) == at;
        let lost = footer.and_then(|f| f.messages.iter().find(listed)).map(|m| m.message);
        each(reader, ColdStep::Lost(at, lost))?;
        at = match footer {
            Some(f) => f.messages.iter().map(|m| u64::from(m.offset)).find(|o| *o > at).unwrap_or(end),
            None => next_cold(reader, at, end)?,
        };
    }
    Ok(())
}

fn next_cold(reader: &mut Reader, at: u64, end: u64) -> Result<u64> {
    let mut search = Search { reader, records: at..end, footer: None, depth: Depth::Records };
    for (len, _) in search.lengths(at)? {
        let next = padded(at + len);
        if len >= HEAD_BYTES as u64 && next < end && record_at(search.reader, next, end)?.is_some() {
            return Ok(next);
        }
    }
    let mut next = padded(at + 1);
    while next + HEAD_BYTES as u64 <= end {
        let head = search.reader.raw(next, 4)?;
        if matches!(head, [VERSION, 1 | 4, 0, 0])
            && let Some((_, len)) = record_at(search.reader, next, end)?
        {
            // Bytes of mail may look like a record: not like one with another right behind it.
            let after = padded(next + len);
            if after >= end || record_at(search.reader, after, end)?.is_some() {
                return Ok(next);
            }
        }
        next += ALIGN as u64;
    }
    Ok(end)
}

impl Found {
    /// What is lost of the group in `range`.
    fn lost(&self, range: Range<u64>, footer: Option<&Footer>, listed: Option<&GroupEntry>) -> Lost {
        let numbers: HashSet<MessageNo> =
            self.items.iter().filter_map(|(item, _)| message_entry(item)).map(|m| m.message).collect();
        let (messages, stored_for) = match footer {
            Some(footer) => {
                let here =
                    |m: &&MessageEntry| range.contains(&u64::from(m.offset)) && !numbers.contains(&m.message);
                let gone: Vec<&MessageEntry> = footer.messages.iter().filter(here).collect();
                let accounts: BTreeSet<AccountId> =
                    gone.iter().flat_map(|m| m.accounts.iter().copied()).collect();
                (gone.iter().map(|m| m.message).collect(), accounts.into_iter().collect())
            }
            None => {
                let told = self.losses.iter().filter_map(|loss| match loss {
                    Loss::Message(message) if !numbers.contains(message) => Some(*message),
                    _ => None,
                });
                (told.collect(), Vec::new())
            }
        };
        Lost { whose: self.whose(listed), messages, stored_for }
    }

    fn whose(&self, listed: Option<&GroupEntry>) -> Whose {
        if let Some(listed) = listed {
            let mut left = listed.accounts.clone();
            for account in self.items.iter().filter_map(|(item, _)| account_of(item)) {
                if let Some(i) = left.iter().position(|a| *a == account) {
                    left.swap_remove(i);
                }
            }
            let hit: BTreeSet<u32> = left.into_iter().filter(|a| *a != NO_ACCOUNT).collect();
            let hit: Vec<AccountId> = hit.into_iter().map(AccountId).collect();
            return if hit.is_empty() { Whose::Nobodys } else { Whose::Of(hit) };
        }
        if self.losses.contains(&Loss::Several) {
            return Whose::Unknown(None);
        }
        match self.losses.iter().filter(|loss| **loss == Loss::Record).count() {
            0 => Whose::Nobodys,
            records => Whose::Unknown(Some(records)),
        }
    }
}

/// Finds out whom a hole hit from later transactions of its segment: each names the one before of its account. They are of
/// the process that wrote the lost ones, and so knew them.
#[derive(Debug)]
pub(super) struct Elimination {
    lsns: std::ops::RangeInclusive<Lsn>,
    /// Who has an intact transaction in the hit group: the one before may be that.
    intact: HashSet<u32>,
    records: Option<usize>,
    seen: HashSet<u32>,
    hit: BTreeSet<AccountId>,
    spared: BTreeSet<AccountId>,
}

impl Elimination {
    pub(super) fn new(lsns: std::ops::RangeInclusive<Lsn>, rest: Option<&Rest>) -> Self {
        let intact = rest.iter().flat_map(|r| r.group.items.iter().filter_map(account_of)).collect();
        let records = rest.and_then(|r| match r.lost.whose {
            Whose::Unknown(records) => records,
            _ => None,
        });
        let (hit, spared) = Default::default();
        Self { lsns, intact, records, seen: HashSet::new(), hit, spared }
    }

    /// A group that came later.
    pub(super) fn later(&mut self, group: &Group) {
        for item in &group.items {
            let Item::Txn { account: Some(account), prev, .. } = item else { continue };
            if !self.seen.insert(account.0) {
                continue;
            }
            if *prev < *self.lsns.start() {
                self.spared.insert(*account);
            } else if self.lsns.contains(prev) && !self.intact.contains(&account.0) {
                self.hit.insert(*account);
            }
        }
    }

    /// Writes into the damage what came of it.
    pub(super) fn settle(&self, damage: &mut Damage) {
        if !damage.accounts.is_empty() {
            return;
        }
        if self.records.is_some_and(|records| records == self.hit.len()) {
            damage.accounts = self.hit.iter().copied().collect();
        } else {
            damage.spared = self.spared.iter().copied().collect();
        }
    }
}
