//! Columns of summaries in memory, flat: what a sort or a thread runs over.
//!
//! Laws
//! - Cells of different lengths lie in parts of many rows and are found by spans: a million texts are some
//!   hundred allocations. A row that was never set has an empty cell.

use super::Summary;

/// A text of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextColumn {
    Subject,
    From,
    To,
    Cc,
    DisplayFrom,
    DisplayTo,
}

impl TextColumn {
    pub const ALL: [Self; 6] =
        [Self::Subject, Self::From, Self::To, Self::Cc, Self::DisplayFrom, Self::DisplayTo];

    pub(super) fn of(self, summary: &Summary) -> &str {
        match self {
            Self::Subject => &summary.subject,
            Self::From => &summary.from,
            Self::To => &summary.to,
            Self::Cc => &summary.cc,
            Self::DisplayFrom => &summary.display_from,
            Self::DisplayTo => &summary.display_to,
        }
    }

    pub(super) fn of_mut(self, summary: &mut Summary) -> &mut String {
        match self {
            Self::Subject => &mut summary.subject,
            Self::From => &mut summary.from,
            Self::To => &mut summary.to,
            Self::Cc => &mut summary.cc,
            Self::DisplayFrom => &mut summary.display_from,
            Self::DisplayTo => &mut summary.display_to,
        }
    }
}

/// Which columns are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Columns {
    texts: [bool; TextColumn::ALL.len()],
    pub(super) replies: bool,
    pub(super) ids: bool,
}

impl Columns {
    /// Every column.
    #[must_use]
    pub fn all() -> Self {
        Self { texts: [true; TextColumn::ALL.len()], replies: true, ids: true }
    }

    #[must_use]
    pub fn with(mut self, column: TextColumn) -> Self {
        if let Some(asked) = self.texts.get_mut(column as usize) {
            *asked = true;
        }
        self
    }

    /// Whether the subject was a reply's.
    #[must_use]
    pub fn with_replies(self) -> Self {
        Self { replies: true, ..self }
    }

    /// Message-ID and references.
    #[must_use]
    pub fn with_ids(self) -> Self {
        Self { ids: true, ..self }
    }

    #[must_use]
    pub fn has(self, column: TextColumn) -> bool {
        self.texts.get(column as usize).copied().unwrap_or_default()
    }

    /// No column at all: nothing needs to be read.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    part: u32,
    at: u32,
    len: u32,
}

/// Cells of different lengths.
#[derive(Debug, Clone, Default)]
pub struct Cells<T> {
    parts: Vec<Vec<T>>,
    spans: Vec<Span>,
}

pub type Texts = Cells<u8>;
pub type Ids = Cells<u64>;

/// After that many values a part is full: offsets in it stay small.
const PART_VALUES_MAX: usize = 1 << 20;

impl<T: Copy> Cells<T> {
    #[must_use]
    pub fn with_rows(rows: usize) -> Self {
        Self { parts: Vec::new(), spans: vec![Span::default(); rows] }
    }

    /// The cells of one part by where each begins and how long it is.
    pub(super) fn of_part(part: Vec<T>, places: impl Iterator<Item = (u32, u32)>) -> Self {
        let spans = places.map(|(at, len)| Span { part: 0, at, len }).collect();
        Self { parts: vec![part], spans }
    }

    /// The cell of a row; empty past the end.
    #[must_use]
    pub fn get(&self, row: usize) -> &[T] {
        let Some(span) = self.spans.get(row) else { return &[] };
        let from = span.at as usize;
        self.parts.get(span.part as usize).and_then(|p| p.get(from..from + span.len as usize)).unwrap_or(&[])
    }

    pub fn set(&mut self, row: usize, cell: &[T]) {
        if self.parts.last().is_none_or(|part| part.len() >= PART_VALUES_MAX) {
            self.parts.push(Vec::new());
        }
        let part = self.parts.len().saturating_sub(1);
        let (Some(values), Some(span)) = (self.parts.last_mut(), self.spans.get_mut(row)) else { return };
        // All three are small: a cell by what makes summaries, a part by its bound, their number by memory.
        *span = Span { part: part as u32, at: values.len() as u32, len: cell.len() as u32 };
        values.extend_from_slice(cell);
    }

