//! Random steps: what each means for the world, and how it is asked of the store.

use super::ask::set;
pub use super::ask::stage;
use super::world::{Account, Mailbox, Message, World};
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount, Recipient};
use engine::sys::sim::Rng;
use engine::types::{AccountId, MailboxId, ZonedTime};
use engine::{Error, Result, Store};
use std::collections::BTreeSet;
use std::sync::Arc;

const FLAGS: [&str; 6] = ["\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "$Forwarded", "work"];
const NAMES: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/é", "Lists"];
const ACCOUNTS: [&str; 3] = ["ann", "bob", "cid"];
pub const SENDER: &str = "s@x";

/// A message to be appended.
#[derive(Debug, Clone)]
pub struct New {
    pub text: Arc<str>,
    pub flags: BTreeSet<String>,
    pub date: Option<ZonedTime>,
}

/// One step. Everything random is decided before it is tried, so that it can be tried again.
#[derive(Debug, Clone)]
pub enum Step {
    CreateAccount {
        name: String,
        quota_bytes: Option<u64>,
    },
    DeleteAccount {
        name: String,
    },
    Quota {
        name: String,
        limit_bytes: Option<u64>,
    },
    Password {
        name: String,
        password: String,
    },
    Append {
        account: String,
        mailbox: String,
        messages: Vec<New>,
    },
    Deliver {
        accounts: Vec<String>,
        detail: Option<String>,
        text: Arc<str>,
    },
    Flags {
        account: String,
        mailbox: String,
        uids: Vec<u32>,
        op: FlagOp,
        flags: BTreeSet<String>,
    },
    Expunge {
        account: String,
        mailbox: String,
    },
    Copy {
        account: String,
        from: String,
        to: String,
        uids: Vec<u32>,
        is_move: bool,
    },
    Create {
        account: String,
        mailbox: String,
    },
    Delete {
        account: String,
        mailbox: String,
    },
    Rename {
        account: String,
        from: String,
        to: String,
    },
    Subscribe {
        account: String,
        name: String,
        on: bool,
    },
    /// Not a change: views are written, segments compacted, mail indexed.
    Keep(Keep),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Checkpoint,
    Snapshot,
    Compact,
    Index,
}

/// What a step has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Refused,
    /// A delivery: for each recipient, whether it is taken.
    Each(Vec<bool>),
}

pub fn chance(rng: &mut Rng, percent: u64) -> bool {
    rng.below(100) < percent
}

pub fn pick<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.below(of.len() as u64) as usize]
}

/// A step that can be thought of in this world.
pub fn random_step(rng: &mut Rng, world: &World) -> Step {
    random_step_among(rng, world, &ACCOUNTS)
}

/// The same where accounts have these names.
pub fn random_step_among<S: AsRef<str>>(rng: &mut Rng, world: &World, names: &[S]) -> Step {
    let accounts: Vec<&String> = world.accounts.keys().collect();
    if accounts.is_empty() || chance(rng, 3) {
        let quota_bytes = chance(rng, 20).then(|| 2_000 + rng.below(20_000));
        return Step::CreateAccount { name: pick(rng, names).as_ref().to_owned(), quota_bytes };
    }
    let name = (*pick(rng, &accounts)).clone();
    let account = &world.accounts[&name];
    let mailboxes: Vec<&String> = account.mailboxes.keys().collect();
    // Most of it happens in few mailboxes, so that they fill.
    let mailbox = if chance(rng, 50) { "INBOX".to_owned() } else { (*pick(rng, &mailboxes)).clone() };
    let uids = random_uids(rng, &account.mailboxes[&mailbox]);
    match rng.below(100) {
        0..19 => {
            let count = if chance(rng, 3) { 40 } else { 1 + rng.below(3) };
            let messages = (0..count).map(|_| random_new(rng)).collect();
            Step::Append { account: name, mailbox, messages }
        }
        19..40 => {
            let others = accounts.iter().filter(|other| ***other == name || chance(rng, 50));
            let accounts = others.map(|other| (*other).clone()).collect();
            let again = account.delivered.iter().next().filter(|_| chance(rng, 10)).cloned();
            let text = again.unwrap_or_else(|| random_text(rng));
            Step::Deliver { accounts, detail: chance(rng, 30).then_some(mailbox), text }
        }
        40..57 => {
            let op = *pick(rng, &[FlagOp::Add, FlagOp::Remove, FlagOp::Replace]);
            Step::Flags { account: name, mailbox, uids, op, flags: random_flags(rng) }
        }
        57..64 => Step::Expunge { account: name, mailbox },
        64..73 => {
            let to = (*pick(rng, &mailboxes)).clone();
            Step::Copy { account: name, from: mailbox, to, uids, is_move: chance(rng, 50) }
        }
        73..77 => Step::Create { account: name, mailbox: (*pick(rng, &NAMES)).to_owned() },
        77..79 => Step::Delete { account: name, mailbox: (*pick(rng, &mailboxes)).clone() },
        79..81 => Step::Rename { account: name, from: mailbox, to: (*pick(rng, &NAMES)).to_owned() },
        81..83 => Step::Subscribe { account: name, name: mailbox, on: chance(rng, 50) },
        83..84 => Step::Quota { name, limit_bytes: chance(rng, 50).then(|| 1_000 + rng.below(30_000)) },
        84..85 => Step::Password { name, password: format!("secret {}", rng.below(1000)) },
        85..86 => Step::DeleteAccount { name },
        86..91 => Step::Keep(Keep::Checkpoint),
        91..95 => Step::Keep(Keep::Snapshot),
        95..98 => Step::Keep(Keep::Compact),
        _ => Step::Keep(Keep::Index),
    }
}

