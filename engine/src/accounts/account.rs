//! One account as a value: its mailboxes, names, subscriptions and counters.
//!
//! Laws
//! - A published `Account` never changes; the sequencer changes its own copy and publishes that.
//! - `modseq`, `next_email` and `next_mailbox` only rise, whatever is deleted.
//! - The UIDVALIDITY last given to a name outlives the mailbox of that name.
//! - Used bytes and messages are sums over the mailboxes, never counters of their own.

use crate::mailbox::Mailbox;
use crate::types::{AccountId, EmailId, Lsn, MailboxId, ModSeq, UidValidity};
use imbl::OrdMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The UIDVALIDITYs of a mailbox name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NameValidity {
    /// The highest that it had.
    pub last: UidValidity,
    /// The highest under which it gave a UID; 0: it never gave one.
    pub given: UidValidity,
}

/// An account's state as of one group of the log.
#[derive(Clone)]
pub struct Account {
    pub id: AccountId,
    /// The login name, as it was given.
    pub name: Arc<str>,
    /// Argon2id in PHC form; `None` means that nobody can log in with a password.
    pub password_hash: Option<Arc<str>>,
    /// `None` is no limit.
    pub quota_bytes: Option<u64>,
    /// The modseq given last.
    pub modseq: ModSeq,
    pub next_email: EmailId,
    pub next_mailbox: MailboxId,
    /// The group that changed the account last.
    pub last_lsn: Lsn,
    pub(crate) mailboxes: OrdMap<MailboxId, Arc<Mailbox>>,
    pub(crate) names: OrdMap<String, MailboxId>,
    pub(crate) subscriptions: Arc<BTreeSet<String>>,
    /// What a name had, present or deleted.
    pub(crate) name_validities: OrdMap<String, NameValidity>,
}

impl Account {
    #[must_use]
    pub fn new(id: AccountId, name: &str) -> Self {
        Self {
            id,
            name: name.into(),
            password_hash: None,
            quota_bytes: None,
            modseq: ModSeq(0),
            next_email: EmailId(1),
            next_mailbox: MailboxId(1),
            last_lsn: Lsn(0),
            mailboxes: OrdMap::new(),
            names: OrdMap::new(),
            subscriptions: Arc::default(),
            name_validities: OrdMap::new(),
        }
    }

    /// The mailboxes, in the order of their names.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        self.names.values().filter_map(|id| self.mailboxes.get(id))
    }

    #[must_use]
    pub fn mailbox(&self, id: MailboxId) -> Option<&Arc<Mailbox>> {
        self.mailboxes.get(&id)
    }

    /// The mailbox of that name; "INBOX" in any case is the inbox (RFC 3501 section 5.1).
    #[must_use]
    pub fn mailbox_named(&self, name: &str) -> Option<&Arc<Mailbox>> {
        let id =
            if name.eq_ignore_ascii_case("INBOX") { self.names.get("INBOX") } else { self.names.get(name) }?;
        self.mailboxes.get(id)
    }

    #[must_use]
    pub fn subscriptions(&self) -> &BTreeSet<String> {
        &self.subscriptions
    }

    /// Octets of the live messages, each counted once a mailbox (RFC 9208 STORAGE, in bytes).
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.mailboxes.values().map(|mailbox| mailbox.header.size_bytes).sum()
    }

    #[must_use]
    pub fn messages(&self) -> u64 {
        self.mailboxes.values().map(|mailbox| u64::from(mailbox.header.exists)).sum()
    }

    /// True when that many more bytes would not fit the quota.
    #[must_use]
    pub fn would_exceed_quota(&self, more_bytes: u64) -> bool {
        self.quota_bytes.is_some_and(|limit| self.used_bytes().saturating_add(more_bytes) > limit)
    }
}