    /// Takes over the rows of another one, from `start` on.
    fn absorb(&mut self, start: usize, other: Self) {
        let before = self.parts.len() as u32;
        self.parts.extend(other.parts);
        for (span, new) in self.spans.iter_mut().skip(start).zip(other.spans) {
            *span = Span { part: before + new.part, ..new };
        }
    }

    /// The same cells in another order: row `i` is what `order` has in place `i`.
    fn reordered(mut self, order: &[u32]) -> Self {
        self.spans = reordered(&self.spans, order);
        self
    }
}

fn reordered<T: Copy + Default>(column: &[T], order: &[u32]) -> Vec<T> {
    order.iter().map(|from| column.get(*from as usize).copied().unwrap_or_default()).collect()
}

/// The columns asked for, a row for each email that was asked for. Columns nobody asked for have no rows.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Whether the email has its summary here.
    pub found: Vec<bool>,
    texts: [Texts; TextColumn::ALL.len()],
    pub replies: Vec<bool>,
    pub ids: Vec<u64>,
    pub references: Ids,
}

impl Table {
    #[must_use]
    pub fn with_rows(rows: usize, columns: Columns) -> Self {
        let rows_if = |asked: bool| if asked { rows } else { 0 };
        Self {
            found: vec![false; rows],
            texts: TextColumn::ALL.map(|column| Texts::with_rows(rows_if(columns.has(column)))),
            replies: vec![false; rows_if(columns.replies)],
            ids: vec![0; rows_if(columns.ids)],
            references: Ids::with_rows(rows_if(columns.ids)),
        }
    }

    #[must_use]
    pub fn text(&self, column: TextColumn) -> &Texts {
        // One for each: the index is within.
        &self.texts[column as usize]
    }

    pub(super) fn text_mut(&mut self, column: TextColumn) -> &mut Texts {
        &mut self.texts[column as usize]
    }

    /// Puts a summary that was computed elsewhere in its row.
    pub fn set(&mut self, row: usize, summary: &Summary, columns: Columns) {
        for column in TextColumn::ALL.into_iter().filter(|column| columns.has(*column)) {
            self.text_mut(column).set(row, column.of(summary).as_bytes());
        }
        put(&mut self.found, row, true);
        put(&mut self.replies, row, summary.is_reply_or_forward);
        put(&mut self.ids, row, summary.id);
        if columns.ids {
            self.references.set(row, &summary.references);
        }
    }

    /// Takes over the rows of another table with the same columns, from `start` on.
    pub(super) fn absorb(&mut self, start: usize, other: Self) {
        let copy = |to: &mut Vec<bool>, from: Vec<bool>| {
            to.iter_mut().skip(start).zip(from).for_each(|(to, from)| *to = from);
        };
        copy(&mut self.found, other.found);
        copy(&mut self.replies, other.replies);
        self.ids.iter_mut().skip(start).zip(other.ids).for_each(|(to, from)| *to = from);
        self.references.absorb(start, other.references);
        for (to, from) in self.texts.iter_mut().zip(other.texts) {
            to.absorb(start, from);
        }
    }

    /// The same rows in another order: row `i` is what `order` has in place `i`.
    #[must_use]
    pub fn reordered(self, order: &[u32], columns: Columns) -> Self {
        let order_if = |asked: bool| if asked { order } else { &[] };
        let mut texts = self.texts.into_iter();
        Self {
            found: reordered(&self.found, order),
            texts: TextColumn::ALL
                .map(|column| texts.next().unwrap_or_default().reordered(order_if(columns.has(column)))),
            replies: reordered(&self.replies, order_if(columns.replies)),
            ids: reordered(&self.ids, order_if(columns.ids)),
            references: self.references.reordered(order_if(columns.ids)),
        }
    }
}

fn put<T>(column: &mut [T], row: usize, value: T) {
    if let Some(cell) = column.get_mut(row) {
        *cell = value;
    }
}
