//! The results of an updating SORT in their order, and how a client's copy of the list follows (RFC 5267
//! sections 4.3.2 to 4.3.4).
//!
//! Laws
//! - What `remove` and `insert` give, applied pair by pair, makes of the list as it was the list as it is.
//! - Results that stay keep their order: no key that SORT knows changes during a message's life.
//! - To place a few new messages among many, only some of the many are sorted again: about `PIVOTS`, and
//!   those between two pivots.

use engine::types::UidSet;

/// Results that divide a long list.
const PIVOTS: usize = 256;

/// Lists up to this length are sorted whole.
const WHOLE_MAX: usize = 4 * PIVOTS;

/// Results that stand side by side, and the place of the first of them, from 1.
pub type Pair = (u32, Vec<u32>);

#[derive(Debug, Default)]
pub struct Order {
    uids: Vec<u32>,
}

impl Order {
    pub fn new(uids: Vec<u32>) -> Self {
        Self { uids }
    }

    pub fn uids(&self) -> &[u32] {
        &self.uids
    }

    /// Takes results out: from the last to the first, so that no place moves before it is used.
    pub fn remove(&mut self, gone: &UidSet) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = Vec::new();
        let mut joins = false;
        for (place, &uid) in (1_u32..).zip(&self.uids) {
            if !gone.contains(uid) {
                joins = false;
                continue;
            }
            match pairs.last_mut() {
                Some((_, run)) if joins => run.push(uid),
                _ => pairs.push((place, vec![uid])),
            }
            joins = true;
        }
        self.uids.retain(|&uid| !gone.contains(uid));
        pairs.reverse();
        pairs
    }

    /// Puts results in; `sorted` brings any messages into their order. From the first to the last, each at
    /// its place in the end.
    pub fn insert<E>(
        &mut self,
        new: &UidSet,
        sorted: &mut dyn FnMut(&UidSet) -> Result<Vec<u32>, E>,
    ) -> Result<Vec<Pair>, E> {
        let places = places(&self.uids, new, sorted)?;
        let mut pairs: Vec<Pair> = Vec::new();
        let mut merged = Vec::with_capacity(self.uids.len() + places.len());
        let mut taken = 0;
        let mut next_place = 1_u32;
        for (before, uid) in places {
            let kept = self.uids.get(taken..before).unwrap_or_default();
            merged.extend_from_slice(kept);
            taken += kept.len();
            next_place += u32::try_from(kept.len()).unwrap_or(u32::MAX);
            match pairs.last_mut() {
                Some((_, run)) if kept.is_empty() => run.push(uid),
                _ => pairs.push((next_place, vec![uid])),
            }
            merged.push(uid);
            next_place += 1;
        }
        merged.extend_from_slice(self.uids.get(taken..).unwrap_or_default());
        self.uids = merged;
        Ok(pairs)
    }
}

/// The new messages in their order, each with the number of old ones before it.
fn places<E>(
    old: &[u32],
    new: &UidSet,
    sorted: &mut dyn FnMut(&UidSet) -> Result<Vec<u32>, E>,
) -> Result<Vec<(usize, u32)>, E> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    if old.len() <= WHOLE_MAX || new.len() > (old.len() / 8) as u64 {
        return among(0, old, new, sorted);
    }
    let stride = old.len() / PIVOTS;
    let pivots: Vec<u32> = old.iter().copied().step_by(stride).collect();
    let mut places = Vec::new();
    for gap in among(0, &pivots, new, sorted)?.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(pivots_before, _)) = gap.first() else { continue };
        // Between the pivot before and the one behind; before the first pivot there is nothing.
        let start = pivots_before.checked_sub(1).map_or(0, |last| last * stride + 1);
        let end = (pivots_before * stride).min(old.len());
        let between = old.get(start..end).unwrap_or_default();
        let new: UidSet = gap.iter().map(|&(_, uid)| uid).collect();
        places.extend(among(start, between, &new, sorted)?);
    }
    Ok(places)
}

