//! One account in which all threads work at once, and what one of them knows of its own messages there.
//!
//! Laws
//! - A text says whose it is, and only its own thread touches a message. INBOX and `Pool` are everybody's; a mailbox with
//!   a thread's name is its own.
//! - A UID that was told stays. A message of which no UID was told is found by its text.

use super::ask::{set, stage};
use super::step::{SENDER, Step, Verdict, address, chance, pick, random_flags, random_text};
use super::world::{Account, FIRST_MAILBOXES, Message, World};
use engine::ops::{AppendItem, FlagChange, FlagOp, Recipient};
use engine::sys::sim::Rng;
use engine::types::{AccountId, MailboxId, Uid};
use engine::{Error, Result, Store};
use std::collections::BTreeSet;
use std::sync::Arc;

pub const SHARED: &str = "shared";
pub const POOL: &str = "Pool";
const OWNER: &str = "X-Of: ";

/// A message of one thread.
#[derive(Debug, Clone)]
pub struct Mine {
    pub mailbox: String,
    /// `None`: not told.
    pub uid: Option<u32>,
    pub flags: BTreeSet<String>,
    /// As it is served.
    pub text: Arc<str>,
}

/// What one thread has in the shared account.
#[derive(Debug, Clone)]
pub struct Part {
    thread: usize,
    /// Its own mailboxes.
    own: BTreeSet<String>,
    mine: Vec<Mine>,
    /// Texts delivered, as they were given.
    delivered: BTreeSet<Arc<str>>,
}

/// A step in the shared account.
#[derive(Debug, Clone)]
pub enum Deed {
    /// To the shared account, and to accounts of the thread's own.
    Deliver {
        own: Vec<String>,
        into: String,
        text: Arc<str>,
    },
    Append {
        mailbox: String,
        texts: Vec<Arc<str>>,
        flags: BTreeSet<String>,
    },
    Flags {
        mailbox: String,
        uids: Vec<u32>,
        op: FlagOp,
        flags: BTreeSet<String>,
    },
    Expunge {
        mailbox: String,
        uids: Vec<u32>,
    },
    Transfer {
        from: String,
        to: String,
        uids: Vec<u32>,
        is_move: bool,
    },
    Create {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Delete {
        name: String,
    },
}

/// Whose a text is.
pub fn owner(text: &str) -> Option<usize> {
    text.split(OWNER).nth(1)?.lines().next()?.parse().ok()
}

pub fn random_deed(rng: &mut Rng, part: &Part, world: &World) -> Deed {
    let mailboxes = part.mailboxes();
    let mailbox = if chance(rng, 40) { "INBOX".to_owned() } else { pick(rng, &mailboxes).clone() };
    let name = |rng: &mut Rng| format!("{}{}", part.prefix(), pick(rng, &["a", "b", "c"]));
    match rng.below(100) {
        0..30 => {
            let own = world.accounts.keys().filter(|_| chance(rng, 40)).cloned().collect();
            let again = part.delivered.iter().next().filter(|_| chance(rng, 10)).cloned();
            let text = again.unwrap_or_else(|| part.random_text(rng));
            Deed::Deliver { own, into: mailbox, text }
        }
        30..45 => {
            let texts = (0..1 + rng.below(3)).map(|_| part.random_text(rng)).collect();
            Deed::Append { mailbox, texts, flags: random_flags(rng) }
        }
        45..60 => {
            let op = *pick(rng, &[FlagOp::Add, FlagOp::Remove, FlagOp::Replace]);
            let uids = part.random_uids(rng, &mailbox);
            Deed::Flags { mailbox, uids, op, flags: random_flags(rng) }
        }
        60..70 => Deed::Expunge { uids: part.random_uids(rng, &mailbox), mailbox },
        70..85 => {
            let (to, is_move) = (pick(rng, &mailboxes).clone(), chance(rng, 60));
            Deed::Transfer { uids: part.random_uids(rng, &mailbox), from: mailbox, to, is_move }
        }
        85..92 => Deed::Create { name: name(rng) },
        92..96 => Deed::Rename { from: name(rng), to: name(rng) },
        _ => Deed::Delete { name: name(rng) },
    }
}

impl Part {
    pub fn new(thread: usize) -> Self {
        Self { thread, own: BTreeSet::new(), mine: Vec::new(), delivered: BTreeSet::new() }
    }

