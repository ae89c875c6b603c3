//! Tokens of folded text: what the vocabularies hold and the positions count.
//!
//! Laws
//! - The class of a code point depends on it alone. So cutting a pattern and cutting a text that holds it
//!   give the same tokens inside, and only the pattern's first and last may be a part of the text's.
//! - Word: a maximal run of letters, digits and marks. Single: a code point of a script written without
//!   blanks between words; each is a token.
//! - A word over `PIECE_MAX_BYTES` is cut into pieces that overlap, so that every fragment of at most
//!   `FRAGMENT_MAX_BYTES` lies within one piece; the first begins with the word, the last ends with it.
//! - The gap before a token says what separates it from the one before ([`Gaps`]): one blank between two
//!   words, or nothing beside a single; other separators that are told apart; something else, or the next
//!   piece of a word; a seam. No gap but a seam's is a sum of others, so neighbours are told by their
//!   distance alone.

use super::folded::SEAM;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tantivy::tokenizer as tantivy_tokenizer;
use unicode_normalization::char::is_combining_mark;

pub(super) const PIECE_MAX_BYTES: usize = 64;
pub(super) const FRAGMENT_MAX_BYTES: usize = 24;
/// From one piece of a word to the next.
const STRIDE_BYTES: usize = 32;
/// Pieces a text may have; the rest is not indexed, and the text is `opaque`.
const PIECES_MAX: u32 = 4096;

/// How separators become distances. All but `jump` are below twice the least.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gaps {
    /// One blank between two words, or nothing beside a single.
    pub canonical: u32,
    /// Separators between two words that have a distance of their own.
    told: &'static [(&'static str, u32)],
    pub other: u32,
    jump: u32,
}

/// In bodies, where each bit of a position is paid for.
pub(super) static NARROW: Gaps = Gaps { canonical: 2, told: &[], other: 3, jump: 16 };

/// In single fields of the header, which are short: an address is proved by its positions.
pub(super) static WIDE: Gaps = Gaps {
    canonical: 8,
    told: &[("@", 9), (".", 10), ("-", 11), ("_", 12), (", ", 13), (" <", 14)],
    other: 15,
    jump: 64,
};

impl Gaps {
    fn of(&self, separator: &str, beside_single: bool) -> u32 {
        match separator {
            "" => self.canonical,
            _ if separator.contains(SEAM) => self.jump,
            _ if beside_single => self.other,
            " " => self.canonical,
            _ => self.told.iter().find(|(told, _)| *told == separator).map_or(self.other, |(_, gap)| *gap),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Separator,
    Word,
    Single,
}

/// A token of a text, whatever its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub text: &'a str,
    pub start: usize,
    pub is_single: bool,
    /// From the token before; of the first one it means nothing.
    pub gap: u32,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Cuts a folded text.
#[derive(Debug, Clone)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    gaps: &'static Gaps,
    at: usize,
    after_single: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self::with(text, &NARROW)
    }

    pub(super) fn with(text: &'a str, gaps: &'static Gaps) -> Self {
        Self { text, gaps, at: 0, after_single: false }
    }

    /// The first place at or after `at` whose class is another.
    fn end_of(&self, mut at: usize, class: Class) -> usize {
        while let Some((found, len)) = class_at(self.text, at) {
            if found != class {
                break;
            }
            at += len;
        }
        at
    }

    fn gap(&self, separator: &str, is_single: bool) -> u32 {
        self.gaps.of(separator, is_single || self.after_single)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.end_of(self.at, Class::Separator);
        let (class, len) = class_at(self.text, start)?;
        let is_single = class == Class::Single;
        let end = if is_single { start + len } else { self.end_of(start + len, Class::Word) };
        let gap = self.gap(self.text.get(self.at..start)?, is_single);
        (self.at, self.after_single) = (end, is_single);
        Some(Token { text: self.text.get(start..end)?, start, is_single, gap })
    }
}