/// The same for a part of the list that `start` others stand before.
fn among<E>(
    start: usize,
    part: &[u32],
    new: &UidSet,
    sorted: &mut dyn FnMut(&UidSet) -> Result<Vec<u32>, E>,
) -> Result<Vec<(usize, u32)>, E> {
    let together = part.iter().copied().collect::<UidSet>().union(new);
    let mut before = start;
    let mut places = Vec::new();
    for uid in sorted(&together)? {
        if new.contains(uid) { places.push((before, uid)) } else { before += 1 }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    /// What a client makes of the pairs (RFC 5267 sections 4.3.3 and 4.3.4).
    fn client_removes(list: &mut Vec<u32>, pairs: &[Pair]) {
        for (place, run) in pairs {
            let at = *place as usize - 1;
            assert_eq!(&list[at..at + run.len()], run.as_slice(), "what is removed stands there");
            list.drain(at..at + run.len());
        }
    }

    fn client_adds(list: &mut Vec<u32>, pairs: &[Pair]) {
        for (place, run) in pairs {
            let at = *place as usize - 1;
            list.splice(at..at, run.iter().copied());
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    #[test]
    fn a_clients_list_follows() {
        for seed in (1..=3_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            println!("seed {seed}");
            let mut random = Random(seed);
            // Few keys: many messages are told apart by their UIDs only.
            let keys: Vec<u64> = (0..=6_000).map(|_| random.below(1_500)).collect();
            let in_order = |set: &mut dyn Iterator<Item = u32>| {
                let mut uids: Vec<u32> = set.collect();
                uids.sort_unstable_by_key(|uid| (keys[*uid as usize], *uid));
                uids
            };
            let mut asked = 0;
            let mut order = Order::default();
            let (mut client, mut model) = (Vec::new(), BTreeSet::new());
            for round in 0..40 {
                let count = if round % 10 == 0 { 3_000 } else { random.below(12) };
                let pick: UidSet = (0..count).map(|_| random.below(6_000) as u32 + 1).collect();
                let (there, missing): (Vec<u32>, Vec<u32>) = pick.iter().partition(|uid| model.contains(uid));
                let gone: UidSet = if count > 12 { UidSet::new() } else { there.into_iter().collect() };
                model.retain(|uid| !gone.contains(*uid));
                client_removes(&mut client, &order.remove(&gone));
                let new: UidSet = missing.iter().copied().collect();
                model.extend(missing);
                let pairs = order.insert(&new, &mut |set: &UidSet| {
                    asked += set.len();
                    Ok::<_, Infallible>(in_order(&mut set.iter()))
                });
                client_adds(&mut client, &pairs.unwrap());
                assert_eq!(client, order.uids());
                assert_eq!(client, in_order(&mut model.iter().copied()), "round {round}");
            }
            // 36 small rounds on some 3,000 to 6,000 results did not sort them all each time.
            assert!(asked < 70_000, "{asked}");
        }
    }

    #[test]
    fn neighbours_go_together() {
        let mut order = Order::new(vec![2_734, 2_735]);
        let sorted = &mut |set: &UidSet| Ok::<_, Infallible>(set.iter().collect());
        // RFC 5267 section 4.3.3.
        assert_eq!(
            order.insert(&UidSet::from_range(2_731, 2_733), sorted),
            Ok(vec![(1, vec![2_731, 2_732, 2_733])])
        );
        assert_eq!(
            order.insert(&[1, 3_000, 3_001].into_iter().collect(), sorted),
            Ok(vec![(1, vec![1]), (7, vec![3_000, 3_001])])
        );
        let gone: UidSet = [1, 2_731, 3_001].into_iter().collect();
        assert_eq!(order.remove(&gone), [(8, vec![3_001]), (1, vec![1, 2_731])]);
        assert_eq!(order.uids(), [2_732, 2_733, 2_734, 2_735, 3_000]);
        assert_eq!(order.insert(&UidSet::new(), sorted), Ok(Vec::new()));
        assert!(order.remove(&UidSet::new()).is_empty());
    }
}
