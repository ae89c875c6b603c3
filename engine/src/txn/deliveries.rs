//! Which deliveries were made in the last days, so that an MTA that lost the reply and tries again
//! gets its 250 and no second copy.
//!
//! Laws
//! - A delivery is the same when sender, recipient and the bytes as received are the same; nothing
//!   is known by Message-ID.
//! - The table holds published deliveries. What is sequenced but not yet durable is the head's.
//! - Kept by account and day; a day goes as a whole once it is older than `KEEP_DAYS`.

use super::op::DeliveryKey;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::types::{AccountId, Lsn, MailboxId, Uid};
use std::collections::{BTreeMap, HashMap};

pub const KEEP_DAYS: u32 = 7;
const DAY_MS: u64 = 86_400_000;

/// Where the first copy went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveredTo {
    pub mailbox: MailboxId,
    pub uid: Uid,
}

/// Days since 1970.
#[must_use]
pub fn day_of(time_ms: u64) -> u32 {
    u32::try_from(time_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// The key of one delivery.
#[must_use]
pub fn key(sender: &str, recipient: &str, digest: &[u8; 32]) -> DeliveryKey {
    let mut hasher = blake3::Hasher::new();
    for part in [sender.as_bytes(), recipient.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(digest);
    let mut key = DeliveryKey::default();
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

#[derive(Debug, Default)]
struct Day {
    changed: Lsn,
    entries: HashMap<DeliveryKey, DeliveredTo>,
}

#[derive(Debug, Default)]
pub struct Deliveries {
    days: BTreeMap<(AccountId, u32), Day>,
}

impl Deliveries {
    #[must_use]
    pub fn find(&self, account: AccountId, key: &DeliveryKey, now_ms: u64) -> Option<DeliveredTo> {
        let oldest = day_of(now_ms).saturating_sub(KEEP_DAYS);
        self.days
            .range((account, oldest)..=(account, u32::MAX))
            .rev()
            .find_map(|(_, day)| day.entries.get(key).copied())
    }

    pub fn insert(&mut self, account: AccountId, key: DeliveryKey, to: DeliveredTo, time_ms: u64, lsn: Lsn) {
        let day = self.days.entry((account, day_of(time_ms))).or_default();
        day.changed = day.changed.max(lsn);
        day.entries.insert(key, to);
    }

    pub fn forget_account(&mut self, account: AccountId) {
        self.days.retain(|(of, _), _| *of != account);
    }

    /// Takes over what `right` has of an account, as of `lsn`. What is only here stays.
    pub fn take_over(&mut self, right: &Self, account: AccountId, lsn: Lsn) {
        for ((_, number), day) in right.days.range((account, 0)..=(account, u32::MAX)) {
            let ours = self.days.entry((account, *number)).or_default();
            ours.changed = ours.changed.max(lsn);
            ours.entries.extend(&day.entries);
        }
    }

    /// Drops days that are too old; returns them, so that their rows go too.
    pub fn expire(&mut self, now_ms: u64) -> Vec<(AccountId, u32)> {
        let oldest = day_of(now_ms).saturating_sub(KEEP_DAYS);
        let old: Vec<_> = self.days.keys().filter(|(_, day)| *day < oldest).copied().collect();
        old.iter().for_each(|key| {
            self.days.remove(key);
        });
        old
    }

    /// The days of an account changed after `since`, each as bytes.
    #[must_use]
    pub fn changed(&self, account: AccountId, since: Lsn) -> Vec<(u32, Vec<u8>)> {
        self.days
            .range((account, 0)..=(account, u32::MAX))
            .filter(|(_, day)| day.changed > since)
            .map(|((_, number), day)| (*number, encode(day)))
            .collect()
    }

    /// Takes in a day's row, as of `as_of`.
    pub fn load(&mut self, account: AccountId, day: u32, as_of: Lsn, bytes: &[u8]) -> Result<()> {
        let mut d = Decoder::new(bytes, "a row of deliveries");
        let into = self.days.entry((account, day)).or_default();
        into.changed = as_of;
        while !d.is_empty() {
            let key = d.array()?;
            let to = DeliveredTo { mailbox: MailboxId(d.u32()?), uid: Uid(d.u32()?) };
            into.entries.insert(key, to);
        }
        Ok(())
    }

    /// Which days of which accounts there are.
    pub fn days(&self) -> impl Iterator<Item = (AccountId, u32)> + '_ {
        self.days.keys().copied()
    }

    /// Whether both remember the same deliveries of a day. `other` is as of `lsn`; this one may be newer.
    #[must_use]
    pub fn says_the_same(&self, other: &Self, account: AccountId, day: u32, now_ms: u64, lsn: Lsn) -> bool {
        if day < day_of(now_ms).saturating_sub(KEEP_DAYS) {
            return true;
        }
        let none = Day::default();
        let ours = self.days.get(&(account, day)).unwrap_or(&none);
        let theirs = other.days.get(&(account, day)).unwrap_or(&none);
        let holds = |(key, to): (&DeliveryKey, &DeliveredTo)| ours.entries.get(key) == Some(to);
        let is_newer = ours.changed > lsn;
        theirs.entries.iter().all(holds) && (is_newer || ours.entries.len() == theirs.entries.len())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.days.values().map(|day| day.entries.len()).sum()
    }
}

fn encode(day: &Day) -> Vec<u8> {
    let mut sorted: Vec<_> = day.entries.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| **key);
    let mut e = Encoder::new();
    for (key, to) in sorted {
        e.raw(key);
        e.uint(u64::from(to.mailbox.0));
        e.uint(u64::from(to.uid.0));
    }
    e.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden;

    const NOW: u64 = 20_000 * DAY_MS;

    #[test]
    fn a_delivery_is_found_for_seven_days_and_by_its_account_only() {
        let mut table = Deliveries::default();
        let key = key("a@x", "b@y", &[7; 32]);
        let to = DeliveredTo { mailbox: MailboxId(3), uid: Uid(9) };
        table.insert(AccountId(1), key, to, NOW, Lsn(5));
        assert_eq!(table.find(AccountId(1), &key, NOW), Some(to));
        assert_eq!(table.find(AccountId(2), &key, NOW), None);
        assert_eq!(table.find(AccountId(1), &key, NOW + 7 * DAY_MS), Some(to));
        assert_eq!(table.find(AccountId(1), &key, NOW + 8 * DAY_MS), None);
        assert_eq!(table.expire(NOW + 8 * DAY_MS), vec![(AccountId(1), 20_000)]);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_day_survives_its_row() {
        let mut table = Deliveries::default();
        let to = DeliveredTo { mailbox: MailboxId(3), uid: Uid(9) };
        for n in 0..100 {
            table.insert(AccountId(1), key("s", "r", &[n; 32]), to, NOW, Lsn(5));
        }
        assert!(table.changed(AccountId(1), Lsn(5)).is_empty());
        let rows = table.changed(AccountId(1), Lsn(4));
        let mut back = Deliveries::default();
        back.load(AccountId(1), rows[0].0, Lsn(5), &rows[0].1).unwrap();
        assert_eq!(back.len(), 100);
        assert_eq!(back.find(AccountId(1), &key("s", "r", &[42; 32]), NOW), Some(to));
        assert!(back.load(AccountId(1), 1, Lsn(5), &rows[0].1[..50]).is_err());
    }

    #[test]
    fn a_day_is_as_drawn() {
        let drawn = golden(include_str!("../../tests/data/format/drawn/deliveries.hex"));
        let mut table = Deliveries::default();
        for (key, mailbox, uid) in [([9; 16], 2, 300), ([1; 16], 1, 5)] {
            let to = DeliveredTo { mailbox: MailboxId(mailbox), uid: Uid(uid) };
            table.insert(AccountId(1), key, to, NOW, Lsn(5));
        }
        assert_eq!(table.changed(AccountId(1), Lsn(0)), [(20_000, drawn.clone())]);
        let mut back = Deliveries::default();
        back.load(AccountId(1), 20_000, Lsn(5), &drawn).unwrap();
        assert_eq!(back.changed(AccountId(1), Lsn(0)), [(20_000, drawn)]);
    }

    /// The value is that of another implementation of BLAKE3.
    #[test]
    fn a_delivery_key_is_as_drawn() {
        let drawn = golden("3d 35 8a 16 87 75 16 a2 1d 00 8d c7 6e 8f 1c 04");
        assert_eq!(key("a@x", "b@y", &[7; 32]).to_vec(), drawn);
    }

    #[test]
    fn sender_and_recipient_do_not_run_into_each_other() {
        assert_ne!(key("ab", "c", &[0; 32]), key("a", "bc", &[0; 32]));
    }
}