/// The class of the code point there, and its length.
fn class_at(text: &str, at: usize) -> Option<(Class, usize)> {
    let byte = *text.as_bytes().get(at)?;
    if byte.is_ascii() {
        return Some((if byte.is_ascii_alphanumeric() { Class::Word } else { Class::Separator }, 1));
    }
    let c = text.get(at..)?.chars().next()?;
    let class = if !c.is_alphanumeric() && !is_combining_mark(c) {
        Class::Separator
    } else if is_single(c) {
        Class::Single
    } else {
        Class::Word
    };
    Some((class, c.len_utf8()))
}

/// Thai, Lao, Myanmar, Khmer, Hangul, Kana, Bopomofo, Han: by block.
fn is_single(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF
        | 0x1000..=0x109F
        | 0x1100..=0x11FF
        | 0x1780..=0x17FF
        | 0x2E80..=0x33FF
        | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF
        | 0xA960..=0xA97F
        | 0xA9E0..=0xA9FF
        | 0xAA60..=0xAA7F
        | 0xAC00..=0xD7FF
        | 0xF900..=0xFAFF
        | 0xFF66..=0xFFDC
        | 0x1AFF0..=0x1B16F
        | 0x20000..=0x3FFFF)
}

/// The longest beginning of `text` of at most so many bytes.
pub(super) fn head(text: &str, max_bytes: usize) -> &str {
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// What tantivy is told to index: tokens, long ones in pieces.
struct Pieces<'a> {
    tokens: Tokens<'a>,
    /// What is left of a word that is being cut.
    rest: &'a str,
    pieces: u32,
    /// Something was left out before the next token.
    is_cut: bool,
}

impl<'a> Pieces<'a> {
    fn of(text: &'a str, gaps: &'static Gaps) -> Self {
        Self { tokens: Tokens::with(text, gaps), rest: "", pieces: 0, is_cut: false }
    }

    /// The next term and the gap before it.
    fn next(&mut self, seen: &Seen) -> Option<(&'a str, u32)> {
        if !self.rest.is_empty() {
            return Some((self.piece(seen), self.tokens.gaps.other));
        }
        let token = self.tokens.next()?;
        let gap = if std::mem::take(&mut self.is_cut) { self.tokens.gaps.jump } else { token.gap };
        if token.text.len() <= PIECE_MAX_BYTES {
            return Some((token.text, gap));
        }
        seen.long.store(true, Ordering::Relaxed);
        self.rest = token.text;
        Some((self.piece(seen), gap))
    }

    fn piece(&mut self, seen: &Seen) -> &'a str {
        let whole = self.rest;
        self.pieces += 1;
        if whole.len() <= PIECE_MAX_BYTES {
            self.rest = "";
        } else if self.pieces >= PIECES_MAX {
            self.rest = "";
            self.is_cut = true;
            seen.opaque.store(true, Ordering::Relaxed);
        } else {
            self.rest = whole.get(head(whole, STRIDE_BYTES).len()..).unwrap_or_default();
        }
        head(whole, PIECE_MAX_BYTES)
    }
}

/// What the tokenizer met since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    long: AtomicBool,
    opaque: AtomicBool,
}

impl Seen {
    /// (a word was cut, not all of one was indexed)
    pub(super) fn take(&self) -> (bool, bool) {
        (self.long.swap(false, Ordering::Relaxed), self.opaque.swap(false, Ordering::Relaxed))
    }
}

/// The tokenizer, as tantivy wants it.
#[derive(Debug, Clone)]
pub(super) struct Tokenizer {
    pub seen: Arc<Seen>,
    pub gaps: &'static Gaps,
}

pub(super) struct Stream<'a> {
    pieces: Pieces<'a>,
    seen: &'a Seen,
    token: tantivy_tokenizer::Token,
}

impl tantivy_tokenizer::Tokenizer for Tokenizer {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        let token = tantivy_tokenizer::Token { position: 0, ..Default::default() };
        Stream { pieces: Pieces::of(text, self.gaps), seen: &self.seen, token }
    }
}

