//! Flags by number: five system flags and the keywords of a mailbox.
//!
//! Laws
//! - A `FlagId` means the same flag in every version of one mailbox: keywords are added, never
//!   removed or renumbered. Across mailboxes only the names compare.
//! - Flag names compare without regard to ASCII case; the first spelling seen is kept.
//! - `\Recent` is not a flag here: it belongs to a session (RFC 3501 section 2.3.2).

use smallvec::SmallVec;
use std::ops::Deref;
use std::sync::Arc;

/// The most keywords a mailbox may have.
pub const MAX_KEYWORDS: usize = 1000;
/// The longest keyword taken.
pub const MAX_KEYWORD_BYTES: usize = 255;

/// A flag of one mailbox: below 8 a system flag, from 8 on its keywords in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagId(pub u16);

/// Flags 5 to 7 are kept free for system flags to come.
const FIRST_KEYWORD: u16 = 8;
const SYSTEM: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

impl FlagId {
    pub const ANSWERED: Self = Self(0);
    pub const FLAGGED: Self = Self(1);
    pub const DELETED: Self = Self(2);
    pub const SEEN: Self = Self(3);
    pub const DRAFT: Self = Self(4);
    /// The system flags in the order of their numbers.
    pub const SYSTEM: [Self; 5] = [Self::ANSWERED, Self::FLAGGED, Self::DELETED, Self::SEEN, Self::DRAFT];

    /// The keyword at this place of the mailbox's list.
    #[must_use]
    pub fn keyword(index: usize) -> Option<Self> {
        if index >= MAX_KEYWORDS {
            return None;
        }
        Some(Self(u16::try_from(index).ok()?.checked_add(FIRST_KEYWORD)?))
    }

    #[must_use]
    pub fn keyword_index(self) -> Option<usize> {
        self.0.checked_sub(FIRST_KEYWORD).map(usize::from)
    }

    /// A system flag by its name.
    #[must_use]
    pub fn system(name: &str) -> Option<Self> {
        Self::SYSTEM.into_iter().zip(SYSTEM).find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(id, _)| id)
    }
}

/// The flags of one message: a sorted set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct RowFlags(SmallVec<[FlagId; 4]>);

impl RowFlags {
    #[must_use]
    pub fn contains(&self, flag: FlagId) -> bool {
        self.0.binary_search(&flag).is_ok()
    }

    /// True when it was not there before.
    pub fn insert(&mut self, flag: FlagId) -> bool {
        match self.0.binary_search(&flag) {
            Ok(_) => false,
            Err(at) => {
                self.0.insert(at, flag);
                true
            }
        }
    }

    /// True when it was there.
    pub fn remove(&mut self, flag: FlagId) -> bool {
        match self.0.binary_search(&flag) {
            Ok(at) => {
                self.0.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = FlagId> + '_ {
        self.0.iter().copied()
    }

    #[must_use]
    pub fn as_slice(&self) -> &[FlagId] {
        &self.0
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<FlagId> for RowFlags {
    fn from_iter<I: IntoIterator<Item = FlagId>>(flags: I) -> Self {
        let mut set = Self::default();
        for flag in flags {
            set.insert(flag);
        }
        set
    }
}

/// The keywords of a mailbox in the order they were first used. Cheap to clone: versions share it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keywords(Arc<Vec<Arc<str>>>);

impl Keywords {
    /// The number of a flag, system flag or known keyword, by its name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<FlagId> {
        FlagId::system(name).or_else(|| {
            let index = self.0.iter().position(|k| k.eq_ignore_ascii_case(name))?;
            FlagId::keyword(index)
        })
    }

    /// The name of a flag; `None` for a number that this mailbox never gave.
    #[must_use]
    pub fn name(&self, flag: FlagId) -> Option<&str> {
        match flag.keyword_index() {
            Some(index) => self.0.get(index).map(|k| &**k),
            None => SYSTEM.get(usize::from(flag.0)).copied(),
        }
    }

    /// Adds a keyword and gives its number; `None` when the list is full or the name is no keyword.
    pub fn add(&mut self, name: &str) -> Option<FlagId> {
        if let Some(known) = self.id(name) {
            return Some(known);
        }
        let flag = FlagId::keyword(self.0.len()).filter(|_| is_keyword(name))?;
        Arc::make_mut(&mut self.0).push(name.into());
        Some(flag)
    }
}

impl Deref for Keywords {
    type Target = [Arc<str>];

    fn deref(&self) -> &[Arc<str>] {
        &self.0
    }
}

/// RFC 3501 section 9, flag-keyword: an atom, so no space, control, list wildcard, quote,
/// parenthesis, brace, bracket or backslash. Printable ASCII only.
#[must_use]
pub fn is_keyword(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_KEYWORD_BYTES
        && name.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_flags_are_known_in_any_case() {
        assert_eq!(FlagId::system("\\sEEN"), Some(FlagId::SEEN));
        assert_eq!(FlagId::system("\\Recent"), None);
        for flag in FlagId::SYSTEM {
            assert_eq!(Keywords::default().name(flag).and_then(FlagId::system), Some(flag));
        }
    }

    #[test]
    fn a_keyword_keeps_its_first_spelling_and_its_number() {
        let mut k = Keywords::default();
        let forwarded = k.add("$Forwarded").unwrap();
        let old = k.clone();
        assert_eq!(k.add("work"), Some(FlagId(9)));
        assert_eq!(k.add("$FORWARDED"), Some(forwarded));
        assert_eq!(k.name(forwarded), Some("$Forwarded"));
        assert_eq!(old.len(), 1, "a published version does not change");
    }

    #[test]
    fn the_list_of_keywords_ends_at_its_limit() {
        let mut k = Keywords::default();
        for i in 0..MAX_KEYWORDS {
            assert!(k.add(&format!("k{i}")).is_some());
        }
        assert_eq!(k.add("one-more"), None);
        assert!(k.add("K7").is_some(), "a known one is still found");
    }

    #[test]
    fn only_atoms_are_keywords() {
        for bad in ["", "a b", "\\Seen", "a]", "p%", "q*", "é", "a\"", "(x", "t\t"] {
            assert!(!is_keyword(bad), "{bad:?}");
        }
        assert!(is_keyword("$MDNSent") && is_keyword("NonJunk"));
    }

    #[test]
    fn row_flags_are_a_sorted_set() {
        let mut f: RowFlags = [FlagId(9), FlagId::SEEN, FlagId(9)].into_iter().collect();
        assert_eq!(f.as_slice(), [FlagId::SEEN, FlagId(9)]);
        assert!(f.remove(FlagId(9)) && !f.remove(FlagId(9)));
        assert!(!f.insert(FlagId::SEEN) && f.insert(FlagId::DRAFT) && f.len() == 2);
    }
}
