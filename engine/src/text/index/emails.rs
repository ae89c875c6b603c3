//! A set of an account's EmailIds, as bits: they are dense, so a set of a million is 125 KB whatever
//! is in it, and every operation is a pass over words.
//!
//! Laws
//! - Words past the last one held are zero: sets of different lengths compare, meet and join as if
//!   they were endless.

use crate::types::EmailId;

#[derive(Debug, Clone, Default)]
pub struct EmailSet {
    words: Vec<u64>,
}

impl EmailSet {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Room for the ids below that one.
    #[must_use]
    pub fn with_room(below: EmailId) -> Self {
        Self { words: Vec::with_capacity((below.0 as usize).div_ceil(64)) }
    }

    pub fn insert(&mut self, email: EmailId) {
        let (word, bit) = place(email);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(w) = self.words.get_mut(word) {
            *w |= bit;
        }
    }

    pub fn remove(&mut self, email: EmailId) {
        let (word, bit) = place(email);
        if let Some(w) = self.words.get_mut(word) {
            *w &= !bit;
        }
    }

    #[must_use]
    pub fn contains(&self, email: EmailId) -> bool {
        let (word, bit) = place(email);
        self.words.get(word).is_some_and(|w| w & bit != 0)
    }

    /// True when the word of bits of some id from one to another, both included, is not empty: a quick
    /// look, that may find a neighbour.
    #[must_use]
    pub fn meets(&self, low: EmailId, high: EmailId) -> bool {
        let (from, to) = (place(low).0, (place(high).0 + 1).min(self.words.len()));
        self.words.get(from..to).is_some_and(|words| words.iter().any(|w| *w != 0))
    }

    /// True when every id from one to another, both included, is there.
    #[must_use]
    pub fn has_all(&self, low: EmailId, high: EmailId) -> bool {
        let ((from, first), (to, last)) = (place(low), place(high));
        // From the first bit on, and up to the last.
        let (head, tail) = (u64::MAX << first.trailing_zeros(), u64::MAX >> last.leading_zeros());
        let Some(words) = self.words.get(from..=to) else { return false };
        match words {
            [word] => word & head & tail == head & tail,
            [a, between @ .., b] => {
                a & head == head && b & tail == tail && between.iter().all(|word| *word == u64::MAX)
            }
            [] => true,
        }
    }

    #[must_use]
    pub fn len(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// Adds the other's.
    pub fn join(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (w, o) in self.words.iter_mut().zip(&other.words) {
            *w |= o;
        }
    }

    /// Keeps what the other has too.
    pub fn meet(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (w, o) in self.words.iter_mut().zip(&other.words) {
            *w &= o;
        }
    }

    /// Takes the other's away.
    pub fn subtract(&mut self, other: &Self) {
        for (w, o) in self.words.iter_mut().zip(&other.words) {
            *w &= !o;
        }
    }

    /// The bits, id 0 first.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// The bits, with room for the ids below that one.
    pub(super) fn words_below(&mut self, below: u64) -> &mut [u64] {
        let words = below.div_ceil(64) as usize;
        if words > self.words.len() {
            self.words.resize(words, 0);
        }
        &mut self.words
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = EmailId> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, at)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(EmailId(at * 64 + bit))
            })
        })
    }
}

impl PartialEq for EmailSet {
    fn eq(&self, other: &Self) -> bool {
        let shared = self.words.len().min(other.words.len());
        let (a, b) = (self.words.split_at(shared), other.words.split_at(shared));
        a.0 == b.0 && a.1.iter().chain(b.1).all(|w| *w == 0)
    }
}

impl Eq for EmailSet {}

impl FromIterator<EmailId> for EmailSet {
    fn from_iter<I: IntoIterator<Item = EmailId>>(emails: I) -> Self {
        let mut set = Self::new();
        for email in emails {
            set.insert(email);
        }
        set
    }
}

fn place(email: EmailId) -> (usize, u64) {
    ((email.0 / 64) as usize, 1 << (email.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(a in prop::collection::btree_set(0u32..300, 0..40), b in prop::collection::btree_set(0u32..300, 0..40)) {
            let set = |ids: &BTreeSet<u32>| ids.iter().map(|id| EmailId(*id)).collect::<EmailSet>();
            let list = |set: &EmailSet| set.iter().map(|id| id.0).collect::<Vec<_>>();
            let (x, y) = (set(&a), set(&b));
            prop_assert_eq!(list(&x), a.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(x.len(), a.len() as u64);
            let with = |change: &dyn Fn(&mut EmailSet)| { let mut z = x.clone(); change(&mut z); z };
            prop_assert_eq!(list(&with(&|z| z.join(&y))), a.union(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(list(&with(&|z| z.meet(&y))), a.intersection(&b).copied().collect::<Vec<_>>());
            let less = with(&|z| z.subtract(&y));
            prop_assert_eq!(list(&less), a.difference(&b).copied().collect::<Vec<_>>());
            prop_assert_eq!(&less, &set(&a.difference(&b).copied().collect()));
            prop_assert_eq!(less.is_empty(), a.is_subset(&b));
            for low in 0..320 {
                let ids = low..=low + x.len() as u32;
                let has_all = ids.clone().all(|id| a.contains(&id));
                prop_assert_eq!(x.has_all(EmailId(*ids.start()), EmailId(*ids.end())), has_all);
                let meets = ids.clone().any(|id| a.contains(&id));
                prop_assert!(x.meets(EmailId(*ids.start()), EmailId(*ids.end())) || !meets);
            }
            for id in 0..320 {
                prop_assert_eq!(x.contains(EmailId(id)), a.contains(&id));
            }
        }
    }
}