impl tantivy_tokenizer::TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        let Some((text, gap)) = self.pieces.next(self.seen) else { return false };
        self.token.position += gap as usize;
        self.token.text.clear();
        self.token.text.push_str(text);
        true
    }

    fn token(&self) -> &tantivy_tokenizer::Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut tantivy_tokenizer::Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(text: &str) -> (Vec<(&str, u32)>, (bool, bool)) {
        let seen = Seen::default();
        let mut pieces = Pieces::of(text, &NARROW);
        let list = std::iter::from_fn(|| pieces.next(&seen)).collect();
        (list, seen.take())
    }

    #[test]
    fn words_singles_and_gaps() {
        let (list, seen) = pieces("A1 B, C  日本D 語\0E\u{301}F");
        let wanted =
            [("A1", 2), ("B", 2), ("C", 3), ("日", 3), ("本", 2), ("D", 2), ("語", 3), ("E\u{301}F", 16)];
        assert_eq!(list, wanted);
        assert_eq!(seen, (false, false));
        assert_eq!(pieces("").0, []);
        assert_eq!(pieces(" ,\r\n").0, []);
    }

    /// A distance between two tokens says that they are neighbours, and what is between them.
    #[test]
    fn gaps_are_no_sums() {
        for gaps in [&NARROW, &WIDE] {
            let mut all: Vec<u32> = gaps.told.iter().map(|(_, gap)| *gap).collect();
            all.extend([gaps.canonical, gaps.other]);
            let least = *all.iter().min().unwrap();
            assert!(all.iter().all(|gap| *gap < 2 * least) && gaps.jump >= 2 * least);
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), gaps.told.len() + 2);
        }
        let list: Vec<_> = Tokens::with("A@B.C <D>, E 語", &WIDE).map(|token| token.gap).collect();
        assert_eq!(list, [8, 9, 10, 14, 15, 15]);
    }

    #[test]
    fn past_the_pieces_there_are_nothing_is_proved() {
        let text = format!("{} B", "A".repeat(200_000));
        let (list, seen) = pieces(&text);
        assert_eq!(list.len(), PIECES_MAX as usize + 1);
        assert_eq!(list.last(), Some(&("B", NARROW.jump)));
        assert_eq!(seen, (true, true));
    }

    proptest! {
        #[test]
        fn a_fragment_of_a_long_word_lies_in_a_piece(text in "[AÉ語\u{301}]{20,200}", at in 0usize..200, len in 1usize..=FRAGMENT_MAX_BYTES) {
            let word: String = text.chars().filter(|c| *c != '語').collect();
            let at = head(&word, at % (word.len() + 1)).len();
            let fragment = head(&word[at..], len);
            let (list, seen) = pieces(&word);
            prop_assert!(list.iter().any(|(piece, _)| piece.contains(fragment)) || fragment.is_empty());
            prop_assert!(word.starts_with(list[0].0) && word.ends_with(list[list.len() - 1].0));
            prop_assert!(list.iter().all(|(piece, _)| piece.len() <= PIECE_MAX_BYTES));
            prop_assert_eq!(seen, (word.len() > PIECE_MAX_BYTES, false));
        }

        #[test]
        fn what_is_inside_is_cut_alike(before in "[A 語,]{0,5}", text in "[AB 語\u{301},\0]{0,12}", after in "[A 語,]{0,5}") {
            let whole = format!("{before}{text}{after}");
            let inner: Vec<_> = Tokens::of(&text).collect();
            let outer: Vec<_> = Tokens::of(&whole).collect();
            for pair in inner.windows(2) {
                let found = outer.windows(2).any(|o| {
                    o[0].end() == pair[0].end() + before.len() && o[1].start == pair[1].start + before.len() && o[1].gap == pair[1].gap
                });
                prop_assert!(found, "{pair:?} in {outer:?}");
            }
        }
    }
}
