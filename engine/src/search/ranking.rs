//! Rows put in order by one criterion after the other.
//!
//! Laws
//! - Rows that are alike by every criterion stay in the order of their numbers, whatever is reversed
//!   (RFC 5256 section 3, SORT: REVERSE).
//! - What is compared are numbers of 64 bits that lie beside the row's number; of texts eight bytes at a
//!   time, so that most comparisons touch no text at all. Texts that begin alike are put in order to their
//!   end before the next are looked at: they are still in the processor's cache.
//! - Memory: 16 bytes a row, twice that while two halves are merged.

use crate::summary::Texts;
use std::ops::Range;

/// Fewer rows than that are not worth a second thread.
const ROWS_FOR_TWO: usize = 32 * 1024;
/// So few texts that begin alike are compared whole.
const FEW: usize = 48;
/// How much of a text is in a key.
const KEY_BYTES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: u64,
    row: u32,
}

/// Rows that are alike up to here: places, and of a text how many bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tie {
    places: Range<usize>,
    at: usize,
}

impl Tie {
    fn len(&self) -> usize {
        self.places.len()
    }
}

/// The order of rows found so far.
pub struct Ranking {
    places: Vec<Place>,
    /// Runs of rows that are still alike, ascending.
    ties: Vec<Tie>,
}

impl Ranking {
    /// All rows alike.
    pub fn new(rows: usize) -> Self {
        let count = u32::try_from(rows).unwrap_or(u32::MAX);
        let ties = (rows > 1).then_some(Tie { places: 0..rows, at: 0 }).into_iter().collect();
        Self { places: (0..count).map(|row| Place { key: 0, row }).collect(), ties }
    }

    /// Orders what is still alike by a number.
    pub fn by_number(&mut self, number: impl Fn(u32) -> i64 + Sync, reverse: bool) {
        self.by(&Numbers { number, flip: flip(reverse) });
    }

    /// Orders what is still alike by a text without NUL, by its bytes.
    pub fn by_text(&mut self, texts: &Texts, reverse: bool) {
        self.by(&Whole { texts, flip: flip(reverse) });
    }

    /// The rows in their order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.places.iter().map(|place| place.row)
    }

    fn by(&mut self, criterion: &impl Criterion) {
        let mut open = std::mem::take(&mut self.ties);
        // Large ones first, each by both threads; then what is left, each by one of them.
        let mut alike = Vec::new();
        let mut small = Vec::new();
        while let Some(tie) = open.pop() {
            if tie.len() < ROWS_FOR_TWO {
                small.push(tie);
            } else if let Some(places) = self.places.get_mut(tie.places.clone()) {
                sort_halves(places, |row| criterion.key(row, tie.at));
                divide(places, &tie, tie.places.start, criterion, &mut open, &mut alike);
            }
        }
        small.sort_unstable_by_key(|tie| tie.places.start);
        alike.extend(self.each(small, criterion));
        alike.sort_unstable_by_key(|tie| tie.places.start);
        self.ties = alike;
    }

    /// Orders each of the ties, which ascend; answers what is alike to its end.
    fn each(&mut self, ties: Vec<Tie>, criterion: &impl Criterion) -> Vec<Tie> {
        let total: usize = ties.iter().map(Tie::len).sum();
        if total < ROWS_FOR_TWO {
            return to_the_end(&mut self.places, 0, ties, criterion);
        }
        let mut before = 0;
        let half = ties.iter().take_while(|tie| {
            before += tie.len();
            before <= total / 2
        });
        let half = half.count();
        let mut low_ties = ties;
        let high_ties = low_ties.split_off(half);
        let middle = high_ties.first().map_or(self.places.len(), |tie| tie.places.start);
        let (low, high) = self.places.split_at_mut(middle);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| to_the_end(high, middle, high_ties, criterion));
            let mut alike = to_the_end(low, 0, low_ties, criterion);
            alike.extend(other.join().unwrap_or_default());
            alike
        })
    }
}

