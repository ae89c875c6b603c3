//! What the catalog and the snapshot runs keep, by name.
//!
//! Laws
//! - Keys sort by kind, then by their numbers: bytes are big-endian.
//! - The kind fixes the length, so no key is the beginning of another.

use crate::error::{Error, Result};
use crate::types::{AccountId, MailboxId};

/// The name of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKey {
    /// What the store knows as a whole.
    Store,
    Account(AccountId),
    /// A mailbox's header.
    Mailbox(AccountId, MailboxId),
    /// Up to 256 messages of a mailbox.
    Chunk(AccountId, MailboxId, u32),
    /// The delivery keys of an account for one day (days since 1970).
    DeliveryKeys(AccountId, u32),
}

/// The kinds of object; the number is the first byte of the key and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    Store = 1,
    Account = 2,
    Mailbox = 3,
    Chunk = 4,
    DeliveryKeys = 5,
}

impl ObjectKey {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store => Kind::Store,
            Self::Account(_) => Kind::Account,
            Self::Mailbox(..) => Kind::Mailbox,
            Self::Chunk(..) => Kind::Chunk,
            Self::DeliveryKeys(..) => Kind::DeliveryKeys,
        }
    }

    /// The account an object belongs to; the store's own belongs to none.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match *self {
            Self::Store => None,
            Self::Account(a) | Self::Mailbox(a, _) | Self::Chunk(a, ..) | Self::DeliveryKeys(a, _) => Some(a),
        }
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind() as u8];
        let mut put = |number: u32| bytes.extend_from_slice(&number.to_be_bytes());
        match *self {
            Self::Store => {}
            Self::Account(a) => put(a.0),
            Self::Mailbox(a, m) => {
                put(a.0);
                put(m.0);
            }
            Self::Chunk(a, m, no) => {
                put(a.0);
                put(m.0);
                put(no);
            }
            Self::DeliveryKeys(a, day) => {
                put(a.0);
                put(day);
            }
        }
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::corrupt("an object's key", "its kind or length is unknown");
        let (kind, rest) = bytes.split_first().ok_or_else(bad)?;
        let (numbers, odd) = rest.as_chunks::<4>();
        if !odd.is_empty() {
            return Err(bad());
        }
        match (kind, numbers) {
            (1, []) => Ok(Self::Store),
            (2, [a]) => Ok(Self::Account(account(a))),
            (3, [a, m]) => Ok(Self::Mailbox(account(a), mailbox(m))),
            (4, [a, m, no]) => Ok(Self::Chunk(account(a), mailbox(m), u32::from_be_bytes(*no))),
            (5, [a, day]) => Ok(Self::DeliveryKeys(account(a), u32::from_be_bytes(*day))),
            _ => Err(bad()),
        }
    }
}

fn account(bytes: &[u8; 4]) -> AccountId {
    AccountId(u32::from_be_bytes(*bytes))
}

fn mailbox(bytes: &[u8; 4]) -> MailboxId {
    MailboxId(u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = ObjectKey> {
        let n = any::<u32>;
        prop_oneof![
            Just(ObjectKey::Store),
            n().prop_map(|a| ObjectKey::Account(AccountId(a))),
            (n(), n()).prop_map(|(a, m)| ObjectKey::Mailbox(AccountId(a), MailboxId(m))),
            (n(), n(), n()).prop_map(|(a, m, c)| ObjectKey::Chunk(AccountId(a), MailboxId(m), c)),
            (n(), n()).prop_map(|(a, d)| ObjectKey::DeliveryKeys(AccountId(a), d)),
        ]
    }

    proptest! {
        #[test]
        fn bytes_come_back_and_sort_as_the_keys_do(a in any_key(), b in any_key()) {
            prop_assert_eq!(ObjectKey::from_bytes(&a.to_bytes()).unwrap(), a);
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(key) = ObjectKey::from_bytes(&bytes) {
                prop_assert_eq!(key.to_bytes(), bytes);
            }
        }
    }
}
