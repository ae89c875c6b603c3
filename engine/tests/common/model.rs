//! The model: mailboxes as plain lists. And the store read out in the same form.

use engine::Store;
use engine::types::AccountId;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    /// The message as it is served, whole.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mailbox {
    pub uid_next: u32,
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub subscriptions: BTreeSet<String>,
}

impl Account {
    pub fn new() -> Self {
        let names = ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"];
        let mailbox = Mailbox { uid_next: 1, messages: Vec::new() };
        Self {
            mailboxes: names.iter().map(|name| ((*name).to_owned(), mailbox.clone())).collect(),
            subscriptions: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    pub fn used_bytes(&self) -> u64 {
        let texts = self.mailboxes.values().flat_map(|mailbox| &mailbox.messages);
        texts.map(|message| message.text.len() as u64).sum()
    }
}

/// What the store says, in the model's form.
pub fn read_out(store: &Store, id: AccountId) -> Account {
    let account = store.account(id).unwrap();
    let mut out = Account { subscriptions: account.subscriptions().clone(), ..Account::default() };
    for mailbox in account.mailboxes() {
        let uids = mailbox.uids().unwrap();
        let messages = mailbox.rows(&uids).map(|row| {
            let row = row.unwrap();
            let bytes = store.email(&row).unwrap().read_all().unwrap();
            assert_eq!(u64::from(row.size_bytes), bytes.len() as u64);
            Message {
                uid: row.uid.0,
                flags: mailbox.flag_names(&row.flags).into_iter().map(str::to_owned).collect(),
                text: String::from_utf8(bytes).unwrap(),
            }
        });
        let messages: Vec<Message> = messages.collect();
        assert_eq!(mailbox.header.exists as usize, messages.len());
        let unseen = messages.iter().filter(|m| !m.flags.contains("\\Seen")).count();
        assert_eq!(mailbox.header.unseen as usize, unseen);
        let name = mailbox.header.name.to_string();
        out.mailboxes.insert(name, Mailbox { uid_next: mailbox.header.uid_next.0, messages });
    }
    assert_eq!(account.used_bytes(), out.used_bytes());
    out
}