/// By what rows are put in order.
trait Criterion: Sync {
    /// What a row has from some byte on, as a number that compares like it.
    fn key(&self, row: u32, at: usize) -> u64;
    /// Whether rows with that key have nothing after it.
    fn has_ended(&self, key: u64) -> bool;
    /// Sorts a few rows by everything they have from some byte on, where that is cheaper; then gives rows
    /// that are alike keys that are alike, and have ended.
    fn sort_few(&self, places: &mut [Place], at: usize) -> bool;
}

/// Turns an order round.
fn flip(reverse: bool) -> u64 {
    if reverse { u64::MAX } else { 0 }
}

struct Numbers<F> {
    number: F,
    flip: u64,
}

impl<F: Fn(u32) -> i64 + Sync> Criterion for Numbers<F> {
    /// With the sign turned round, negative numbers come first as unsigned ones.
    fn key(&self, row: u32, _: usize) -> u64 {
        (self.number)(row).cast_unsigned() ^ (1 << 63) ^ self.flip
    }

    fn has_ended(&self, _: u64) -> bool {
        true
    }

    fn sort_few(&self, _: &mut [Place], _: usize) -> bool {
        false
    }
}

struct Whole<'a> {
    texts: &'a Texts,
    flip: u64,
}

impl Whole<'_> {
    fn rest(&self, row: u32, at: usize) -> &[u8] {
        self.texts.get(row as usize).get(at..).unwrap_or_default()
    }
}

impl Criterion for Whole<'_> {
    /// Zeros where the text has ended.
    fn key(&self, row: u32, at: usize) -> u64 {
        let rest = self.rest(row, at);
        let bytes = rest.first_chunk::<KEY_BYTES>().copied().unwrap_or_else(|| {
            let mut padded = [0; KEY_BYTES];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            padded
        });
        u64::from_be_bytes(bytes) ^ self.flip
    }

    /// There is no NUL in a text.
    fn has_ended(&self, key: u64) -> bool {
        (key ^ self.flip) & 0xff == 0
    }

    fn sort_few(&self, places: &mut [Place], at: usize) -> bool {
        if places.len() > FEW {
            return false;
        }
        for place in &mut *places {
            place.key = self.key(place.row, at);
        }
        places.sort_unstable_by(|a, b| {
            let rests = || {
                let order = self.rest(a.row, at).cmp(self.rest(b.row, at));
                if self.flip == 0 { order } else { order.reverse() }
            };
            a.key.cmp(&b.key).then_with(rests).then(a.row.cmp(&b.row))
        });
        let mut number = 0_u64;
        let mut before: Option<&[u8]> = None;
        for place in places {
            let text = self.rest(place.row, at);
            number += u64::from(before.is_some_and(|before| before != text));
            place.key = (number << 8) ^ self.flip;
            before = Some(text);
        }
        true
    }
}

/// Orders the ties by all that they have. `places` begins with the place of number `base`.
fn to_the_end(places: &mut [Place], base: usize, ties: Vec<Tie>, criterion: &impl Criterion) -> Vec<Tie> {
    let mut open = ties;
    open.reverse();
    let mut alike = Vec::new();
    while let Some(tie) = open.pop() {
        let Some(slice) = places.get_mut(tie.places.start - base..tie.places.end - base) else { continue };
        if !criterion.sort_few(slice, tie.at) {
            sort(slice, |row| criterion.key(row, tie.at));
        }
        divide(slice, &tie, tie.places.start, criterion, &mut open, &mut alike);
    }
    alike
}

fn sort(places: &mut [Place], key: impl Fn(u32) -> u64) {
    for place in &mut *places {
        place.key = key(place.row);
    }
    places.sort_unstable();
}