fn random_uids(rng: &mut Rng, mailbox: &Mailbox) -> Vec<u32> {
    let percent = *pick(rng, &[5, 30, 100]);
    mailbox.messages.iter().map(|m| m.uid).filter(|_| chance(rng, percent)).collect()
}

pub fn random_flags(rng: &mut Rng) -> BTreeSet<String> {
    FLAGS.iter().filter(|_| chance(rng, 30)).map(|flag| (*flag).to_owned()).collect()
}

fn random_new(rng: &mut Rng) -> New {
    let unix_s = 1_500_000_000 + rng.below(100_000_000) as i64;
    let date = chance(rng, 50).then_some(ZonedTime { unix_s, offset_minutes: 60 });
    New { text: random_text(rng), flags: random_flags(rng), date }
}

pub fn random_text(rng: &mut Rng) -> Arc<str> {
    let lines = if chance(rng, 4) { 300 } else { rng.below(10) };
    let id = rng.next_u64();
    let mut text = format!("Message-ID: <{id:x}@test>\r\nSubject: {id}\r\n\r\n");
    for line in 0..lines {
        text.push_str(&format!("line {line} of {:x}\r\n", rng.next_u64()));
    }
    text.into()
}

pub fn address(name: &str) -> String {
    format!("{name}@test")
}

impl Step {
    /// The account that alone is changed, or all.
    pub fn accounts<'a>(&'a self, world: &'a World) -> Vec<&'a String> {
        match self {
            Self::CreateAccount { name, .. }
            | Self::DeleteAccount { name }
            | Self::Quota { name, .. }
            | Self::Password { name, .. } => vec![name],
            Self::Append { account, .. }
            | Self::Flags { account, .. }
            | Self::Expunge { account, .. }
            | Self::Copy { account, .. }
            | Self::Create { account, .. }
            | Self::Delete { account, .. }
            | Self::Rename { account, .. }
            | Self::Subscribe { account, .. } => vec![account],
            Self::Deliver { accounts, .. } => accounts.iter().collect(),
            Self::Keep(_) => world.accounts.keys().take(0).collect(),
        }
    }

    /// Does it in the world.
    pub fn in_world(&self, world: &mut World) -> Verdict {
        match self {
            Self::CreateAccount { name, quota_bytes } => {
                if world.accounts.contains_key(name) {
                    return Verdict::Refused;
                }
                world.accounts.insert(name.clone(), Account::new(*quota_bytes));
                Verdict::Done
            }
            Self::DeleteAccount { name } => done(world.accounts.remove(name).is_some()),
            Self::Deliver { accounts, detail, text } => {
                let each = accounts.iter().map(|name| match world.accounts.get_mut(name) {
                    Some(account) => deliver(account, name, detail.as_deref(), text),
                    None => false,
                });
                Verdict::Each(each.collect())
            }
            Self::Keep(_) => Verdict::Done,
            Self::Quota { name, .. } | Self::Password { name, .. } => world
                .accounts
                .get_mut(name)
                .map_or(Verdict::Refused, |account| done(self.in_account(account))),
            Self::Append { account, .. }
            | Self::Flags { account, .. }
            | Self::Expunge { account, .. }
            | Self::Copy { account, .. }
            | Self::Create { account, .. }
            | Self::Delete { account, .. }
            | Self::Rename { account, .. }
            | Self::Subscribe { account, .. } => world
                .accounts
                .get_mut(account)
                .map_or(Verdict::Refused, |account| done(self.in_account(account))),
        }
    }

