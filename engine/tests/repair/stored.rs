//! A store with something of everything in it, and what it says of all of it.

use crate::common::Rng;
use crate::common::work::stage;
use crate::rows::KeptRows;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount, Recipient};
use engine::sys::clock::SimClock;
use engine::sys::sim::SimDisk;
use engine::types::{AccountId, UidSet};
use engine::{Error, Store, StoreOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub const DIR: &str = "/store";
const NAMES: [&str; 3] = ["a", "b", "c"];

pub fn open(disk: &SimDisk) -> engine::Result<Store> {
    open_over(disk, &KeptRows::default())
}

pub fn open_over(disk: &SimDisk, rows: &KeptRows) -> engine::Result<Store> {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 24 << 10;
    options.log.body_threshold_bytes = 8 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    Store::open_over(Arc::new(disk.clone()), clock, Path::new(DIR), options, || Ok(rows.catalog()))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub modseq: u64,
    pub flags: Vec<String>,
    /// `None` = it is damaged.
    pub bytes: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// By name: UIDVALIDITY, messages by UID.
    pub mailboxes: BTreeMap<String, (u32, BTreeMap<u32, Message>)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    pub accounts: BTreeMap<String, Account>,
}

impl Stored {
    pub fn read(store: &Store) -> Self {
        let mut stored = Self::default();
        for info in store.accounts().unwrap() {
            let mut said = Account::default();
            let account = store.account(info.id).unwrap();
            for mailbox in account.mailboxes() {
                let mut messages = BTreeMap::new();
                for row in mailbox.rows(&mailbox.uids().unwrap()) {
                    let row = row.unwrap();
                    let bytes = match store.email(&row).and_then(|email| email.read_all()) {
                        Ok(bytes) => Some(bytes),
                        Err(Error::Damaged { .. } | Error::NoSuchMessage) => None,
                        Err(error) => panic!("UID {}: {error}", row.uid),
                    };
                    let flags = mailbox.flag_names(&row.flags).into_iter().map(str::to_owned).collect();
                    messages.insert(row.uid.0, Message { modseq: row.modseq.0, flags, bytes });
                }
                let header = &mailbox.header;
                said.mailboxes.insert(header.name.to_string(), (header.uid_validity.0, messages));
            }
            stored.accounts.insert(info.name, said);
        }
        stored
    }
}

fn text(rng: &mut Rng, number: usize) -> String {
    let lines = if rng.chance(12) { 400 } else { rng.below(40) };
    let mut text = format!("Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n");
    (0..lines).for_each(|_| text.push_str(&format!("{:x} {:x}\r\n", rng.next(), rng.next())));
    text
}

fn mailbox(store: &Store, id: AccountId, name: &str) -> engine::types::MailboxId {
    store.account(id).unwrap().mailbox_named(name).unwrap().header.id
}

fn deliver(store: &Store, rng: &mut Rng, ids: &[AccountId], text: &str) {
    let message = stage(store, text).unwrap();
    let to = |id: &AccountId| Recipient { account: *id, detail: None, address: format!("{id}@x") };
    let some: Vec<Recipient> = ids.iter().filter(|_| rng.chance(60)).map(to).collect();
    if !some.is_empty() {
        store.deliver(&message, "s@y", some).iter().for_each(|verdict| assert!(verdict.is_ok()));
    }
}

fn change(store: &Store, rng: &mut Rng, id: AccountId) {
    let inbox = mailbox(store, id, "INBOX");
    let uids = store.mailbox(id, inbox).unwrap().uids().unwrap();
    let some: UidSet = uids.iter().filter(|_| rng.chance(15)).collect();
    let of_one = ["\\Seen", "\\Deleted", "$kept"];
    let flags = vec![(*rng.pick(&of_one).unwrap()).to_owned()];
    store
        .change_flags(id, inbox, &some, FlagChange { op: FlagOp::Add, flags, unchanged_since: None })
        .unwrap();
    match rng.below(3) {
        0 => drop(store.expunge(id, inbox, None).unwrap()),
        1 => drop(store.copy(id, inbox, &some, mailbox(store, id, "Archive")).unwrap()),
        _ => {}
    }
}

/// Fills a store and closes it; what it said last.
pub fn filled(disk: &SimDisk, rng: &mut Rng) -> Stored {
    filled_over(disk, &KeptRows::default(), rng)
}

pub fn filled_over(disk: &SimDisk, rows: &KeptRows, rng: &mut Rng) -> Stored {
    let mut store = open_over(disk, rows).unwrap();
    let ids = NAMES.map(|name| store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap());
    for number in 0..60 {
        let text = text(rng, number);
        let id = *rng.pick(&ids).unwrap();
        match rng.below(10) {
            0..5 => deliver(&store, rng, &ids, &text),
            5..8 => {
                let item =
                    AppendItem { message: stage(&store, &text).unwrap(), flags: vec![], internal_date: None };
                store.append(id, mailbox(&store, id, "INBOX"), vec![item]).unwrap();
            }
            _ => change(&store, rng, id),
        }
        match rng.below(60) {
            0 | 1 => drop(store.snapshot().unwrap()),
            2 => drop(store.compact().unwrap()),
            3 => {
                store.close().unwrap();
                drop(store);
                store = open_over(disk, rows).unwrap();
            }
            _ => {}
        }
    }
    let stored = Stored::read(&store);
    store.close().unwrap();
    stored
}
