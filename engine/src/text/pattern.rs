//! A search string, folded once and matched often.

use super::fold::fold;
use memchr::memmem::Finder;

/// What a text key looks for: `fold(string)` as a substring.
#[derive(Debug, Clone)]
pub struct Pattern {
    finder: Finder<'static>,
}

impl Pattern {
    #[must_use]
    pub fn new(string: &str) -> Self {
        Self { finder: Finder::new(fold(string).as_bytes()).into_owned() }
    }

    /// True when the folded text holds the pattern. The empty pattern is in every text.
    #[must_use]
    pub fn matches(&self, folded: &str) -> bool {
        self.finder.find(folded.as_bytes()).is_some()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substring_of_folded_text() {
        let text = fold("Grüße, ΟΔΥΣΣΕΥΣ!");
        for hit in ["gRÜ", "RU\u{308}ß", "οδυσσευς", "", ", ", "!"] {
            assert!(Pattern::new(hit).matches(&text), "{hit}");
        }
        for miss in ["grusse", "οδυσ ", "x"] {
            assert!(!Pattern::new(miss).matches(&text), "{miss}");
        }
        assert!(Pattern::new("").matches(""));
        assert!(Pattern::new("").is_empty() && !Pattern::new("a").is_empty());
    }
}
