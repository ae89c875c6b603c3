//! Checking everything that is stored against itself.
//!
//! Laws
//! - It reads only; what it finds it reports, and goes on.
//! - Every group, record, block and footer is looked at; deep, every digest as well.
//! - Each transaction names the one before of its account, so a missing one shows by the next, whatever else is lost.
//! - The segment being written is looked at up to its last durable group.

use super::footer::{Footer, MessageEntry};
use super::manifest::{Segment, State};
use super::message;
use super::salvage::{self, Around, Before, ColdStep, salvage};
use super::segment::{HEADER_BYTES, SegmentKind};
use super::shared::Shared;
use super::types::{Finding, ScanTotals};
use super::walk::{self, Depth, Expect, Group, Item, Reader, Step};
use crate::error::{Error, Result};
use crate::types::{AccountId, Lsn, MessageNo, SegmentId};
use crate::work::{Unit, Work};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

const BAD_MESSAGE: &str = "the checksum of a block, or the digest, does not match";

/// Why messages there are not whole.
fn why_bad(reader: &Reader, range: Range<u64>) -> String {
    let unreadable = reader.unreadable_in(&range);
    unreadable.map_or_else(|| BAD_MESSAGE.to_owned(), |bad| walk::unreadable(&bad.why).to_string())
}

struct Scan<'a, 'w> {
    shared: &'a Shared,
    deep: bool,
    totals: ScanTotals,
    /// Newest transaction seen of each account.
    account_lsn: HashMap<Option<AccountId>, Lsn>,
    /// Newest LSN of the log segment before.
    last_lsn: Lsn,
    /// Of the segment being looked at.
    found: Vec<Finding>,
    total_bytes: u64,
    work: &'a mut Work<'w>,
}

pub(super) fn scan_all(
    shared: &Shared,
    deep: bool,
    work: &mut Work<'_>,
    found: &mut dyn FnMut(Finding),
) -> Result<ScanTotals> {
    let manifest = shared.manifest.load_full();
    let total_bytes = manifest.segments.values().map(|segment| segment.bytes).sum();
    let mut scan = Scan::new(shared, deep, total_bytes, work);
    for (id, segment) in &manifest.segments {
        scan.look_at(*id, segment, found)?;
    }
    Ok(scan.totals)
}

/// The same of one segment, as far as it can be judged by itself.
pub(super) fn verify_segment(
    shared: &Shared,
    id: SegmentId,
    deep: bool,
    work: &mut Work<'_>,
    found: &mut dyn FnMut(Finding),
) -> Result<ScanTotals> {
    let Some(segment) = shared.manifest.load().segments.get(&id).copied() else {
        return Ok(ScanTotals::default());
    };
    let bytes = shared.open_end.lock().get(&id).copied().unwrap_or(segment.bytes);
    let mut scan = Scan::new(shared, deep, bytes, work);
    scan.look_at(id, &segment, found)?;
    Ok(scan.totals)
}

impl<'a, 'w> Scan<'a, 'w> {
    fn new(shared: &'a Shared, deep: bool, total_bytes: u64, work: &'a mut Work<'w>) -> Self {
        Self {
            shared,
            deep,
            totals: ScanTotals::default(),
            account_lsn: HashMap::new(),
            last_lsn: Lsn(0),
            found: Vec::new(),
            total_bytes,
            work,
        }
    }

    fn look_at(&mut self, id: SegmentId, segment: &Segment, found: &mut dyn FnMut(Finding)) -> Result<()> {
        self.step(0)?;
        if self.shared.manifest.load().kind(id).is_none() {
            return Ok(());
        }
        match self.segment(id, segment) {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(e) => self.report(id, 0, Vec::new(), e.to_string()),
            Ok(()) => {}
        }
        self.totals.segments += 1;
        self.totals.bytes += segment.bytes;
        // What was compacted away while it was looked at is no finding.
        let counts = self.shared.manifest.load().segments.contains_key(&id);
        self.found.drain(..).filter(|_| counts).for_each(found);
        Ok(())
    }

