//! Random work on a store, and what it means for the model.

use super::Rng;
use super::ask::set;
pub use super::ask::stage;
use super::model::{Account, Mailbox, Message};
use engine::ops::{AppendItem, FlagChange, FlagOp, Recipient};
use engine::types::{AccountId, MailboxId};
use engine::{Result, Store};
use std::collections::BTreeSet;

const FLAGS: [&str; 6] = ["\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "$Forwarded", "work"];
const NAMES: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/é", "Lists"];

/// One step. Everything random is decided before it is tried, so that it can be tried again.
#[derive(Debug, Clone)]
pub enum Step {
    Append {
        mailbox: String,
        messages: Vec<(String, BTreeSet<String>)>,
    },
    Deliver {
        accounts: Vec<usize>,
        detail: Option<String>,
        text: String,
    },
    Flags {
        mailbox: String,
        uids: Vec<u32>,
        op: FlagOp,
        flags: BTreeSet<String>,
    },
    Expunge {
        mailbox: String,
    },
    Copy {
        from: String,
        to: String,
        uids: Vec<u32>,
        is_move: bool,
    },
    Create {
        mailbox: String,
    },
    Delete {
        mailbox: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Subscribe {
        name: String,
        on: bool,
    },
    /// Not a change: the views are written.
    Keep {
        snapshot: bool,
        compact: bool,
    },
}

/// A step that can be done in the model's state, on the account at `who`.
pub fn random_step(rng: &mut Rng, model: &[Account], who: usize) -> Step {
    let names: Vec<String> = model[who].mailboxes.keys().cloned().collect();
    let mailbox = rng.pick(&names).unwrap().clone();
    let uids = random_uids(rng, &model[who].mailboxes[&mailbox]);
    match rng.below(100) {
        0..20 => {
            let count = if rng.chance(5) { 300 } else { 1 + rng.below(3) };
            let messages = (0..count).map(|_| (random_text(rng), random_flags(rng))).collect();
            Step::Append { mailbox, messages }
        }
        20..45 => {
            let accounts = (0..model.len()).filter(|n| *n == who || rng.chance(50)).collect();
            let detail = rng.chance(30).then_some(mailbox);
            Step::Deliver { accounts, detail, text: random_text(rng) }
        }
        45..65 => {
            let op = *rng.pick(&[FlagOp::Add, FlagOp::Remove, FlagOp::Replace]).unwrap();
            Step::Flags { mailbox, uids, op, flags: random_flags(rng) }
        }
        65..73 => Step::Expunge { mailbox },
        73..85 => {
            let to = rng.pick(&names).unwrap().clone();
            Step::Copy { from: mailbox, to, uids, is_move: rng.chance(50) }
        }
        85..90 => Step::Create { mailbox: (*rng.pick(&NAMES).unwrap()).to_owned() },
        90..92 => Step::Delete { mailbox },
        92..94 => Step::Rename { from: mailbox, to: (*rng.pick(&NAMES).unwrap()).to_owned() },
        94..97 => Step::Subscribe { name: mailbox, on: rng.chance(50) },
        _ => Step::Keep { snapshot: rng.chance(50), compact: rng.chance(30) },
    }
}

fn random_uids(rng: &mut Rng, mailbox: &Mailbox) -> Vec<u32> {
    let percent = [2, 30, 100][rng.below(3)];
    mailbox.messages.iter().map(|m| m.uid).filter(|_| rng.chance(percent)).collect()
}

fn random_flags(rng: &mut Rng) -> BTreeSet<String> {
    FLAGS.iter().filter(|_| rng.chance(25)).map(|flag| (*flag).to_owned()).collect()
}

fn random_text(rng: &mut Rng) -> String {
    let lines = if rng.chance(2) { 3000 } else { rng.below(12) };
    let id = rng.next();
    let mut text = format!("Message-ID: <{id:x}@test>\r\nSubject: {id}\r\n\r\n");
    for line in 0..lines {
        text.push_str(&format!("line {line} of {:x}\r\n", rng.next()));
    }
    text
}

/// Does the step in the model. `false`: the store must refuse it.
pub fn in_model(model: &mut [Account], who: usize, step: &Step) -> bool {
    match step {
        Step::Deliver { accounts, detail, text } => {
            for n in accounts {
                deliver(&mut model[*n], *n, detail.as_deref(), text);
            }
            true
        }
        step => in_account(&mut model[who], step),
    }
}

fn deliver(account: &mut Account, who: usize, detail: Option<&str>, text: &str) {
    let name = detail.filter(|name| account.mailboxes.contains_key(*name)).unwrap_or("INBOX");
    let text = format!("Return-Path: <s@x>\r\nDelivered-To: {}\r\n{text}", address(who));
    add(account.mailboxes.get_mut(name).unwrap(), text, BTreeSet::new());
}

fn address(who: usize) -> String {
    format!("user{who}@test")
}

fn add(mailbox: &mut Mailbox, text: String, flags: BTreeSet<String>) {
    mailbox.messages.push(Message { uid: mailbox.uid_next, flags, text });
    mailbox.uid_next += 1;
}

fn in_account(account: &mut Account, step: &Step) -> bool {
    match step {
        Step::Append { mailbox, messages } => {
            let mailbox = account.mailboxes.get_mut(mailbox).unwrap();
            messages.iter().for_each(|(text, flags)| add(mailbox, text.clone(), flags.clone()));
        }
        Step::Flags { mailbox, uids, op, flags } => {
            let messages = &mut account.mailboxes.get_mut(mailbox).unwrap().messages;
            for message in messages.iter_mut().filter(|m| uids.contains(&m.uid)) {
                match op {
                    FlagOp::Add => message.flags.extend(flags.iter().cloned()),
                    FlagOp::Remove => message.flags.retain(|flag| !flags.contains(flag)),
                    FlagOp::Replace => message.flags = flags.clone(),
                }
            }
        }
        Step::Expunge { mailbox } => {
            let mailbox = account.mailboxes.get_mut(mailbox).unwrap();
            mailbox.messages.retain(|m| !m.flags.contains("\\Deleted"));
        }
        Step::Copy { from, to, uids, is_move } => {
            let source = account.mailboxes.get_mut(from).unwrap();
            let picked: Vec<Message> =
                source.messages.iter().filter(|m| uids.contains(&m.uid)).cloned().collect();
            if *is_move {
                source.messages.retain(|m| !uids.contains(&m.uid));
            }
            let target = account.mailboxes.get_mut(to).unwrap();
            picked.into_iter().for_each(|m| add(target, m.text, m.flags));
        }
        Step::Create { mailbox } => {
            if account.mailboxes.contains_key(mailbox) {
                return false;
            }
            let fresh = Mailbox { uid_next: 1, messages: Vec::new() };
            account.mailboxes.insert(mailbox.clone(), fresh);
        }
        Step::Delete { mailbox } => return mailbox != "INBOX" && account.mailboxes.remove(mailbox).is_some(),
        Step::Rename { from, to } => return rename(account, from, to),
        Step::Subscribe { name, on: true } => {
            account.subscriptions.insert(name.clone());
        }
        Step::Subscribe { name, on: false } => {
            account.subscriptions.remove(name);
        }
        Step::Deliver { .. } | Step::Keep { .. } => {}
    }
    true
}

fn rename(account: &mut Account, from: &str, to: &str) -> bool {
    if account.mailboxes.contains_key(to) {
        return false;
    }
    if from == "INBOX" {
        let inbox = account.mailboxes.get_mut("INBOX").unwrap();
        let mut target = Mailbox { uid_next: 1, messages: Vec::new() };
        std::mem::take(&mut inbox.messages).into_iter().for_each(|m| add(&mut target, m.text, m.flags));
        account.mailboxes.insert(to.to_owned(), target);
        return true;
    }
    if to.starts_with(&format!("{from}/")) {
        return false;
    }
    let below = format!("{from}/");
    let moved: Vec<String> =
        account.mailboxes.keys().filter(|n| *n == from || n.starts_with(&below)).cloned().collect();
    let renamed = |name: &String| format!("{to}{}", &name[from.len()..]);
    if moved.iter().any(|name| account.mailboxes.contains_key(&renamed(name))) {
        return false;
    }
    for name in moved {
        let mailbox = account.mailboxes.remove(&name).unwrap();
        account.mailboxes.insert(renamed(&name), mailbox);
    }
    true
}

/// Does the step on the store.
pub fn on_store(store: &Store, ids: &[AccountId], who: usize, step: &Step) -> Result<()> {
    let id = ids[who];
    let find = |name: &str| -> Result<MailboxId> {
        let account = store.account(id)?;
        Ok(account.mailbox_named(name).ok_or(engine::Error::NoSuchMailbox)?.header.id)
    };
    match step {
        Step::Append { mailbox, messages } => {
            let items = messages.iter().map(|(text, flags)| {
                let flags = flags.iter().cloned().collect();
                Ok(AppendItem { message: stage(store, text)?, flags, internal_date: None })
            });
            store.append(id, find(mailbox)?, items.collect::<Result<_>>()?)?;
        }
        Step::Deliver { accounts, detail, text } => {
            let to = accounts.iter().map(|n| Recipient {
                account: ids[*n],
                detail: detail.clone(),
                address: address(*n),
            });
            for verdict in store.deliver(&stage(store, text)?, "s@x", to.collect()) {
                verdict?;
            }
        }
        Step::Flags { mailbox, uids, op, flags } => {
            let flags = flags.iter().cloned().collect();
            let change = FlagChange { op: *op, flags, unchanged_since: None };
            store.change_flags(id, find(mailbox)?, &set(uids), change)?;
        }
        Step::Expunge { mailbox } => {
            store.expunge(id, find(mailbox)?, None)?;
        }
        Step::Copy { from, to, uids, is_move } => {
            let (from, to, uids) = (find(from)?, find(to)?, set(uids));
            if *is_move {
                store.move_messages(id, from, &uids, to)?;
            } else {
                store.copy(id, from, &uids, to)?;
            }
        }
        Step::Create { mailbox } => {
            store.create_mailbox(id, mailbox, None)?;
        }
        Step::Delete { mailbox } => store.delete_mailbox(id, find(mailbox)?)?,
        Step::Rename { from, to } => store.rename_mailbox(id, find(from)?, to)?,
        Step::Subscribe { name, on } => store.subscribe(id, name, *on)?,
        Step::Keep { snapshot, compact } => {
            if *snapshot {
                store.snapshot()?
            } else {
                store.checkpoint()?
            };
            if *compact {
                store.compact()?;
            }
        }
    }
    Ok(())
}