    fn in_account(&self, account: &mut Account) -> bool {
        match self {
            Self::Quota { limit_bytes, .. } => account.quota_bytes = *limit_bytes,
            Self::Password { password, .. } => account.password = Some(password.clone()),
            Self::Append { mailbox, messages, .. } => {
                let bytes = messages.iter().map(|new| new.text.len() as u64).sum();
                if account.would_exceed(bytes) {
                    return false;
                }
                let Some(mailbox) = account.mailboxes.get_mut(mailbox) else { return false };
                for new in messages {
                    add(mailbox, new.text.clone(), new.flags.clone(), new.date);
                }
            }
            Self::Flags { mailbox, uids, op, flags, .. } => {
                let Some(mailbox) = account.mailboxes.get_mut(mailbox) else { return false };
                for message in mailbox.messages.iter_mut().filter(|m| uids.contains(&m.uid)) {
                    change_flags(message, *op, flags);
                }
            }
            Self::Expunge { mailbox, .. } => {
                let Some(mailbox) = account.mailboxes.get_mut(mailbox) else { return false };
                mailbox.messages.retain(|m| !m.flags.contains("\\Deleted"));
            }
            Self::Copy { from, to, uids, is_move, .. } => return copy(account, from, to, uids, *is_move),
            Self::Create { mailbox, .. } => {
                if account.mailboxes.contains_key(mailbox) {
                    return false;
                }
                account.mailboxes.insert(mailbox.clone(), Mailbox::new());
            }
            Self::Delete { mailbox, .. } => {
                return mailbox != "INBOX" && account.mailboxes.remove(mailbox).is_some();
            }
            Self::Rename { from, to, .. } => return rename(account, from, to),
            Self::Subscribe { name, on: true, .. } => {
                account.subscriptions.insert(name.clone());
            }
            Self::Subscribe { name, on: false, .. } => {
                account.subscriptions.remove(name);
            }
            _ => {}
        }
        true
    }

    /// Asks it of the store.
    pub fn on_store(&self, store: &Store) -> Result<Verdict> {
        let id = |name: &String| store.account_id(name).ok_or(Error::NoSuchAccount);
        match self {
            Self::CreateAccount { name, quota_bytes } => {
                let new = NewAccount { name, password: None, quota_bytes: *quota_bytes };
                store.create_account(&new)?;
            }
            Self::DeleteAccount { name } => store.delete_account(id(name)?)?,
            Self::Quota { name, limit_bytes } => store.set_quota(id(name)?, *limit_bytes)?,
            Self::Password { name, password } => store.set_password(id(name)?, Some(password))?,
            Self::Deliver { accounts, detail, text } => {
                return deliver_to(store, accounts, detail.as_deref(), text);
            }
            Self::Keep(Keep::Checkpoint) => store.checkpoint().map(drop)?,
            Self::Keep(Keep::Snapshot) => store.snapshot().map(drop)?,
            Self::Keep(Keep::Compact) => store.compact().map(drop)?,
            Self::Keep(Keep::Index) => while store.step_index()? {},
            Self::Append { account, .. }
            | Self::Flags { account, .. }
            | Self::Expunge { account, .. }
            | Self::Copy { account, .. }
            | Self::Create { account, .. }
            | Self::Delete { account, .. }
            | Self::Rename { account, .. }
            | Self::Subscribe { account, .. } => self.on_account(store, id(account)?)?,
        }
        Ok(Verdict::Done)
    }

    fn on_account(&self, store: &Store, id: AccountId) -> Result<()> {
        let find = |name: &str| -> Result<MailboxId> {
            let account = store.account(id)?;
            Ok(account.mailbox_named(name).ok_or(Error::NoSuchMailbox)?.header.id)
        };
        match self {
            Self::Append { mailbox, messages, .. } => {
                let items = messages.iter().map(|new| {
                    let flags = new.flags.iter().cloned().collect();
                    Ok(AppendItem { message: stage(store, &new.text)?, flags, internal_date: new.date })
                });
                store.append(id, find(mailbox)?, items.collect::<Result<_>>()?).map(drop)
            }
            Self::Flags { mailbox, uids, op, flags, .. } => {
                let flags = flags.iter().cloned().collect();
                let change = FlagChange { op: *op, flags, unchanged_since: None };
                store.change_flags(id, find(mailbox)?, &set(uids), change).map(drop)
            }
            Self::Expunge { mailbox, .. } => store.expunge(id, find(mailbox)?, None).map(drop),
            Self::Copy { from, to, uids, is_move, .. } => {
                let (from, to, uids) = (find(from)?, find(to)?, set(uids));
                let copied = if *is_move {
                    store.move_messages(id, from, &uids, to)
                } else {
                    store.copy(id, from, &uids, to)
                };
                copied.map(drop)
            }
            Self::Create { mailbox, .. } => store.create_mailbox(id, mailbox, None).map(drop),
            Self::Delete { mailbox, .. } => store.delete_mailbox(id, find(mailbox)?),
            Self::Rename { from, to, .. } => store.rename_mailbox(id, find(from)?, to),
            Self::Subscribe { name, on, .. } => store.subscribe(id, name, *on),
            _ => Ok(()),
        }
    }
}