/// The same with two threads.
fn sort_halves(places: &mut [Place], key: impl Fn(u32) -> u64 + Sync) {
    let (low, high) = places.split_at_mut(places.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| sort(high, &key));
        sort(low, &key);
    });
    if low.last() <= high.first() {
        return;
    }
    let mut merged = Vec::with_capacity(low.len() + high.len());
    let (mut a, mut b) = (low.iter().peekable(), high.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        merged.extend(if x <= y { a.next() } else { b.next() });
    }
    merged.extend(a.chain(b));
    places.copy_from_slice(&merged);
}

/// What is alike of a tie that was sorted, two rows or more: some of it goes on, some has ended.
fn divide(
    places: &[Place],
    tie: &Tie,
    mut start: usize,
    criterion: &impl Criterion,
    open: &mut Vec<Tie>,
    alike: &mut Vec<Tie>,
) {
    for run in places.chunk_by(|a, b| a.key == b.key) {
        let run_places = start..start + run.len();
        start = run_places.end;
        match run {
            [first, _, ..] if criterion.has_ended(first.key) => {
                alike.push(Tie { places: run_places, at: 0 });
            }
            [_, _, ..] => open.push(Tie { places: run_places, at: tie.at + KEY_BYTES }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::sim::{Rng, seeds};
    use std::cmp::Ordering;

    fn texts(of: &[String]) -> Texts {
        let mut texts = Texts::with_rows(of.len());
        of.iter().enumerate().for_each(|(row, text)| texts.set(row, text.as_bytes()));
        texts
    }

    /// Texts that begin alike, are each other's beginnings, or are the same.
    fn some_text(rng: &mut Rng) -> String {
        let mut text = "ABCDEFGHIJ".repeat(rng.below(4) as usize);
        text.extend((0..rng.below(10)).map(|_| if rng.one_in(2) { 'A' } else { 'ÿ' }));
        text
    }

    #[test]
    fn agrees_with_a_plain_sort() {
        for seed in seeds(60) {
            let mut rng = Rng::new(seed);
            let rows = if seed % 20 == 0 { ROWS_FOR_TWO + 5000 } else { rng.below(300) as usize };
            let names: Vec<String> = (0..rows).map(|_| some_text(&mut rng)).collect();
            let dates: Vec<i64> = (0..rows).map(|_| rng.below(7) as i64 - 3).collect();
            let (by_name, by_date) = (rng.one_in(2), rng.one_in(2));
            let name_first = rng.one_in(2);
            let turned = |order: Ordering, reverse| if reverse { order.reverse() } else { order };
            let mut plain: Vec<u32> = (0..rows as u32).collect();
            plain.sort_by(|a, b| {
                let (a, b) = (*a as usize, *b as usize);
                let name = turned(names[a].cmp(&names[b]), by_name);
                let date = turned(dates[a].cmp(&dates[b]), by_date);
                if name_first { name.then(date) } else { date.then(name) }
            });
            let mut ranking = Ranking::new(rows);
            let texts = texts(&names);
            for is_name in [name_first, !name_first] {
                if is_name {
                    ranking.by_text(&texts, by_name);
                } else {
                    ranking.by_number(|row| dates[row as usize], by_date);
                }
            }
            assert_eq!(ranking.rows().collect::<Vec<_>>(), plain, "MAILCASK_SEED={seed}");
        }
    }

    #[test]
    fn extremes() {
        for rows in [0, 1] {
            let mut ranking = Ranking::new(rows);
            ranking.by_text(&Texts::with_rows(rows), false);
            ranking.by_number(|_| 0, true);
            assert_eq!(ranking.rows().len(), rows);
        }
        let numbers = [i64::MAX, 0, i64::MIN, -1, 1];
        let mut ranking = Ranking::new(numbers.len());
        ranking.by_number(|row| numbers[row as usize], false);
        assert_eq!(ranking.rows().collect::<Vec<_>>(), [2, 3, 1, 4, 0]);
    }
}
