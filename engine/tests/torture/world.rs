//! The world: what the store has to say, as plain lists; and the store read out in the same form.
//!
//! Law: `None` is a fact that was not told yet. What was told once has to stay.

use engine::types::{AccountId, ZonedTime};
use engine::{Result, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the store chose itself for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub modseq: u64,
    pub email: u32,
    pub number: u64,
    pub save_date_s: i64,
    pub internal_date: ZonedTime,
    /// The bytes as stored, without what was written before them for the recipient.
    pub stored: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    /// As it is served, whole.
    pub text: Arc<str>,
    /// As asked for.
    pub date: Option<ZonedTime>,
    pub facts: Option<Facts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mailbox {
    pub uid_validity: Option<u32>,
    pub uid_next: u32,
    /// Not compared: it only must not fall.
    pub modseq: u64,
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    pub id: Option<u32>,
    pub quota_bytes: Option<u64>,
    pub password: Option<String>,
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub subscriptions: BTreeSet<String>,
    /// Texts delivered from the one sender there is: the same again is no second copy.
    pub delivered: BTreeSet<Arc<str>>,
    /// Not compared: they only must not fall.
    pub modseq: u64,
    pub next_email: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    pub accounts: BTreeMap<String, Account>,
}

pub const FIRST_MAILBOXES: [&str; 6] = ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"];

impl Mailbox {
    pub fn new() -> Self {
        Self { uid_next: 1, ..Self::default() }
    }
}

impl Account {
    pub fn new(quota_bytes: Option<u64>) -> Self {
        Self {
            quota_bytes,
            mailboxes: FIRST_MAILBOXES.iter().map(|name| ((*name).to_owned(), Mailbox::new())).collect(),
            subscriptions: FIRST_MAILBOXES.iter().map(|name| (*name).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub fn used_bytes(&self) -> u64 {
        let messages = self.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
        messages.map(|message| message.text.len() as u64).sum()
    }

    pub fn would_exceed(&self, more_bytes: u64) -> bool {
        self.quota_bytes.is_some_and(|limit| self.used_bytes() + more_bytes > limit)
    }
}

/// A number for bytes that are compared.
pub fn mark(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What the store says. `Err(Ok(_))` is a violation, `Err(Err(_))` an error of the store.
pub fn read_out(store: &Store) -> std::result::Result<World, Said> {
    let mut world = World::default();
    for info in store.accounts()? {
        world.accounts.insert(info.name.clone(), read_account(store, info.id)?);
    }
    Ok(world)
}

/// The same of the accounts with these names, as far as they are there.
pub fn read_out_some<S: AsRef<str>>(store: &Store, names: &[S]) -> std::result::Result<World, Said> {
    let mut world = World::default();
    for name in names.iter().map(AsRef::as_ref) {
        if let Some(id) = store.account_id(name) {
            world.accounts.insert(name.to_owned(), read_account(store, id)?);
        }
    }
    Ok(world)
}

/// Why the world could not be read.
#[derive(Debug)]
pub enum Said {
    Error(engine::Error),
    /// It says what cannot be.
    Nonsense(String),
}

impl From<engine::Error> for Said {
    fn from(error: engine::Error) -> Self {
        Self::Error(error)
    }
}

fn read_account(store: &Store, id: AccountId) -> std::result::Result<Account, Said> {
    let account = store.account(id)?;
    let mut out = Account {
        id: Some(id.0),
        quota_bytes: account.quota_bytes,
        subscriptions: account.subscriptions().clone(),
        modseq: account.modseq.0,
        next_email: account.next_email.0,
        ..Account::default()
    };
    for mailbox in account.mailboxes() {
        let mut messages = Vec::new();
        for row in mailbox.rows(&mailbox.uids()?) {
            messages.push(read_message(store, mailbox, &row?)?);
        }
        let header = &mailbox.header;
        let unseen = messages.iter().filter(|m| !m.flags.contains("\\Seen")).count();
        if (header.exists as usize, header.unseen as usize) != (messages.len(), unseen) {
            return Err(Said::Nonsense(format!("the counters of {} are wrong", header.name)));
        }
        let read = Mailbox {
            uid_validity: Some(header.uid_validity.0),
            uid_next: header.uid_next.0,
            modseq: header.highest_modseq.0,
            messages,
        };
        out.mailboxes.insert(header.name.to_string(), read);
    }
    if account.used_bytes() != out.used_bytes() {
        return Err(Said::Nonsense(format!("account {id} says it uses {} bytes", account.used_bytes())));
    }
    Ok(out)
}

fn read_message(
    store: &Store,
    mailbox: &engine::mailbox::Mailbox,
    row: &engine::mailbox::Row,
) -> std::result::Result<Message, Said> {
    let email = store.email(row)?;
    email.verify()?;
    let bytes = email.read_all()?;
    if u64::from(row.size_bytes) != bytes.len() as u64 {
        return Err(Said::Nonsense(format!("UID {} says a wrong size", row.uid)));
    }
    let stored = mark(bytes.get(row.prefix.len()..).unwrap_or_default());
    let text = String::from_utf8(bytes).map_err(|_| Said::Nonsense(format!("UID {} is garbage", row.uid)))?;
    Ok(Message {
        uid: row.uid.0,
        flags: mailbox.flag_names(&row.flags).into_iter().map(str::to_owned).collect(),
        text: text.into(),
        date: None,
        facts: Some(facts_of(row, stored)),
    })
}

pub fn facts_of(row: &engine::mailbox::Row, stored: u64) -> Facts {
    Facts {
        modseq: row.modseq.0,
        email: row.email.0,
        number: row.message.0,
        save_date_s: row.save_date_s,
        internal_date: row.internal_date,
        stored,
    }
}

/// Asks for what the store chose itself in an account, where it was not told before.
pub fn learn(store: &Store, name: &str, account: &mut Account) -> Result<()> {
    let id = store.account_id(name).ok_or(engine::Error::NoSuchAccount)?;
    let published = store.account(id)?;
    account.id = Some(id.0);
    for (name, mailbox) in &mut account.mailboxes {
        let there = published.mailbox_named(name).ok_or(engine::Error::NoSuchMailbox)?;
        mailbox.uid_validity = Some(there.header.uid_validity.0);
        for message in mailbox.messages.iter_mut().filter(|message| message.facts.is_none()) {
            let row = there.by_uid(engine::types::Uid(message.uid))?.ok_or(engine::Error::NoSuchMessage)?;
            let text = message.text.as_bytes();
            message.facts = Some(facts_of(&row, mark(text.get(row.prefix.len()..).unwrap_or_default())));
        }
    }
    Ok(())
}

impl World {
    /// Where what the store said is not what it has to say.
    pub fn differs_from(&self, said: &Self) -> Option<String> {
        let names = |world: &Self| world.accounts.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(said) {
            return Some(format!("accounts {:?} instead of {:?}", names(said), names(self)));
        }
        self.accounts.iter().zip(said.accounts.values()).find_map(|((name, expected), said)| {
            expected.differs_from(said).map(|why| format!("account {name}: {why}"))
        })
    }

    /// Takes over what was said, apart from what nothing says.
    pub fn adopt(&mut self, said: Self) {
        for (name, said) in said.accounts {
            if let Some(known) = self.accounts.get_mut(&name) {
                let (password, delivered) = (known.password.take(), std::mem::take(&mut known.delivered));
                *known = Account { password, delivered, ..said };
            }
        }
    }
}

fn told<T: PartialEq>(expected: Option<&T>, said: Option<&T>) -> bool {
    expected.is_none() || expected == said
}

impl Account {
    fn differs_from(&self, said: &Self) -> Option<String> {
        if !told(self.id.as_ref(), said.id.as_ref()) || self.quota_bytes != said.quota_bytes {
            return Some(format!("id {:?}, quota {:?}", said.id, said.quota_bytes));
        }
        if self.subscriptions != said.subscriptions {
            return Some(format!("subscriptions {:?}, not {:?}", said.subscriptions, self.subscriptions));
        }
        let names = |account: &Self| account.mailboxes.keys().cloned().collect::<Vec<_>>();
        if names(self) != names(said) {
            return Some(format!("mailboxes {:?} instead of {:?}", names(said), names(self)));
        }
        self.mailboxes.iter().zip(said.mailboxes.values()).find_map(|((name, expected), said)| {
            expected.differs_from(said).map(|why| format!("mailbox {name}: {why}"))
        })
    }
}

impl Mailbox {
    fn differs_from(&self, said: &Self) -> Option<String> {
        let numbers = |mailbox: &Self| (mailbox.uid_validity, mailbox.uid_next);
        if !told(self.uid_validity.as_ref(), said.uid_validity.as_ref()) || self.uid_next != said.uid_next {
            return Some(format!("UIDVALIDITY, UIDNEXT {:?} instead of {:?}", numbers(said), numbers(self)));
        }
        let uids = |mailbox: &Self| mailbox.messages.iter().map(|m| m.uid).collect::<Vec<_>>();
        if uids(self) != uids(said) {
            return Some(format!("UIDs {:?} instead of {:?}", uids(said), uids(self)));
        }
        self.messages.iter().zip(&said.messages).find_map(|(expected, said)| {
            expected.differs_from(said).map(|why| format!("UID {}: {why}", expected.uid))
        })
    }
}

impl Message {
    fn differs_from(&self, said: &Self) -> Option<String> {
        if self.text != said.text {
            return Some("other bytes".to_owned());
        }
        if self.flags != said.flags {
            return Some(format!("flags {:?} instead of {:?}", said.flags, self.flags));
        }
        let date = said.facts.as_ref().map(|facts| &facts.internal_date);
        if !told(self.facts.as_ref(), said.facts.as_ref()) || !told(self.date.as_ref(), date) {
            return Some(format!("{:?} instead of {:?}", said.facts, self.facts));
        }
        None
    }
}
