//! Who was told of which message first (\Recent, RFC 3501 section 2.3.2).
//!
//! Laws
//! - Each UID is recent for one session at most: claiming is atomic.
//! - Claiming is no durable write: it is carried in the account's next transaction, and after a crash
//!   a message may be recent again, never lost.

use crate::types::{AccountId, MailboxId, Uid};
use parking_lot::Mutex;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub struct Recent {
    /// The highest UID claimed, where that is more than the mailbox's header may say.
    claimed: Mutex<HashMap<AccountId, HashMap<MailboxId, Claim>>>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    uid: Uid,
    /// Not yet in a transaction.
    pending: bool,
}

impl Recent {
    /// Everything above the last claim and below `uid_next` is now the caller's: (first, last),
    /// empty when first is above last. `known` is what the mailbox's header says.
    pub fn claim(&self, account: AccountId, mailbox: MailboxId, known: Uid, uid_next: Uid) -> (Uid, Uid) {
        let mut claimed = self.claimed.lock();
        let claim = claimed
            .entry(account)
            .or_default()
            .entry(mailbox)
            .or_insert(Claim { uid: known, pending: false });
        let first = claim.uid.max(known).next();
        let last = Uid(uid_next.0.saturating_sub(1));
        if last >= first {
            *claim = Claim { uid: last, pending: true };
        }
        (first, last)
    }

    /// The highest UID that some session was told of as recent.
    #[must_use]
    pub fn highest(&self, account: AccountId, mailbox: MailboxId, known: Uid) -> Uid {
        let claimed = self.claimed.lock();
        let claim = claimed.get(&account).and_then(|of| of.get(&mailbox));
        claim.map_or(known, |claim| claim.uid.max(known))
    }

    /// What the account's next transaction has to carry.
    pub fn take_pending(&self, account: AccountId) -> Vec<(MailboxId, Uid)> {
        let mut claimed = self.claimed.lock();
        let Some(of) = claimed.get_mut(&account) else { return Vec::new() };
        let mut taken = Vec::new();
        for (mailbox, claim) in of {
            if std::mem::take(&mut claim.pending) {
                taken.push((*mailbox, claim.uid));
            }
        }
        taken
    }

    pub fn forget_account(&self, account: AccountId) {
        self.claimed.lock().remove(&account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_uid_is_claimed_once() {
        let recent = Recent::default();
        let (a, m) = (AccountId(1), MailboxId(1));
        assert_eq!(recent.claim(a, m, Uid(3), Uid(6)), (Uid(4), Uid(5)));
        let (first, last) = recent.claim(a, m, Uid(3), Uid(6));
        assert!(first > last);
        assert_eq!(recent.claim(a, m, Uid(3), Uid(8)), (Uid(6), Uid(7)));
        assert_eq!(recent.take_pending(a), vec![(m, Uid(7))]);
        assert!(recent.take_pending(a).is_empty());
        assert_eq!(recent.highest(a, m, Uid(0)), Uid(7));
    }
}
