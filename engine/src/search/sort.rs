//! SORT (RFC 5256 section 3, RFC 5957).
//!
//! Laws
//! - The criteria in their order, then the sequence number, which nothing reverses.
//! - Dates and sizes come from the rows of the mailbox; no summary is read for them.

use super::order::{SortBy, SortKey};
use super::ranking::Ranking;
use super::rows::{Needs, Rows, Sources};
use crate::error::Result;
use crate::summary::{Columns, TextColumn};
use crate::types::{Uid, UidSet};

/// Those of the UIDs that the session sees, in order. None when it was cancelled.
pub fn sort(from: &Sources<'_>, uids: &UidSet, by: &[SortKey]) -> Result<Option<Vec<Uid>>> {
    let (mut needs, mut columns) = (Needs::default(), Columns::default());
    for key in by {
        match Criterion::of(key.by) {
            Criterion::Text(column) => columns = columns.with(column),
            Criterion::Arrival => needs.arrivals = true,
            Criterion::Sent => needs.sents = true,
            Criterion::Size => needs.sizes = true,
        }
    }
    let Some(rows) = Rows::collect(from, uids, needs)? else { return Ok(None) };
    let Some(table) = rows.summaries(from, columns)? else { return Ok(None) };
    let mut ranking = Ranking::new(rows.len());
    for key in by {
        if from.is_cancelled() {
            return Ok(None);
        }
        match Criterion::of(key.by) {
            Criterion::Text(column) => ranking.by_text(table.text(column), key.reverse),
            Criterion::Arrival => ranking.by_number(|row| rows.arrival(row), key.reverse),
            Criterion::Sent => ranking.by_number(|row| rows.sent(row), key.reverse),
            Criterion::Size => ranking.by_number(|row| rows.size_bytes(row).into(), key.reverse),
        }
    }
    Ok(Some(ranking.rows().filter_map(|row| rows.uids.get(row as usize).copied()).collect()))
}

/// Where a criterion finds its values.
enum Criterion {
    Text(TextColumn),
    Arrival,
    Sent,
    Size,
}

impl Criterion {
    fn of(by: SortBy) -> Self {
        match by {
            SortBy::Arrival => Self::Arrival,
            SortBy::Date => Self::Sent,
            SortBy::Size => Self::Size,
            SortBy::Cc => Self::Text(TextColumn::Cc),
            SortBy::DisplayFrom => Self::Text(TextColumn::DisplayFrom),
            SortBy::DisplayTo => Self::Text(TextColumn::DisplayTo),
            SortBy::From => Self::Text(TextColumn::From),
            SortBy::Subject => Self::Text(TextColumn::Subject),
            SortBy::To => Self::Text(TextColumn::To),
        }
    }
}
