//! Substrings cut from the decoded texts of a message, and the keys that ask for them.

use super::common::Rng;
use engine::search::Key;
use engine::text::{Canon, Field, Pattern, fold};

/// A key, and how a scan decides it.
pub struct Asked {
    pub key: Key,
    of: Of,
    pattern: Pattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Text,
    Body,
    Header(String),
}

impl Asked {
    /// By the definition: a substring of one of the texts, each folded.
    pub fn matches(&self, folded: &[Canon]) -> bool {
        let asks = |field: &Field| match (&self.of, field) {
            (Of::Text, Field::Header(_)) => false,
            (Of::Text, _) | (Of::Body, Field::Body) => true,
            (Of::Header(asked), Field::Header(name)) => asked == name,
            _ => false,
        };
        folded.iter().any(|canon| asks(&canon.field) && self.pattern.matches(&canon.text))
    }
}

/// The texts of a message, folded.
pub fn folded(raw: &[u8]) -> Vec<Canon> {
    let mut texts = engine::text::canon(raw);
    texts.iter_mut().for_each(|canon| canon.text = fold(&canon.text));
    texts
}

/// One pattern cut from the message, or a little beside it so that mostly nothing is found.
pub fn cut(rng: &mut Rng, raw: &[u8]) -> Option<Asked> {
    let texts = engine::text::canon(raw);
    // Bodies and header fields in turn: there are many more fields than bodies.
    let wants_header = rng.chance(40);
    let fitting: Vec<&Canon> =
        texts.iter().filter(|c| matches!(c.field, Field::Header(_)) == wants_header).collect();
    let canon = rng.pick(&fitting)?;
    let chars: Vec<char> = canon.text.chars().collect();
    let mut string: String = piece(rng, &chars)?.iter().collect();
    if rng.chance(10) {
        let extra = *rng.pick(&['q', 'Z', '7', ' ', '-', 'é', '麟', '.'])?;
        let at = string.char_indices().nth(rng.below(string.chars().count())).map_or(0, |(at, _)| at);
        string.insert(at, extra);
    }
    match rng.below(4) {
        0 => string = string.to_uppercase(),
        1 => string = string.to_lowercase(),
        _ => {}
    }
    let of = match &canon.field {
        Field::Header(name) if rng.chance(75) => Of::Header(name.clone()),
        Field::Header(_) => Of::Text,
        _ if rng.chance(5) => Of::Header((*rng.pick(&["subject", "from", "to", "received"])?).to_owned()),
        _ if rng.chance(70) => Of::Body,
        _ => Of::Text,
    };
    let key = match &of {
        Of::Text => Key::Text(string.clone()),
        Of::Body => Key::Body(string.clone()),
        Of::Header(name) => Key::header(name, &string),
    };
    // An empty string of HEADER asks another question: is the field there.
    (!fold(&string).is_empty()).then(|| Asked { key, of, pattern: Pattern::new(&string) })
}

/// A stretch of the text: of a word, across words, at random, long, or round a CJK character.
fn piece<'a>(rng: &mut Rng, chars: &'a [char]) -> Option<&'a [char]> {
    let at = rng.below(chars.len());
    let cjk = |c: &char| ('\u{3040}'..'\u{d7a4}').contains(c);
    let (from, length) = match rng.below(10) {
        // A whole word, its middle, its start or its end.
        0..=2 => {
            let (from, to) = word(chars, at);
            let (a, b) = (rng.below(to - from), rng.below(to - from));
            match rng.below(4) {
                0 => (from, to - from),
                1 => (from, 1 + a),
                2 => (from + a, to - from - a),
                _ => (from + a.min(b), a.abs_diff(b) + 1),
            }
        }
        // From within a word into one of the next.
        3..=5 => {
            let (_, to) = word(chars, at);
            (at, to - at + 1 + rng.below(12))
        }
        6 => (at, 1 + rng.below(2)),
        7 => (at, 60 + rng.below(400)),
        8 => {
            let found: Vec<usize> = (0..chars.len()).filter(|i| chars.get(*i).is_some_and(cjk)).collect();
            (*rng.pick(&found)?, 1 + rng.below(6))
        }
        _ => (at, 1 + rng.below(40)),
    };
    chars.get(from..(from + length).min(chars.len())).filter(|piece| !piece.is_empty())
}

/// Where the word round a place begins and ends; a place between words is one of its own.
fn word(chars: &[char], at: usize) -> (usize, usize) {
    let within = |i: &usize| chars.get(*i).is_some_and(|c| c.is_alphanumeric());
    let from = (0..at).rev().take_while(within).last().unwrap_or(at);
    let to = (at..chars.len()).take_while(within).last().map_or(at, |last| last);
    (from, (to + 1).min(chars.len().max(1)))
}
