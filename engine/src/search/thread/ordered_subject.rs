//! THREAD=ORDEREDSUBJECT (RFC 5256 section 3), "poor man's threading".
//!
//! Laws
//! - Messages of one base subject are one thread, the empty subject's too: the earliest is the root, the
//!   others are its children. Threads stand in the order of their roots' sent dates.

use crate::search::order::Threads;
use crate::search::ranking::Ranking;
use crate::search::rows::Rows;
use crate::summary::Texts;

pub fn threads(rows: &Rows, subjects: &Texts) -> Threads {
    let mut ranking = Ranking::new(rows.len());
    ranking.by_text(subjects, false);
    ranking.by_number(|row| rows.sent(row), false);
    let order: Vec<u32> = ranking.rows().collect();
    let subject = |row: &u32| subjects.get(*row as usize);
    let groups: Vec<&[u32]> = order.chunk_by(|a, b| subject(a) == subject(b)).collect();
    let first = |group: u32| groups.get(group as usize).and_then(|rows| rows.first()).copied().unwrap_or(0);
    let mut by_date = Ranking::new(groups.len());
    by_date.by_number(|group| rows.sent(first(group)), false);
    by_date.by_number(|group| first(group).into(), false);
    let mut threads = Threads::default();
    for group in by_date.rows().filter_map(|group| groups.get(group as usize)) {
        for (place, row) in group.iter().enumerate() {
            let children = if place == 0 { group.len() - 1 } else { 0 };
            threads.push(rows.uids.get(*row as usize).copied(), children);
        }
    }
    threads
}
