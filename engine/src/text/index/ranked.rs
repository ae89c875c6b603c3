//! FUZZY (RFC 6203): the messages that have all words, in any of their forms, and how well.
//!
//! Laws
//! - A form of a word is a term with the same Snowball stem: English for Latin letters, Russian for
//!   Cyrillic; any other word has one form, itself.
//! - Scores are BM25 without lengths: rare words weigh more, and a word twice not twice as much.

use super::Scope;
use super::emails::EmailSet;
use super::find::Asked;
use super::folded::Group;
use super::segment::{Segment, guarded};
use super::tokens::{PIECE_MAX_BYTES, Tokens, head};
use crate::error::Result;
use crate::types::EmailId;
use frostem::{Algorithm, Stemmer};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use unicode_normalization::UnicodeNormalization;

/// Where BM25 flattens what a word counts that comes again.
const K1: f32 = 1.2;

/// A word of the query, and what its forms have in common.
struct Word {
    folded: String,
    stem: Option<Stem>,
}

struct Stem {
    stemmer: Stemmer,
    stem: String,
    /// What every form begins with, folded.
    prefix: String,
}

/// The words of a query, for texts that are in no segment.
pub struct Query {
    words: Vec<Word>,
}

impl Query {
    /// Of folded texts.
    #[must_use]
    pub fn new(words: &[String]) -> Self {
        let tokens = words.iter().flat_map(|text| Tokens::of(text));
        Self { words: tokens.map(|token| Word::of(token.text)).collect() }
    }

    /// How often the forms of each word are in a folded text, added to `counts`.
    pub fn count(&self, text: &str, counts: &mut Vec<u32>) {
        counts.resize(self.words.len(), 0);
        for token in Tokens::of(text) {
            for (word, count) in self.words.iter().zip(counts.iter_mut()) {
                *count += u32::from(word.is_form(token.text));
            }
        }
    }

    /// What `count` gave for each of some messages, as scores: of those that have all the words.
    #[must_use]
    pub fn scores(&self, counted: &[(EmailId, Vec<u32>)]) -> Vec<(EmailId, f32)> {
        let having = |word: usize| counted.iter().filter(|(_, counts)| counts.get(word) > Some(&0)).count();
        let rarities: Vec<f32> =
            (0..self.words.len()).map(|word| rarity(counted.len() as f32, having(word) as f32)).collect();
        let of = |counts: &[u32]| {
            counts.iter().zip(&rarities).map(|(count, rarity)| weight(*rarity, *count)).sum()
        };
        let all = counted.iter().filter(|(_, counts)| !counts.is_empty() && !counts.contains(&0));
        all.map(|(email, counts)| (*email, of(counts))).collect()
    }
}

fn rarity(docs: f32, having: f32) -> f32 {
    (1.0 + (docs - having + 0.5) / (having + 0.5)).ln()
}

fn weight(rarity: f32, count: u32) -> f32 {
    let count = count as f32;
    rarity * count * (K1 + 1.0) / (count + K1)
}

impl Segment {
    /// Adds a score for each message of `within` that has all the words (folded ones), ascending.
    /// Cancelled, it returns early and the scores mean nothing.
    pub fn ranked(
        &self,
        words: &[String],
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
        scores: &mut Vec<(EmailId, f32)>,
    ) -> Result<()> {
        guarded(self.dir(), || self.rank(words, scope, within, cancel, scores))
    }

    fn rank(
        &self,
        words: &[String],
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
        scores: &mut Vec<(EmailId, f32)>,
    ) -> Result<()> {
        let within = self.docs().docs_of(within);
        let mut all: Option<HashMap<u32, f32>> = None;
        for word in words.iter().flat_map(|text| Tokens::of(text)).map(|token| Word::of(token.text)) {
            let mut found: HashMap<u32, f32> = HashMap::new();
            for group in groups(scope) {
                let asked = Asked::of(self, *group, cancel)?;
                self.score(&asked, &word, |doc, score| {
                    if within.contains(doc) {
                        *found.entry(doc).or_default() += score;
                    }
                })?;
            }
            all = Some(match all {
                None => found,
                Some(mut before) => {
                    before.retain(|doc, score| found.get(doc).map(|more| *score += more).is_some());
                    before
                }
            });
        }
        let mut docs: Vec<(u32, f32)> = all.unwrap_or_default().into_iter().collect();
        docs.sort_unstable_by_key(|(doc, _)| *doc);
        let emails = docs.into_iter().filter_map(|(doc, score)| Some((self.docs().email(doc)?, score)));
        scores.extend(emails);
        Ok(())
    }