fn done(possible: bool) -> Verdict {
    if possible { Verdict::Done } else { Verdict::Refused }
}

fn add(mailbox: &mut Mailbox, text: Arc<str>, flags: BTreeSet<String>, date: Option<ZonedTime>) {
    mailbox.messages.push(Message { uid: mailbox.uid_next, flags, text, date, facts: None });
    mailbox.uid_next += 1;
}

fn deliver(account: &mut Account, name: &str, detail: Option<&str>, text: &Arc<str>) -> bool {
    if account.delivered.contains(text) {
        return true;
    }
    let served = format!("Return-Path: <{SENDER}>\r\nDelivered-To: {}\r\n{text}", address(name));
    if account.would_exceed(served.len() as u64) {
        return false;
    }
    let into = detail.filter(|name| account.mailboxes.contains_key(*name)).unwrap_or("INBOX");
    if let Some(mailbox) = account.mailboxes.get_mut(into) {
        add(mailbox, served.into(), BTreeSet::new(), None);
    }
    account.delivered.insert(text.clone())
}

fn deliver_to(store: &Store, accounts: &[String], detail: Option<&str>, text: &str) -> Result<Verdict> {
    let message = stage(store, text)?;
    let to = accounts.iter().map(|name| {
        let account = store.account_id(name).ok_or(Error::NoSuchAccount)?;
        Ok(Recipient { account, detail: detail.map(str::to_owned), address: address(name) })
    });
    let verdicts = store.deliver(&message, SENDER, to.collect::<Result<_>>()?);
    let each = verdicts.into_iter().map(|verdict| match verdict {
        Ok(_) => Ok(true),
        Err(Error::OverQuota) => Ok(false),
        Err(error) => Err(error),
    });
    Ok(Verdict::Each(each.collect::<Result<_>>()?))
}

fn change_flags(message: &mut Message, op: FlagOp, flags: &BTreeSet<String>) {
    let before = message.flags.clone();
    match op {
        FlagOp::Add => message.flags.extend(flags.iter().cloned()),
        FlagOp::Remove => message.flags.retain(|flag| !flags.contains(flag)),
        FlagOp::Replace => message.flags = flags.clone(),
    }
    if message.flags != before {
        // It has a new modseq.
        message.date = message.date.or(message.facts.as_ref().map(|facts| facts.internal_date));
        message.facts = None;
    }
}

fn copy(account: &mut Account, from: &str, to: &str, uids: &[u32], is_move: bool) -> bool {
    let Some(source) = account.mailboxes.get(from) else { return false };
    if !account.mailboxes.contains_key(to) {
        return false;
    }
    let picked: Vec<Message> = source.messages.iter().filter(|m| uids.contains(&m.uid)).cloned().collect();
    let bytes = picked.iter().map(|message| message.text.len() as u64).sum();
    if picked.len() != uids.len() || (!is_move && account.would_exceed(bytes)) {
        return uids.is_empty();
    }
    if let Some(source) = account.mailboxes.get_mut(from).filter(|_| is_move) {
        source.messages.retain(|m| !uids.contains(&m.uid));
    }
    if let Some(target) = account.mailboxes.get_mut(to) {
        picked.into_iter().for_each(|m| add_copy(target, m));
    }
    true
}

/// A copy keeps its date.
fn add_copy(to: &mut Mailbox, message: Message) {
    let date = message.facts.as_ref().map(|facts| facts.internal_date).or(message.date);
    add(to, message.text, message.flags, date);
}

fn rename(account: &mut Account, from: &str, to: &str) -> bool {
    if account.mailboxes.contains_key(to) || !account.mailboxes.contains_key(from) {
        return false;
    }
    if from == "INBOX" {
        let mut target = Mailbox::new();
        if let Some(inbox) = account.mailboxes.get_mut("INBOX") {
            std::mem::take(&mut inbox.messages).into_iter().for_each(|m| add_copy(&mut target, m));
        }
        account.mailboxes.insert(to.to_owned(), target);
        return true;
    }
    let below = format!("{from}/");
    if to.starts_with(&below) {
        return false;
    }
    let moved: Vec<String> =
        account.mailboxes.keys().filter(|n| *n == from || n.starts_with(&below)).cloned().collect();
    let renamed = |name: &String| format!("{to}{}", &name[from.len()..]);
    if moved.iter().any(|name| account.mailboxes.contains_key(&renamed(name))) {
        return false;
    }
    for name in moved {
        if let Some(mailbox) = account.mailboxes.remove(&name) {
            // Another UIDVALIDITY, where the name had as high a one before.
            account.mailboxes.insert(renamed(&name), Mailbox { uid_validity: None, ..mailbox });
        }
    }
    true
}