    /// `at`: how far it is in this segment.
    fn step(&mut self, at: u64) -> Result<()> {
        self.work.step("reading the log", self.totals.bytes + at, self.total_bytes, Unit::Bytes)
    }

    fn report(&mut self, segment: SegmentId, offset: u64, messages: Vec<MessageNo>, what: String) {
        self.found.push(Finding { segment, offset, messages, missing: None, what });
    }

    fn segment(&mut self, id: SegmentId, segment: &Segment) -> Result<()> {
        let file = self.shared.files.get(segment.kind, id)?;
        let expect = Expect { store_id: self.shared.store_id, segment: id };
        walk::check_segment_header(&*file, expect)?;
        if segment.kind == SegmentKind::Body {
            return self.bodies(id);
        }
        let open_end = self.shared.open_end.lock().get(&id).copied();
        let footer = match open_end {
            Some(_) => None,
            None => match Footer::read(&*file, self.shared.store_id, id) {
                Ok(footer) => Some(footer),
                // Its content is looked at all the same.
                Err(why) => {
                    self.report(id, segment.bytes, Vec::new(), why.to_string());
                    None
                }
            },
        };
        let end = footer.as_ref().map_or(open_end.unwrap_or(segment.bytes), |f| f.content_end);
        let mut reader = Reader::new(file, end);
        let seen = match segment.kind {
            SegmentKind::Log => {
                if segment.prev_lsn != self.last_lsn {
                    // Segments between were dropped: what a transaction follows may have been in them.
                    self.account_lsn.clear();
                }
                self.last_lsn = segment.last_lsn;
                self.groups(&mut reader, expect, footer.as_ref())?
            }
            _ => self.cold(&mut reader, id, footer.as_ref())?,
        };
        if let Some(footer) = footer {
            self.compare(id, &footer, &seen);
        }
        for entry in seen.iter().filter(|_| segment.state != State::Pending) {
            self.message(id, entry);
        }
        Ok(())
    }

    fn groups(
        &mut self,
        reader: &mut Reader,
        expect: Expect,
        footer: Option<&Footer>,
    ) -> Result<Vec<MessageEntry>> {
        let (mut seen, mut at, mut before) = (Vec::new(), HEADER_BYTES as u64, Before::default());
        loop {
            self.step(at)?;
            match walk::step(reader, expect, at, self.depth())? {
                Step::End => return Ok(seen),
                Step::Whole(group) => {
                    self.totals.groups += 1;
                    self.follow_accounts(expect.segment, at, &group);
                    if !group.bad_messages.is_empty() {
                        let why = why_bad(reader, at..at + group.header.whole_len());
                        self.report(expect.segment, at, group.bad_messages.clone(), why);
                    }
                    seen.extend(group.message_entries());
                    before = Before::of(&group.header);
                    at += group.header.whole_len();
                }
                Step::Broken { why, header } => {
                    let end = reader.end();
                    let next = match footer {
                        Some(f) => f.groups.iter().map(|g| u64::from(g.offset)).find(|o| *o > at),
                        None => walk::next_header(reader, expect, at + 1)?,
                    };
                    let around = Around { before, footer, depth: self.depth() };
                    let rest = salvage(reader, expect, at, header, next.unwrap_or(end), around)?;
                    let lost = rest.as_ref().map(|rest| rest.lost.messages.clone()).unwrap_or_default();
                    self.report(expect.segment, at, lost, why.to_string());
                    let from = std::mem::replace(
                        &mut at,
                        rest.as_ref().map_or(next.unwrap_or(end), |rest| rest.end),
                    );
                    before.is_next_to = false;
                    if let Some(rest) = rest {
                        if !rest.group.bad_messages.is_empty() {
                            let bad = rest.group.bad_messages.clone();
                            self.report(expect.segment, at, bad, why_bad(reader, from..at));
                        }
                        before = Before::of(&rest.group.header);
                        self.follow_accounts(expect.segment, at, &rest.group);
                        seen.extend(rest.group.message_entries());
                    }
                }
            }
        }
    }

