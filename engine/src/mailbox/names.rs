//! Mailbox names: what a name may be, its levels, LIST patterns, special uses.
//!
//! Laws
//! - Names are UTF-8 inside; modified UTF-7 is the wire's business.
//! - `INBOX` is written in capitals wherever it is the first level, and compares without case
//!   there and nowhere else (RFC 3501 section 5.1).
//! - Matching a pattern takes at most (pattern x name) steps, whatever the pattern.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

pub const DELIMITER: char = '/';
pub const MAX_NAME_BYTES: usize = 1000;
pub const INBOX: &str = "INBOX";

/// Checks a name that is to be created or renamed to, and gives it as it is stored.
pub fn validate(name: &str) -> Result<String> {
    let refuse = |why: &str| Err(Error::InvalidName(why.to_owned()));
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse("it is longer than 1000 bytes");
    }
    if name.chars().any(char::is_control) {
        return refuse("it holds a control character");
    }
    if name.chars().any(|c| matches!(c, '*' | '%')) {
        return refuse("* and % are wildcards of LIST");
    }
    if name.split(DELIMITER).any(str::is_empty) {
        return refuse("a level is empty");
    }
    Ok(canonical(name))
}

/// The name with `INBOX` in capitals where it is the first level.
#[must_use]
pub fn canonical(name: &str) -> String {
    let (first, rest) = name.find(DELIMITER).map_or((name, ""), |at| name.split_at(at));
    if first.eq_ignore_ascii_case(INBOX) { format!("{INBOX}{rest}") } else { name.to_owned() }
}

#[must_use]
pub fn is_inbox(name: &str) -> bool {
    name.eq_ignore_ascii_case(INBOX)
}

/// The name one level up.
#[must_use]
pub fn parent(name: &str) -> Option<&str> {
    name.rsplit_once(DELIMITER).map(|(parent, _)| parent)
}

/// Every name above, nearest first.
pub fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(name), |n| parent(n))
}

/// True when `name` lies below `above`, at any depth.
#[must_use]
pub fn is_below(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.starts_with(DELIMITER))
}

/// A pattern of LIST or LSUB (RFC 3501 section 6.3.8), the reference already put before it.
#[derive(Debug, Clone)]
pub struct ListPattern {
    tokens: Vec<Token>,
    literals: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `%`: anything within a level.
    Level,
    /// `*`: anything.
    Any,
}

impl ListPattern {
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        for c in pattern.chars() {
            let token = match c {
                '*' => Token::Any,
                '%' => Token::Level,
                c => Token::Literal(c),
            };
            // A run of wildcards is one: the wider of them.
            match (tokens.last_mut(), token) {
                (Some(Token::Any), Token::Any | Token::Level) | (Some(Token::Level), Token::Level) => {}
                (Some(last @ Token::Level), Token::Any) => *last = Token::Any,
                _ => tokens.push(token),
            }
        }
        let literals = tokens.iter().filter(|t| matches!(t, Token::Literal(_))).count();
        Self { tokens, literals }
    }

    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        if self.literals > name.len() {
            return false;
        }
        let first_level = name.iter().position(|c| *c == DELIMITER).unwrap_or(name.len());
        let inbox = name.iter().take(first_level).copied().eq(INBOX.chars());
        // alive[i]: the tokens before i can have eaten the name so far.
        let mut alive = self.closure(&[true]);
        for (at, &c) in name.iter().enumerate() {
            let same = |t: char| t == c || (inbox && at < first_level && t.eq_ignore_ascii_case(&c));
            let mut next = vec![false; self.tokens.len() + 1];
            for (i, token) in self.tokens.iter().enumerate().filter(|(i, _)| alive[*i]) {
                match token {
                    Token::Literal(t) => next[i + 1] |= same(*t),
                    Token::Level => next[i] |= c != DELIMITER,
                    Token::Any => next[i] = true,
                }
            }
            alive = self.closure(&next);
        }
        alive[self.tokens.len()]
    }

    /// A wildcard may also stand for nothing.
    fn closure(&self, states: &[bool]) -> Vec<bool> {
        let mut alive = states.to_vec();
        alive.resize(self.tokens.len() + 1, false);
        for (i, token) in self.tokens.iter().enumerate() {
            if alive[i] && !matches!(token, Token::Literal(_)) {
                alive[i + 1] = true;
            }
        }
        alive
    }
}

/// RFC 6154 section 2: what a mailbox is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecialUse {
    All,
    Archive,
    Drafts,
    Flagged,
    Junk,
    Sent,
    Trash,
}

impl SpecialUse {
    pub const EVERY: [Self; 7] =
        [Self::All, Self::Archive, Self::Drafts, Self::Flagged, Self::Junk, Self::Sent, Self::Trash];

    /// The attribute as LIST shows it.
    #[must_use]
    pub fn attribute(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// From the attribute, in any case.
    #[must_use]
    pub fn parse(attribute: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|u| u.attribute().eq_ignore_ascii_case(attribute))
    }

    /// The number in stored objects; never changes.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::All => 1,
            Self::Archive => 2,
            Self::Drafts => 3,
            Self::Flagged => 4,
            Self::Junk => 5,
            Self::Sent => 6,
            Self::Trash => 7,
        }
    }

    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::EVERY.into_iter().find(|u| u.code() == code)
    }
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.attribute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_no_client_could_name_again() {
        for bad in ["", "/a", "a/", "a//b", "a\nb", "a*", "%", "\u{7f}", &"x".repeat(1001)] {
            assert!(matches!(validate(bad), Err(Error::InvalidName(_))), "{bad:?}");
        }
        assert_eq!(validate(&"x".repeat(1000)).unwrap().len(), 1000);
        assert_eq!(validate("Entwürfe/日本語").unwrap(), "Entwürfe/日本語");
    }

    #[test]
    fn inbox_is_one_name_in_any_case_at_the_first_level_only() {
        assert_eq!(validate("inBox").unwrap(), "INBOX");
        assert_eq!(validate("inbox/Sub").unwrap(), "INBOX/Sub");
        assert_eq!(validate("a/inbox").unwrap(), "a/inbox");
        assert_eq!(validate("inboxes").unwrap(), "inboxes");
    }

    #[test]
    fn list_patterns_as_rfc_3501_says() {
        let cases = [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*", "a/b/c", true),
            ("a/*", "a", false),
            ("a*", "a", true),
            ("%/c", "b/c", true),
            ("*c", "a/b/c", true),
            ("*%", "a/b", true),
            ("%*", "a/b", true),
            ("%b%", "abc", true),
            ("inbox", "INBOX", true),
            ("InB%", "INBOX", true),
            ("inbox/x", "INBOX/x", true),
            ("inbox/X", "INBOX/x", false),
            ("sent", "Sent", false),
            ("", "", true),
            ("", "a", false),
            ("日%", "日本", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(ListPattern::new(pattern).matches(name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends_at_once() {
        let name = "a".repeat(1000);
        assert!(!ListPattern::new(&"*a".repeat(900)).matches(&format!("{name}b")));
        assert!(!ListPattern::new(&"%a".repeat(30_000)).matches(&name));
    }

    #[test]
    fn levels() {
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert!(is_below("a/b", "a") && !is_below("ab", "a") && !is_below("a", "a"));
    }

    #[test]
    fn special_uses_come_back_from_attribute_and_code() {
        for u in SpecialUse::EVERY {
            assert_eq!(SpecialUse::parse(&u.attribute().to_lowercase()), Some(u));
            assert_eq!(SpecialUse::from_code(u.code()), Some(u));
        }
        assert_eq!(SpecialUse::parse("\\Inbox"), None);
    }
}