    fn prefix(&self) -> String {
        format!("t{}-", self.thread)
    }

    fn mailboxes(&self) -> Vec<String> {
        ["INBOX", POOL].into_iter().map(str::to_owned).chain(self.own.iter().cloned()).collect()
    }

    fn has(&self, mailbox: &str) -> bool {
        mailbox == "INBOX" || mailbox == POOL || self.own.contains(mailbox)
    }

    fn random_text(&self, rng: &mut Rng) -> Arc<str> {
        format!("{OWNER}{}\r\n{}", self.thread, random_text(rng)).into()
    }

    fn random_uids(&self, rng: &mut Rng, mailbox: &str) -> Vec<u32> {
        let percent = *pick(rng, &[10, 50, 100]);
        let there = self.mine.iter().filter(|mine| mine.mailbox == mailbox);
        there.filter_map(|mine| mine.uid).filter(|_| chance(rng, percent)).collect()
    }

    fn add(&mut self, mailbox: &str, text: Arc<str>, flags: BTreeSet<String>) {
        self.mine.push(Mine { mailbox: mailbox.to_owned(), uid: None, flags, text });
    }

    /// The UIDs of what was added just now. Gives the messages they are of; `None`: they are of something else.
    pub fn tell(&mut self, uids: &[u32]) -> Option<Vec<Mine>> {
        let untold: Vec<&mut Mine> = self.mine.iter_mut().filter(|mine| mine.uid.is_none()).collect();
        let told = |(mine, uid): (&mut Mine, &u32)| {
            mine.uid = Some(*uid);
            mine.clone()
        };
        (untold.len() == uids.len()).then(|| untold.into_iter().zip(uids).map(told).collect())
    }

    /// Where what the account says is not what this thread knows of it.
    pub fn differs_from(&self, said: &Account) -> Option<String> {
        let own: BTreeSet<String> =
            said.mailboxes.keys().filter(|name| name.starts_with(&self.prefix())).cloned().collect();
        if own != self.own {
            return Some(format!("mailboxes {own:?} instead of {:?}", self.own));
        }
        let is_lost = |mine: &&Mine| !said.mailboxes.contains_key(&mine.mailbox);
        if let Some(mine) = self.mine.iter().find(is_lost) {
            return Some(format!("the mailbox of {mine:?} is gone"));
        }
        said.mailboxes.iter().find_map(|(name, mailbox)| {
            let of = |message: &&Message| owner(&message.text) == Some(self.thread);
            let found: Vec<&Message> = mailbox.messages.iter().filter(of).collect();
            self.match_all(name, found).err()
        })
    }

    /// Each of its messages in a mailbox with what is found there; nothing may be left over on either side.
    fn match_all<'a>(
        &self,
        name: &str,
        mut found: Vec<&'a Message>,
    ) -> std::result::Result<Vec<(usize, &'a Message)>, String> {
        let here = |(_, mine): &(usize, &Mine)| mine.mailbox == name;
        let (mut told, untold): (Vec<_>, Vec<_>) =
            self.mine.iter().enumerate().filter(here).partition(|(_, mine)| mine.uid.is_some());
        told.extend(untold);
        let mut matched = Vec::new();
        for (index, mine) in told {
            let fits = |message: &&Message| {
                mine.uid.is_none_or(|uid| uid == message.uid)
                    && mine.text == message.text
                    && mine.flags == message.flags
            };
            let Some(at) = found.iter().position(fits) else {
                let there = found.iter().find(|message| Some(message.uid) == mine.uid);
                return Err(format!("in {SHARED}/{name} {mine:?} is not; under its UID is {there:?}"));
            };
            matched.push((index, found.remove(at)));
        }
        match found.first() {
            None => Ok(matched),
            Some(message) => Err(format!("in {SHARED}/{name} is what should not be: {message:?}")),
        }
    }