    /// Compares what each transaction says of the one before with what was seen.
    fn follow_accounts(&mut self, id: SegmentId, at: u64, group: &Group) {
        for item in &group.items {
            let Item::Txn { account, prev, .. } = item else { continue };
            self.totals.transactions += 1;
            let seen = self.account_lsn.insert(*account, group.header.lsn);
            if let Some(seen) = seen.filter(|seen| seen != prev) {
                let whose = account.map_or("the store".to_owned(), |a| format!("account {a}"));
                let what =
                    format!("{whose}: the transaction at {prev} is missing (the one before is {seen})");
                let (messages, missing) = (Vec::new(), Some(*prev));
                self.found.push(Finding { segment: id, offset: at, messages, missing, what });
            }
        }
    }

    fn cold(
        &mut self,
        reader: &mut Reader,
        id: SegmentId,
        footer: Option<&Footer>,
    ) -> Result<Vec<MessageEntry>> {
        let (end, depth, mut seen) = (reader.end(), self.depth(), Vec::new());
        salvage::cold_records(reader, end, footer, &mut |reader, step| match step {
            ColdStep::Record(item) => {
                if let Item::Message { head, offset, .. } = &*item {
                    self.step(u64::from(*offset))?;
                    let at = u64::from(*offset) + head.covered_len() as u64;
                    if !walk::is_whole(reader, head, at, depth)? {
                        let blocks = at..at + head.blocks_len();
                        self.report(id, at, vec![head.message], why_bad(reader, blocks));
                    }
                }
                seen.extend(walk::message_entry(&item));
                Ok(())
            }
            ColdStep::Lost(at, message) => {
                self.report(id, at, message.into_iter().collect(), "a record cannot be read".to_owned());
                Ok(())
            }
        })?;
        Ok(seen)
    }

    fn depth(&self) -> Depth {
        if self.deep { Depth::Digests } else { Depth::Blocks }
    }

    /// The footer is a view of the content.
    fn compare(&mut self, id: SegmentId, footer: &Footer, seen: &[MessageEntry]) {
        if footer.messages != seen {
            let seen: HashSet<MessageNo> = seen.iter().map(|m| m.message).collect();
            let lost = footer.messages.iter().map(|m| m.message).filter(|m| !seen.contains(m)).collect();
            self.report(id, footer.content_end, lost, "the footer does not match the content".to_owned());
        }
    }

    /// What the locations table says of a message that lies here.
    fn message(&mut self, id: SegmentId, entry: &MessageEntry) {
        self.totals.messages += 1;
        match self.shared.locations.get(entry.message) {
            Some(at) if at.segment == id && at.offset != entry.offset => {
                let what = format!("its place in the table is {} instead", at.offset);
                self.report(id, u64::from(entry.offset), vec![entry.message], what);
            }
            // It is read elsewhere, or died: compaction leaves its bytes until the segment goes.
            Some(_) | None => {}
        }
    }

    /// The bodies that Body records name: readable, their blocks whole.
    fn bodies(&mut self, id: SegmentId) -> Result<()> {
        let mut done = 0;
        for (message, stored_bytes) in self.shared.bodies.named_in(id) {
            self.step(done)?;
            done += u64::from(stored_bytes);
            if message::segment_of(self.shared, message) != Some(id) {
                continue;
            }
            let read = message::read(self.shared, message)
                .and_then(|m| if self.deep { m.verify() } else { m.read_all().map(drop) });
            match read {
                Ok(()) | Err(Error::NoSuchMessage) => {}
                Err(e) => self.report(id, 0, vec![message], e.to_string()),
            }
        }
        Ok(())
    }
}
