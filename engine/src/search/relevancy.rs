//! RELEVANCY (RFC 6203 section 4): how well each message of a FUZZY search matches, 1 to 100.
//!
//! Laws
//! - A message that has the string itself stands above one that has only forms of its words; within each
//!   of the two, the weight of the words decides. A message found by other keys alone is as good as exact.
//! - The best of an answer has 100.
//! - At most `READ_MAX` messages are read for it: of further ones that may have the string, only the
//!   words count.

use super::bits::Rows;
use super::leaf::Leaf;
use super::run::Go;
use super::texts::Texts;
use super::verify::{Place, Reader, readable};
use crate::error::Result;
use crate::types::{EmailId, Uid};
use std::collections::HashMap;

pub(super) const READ_MAX: u64 = 512;
/// The weight of words that no index has weighed.
const MIDDLE: f32 = 0.5;

/// In the order of UIDs; empty without a FUZZY key.
pub fn relevancy(reader: &Reader<'_>, rows: &Rows, ghosts: &[usize]) -> Go<Vec<u8>> {
    let leaves: Vec<&Leaf> = reader.evaluation.leaves.iter().filter(|leaf| leaf.forms.is_some()).collect();
    if leaves.is_empty() {
        return Ok(Vec::new());
    }
    let weights =
        leaves.iter().filter_map(|leaf| leaf.known.as_ref()).flat_map(|known| known.weights.values());
    let heaviest = weights.copied().fold(0.0, f32::max);
    Grading { reader, leaves, heaviest }.relevancy(rows, ghosts)
}

/// How a row is like a leaf's string, with the weight of its words, 0 to 1.
#[derive(Clone, Copy)]
enum Like {
    Not,
    Words(f32),
    Exactly(f32),
    /// Reading decides.
    Open(f32),
}

struct Grading<'a> {
    reader: &'a Reader<'a>,
    leaves: Vec<&'a Leaf>,
    heaviest: f32,
}

impl Grading<'_> {
    fn relevancy(&self, rows: &Rows, ghosts: &[usize]) -> Go<Vec<u8>> {
        let scope = &self.reader.evaluation.scope;
        let ask =
            |place, email: EmailId, texts: &mut Texts<'_>| self.read_grade(place, email, texts).map(Some);
        let read = self
            .reader
            .each(&self.to_read(rows)?, ghosts, &|place, row, texts| ask(place, row.email, texts))?;
        let read: HashMap<Place, f32> = read.said.into_iter().collect();
        let mut grades: Vec<(Uid, f32)> = Vec::new();
        for (at, bits) in rows.chunks() {
            let Some(slot) = scope.slot(at) else { continue };
            let chunk = slot.chunk()?;
            for row in bits.iter() {
                let place = Place::Chunk { at, row };
                let likes = || self.leaves.iter().map(|leaf| self.like(leaf, place, chunk.email(row)));
                let grade =
                    read.get(&place).copied().unwrap_or_else(|| mean(likes().filter_map(Like::grade)));
                grades.push((chunk.uid(row), grade));
            }
        }
        for at in ghosts {
            let grade = read.get(&Place::Ghost(*at)).copied().unwrap_or(1.0);
            grades.extend(scope.ghosts.get(*at).map(|row| (row.uid, grade)));
        }
        grades.sort_by_key(|(uid, _)| *uid);
        Ok(scaled(&grades))
    }

    /// The first rows of which only reading says how they are like a string.
    fn to_read(&self, rows: &Rows) -> Result<Rows> {
        let scope = &self.reader.evaluation.scope;
        let mut to_read = Rows::none(scope.chunks.len());
        let mut left = READ_MAX;
        for (at, bits) in rows.chunks() {
            let Some(slot) = scope.slot(at) else { continue };
            for row in bits.iter() {
                let email = slot.chunk()?.email(row);
                let mut likes =
                    self.leaves.iter().map(|leaf| self.like(leaf, Place::Chunk { at, row }, email));
                if left > 0 && likes.any(|like| matches!(like, Like::Open(_))) {
                    to_read.insert(at, row);
                    left -= 1;
                }
            }
        }
        Ok(to_read)
    }

    fn like(&self, leaf: &Leaf, place: Place, email: EmailId) -> Like {
        let (Some(known), Place::Chunk { at, row }) = (&leaf.known, place) else { return Like::Open(MIDDLE) };
        let weight = known.weights.get(&email).map_or(MIDDLE, |weight| weight / self.heaviest);
        if known.unproved.contains(at, row) || known.open.contains(at, row) {
            Like::Open(weight)
        } else if known.by_words.contains(at, row) {
            Like::Words(weight)
        } else if known.sure.contains(at, row) {
            Like::Exactly(weight)
        } else {
            Like::Not
        }
    }

    fn read_grade(&self, place: Place, email: EmailId, texts: &mut Texts<'_>) -> Result<f32> {
        let mut grades = Vec::new();
        for leaf in &self.leaves {
            let like = match self.like(leaf, place, email) {
                Like::Open(weight) if readable(texts.matches_exactly(leaf))? == Some(true) => {
                    Like::Exactly(weight)
                }
                Like::Open(weight) if readable(texts.matches(leaf))? == Some(true) => Like::Words(weight),
                Like::Open(_) => Like::Not,
                like => like,
            };
            grades.extend(like.grade());
        }
        Ok(mean(grades.into_iter()))
    }
}

impl Like {
    fn grade(self) -> Option<f32> {
        match self {
            Self::Not => None,
            Self::Words(weight) | Self::Open(weight) => Some(weight),
            Self::Exactly(weight) => Some(1.0 + weight),
        }
    }
}

/// Of what matched; where other keys did alone, that of an exact match.
fn mean(grades: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = grades.fold((0.0, 0.0), |(sum, count), grade| (sum + grade, count + 1.0));
    if count == 0.0 { 1.0 } else { sum / count }
}

fn scaled(grades: &[(Uid, f32)]) -> Vec<u8> {
    let best = grades.iter().map(|(_, grade)| *grade).fold(f32::MIN_POSITIVE, f32::max);
    // Casts of floats saturate.
    grades.iter().map(|(_, grade)| ((grade / best * 100.0).round() as u8).clamp(1, 100)).collect()
}