    /// Takes over the UIDs that were not told.
    pub fn adopt(&mut self, said: &Account) {
        for (name, mailbox) in &said.mailboxes {
            let of = |message: &&Message| owner(&message.text) == Some(self.thread);
            let found = mailbox.messages.iter().filter(of).collect();
            for (index, message) in self.match_all(name, found).unwrap_or_default() {
                self.mine[index].uid = Some(message.uid);
            }
        }
    }
}

/// Whether a mailbox of the shared account is one of those that it always has, or some thread's.
pub fn is_known_mailbox(name: &str, threads: usize) -> bool {
    let is_owned = (0..threads).any(|thread| name.starts_with(&Part::new(thread).prefix()));
    name == POOL || FIRST_MAILBOXES.contains(&name) || is_owned
}

impl Deed {
    /// Whether nothing would be changed by it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Flags { uids, .. } | Self::Expunge { uids, .. } | Self::Transfer { uids, .. } => {
                uids.is_empty()
            }
            _ => false,
        }
    }

    pub fn own_accounts(&self) -> Vec<&String> {
        if let Self::Deliver { own, .. } = self { own.iter().collect() } else { Vec::new() }
    }

    /// Does it in what the thread knows.
    pub fn in_part(&self, part: &mut Part, world: &mut World) -> Verdict {
        let is_done = match self {
            Self::Deliver { own, into, text } => {
                let step = Step::Deliver { accounts: own.clone(), detail: None, text: text.clone() };
                let Verdict::Each(mut each) = step.in_world(world) else { return Verdict::Refused };
                if part.delivered.insert(text.clone()) {
                    let to = address(SHARED);
                    let served = format!("Return-Path: <{SENDER}>\r\nDelivered-To: {to}\r\n{text}");
                    part.add(if part.has(into) { into } else { "INBOX" }, served.into(), BTreeSet::new());
                }
                each.push(true);
                return Verdict::Each(each);
            }
            Self::Append { mailbox, texts, flags } => {
                texts.iter().for_each(|text| part.add(mailbox, text.clone(), flags.clone()));
                true
            }
            Self::Flags { mailbox, uids, op, flags } => {
                part.of(mailbox, uids).for_each(|mine| match op {
                    FlagOp::Add => mine.flags.extend(flags.iter().cloned()),
                    FlagOp::Remove => mine.flags.retain(|flag| !flags.contains(flag)),
                    FlagOp::Replace => mine.flags = flags.clone(),
                });
                true
            }
            Self::Expunge { mailbox, uids } => {
                let goes = |mine: &Mine| is_of(mine, mailbox, uids) && mine.flags.contains("\\Deleted");
                part.mine.retain(|mine| !goes(mine));
                true
            }
            Self::Transfer { from, to, uids, is_move } => {
                let mut picked: Vec<Mine> =
                    part.mine.iter().filter(|mine| is_of(mine, from, uids)).cloned().collect();
                picked.sort_by_key(|mine| mine.uid);
                part.mine.retain(|mine| !*is_move || !is_of(mine, from, uids));
                picked.into_iter().for_each(|mine| part.add(to, mine.text, mine.flags));
                true
            }
            Self::Create { name } => part.own.insert(name.clone()),
            Self::Delete { name } => {
                part.mine.retain(|mine| mine.mailbox != *name);
                part.own.remove(name)
            }
            Self::Rename { from, to } => {
                let is_possible = part.own.contains(from) && !part.own.contains(to);
                if is_possible {
                    part.own.remove(from);
                    part.own.insert(to.clone());
                    let moved = part.mine.iter_mut().filter(|mine| mine.mailbox == *from);
                    moved.for_each(|mine| mine.mailbox.clone_from(to));
                }
                is_possible
            }
        };
        if is_done { Verdict::Done } else { Verdict::Refused }
    }

    /// Asks it of the store. Gives the UIDs of what was added in the shared account, and the mailbox.
    pub fn on_store(&self, store: &Store) -> Result<(Verdict, Vec<u32>)> {
        let id = store.account_id(SHARED).ok_or(Error::NoSuchAccount)?;
        let find = |name: &str| -> Result<MailboxId> {
            let account = store.account(id)?;
            Ok(account.mailbox_named(name).ok_or(Error::NoSuchMailbox)?.header.id)
        };
        let mut added = Vec::new();
        match self {
            Self::Deliver { own, into, text } => return deliver(store, id, own, into, text),
            Self::Append { mailbox, texts, flags } => {
                let items = texts.iter().map(|text| {
                    let flags = flags.iter().cloned().collect();
                    Ok(AppendItem { message: stage(store, text)?, flags, internal_date: None })
                });
                let appended = store.append(id, find(mailbox)?, items.collect::<Result<_>>()?)?;
                added = appended.uids.iter().collect();
            }
            Self::Flags { mailbox, uids, op, flags } => {
                let flags = flags.iter().cloned().collect();
                let change = FlagChange { op: *op, flags, unchanged_since: None };
                store.change_flags(id, find(mailbox)?, &set(uids), change)?;
            }
            Self::Expunge { mailbox, uids } => {
                store.expunge(id, find(mailbox)?, Some(&set(uids)))?;
            }
            Self::Transfer { from, to, uids, is_move } => {
                let (from, to, uids) = (find(from)?, find(to)?, set(uids));
                let copied = if *is_move {
                    store.move_messages(id, from, &uids, to)?
                } else {
                    store.copy(id, from, &uids, to)?
                };
                added = copied.to.iter().map(|uid: &Uid| uid.0).collect();
            }
            Self::Create { name } => store.create_mailbox(id, name, None).map(drop)?,
            Self::Delete { name } => store.delete_mailbox(id, find(name)?)?,
            Self::Rename { from, to } => store.rename_mailbox(id, find(from)?, to)?,
        }
        Ok((Verdict::Done, added))
    }
}

