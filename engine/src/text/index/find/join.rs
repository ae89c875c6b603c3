//! Tokens in a row, by their positions.
//!
//! Laws
//! - A document is found when positions of the places' terms stand in it at the needle's gaps, and only
//!   then. Where there are more terms than memory is given for, nothing is said at all.
//! - Memory is bounded: documents are taken in windows, rare terms' positions are got once, and cursors
//!   are kept for the others.

use super::super::bits::Docs;
use super::{Asked, Terms};
use crate::error::Result;
use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, TERMINATED};

/// Terms with at most so many documents are read at once.
const RARE_DOCS: u32 = 64;
/// Cursors kept for one place: 2 KiB each.
const CURSORS_MAX: usize = 4096;
/// Positions of rare terms kept for one place: 8 bytes each.
const RARE_MAX: usize = 2_000_000;
/// Candidates of a window.
const WINDOW_DOCS: usize = 4096;

/// A token of the needle.
pub(super) struct Place<'a> {
    pub terms: &'a Terms,
    /// From the place before.
    pub gap: u32,
}

/// The documents of `candidates` that have the places in a row. None: too many terms.
pub(super) fn join(asked: &Asked<'_>, places: &[Place<'_>], candidates: &Docs) -> Result<Option<Docs>> {
    let mut readers = Vec::new();
    for place in places {
        match Reader::of(asked, place.terms, candidates)? {
            Some(reader) => readers.push((place.gap, reader)),
            None => return Ok(None),
        }
    }
    let mut found = candidates.clone();
    found.subtract(candidates);
    let mut left = candidates.iter();
    loop {
        let mut window: Vec<u32> = left.by_ref().take(WINDOW_DOCS).collect();
        if window.is_empty() || asked.is_cancelled() {
            return Ok(Some(found));
        }
        for doc in join_window(&mut readers, &mut window) {
            found.insert((doc >> 32) as u32);
        }
    }
}

/// The places where the row ends, within the documents of the window.
fn join_window(readers: &mut [(u32, Reader)], window: &mut Vec<u32>) -> Vec<u64> {
    let mut ends: Vec<u64> = Vec::new();
    let mut here = Vec::new();
    for (nth, (gap, reader)) in readers.iter_mut().enumerate() {
        here.clear();
        reader.read(window, &mut here);
        if nth == 0 {
            std::mem::swap(&mut ends, &mut here);
        } else {
            follow(&mut ends, &here, u64::from(*gap));
        }
        window.clear();
        window.extend(ends.iter().map(|place| (place >> 32) as u32));
        window.dedup();
    }
    ends
}

/// Keeps the places of `here` that stand `gap` behind one of `ends`. Both ascend.
fn follow(ends: &mut Vec<u64>, here: &[u64], gap: u64) {
    let mut from = ends.iter().map(|end| end + gap).peekable();
    let mut kept = Vec::new();
    for place in here {
        while from.next_if(|end| end < place).is_some() {}
        match from.peek() {
            Some(end) if end == place => kept.push(*place),
            Some(_) => {}
            None => break,
        }
    }
    drop(from);
    *ends = kept;
}

/// The positions of a place's terms. A place is document and position in one number.
struct Reader {
    /// Of all rare terms, ascending.
    rare: Vec<u64>,
    rare_at: usize,
    cursors: Vec<SegmentPostings>,
    positions: Vec<u32>,
}

impl Reader {
    fn of(asked: &Asked<'_>, terms: &Terms, candidates: &Docs) -> Result<Option<Self>> {
        let mut reader = Self { rare: Vec::new(), rare_at: 0, cursors: Vec::new(), positions: Vec::new() };
        let mut fits = true;
        asked.each(terms, &mut |info| {
            fits = reader.add(asked, &info, candidates)?;
            Ok(fits)
        })?;
        reader.rare.sort_unstable();
        Ok(fits.then_some(reader))
    }

    /// False when it is too much.
    fn add(&mut self, asked: &Asked<'_>, info: &TermInfo, candidates: &Docs) -> Result<bool> {
        let mut postings = asked
            .postings()
            .read_postings_from_terminfo(info, IndexRecordOption::WithFreqsAndPositions)
            .map_err(|e| asked.failed(e))?;
        if info.doc_freq > RARE_DOCS {
            self.cursors.push(postings);
            return Ok(self.cursors.len() <= CURSORS_MAX);
        }
        while postings.doc() != TERMINATED {
            if candidates.contains(postings.doc()) {
                push(&mut postings, &mut self.positions, &mut self.rare);
            }
            postings.advance();
        }
        Ok(self.rare.len() <= RARE_MAX)
    }

    /// The places in those documents, ascending. Windows come in order.
    fn read(&mut self, window: &[u32], out: &mut Vec<u64>) {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return };
        let rest = self.rare.get(self.rare_at..).unwrap_or_default();
        let skipped = rest.partition_point(|place| (place >> 32) < u64::from(*first));
        let taken = rest.partition_point(|place| (place >> 32) <= u64::from(*last));
        let rare = rest.get(skipped..taken).unwrap_or_default();
        out.extend(rare.iter().filter(|place| window.binary_search(&((*place >> 32) as u32)).is_ok()));
        self.rare_at += taken;
        let mut runs = usize::from(!out.is_empty());
        for cursor in &mut self.cursors {
            let before = out.len();
            read_cursor(cursor, window, &mut self.positions, out);
            runs += usize::from(out.len() > before);
        }
        if runs > 1 {
            out.sort_unstable();
        }
    }
}

/// Leaps over what is in one and not in the other.
fn read_cursor(cursor: &mut SegmentPostings, window: &[u32], positions: &mut Vec<u32>, out: &mut Vec<u64>) {
    let mut at = 0;
    while let Some(wanted) = window.get(at) {
        if cursor.doc() < *wanted {
            cursor.seek(*wanted);
        }
        let doc = cursor.doc();
        if doc == TERMINATED {
            break;
        }
        if doc == *wanted {
            push(cursor, positions, out);
            at += 1;
        } else {
            at += window.get(at..).map_or(0, |rest| rest.partition_point(|w| *w < doc));
        }
    }
}

/// The places in the document at hand.
fn push(postings: &mut SegmentPostings, positions: &mut Vec<u32>, out: &mut Vec<u64>) {
    postings.positions(positions);
    let doc = u64::from(postings.doc()) << 32;
    out.extend(positions.iter().map(|position| doc | u64::from(*position)));
}
