//! A search string as the index takes it: folded once, cut into tokens.
//!
//! Laws
//! - `matches` is the truth: the bytes of the folded string inside a folded text, where no text holds
//!   the seam.
//! - What is inside the string is known whole; its first token may be the end of a longer one, its last
//!   the beginning of one, unless a separator stands before or behind.

use super::folded::{Group, SEAM};
use super::tokens::{Gaps, NARROW, Tokens, WIDE};
use crate::text::fold;
use memchr::memmem::Finder;

/// Tokens of a string that are asked; what follows is left to verification.
const TOKENS_MAX: usize = 32;

#[derive(Debug, Clone)]
pub struct Needle {
    folded: String,
    finder: Finder<'static>,
    tokens: Vec<NeedleToken>,
    /// A separator stands before the first token.
    leads: bool,
    /// Something stands behind the last token, so that it is whole.
    trails: bool,
    holds_seam: bool,
}

#[derive(Debug, Clone)]
pub(super) struct NeedleToken {
    pub text: String,
    pub is_single: bool,
    narrow_gap: u32,
    wide_gap: u32,
}

impl NeedleToken {
    /// From the token before it to this one, in the positions of a group.
    pub(super) fn gap(&self, group: Group) -> u32 {
        if *gaps_of(group) == WIDE { self.wide_gap } else { self.narrow_gap }
    }
}

/// How a group's positions are spaced.
pub(super) fn gaps_of(group: Group) -> &'static Gaps {
    match group {
        Group::Body | Group::Header => &NARROW,
        Group::Subject | Group::From | Group::To | Group::Cc | Group::Bcc => &WIDE,
    }
}

impl Needle {
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let folded = fold(pattern);
        let finder = Finder::new(folded.as_bytes()).into_owned();
        let mut cut = Tokens::of(&folded);
        let found: Vec<_> = cut.by_ref().take(TOKENS_MAX).collect();
        let leads = found.first().is_some_and(|t| t.start > 0);
        let trails = found.last().is_some_and(|t| t.end() < folded.len());
        let tokens = found
            .iter()
            .zip(Tokens::with(&folded, &WIDE))
            .map(|(narrow, wide)| NeedleToken {
                text: narrow.text.to_owned(),
                is_single: narrow.is_single,
                narrow_gap: narrow.gap,
                wide_gap: wide.gap,
            })
            .collect();
        let holds_seam = folded.contains(SEAM);
        Self { finder, tokens, leads, trails, holds_seam, folded }
    }

    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// True when the folded text holds the string. The empty one is in every text.
    #[must_use]
    pub fn matches(&self, folded_text: &str) -> bool {
        self.finder.find(folded_text.as_bytes()).is_some()
    }

    /// The tokens; none when the index can say nothing about the string.
    pub(super) fn tokens(&self) -> &[NeedleToken] {
        if self.holds_seam { &[] } else { &self.tokens }
    }

    pub(super) fn leads(&self) -> bool {
        self.leads
    }

    pub(super) fn trails(&self) -> bool {
        self.trails
    }

    /// True when tokens and gaps are all there is to the string, in a group's positions.
    pub(super) fn is_proved_by_tokens(&self, group: Group) -> bool {
        let inner = self.tokens.get(1..).unwrap_or_default();
        !self.holds_seam
            && !self.leads
            && !self.trails
            && inner.iter().all(|t| t.gap(group) != gaps_of(group).other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut() {
        for (pattern, tokens, leads, trails, proved) in [
            ("foo bar", 2, false, false, true),
            ("foo, bar", 2, false, false, false),
            (" foo", 1, true, false, false),
            ("foo.", 1, false, true, false),
            ("日本go", 3, false, false, true),
            ("日 本", 2, false, false, false),
            ("-- ", 0, false, false, true),
            ("", 0, false, false, true),
            ("a\0b", 0, false, false, false),
        ] {
            let needle = Needle::new(pattern);
            assert_eq!(needle.tokens().len(), tokens, "{pattern:?}");
            assert_eq!((needle.leads(), needle.trails()), (leads, trails), "{pattern:?}");
            assert_eq!(needle.is_proved_by_tokens(Group::Body), proved, "{pattern:?}");
            assert!(needle.matches(&format!("X{}Y", needle.folded())), "{pattern:?}");
        }
        let long = Needle::new(&"a b ".repeat(100));
        assert_eq!(long.tokens().len(), TOKENS_MAX);
        assert!(long.trails() && !long.is_proved_by_tokens(Group::Body));
        for (pattern, proved) in
            [("a@b.c", true), ("a b-c_d", true), ("a@b>", false), ("a/b", false), ("語@b", false)]
        {
            assert_eq!(Needle::new(pattern).is_proved_by_tokens(Group::From), proved, "{pattern:?}");
        }
    }
}
