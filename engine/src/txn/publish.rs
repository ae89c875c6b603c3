//! What a group changes in memory once it is durable.
//!
//! Laws
//! - All of a group's accounts are replaced under one lock, which the checkpoint takes too: so it
//!   sees the store as of one group. Nothing is read from or written to a disk under that lock.

use super::core::Core;
use super::deliveries::DeliveredTo;
use super::numbers::Numbers;
use super::op::DeliveryKey;
use crate::accounts::Account;
use crate::error::Error;
use crate::types::{AccountId, Lsn};

/// How a group ended, as the sequencer has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOutcome {
    Published,
    Failed(Failure),
}

/// Why a group is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of it was written: it may be tried again.
    Full,
    /// It may or may not be on the disk.
    Unknown,
    /// Refused, because an earlier one failed to be synced.
    Poisoned,
    /// Nothing of it was written, for another reason than room.
    NotWritten,
    /// A view could not be read while the group was being built.
    View,
}

impl Failure {
    #[must_use]
    pub fn error(self) -> Error {
        match self {
            Self::Full => Error::StoreFull,
            Self::Unknown => Error::OutcomeUnknown,
            Self::Poisoned => Error::Poisoned,
            Self::NotWritten => Error::io(
                "writing the log",
                std::io::Error::other("nothing was written; see the server's log"),
            ),
            Self::View => Error::corrupt("a view of the log", "it could not be read; see the log"),
        }
    }
}

/// Answers one caller.
pub type Reply = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// The state that becomes visible with a group.
#[derive(Default)]
pub struct Staged {
    pub accounts: Vec<Account>,
    pub deleted: Vec<AccountId>,
    pub deliveries: Vec<(AccountId, DeliveryKey, DeliveredTo, u64)>,
    pub numbers: Numbers,
}

impl Core {
    /// Makes a durable group visible.
    pub(super) fn publish(&self, lsn: Lsn, staged: Staged) {
        let mut published = self.published.lock();
        let tell = |id| self.listener.get().iter().for_each(|listener| listener(id));
        for account in staged.accounts {
            let id = account.id;
            published.dirty.insert(id);
            self.registry.publish(account);
            tell(id);
        }
        {
            let mut deliveries = self.deliveries.lock();
            for (account, key, to, time_ms) in staged.deliveries {
                deliveries.insert(account, key, to, time_ms, lsn);
            }
            staged.deleted.iter().for_each(|id| deliveries.forget_account(*id));
        }
        for id in staged.deleted {
            self.registry.remove(id);
            self.recent.forget_account(id);
            published.dirty.remove(&id);
            published.deleted.insert(id);
            tell(id);
        }
        published.numbers = staged.numbers;
        published.lsn = lsn;
    }
}