    /// The forms of a word together are one term.
    fn score(&self, asked: &Asked<'_>, word: &Word, mut add: impl FnMut(u32, f32)) -> Result<()> {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for info in forms(asked, word)? {
            let postings =
                asked.postings().read_block_postings_from_terminfo(&info, IndexRecordOption::WithFreqs);
            let mut postings = postings.map_err(|e| asked.failed(e))?;
            while postings.block_len() > 0 && !asked.is_cancelled() {
                // The Header group has no frequencies: there, a word counts once.
                let counted = postings.freqs().iter().chain(std::iter::repeat(&1));
                for (doc, count) in postings.docs().iter().zip(counted) {
                    *counts.entry(*doc).or_default() += count;
                }
                postings.advance();
            }
        }
        let (docs, having) = (self.docs().len() as f32, counts.len() as f32);
        let rarity = rarity(docs, having);
        for (doc, count) in counts {
            add(doc, weight(rarity, count));
        }
        Ok(())
    }
}

/// The groups a scope asks. The fields are in the header: they are not counted twice.
fn groups(scope: Scope) -> &'static [Group] {
    match scope {
        Scope::Text => &[Group::Body, Group::Header],
        Scope::Body => &[Group::Body],
        Scope::AnyHeader => &[Group::Header],
        Scope::Field(group) => Group::ALL.get(group as usize).map_or(&[], std::slice::from_ref),
    }
}

/// The terms that are forms of the word.
fn forms(asked: &Asked<'_>, word: &Word) -> Result<Vec<TermInfo>> {
    let mut found = Vec::new();
    let Some(stem) = &word.stem else {
        let info = asked.postings().terms().get(word.folded.as_bytes());
        found.extend(info.map_err(|e| asked.failed(e))?);
        return Ok(found);
    };
    let range = asked.words().beginning_with(stem.prefix.as_bytes())?;
    asked.words().each(range, &mut |term, info| {
        let is_form = term == word.folded.as_bytes()
            || std::str::from_utf8(term)
                .is_ok_and(|term| stem.stemmer.stem(&small(term)) == stem.stem.as_str());
        if is_form {
            found.push(info);
        }
        Ok(!asked.is_cancelled())
    })?;
    Ok(found)
}

impl Word {
    fn is_form(&self, term: &str) -> bool {
        let term = head(term, PIECE_MAX_BYTES);
        match &self.stem {
            _ if term == self.folded => true,
            Some(stem) if term.starts_with(&stem.prefix) => {
                stem.stemmer.stem(&small(term)) == stem.stem.as_str()
            }
            _ => false,
        }
    }

    fn of(folded: &str) -> Self {
        // A longer one is in pieces: its first stands for it.
        let folded = head(folded, PIECE_MAX_BYTES).to_owned();
        let stem = algorithm(&folded).map(|algorithm| {
            let stemmer = Stemmer::new(algorithm);
            let stem = stemmer.stem(&small(&folded)).into_owned();
            let prefix = prefix(&folded, &stem);
            Stem { stemmer, stem, prefix }
        });
        Self { folded, stem }
    }
}

/// The letters of the stem but the last, which endings change (`fly`, `flies`), as far as the word has them.
fn prefix(folded: &str, stem: &str) -> String {
    let stem: Vec<char> = stem.chars().collect();
    let kept = stem.len().saturating_sub(1).max(1);
    let small: Vec<char> = small(folded).chars().collect();
    let shared = small.iter().zip(&stem).take(kept).take_while(|(a, b)| a == b).count();
    let small: String = small.iter().take(shared.max(1)).collect();
    crate::text::fold(&small)
}

/// What a stemmer takes: small letters, composed.
fn small(folded: &str) -> String {
    folded.to_lowercase().nfc().collect()
}

fn algorithm(folded: &str) -> Option<Algorithm> {
    if folded.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Some(Algorithm::English);
    }
    let is_cyrillic = |c: char| matches!(c, '\u{400}'..='\u{45f}' | '\u{306}' | '\u{308}');
    folded.chars().all(is_cyrillic).then_some(Algorithm::Russian)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::fold;

    #[test]
    fn forms_begin_with_the_prefix() {
        for forms in [
            &["connect", "connected", "connections", "connecting"][..],
            &["fly", "flies"],
            &["run", "running", "runs"],
            &["hope", "hoping", "hoped"],
            &["книга", "книги", "книгой"],
        ] {
            let words: Vec<Word> = forms.iter().map(|form| Word::of(&fold(form))).collect();
            for word in &words {
                let stem = word.stem.as_ref().unwrap();
                assert_eq!(stem.stem, words[0].stem.as_ref().unwrap().stem);
                assert!(words.iter().all(|other| other.folded.starts_with(&stem.prefix)), "{}", stem.prefix);
            }
        }
        assert!(Word::of("日").stem.is_none() && Word::of("B2B").stem.is_none());
    }
}
