//! Accounts whose beginning is lost: made anew, so that what is known to be theirs is not taken for dead.
//!
//! Law: one that the log says was deleted does not come back.

use super::{Mend, Repair, strays};
use crate::error::{Error, Result};
use crate::log::Room;
use crate::txn::head::Head;
use crate::txn::mended::lost_account;
use crate::txn::op::Op;
use crate::types::AccountId;

impl Repair<'_, '_> {
    pub(super) fn lost_accounts(&mut self) -> Result<()> {
        let core = self.store.core().clone();
        let planned = self.plan.mends().filter_map(|mend| match mend {
            Mend::LostAccount { account } => Some(*account),
            _ => None,
        });
        let planned: Vec<AccountId> = planned.collect();
        if planned.is_empty() {
            return Ok(());
        }
        let mut strays = strays::find(&core)?;
        for id in planned {
            self.step("making lost accounts anew")?;
            // A plan may be old.
            let is_lost = core.published.lock().lost.accounts.contains(&id) || strays.contains_key(&id);
            if !is_lost {
                self.did();
                continue;
            }
            core.submit(move |head| make(head, id))?;
            self.take_strays(id, &strays.remove(&id).unwrap_or_default())?;
            let mut published = core.published.lock();
            if published.lost.accounts.remove(&id) {
                // What was replayed of it is hit; that is mended with the holes.
                continue;
            }
            published.lost.mended(id);
            drop(published);
            self.did();
        }
        Ok(())
    }
}

/// Makes the account, or what is missing of it.
fn make(head: &mut Head, id: AccountId) -> Result<()> {
    head.admit(Room::Shrink)?;
    let present = match head.account(id) {
        Ok(account) => Some(account.clone()),
        Err(Error::NoSuchAccount) => None,
        Err(error) => return Err(error),
    };
    let account = match present {
        Some(account) => account,
        None => {
            let account = lost_account(id, &|name| head.find_account(name).is_some());
            head.insert_account(account.clone());
            account
        }
    };
    let mut ops = vec![Op::PutAccount {
        name: account.name.to_string(),
        password_hash: account.password_hash.as_deref().map(str::to_owned),
        quota_bytes: account.quota_bytes,
    }];
    if account.mailbox_named("INBOX").is_none() {
        let (mailbox, uid_validity) = (account.next_mailbox, head.give_uid_validity());
        let name = || "INBOX".to_owned();
        ops.push(Op::PutMailbox { mailbox, name: name(), uid_validity, special_use: None });
        ops.push(Op::Subscribe { name: name(), on: true });
    }
    head.commit(id, ops)
}
