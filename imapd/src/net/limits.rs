//! How many connections the server holds, and how fast it lets people guess passwords.
//!
//! Laws
//! - A place is held by a guard: it is given back when the guard is dropped, however the connection
//!   ends.
//! - No lock here is held over a wait; counting is all that happens under it.
//! - An IPv6 client is its /64: addresses inside it cost nothing.

use crate::session::Admission;
use engine::metrics::{Connections, Open};
use engine::types::AccountId;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Passwords are hashed at this many a time: each costs some 20 MiB and tens of milliseconds.
const LOGINS_AT_ONCE: usize = 4;

/// Counts of what is open, shared by all connections of a server.
pub struct Limits {
    places: Arc<Semaphore>,
    connections: Connections,
    addresses: Arc<Counts<IpAddr>>,
    accounts: Arc<Counts<AccountId>>,
    logins: Arc<Semaphore>,
}

/// A connection's place among all and among those of its address.
pub struct Place {
    _place: tokio::sync::OwnedSemaphorePermit,
    _open: Open,
    _address: Option<Counted<IpAddr>>,
}

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Server,
    Address,
}

impl Refused {
    /// The text of the BYE.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Server => "Too many connections, try again later",
            Self::Address => "Too many connections from your address",
        }
    }
}

impl Limits {
    #[must_use]
    pub fn new(connections: usize, per_address: u32, per_account: u32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
            connections: Connections::default(),
            addresses: Arc::new(Counts::new(per_address)),
            accounts: Arc::new(Counts::new(per_account)),
            logins: Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
        }
    }

    /// A place for a new connection; a Unix socket has no address to count.
    pub fn enter(&self, address: Option<IpAddr>) -> Result<Place, Refused> {
        self.place(address).inspect_err(|_| self.connections.refused())
    }

    /// How many there are, and were.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    fn place(&self, address: Option<IpAddr>) -> Result<Place, Refused> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refused::Server)?;
        let address = match address {
            Some(address) => Some(self.addresses.enter(client(address)).ok_or(Refused::Address)?),
            None => None,
        };
        Ok(Place { _place: place, _open: self.connections.open(), _address: address })
    }

    /// Waits for the turn to check a password.
    pub async fn login_turn(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.logins).acquire_owned().await.ok()
    }
}

impl Admission for Limits {
    fn admit(&self, account: AccountId) -> Option<Box<dyn Send>> {
        self.accounts.enter(account).map(|guard| Box::new(guard) as Box<dyn Send>)
    }
}

/// Who is counted as one client.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        },
    }
}

/// How many of each key are inside, at most `limit` of one.
struct Counts<K> {
    limit: u32,
    inside: Mutex<HashMap<K, u32>>,
}

impl<K: Hash + Eq + Copy> Counts<K> {
    fn new(limit: u32) -> Self {
        Self { limit, inside: Mutex::new(HashMap::new()) }
    }

    fn enter(self: &Arc<Self>, key: K) -> Option<Counted<K>> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(key).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Counted { counts: Arc::clone(self), key })
    }
}

/// One of a key, inside until dropped.
struct Counted<K: Hash + Eq + Copy> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Hash + Eq + Copy> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut inside = self.counts.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_when_its_holder_goes() {
        let limits = Limits::new(10, 2, 1);
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        let first = limits.enter(here);
        let second = limits.enter(here);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(limits.enter(here).err(), Some(Refused::Address));
        assert!(limits.enter(Some(IpAddr::from([192, 0, 2, 2]))).is_ok());
        drop(first);
        assert!(limits.enter(here).is_ok());
    }

    #[test]
    fn the_whole_server_has_a_limit_too() {
        let limits = Limits::new(1, 5, 5);
        let one = limits.enter(None);
        assert_eq!(limits.enter(None).err(), Some(Refused::Server));
        let counts = limits.connections().counts();
        assert_eq!((counts.open, counts.accepted, counts.refused), (1, 1, 1));
        drop(one);
        assert_eq!(limits.connections().counts().open, 0);
    }

    #[test]
    fn accounts_are_counted_one_by_one() {
        let limits = Limits::new(10, 10, 1);
        let inside = limits.admit(AccountId(1));
        assert!(inside.is_some());
        assert!(limits.admit(AccountId(1)).is_none());
        assert!(limits.admit(AccountId(2)).is_some());
        drop(inside);
        assert!(limits.admit(AccountId(1)).is_some());
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let limits = Limits::new(10, 1, 1);
        let one = limits.enter("2001:db8::1".parse().ok());
        assert!(one.is_ok());
        assert_eq!(limits.enter("2001:db8::2".parse().ok()).err(), Some(Refused::Address));
        assert!(limits.enter("2001:db8:0:1::1".parse().ok()).is_ok());
        let mapped = limits.enter("::ffff:192.0.2.9".parse().ok());
        assert!(mapped.is_ok());
        assert_eq!(limits.enter("192.0.2.9".parse().ok()).err(), Some(Refused::Address));
    }
}
