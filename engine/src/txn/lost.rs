//! What is lost and not yet mended: kept with the store's counters, so that it is known until repair has
//! dealt with it, whatever of the log and its damage is still there.
//!
//! Laws
//! - A hole counts while no view has what its transactions did: the catalog was older than it when the
//!   log had lost it already.
//! - Whom a hole hit is settled when it is found: accounts made later are not hit.

use crate::codec::{Decoder, Encoder};
use crate::error::Result;
use crate::log::Damage;
use crate::types::{AccountId, Lsn};
use std::collections::BTreeSet;

/// Transactions that are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub first: Lsn,
    pub last: Lsn,
    /// Whom it hit.
    pub accounts: BTreeSet<AccountId>,
    /// Nothing says whom it hit: it is everybody who was there.
    pub is_everybodys: bool,
    pub what: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    pub holes: Vec<Hole>,
    /// Accounts with transactions or messages whose beginning is lost.
    pub accounts: BTreeSet<AccountId>,
}

impl Lost {
    /// Adds a hole unless it is known. `everybody` are the accounts there are: those it may have hit.
    pub fn add(&mut self, damage: &Damage, everybody: &[AccountId]) {
        let (first, last) = (damage.first_lsn, damage.last_lsn);
        if self.holes.iter().any(|hole| hole.first <= first && last <= hole.last) {
            return;
        }
        let is_everybodys = damage.accounts.is_empty();
        let named = if is_everybodys { everybody } else { &damage.accounts };
        let accounts = named.iter().copied().filter(|id| damage.may_have_hit(*id)).collect();
        self.holes.push(Hole { first, last, accounts, is_everybodys, what: damage.what.clone() });
    }

    /// A hole is found to have hit one more account.
    pub fn hits(&mut self, damage: &Damage, id: AccountId) {
        self.add(damage, &[id]);
        let (first, last) = (damage.first_lsn, damage.last_lsn);
        for hole in self.holes.iter_mut().filter(|hole| hole.first <= first && last <= hole.last) {
            hole.accounts.insert(id);
        }
    }

    /// Repair has dealt with what holes did to the account.
    pub fn mended(&mut self, id: AccountId) {
        for hole in &mut self.holes {
            hole.accounts.remove(&id);
        }
    }

    /// Holes count as long as they hit somebody who is still there.
    pub fn retain(&mut self, everybody: &[AccountId]) {
        self.holes.retain(|hole| hole.accounts.iter().any(|id| everybody.contains(id)));
    }

    /// Everybody whom some hole hit.
    #[must_use]
    pub fn hit(&self) -> BTreeSet<AccountId> {
        self.holes.iter().flat_map(|hole| &hole.accounts).copied().collect()
    }

    /// Up to where groups are lost of which nothing says whose they were.
    #[must_use]
    pub fn everybodys_up_to(&self) -> Option<Lsn> {
        self.holes.iter().filter(|hole| hole.is_everybodys).map(|hole| hole.last).max()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holes.is_empty() && self.accounts.is_empty()
    }

    pub fn put(&self, e: &mut Encoder) {
        e.uint(self.holes.len() as u64);
        for hole in &self.holes {
            e.uint(hole.first.0);
            e.uint(hole.last.0);
            put_accounts(e, &hole.accounts);
            e.u8(u8::from(hole.is_everybodys));
            e.str(&hole.what);
        }
        put_accounts(e, &self.accounts);
    }

    pub fn take(d: &mut Decoder<'_>) -> Result<Self> {
        let hole = |d: &mut Decoder<'_>| {
            Ok(Hole {
                first: Lsn(d.uint()?),
                last: Lsn(d.uint()?),
                accounts: take_accounts(d)?,
                is_everybodys: d.u8()? != 0,
                what: d.str()?.to_owned(),
            })
        };
        let holes = (0..d.count(5)?).map(|_| hole(d)).collect::<Result<_>>()?;
        Ok(Self { holes, accounts: take_accounts(d)? })
    }
}

fn put_accounts(e: &mut Encoder, accounts: &BTreeSet<AccountId>) {
    e.uint(accounts.len() as u64);
    accounts.iter().for_each(|id| e.uint(u64::from(id.0)));
}

fn take_accounts(d: &mut Decoder<'_>) -> Result<BTreeSet<AccountId>> {
    (0..d.count(1)?).map(|_| Ok(AccountId(d.u32()?))).collect()
}
