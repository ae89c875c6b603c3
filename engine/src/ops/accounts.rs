//! Accounts: made, listed, changed, deleted; who someone is; where mail goes.

use super::Store;
use crate::accounts::route::{Route, check_name, fold_name, route};
use crate::accounts::{Account, password};
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::SpecialUse;
use crate::txn::op::Op;
use crate::types::{AccountId, EmailId, Lsn, MailboxId, ModSeq, Uid, UidValidity};

/// What a new account begins with.
#[derive(Debug, Clone, Default)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    /// `None`: nobody can log in with a password until one is set.
    pub password: Option<&'a str>,
    /// `None` is no limit.
    pub quota_bytes: Option<u64>,
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AccountInfo {
    pub id: AccountId,
    pub name: String,
    pub quota_bytes: Option<u64>,
    pub used_bytes: u64,
    pub messages: u64,
    pub mailboxes: u64,
    /// Damage hit the account: it takes no writes until repair.
    pub read_only: bool,
}

/// The mailboxes of a new account (RFC 6154), all subscribed.
const FIRST_MAILBOXES: [(&str, Option<SpecialUse>); 6] = [
    ("INBOX", None),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Trash", Some(SpecialUse::Trash)),
    ("Archive", Some(SpecialUse::Archive)),
];

/// How far counters jump when acknowledged data was lost beyond what any view knew of.
const JUMP: u32 = 1 << 20;

impl Store {
    pub fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountId> {
        check_name(new.name)?;
        let hash = self.hash(new.password)?;
        self.create_account_again(new.name, hash, new.quota_bytes)
    }

    /// An account with the password hash that it had in another store.
    pub fn create_account_again(
        &self,
        name: &str,
        hash: Option<String>,
        quota_bytes: Option<u64>,
    ) -> Result<AccountId> {
        check_name(name)?;
        let name = name.to_owned();
        self.core().submit(move |head| {
            head.admit(Room::Append)?;
            if head.find_account(&name).is_some() {
                return Err(Error::AlreadyExists(format!("account {name}")));
            }
            let id = head.give_account_id();
            let put = Op::PutAccount { name: name.clone(), password_hash: hash, quota_bytes };
            let mut ops = vec![put];
            for (number, (mailbox, special_use)) in (1..).zip(FIRST_MAILBOXES) {
                let uid_validity = head.give_uid_validity();
                let (name, mailbox) = (mailbox.to_owned(), MailboxId(number));
                ops.push(Op::PutMailbox { mailbox, name: name.clone(), uid_validity, special_use });
                ops.push(Op::Subscribe { name, on: true });
            }
            head.insert_account(Account::new(id, &name));
            head.commit(id, ops)?;
            Ok(id)
        })
    }

    /// Deletes an account with all its mail.
    pub fn delete_account(&self, id: AccountId) -> Result<()> {
        self.core().submit(move |head| {
            head.admit(Room::Shrink)?;
            head.account(id)?;
            head.commit(id, vec![Op::DeleteAccount])
        })
    }

    /// `None`: nobody can log in with a password.
    pub fn set_password(&self, id: AccountId, password: Option<&str>) -> Result<()> {
        let hash = self.hash(password)?;
        self.put_account(id, move |put| {
            if let Op::PutAccount { password_hash, .. } = put {
                *password_hash = hash;
            }
        })
    }

    /// `None` is no limit. A limit below what is used refuses new mail only.
    pub fn set_quota(&self, id: AccountId, limit_bytes: Option<u64>) -> Result<()> {
        self.put_account(id, move |put| {
            if let Op::PutAccount { quota_bytes, .. } = put {
                *quota_bytes = limit_bytes;
            }
        })
    }

    fn put_account(&self, id: AccountId, change: impl FnOnce(&mut Op) + Send + 'static) -> Result<()> {
        self.core().submit(move |head| {
            let account = head.writable(id, Room::Append)?;
            let mut put = Op::PutAccount {
                name: account.name.to_string(),
                password_hash: account.password_hash.as_deref().map(str::to_owned),
                quota_bytes: account.quota_bytes,
            };
            change(&mut put);
            head.commit(id, vec![put])
        })
    }

    fn hash(&self, password: Option<&str>) -> Result<Option<String>> {
        password.map(|password| password::hash(password, self.options().password_cost)).transpose()
    }

    /// Every account, in the order of the names.
    pub fn accounts(&self) -> Result<Vec<AccountInfo>> {
        self.core().registry.ids().into_iter().map(|id| self.account_info(id)).collect()
    }

    pub fn account_info(&self, id: AccountId) -> Result<AccountInfo> {
        let account = self.account(id)?;
        Ok(AccountInfo {
            id,
            name: account.name.to_string(),
            quota_bytes: account.quota_bytes,
            used_bytes: account.used_bytes(),
            messages: account.messages(),
            mailboxes: account.mailboxes().count() as u64,
            read_only: self.core().registry.is_read_only(id),
        })
    }

    /// The account of a login name; ASCII case does not matter.
    #[must_use]
    pub fn account_id(&self, name: &str) -> Option<AccountId> {
        self.core().registry.find(&fold_name(name))
    }

    /// The account that mail to an address is for.
    #[must_use]
    pub fn route(&self, address: &str) -> Option<Route> {
        route(address, |name| self.core().registry.find(name))
    }

    /// Checks a password. Slow on purpose, and as slow for a name that does not exist.
    pub fn authenticate(&self, name: &str, password: &str) -> Result<AccountId> {
        let account = self.account_id(name).and_then(|id| self.account(id).ok());
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let Some(hash) = hash else {
            // Costs what a real check costs, so that names cannot be told apart by time.
            drop(password::hash("not a password", self.options().password_cost));
            return Err(Error::AuthenticationFailed);
        };
        match account {
            Some(account) if password::verify(password, &hash) => Ok(account.id),
            _ => Err(Error::AuthenticationFailed),
        }
    }

    /// Moves the counters past anything possibly issued: acknowledged data was lost.
    pub(super) fn jump_numbers(&self, lost_up_to: Lsn) -> Result<()> {
        tracing::warn!(lost_up_to = lost_up_to.0, "counters jump past what may have been issued");
        let ids = self.core().registry.ids();
        // All of them in one group, the store's own too: after a crash either everybody has jumped or nobody has.
        self.core().submit(move |head| {
            let mut jumps = Vec::new();
            for id in ids {
                let account = head.account(id)?;
                if account.last_lsn > lost_up_to {
                    // What it did since rests on all that it did before, or it has jumped already.
                    continue;
                }
                let modseq = ModSeq(account.modseq.0 + u64::from(JUMP));
                let mut ops = vec![Op::Jump {
                    modseq,
                    next_email: EmailId(account.next_email.0.saturating_add(JUMP)),
                    next_mailbox: MailboxId(account.next_mailbox.0.saturating_add(JUMP)),
                }];
                for mailbox in account.mailboxes() {
                    let (mailbox, uid_next) = (mailbox.header.id, mailbox.header.uid_next);
                    let uid_next = Uid(uid_next.0.saturating_add(JUMP));
                    ops.push(Op::JumpMailbox { mailbox, uid_next, uid_validity: UidValidity(0) });
                    ops.push(Op::raise_modseq(mailbox, modseq));
                }
                jumps.push((id, ops));
            }
            head.jump_store();
            jumps.into_iter().try_for_each(|(id, ops)| head.commit(id, ops))
        })?;
        // With nobody there no group was written: the lost numbers are told of until one is.
        if self.core().log.durable_lsn() > lost_up_to { self.core().log.loss_settled() } else { Ok(()) }
    }
}