fn is_of(mine: &Mine, mailbox: &str, uids: &[u32]) -> bool {
    mine.mailbox == mailbox && mine.uid.is_some_and(|uid| uids.contains(&uid))
}

impl Part {
    fn of<'a>(&'a mut self, mailbox: &'a str, uids: &'a [u32]) -> impl Iterator<Item = &'a mut Mine> {
        self.mine.iter_mut().filter(move |mine| is_of(mine, mailbox, uids))
    }
}

fn deliver(
    store: &Store,
    shared: AccountId,
    own: &[String],
    into: &str,
    text: &str,
) -> Result<(Verdict, Vec<u32>)> {
    let message = stage(store, text)?;
    let mut to = Vec::new();
    for name in own {
        let account = store.account_id(name).ok_or(Error::NoSuchAccount)?;
        to.push(Recipient { account, detail: None, address: address(name) });
    }
    to.push(Recipient { account: shared, detail: Some(into.to_owned()), address: address(SHARED) });
    let (mut each, mut added) = (Vec::new(), Vec::new());
    let last = to.len() - 1;
    for (n, verdict) in store.deliver(&message, SENDER, to).into_iter().enumerate() {
        match verdict {
            Ok(delivered) if n == last && !delivered.is_duplicate => added.push(delivered.uid.0),
            Ok(_) => {}
            Err(Error::OverQuota) => {
                each.push(false);
                continue;
            }
            Err(error) => return Err(error),
        }
        each.push(true);
    }
    Ok((Verdict::Each(each), added))
}
