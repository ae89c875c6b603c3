//! THREAD (RFC 5256 section 3): ORDEREDSUBJECT, REFERENCES, and REFS.
//!
//! Laws
//! - The answer is that of the RFC's steps in their order; where they leave a choice it is said here:
//!   a dummy counts as having one child when one is left after all dummies below it are gone (as in
//!   Dovecot). Messages of the same sent date stand in the order of their sequence numbers.
//! - REFS (draft-ietf-morg-inthread) is REFERENCES without the gathering by subject; its threads stand in
//!   the order of their latest sent date, as in Dovecot, then of the sequence number of the first message
//!   written. Siblings are in order as in REFERENCES.
//! - Nothing recurses: a thread may be as deep as there are messages.
//! - A node is a number: a message its row, a dummy something from the number of rows on.
//! - Memory: some 200 bytes a message at most while it runs, half of it the columns read; references over
//!   four a message add twelve bytes each.

mod arrange;
mod forest;
mod names;
mod ordered_subject;
mod prune;
mod subjects;
#[cfg(test)]
mod tests;

use super::order::{ThreadBy, Threads};
use super::ranking::Ranking;
use super::rows::{Needs, Rows, Sources};
use crate::error::Result;
use crate::summary::{Columns, Table, TextColumn};
use crate::types::UidSet;
use arrange::{Arranged, roots_in_order};
use forest::Forest;
use names::Names;

/// No node: what a root has for its parent.
const NONE: u32 = u32::MAX;

/// Those of the UIDs that the session sees, as threads. None when it was cancelled.
pub fn thread(from: &Sources<'_>, uids: &UidSet, by: ThreadBy) -> Result<Option<Threads>> {
    let columns = match by {
        ThreadBy::OrderedSubject => Columns::default().with(TextColumn::Subject),
        ThreadBy::References => Columns::default().with(TextColumn::Subject).with_replies().with_ids(),
        ThreadBy::Refs => Columns::default().with_ids(),
    };
    let needs = Needs { sents: true, ..Needs::default() };
    let Some(rows) = Rows::collect(from, uids, needs)? else { return Ok(None) };
    let Some(table) = rows.summaries(from, columns)? else { return Ok(None) };
    if by == ThreadBy::OrderedSubject {
        return Ok(Some(ordered_subject::threads(&rows, table.text(TextColumn::Subject))));
    }
    let is_cancelled = || from.is_cancelled();
    Ok(by_references(&rows, table, by == ThreadBy::References, &is_cancelled))
}

fn by_references(
    rows: &Rows,
    mut table: Table,
    gathers_subjects: bool,
    is_cancelled: &dyn Fn() -> bool,
) -> Option<Threads> {
    let names = Names::new(&table.ids, &table.references);
    (table.ids, table.references) = Default::default();
    let forest = Forest::link(&names, is_cancelled)?; // (1)
    drop(names);
    let mut pruned = prune::prune(&forest, rows.len()); // (2), (3)
    drop(forest);
    let mut by_date = Ranking::new(rows.len());
    by_date.by_number(|row| rows.sent(row), false);
    let order: Vec<u32> = by_date.rows().collect();
    drop(by_date);
    if is_cancelled() {
        return None;
    }
    if gathers_subjects {
        let roots = roots_in_order(&pruned, &order); // (4)
        subjects::gather(&mut pruned, &roots, table.text(TextColumn::Subject), &table.replies); // (5)
    }
    let arranged = Arranged::new(&pruned, &order); // (6)
    let roots = roots_in_order(&pruned, &order);
    let roots: Vec<u32> = if gathers_subjects {
        roots.iter().map(|root| root.node).collect()
    } else {
        arranged.by_latest(&roots, |row| rows.sent(row))
    };
    Some(arranged.write(&roots, |row| rows.uids.get(row as usize).copied()))
}
