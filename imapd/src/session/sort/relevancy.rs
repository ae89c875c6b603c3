//! RELEVANCY among the criteria of SORT (RFC 6203 section 6).
//!
//! Laws
//! - The highest score comes first, and last with REVERSE.
//! - The criteria before RELEVANCY weigh more than it, those behind it less; a second RELEVANCY decides
//!   nothing.

use crate::proto::ast::SortCriterion;
use engine::search::{Found, SortKey};
use std::collections::HashMap;

/// What was found, in order; `by_keys` sorts it by criteria without RELEVANCY.
pub fn sorted<E>(
    found: &Found,
    by: &[SortCriterion],
    by_keys: &impl Fn(&[SortKey]) -> Result<Vec<u32>, E>,
) -> Result<Vec<u32>, E> {
    let mut parts = by.split(|criterion| matches!(criterion, SortCriterion::Relevancy { .. }));
    let before = keys(parts.next().unwrap_or_default());
    let behind: Vec<SortKey> = parts.flat_map(keys).collect();
    let reverse = by.iter().find_map(|criterion| match criterion {
        SortCriterion::Relevancy { reverse } => Some(*reverse),
        SortCriterion::Key(_) => None,
    });
    let scores: HashMap<u32, u8> = found.uids.iter().zip(found.relevancy.iter().copied()).collect();
    let score = |uid: u32| {
        let score = scores.get(&uid).copied().unwrap_or_default();
        if reverse == Some(true) { score } else { u8::MAX - score }
    };
    let mut order = by_keys(&behind)?;
    if before.is_empty() {
        order.sort_by_key(|&uid| score(uid));
        return Ok(order);
    }
    let class = classes(&before, by_keys)?;
    order.sort_by_key(|&uid| (class.get(&uid).copied(), score(uid)));
    Ok(order)
}

fn keys(by: &[SortCriterion]) -> Vec<SortKey> {
    super::keys(by).unwrap_or_default()
}

/// Which messages the criteria do not tell apart, numbered in their order. Sorted the other way round
/// these alone keep their order.
fn classes<E>(
    by: &[SortKey],
    by_keys: &impl Fn(&[SortKey]) -> Result<Vec<u32>, E>,
) -> Result<HashMap<u32, u32>, E> {
    let order = by_keys(by)?;
    let reversed: Vec<SortKey> = by.iter().map(|key| SortKey { reverse: !key.reverse, ..*key }).collect();
    let backwards = by_keys(&reversed)?;
    let place: HashMap<u32, usize> = backwards.into_iter().zip(0..).collect();
    let (mut class, mut before) = (0, None);
    let number = |uid: u32| {
        let here = place.get(&uid).copied();
        if here < before {
            class += 1;
        }
        before = here;
        (uid, class)
    };
    Ok(order.into_iter().map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::search::SortBy;
    use std::cmp::Ordering;
    use std::convert::Infallible;

    /// Sender, size and score of a message; few of each, so that many are alike.
    #[derive(Clone, Copy)]
    struct Message {
        from: u64,
        size: u64,
        score: u8,
    }

    fn compare(criterion: &SortCriterion, a: &Message, b: &Message) -> Ordering {
        let (order, reverse) = match criterion {
            SortCriterion::Relevancy { reverse } => (b.score.cmp(&a.score), *reverse),
            SortCriterion::Key(SortKey { by: SortBy::From, reverse }) => (a.from.cmp(&b.from), *reverse),
            SortCriterion::Key(SortKey { reverse, .. }) => (a.size.cmp(&b.size), *reverse),
        };
        if reverse { order.reverse() } else { order }
    }

    /// By the criteria one after the other, then by UID.
    fn plainly(messages: &[Message], by: &[SortCriterion]) -> Vec<u32> {
        let mut uids: Vec<u32> = (1..).take(messages.len()).collect();
        uids.sort_by(|&a, &b| {
            let (one, other) = (&messages[a as usize - 1], &messages[b as usize - 1]);
            let order = by.iter().map(|criterion| compare(criterion, one, other));
            order.fold(Ordering::Equal, Ordering::then).then(a.cmp(&b))
        });
        uids
    }

    fn check(by: &[SortCriterion]) {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |limit: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % limit
        };
        let messages: Vec<Message> = (0..300)
            .map(|_| Message { from: below(5), size: below(6), score: below(4) as u8 * 30 + 1 })
            .collect();
        let found = Found {
            uids: (1..=300).collect(),
            relevancy: messages.iter().map(|message| message.score).collect(),
            ..Found::default()
        };
        let by_keys = |by: &[SortKey]| {
            let by: Vec<SortCriterion> = by.iter().copied().map(SortCriterion::Key).collect();
            Ok::<_, Infallible>(plainly(&messages, &by))
        };
        assert_eq!(sorted(&found, by, &by_keys), Ok(plainly(&messages, by)), "{by:?}");
    }

    #[test]
    fn relevancy_weighs_where_it_stands() {
        let key = |by, reverse| SortCriterion::Key(SortKey { by, reverse });
        let (from, size) = (key(SortBy::From, false), key(SortBy::Size, true));
        for reverse in [false, true] {
            let relevancy = SortCriterion::Relevancy { reverse };
            check(&[relevancy]);
            check(&[relevancy, size]);
            check(&[from, relevancy]);
            check(&[size, relevancy, from]);
            check(&[from, size, relevancy]);
            check(&[relevancy, from, relevancy, size]);
        }
    }
}
