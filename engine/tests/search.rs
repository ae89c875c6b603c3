//! SEARCH with the index beside SEARCH without one, over the same views: whatever the index has seen,
//! not seen yet or forgotten, the answers are equal.
//!
//! Repeat one run with `MAILCASK_SEED=n cargo test -p engine --test search`.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean, seeds};
use engine::mailbox::View;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::search::{self, Context, Found, Helpers, Key, Means, Progress};
use engine::types::{AccountId, MailboxId, UidSet};
use engine::{Store, StoreOptions};
use std::sync::atomic::AtomicBool;

const WORDS: [&str; 9] =
    ["Anchor", "binnacle", "anchors", "дрейф", "錨地", "Eisgang", "fender-bender", "gunwale", "x"];

struct World {
    store: Store,
    account: AccountId,
    inbox: MailboxId,
    helpers: Helpers,
}

impl World {
    fn append(&self, rng: &mut Rng, count: usize) {
        let items = (0..count).map(|_| AppendItem {
            message: stage(&self.store, &mail(rng)).unwrap(),
            flags: if rng.chance(30) { vec!["\\Seen".to_owned()] } else { Vec::new() },
            internal_date: None,
        });
        self.store.append(self.account, self.inbox, items.collect()).unwrap();
    }

    fn expunge(&self, rng: &mut Rng, percent: usize) {
        let all = self.store.mailbox(self.account, self.inbox).unwrap().uids().unwrap();
        let some: UidSet = all.iter().filter(|_| rng.chance(percent)).collect();
        let flags = vec!["\\Deleted".to_owned()];
        let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
        self.store.change_flags(self.account, self.inbox, &some, change).unwrap();
        self.store.expunge(self.account, self.inbox, Some(&some)).unwrap();
    }

    fn view(&self) -> View {
        View::open(self.store.mailbox(self.account, self.inbox).unwrap())
    }

    fn found(&self, view: &View, key: &Key, with_index: bool) -> Found {
        let context = Context {
            recent: &UidSet::new(),
            now_s: 0,
            cancel: &AtomicBool::new(false),
            progress: &Progress::default(),
        };
        let found = if with_index {
            self.store.search(self.account, view, key, &context)
        } else {
            let means = Means { messages: &self.store, index: None, helpers: &self.helpers };
            search::run(means, view, key, &context)
        };
        found.unwrap().unwrap()
    }

    fn assert_same(&self, view: &View, key: &Key, when: &str) -> Found {
        let (with, without) = (self.found(view, key, true), self.found(view, key, false));
        assert_eq!(with.uids, without.uids, "{when}: {key:?}: {}", with.plan);
        assert_eq!(with.unreadable, without.unreadable, "{when}: {key:?}");
        with
    }
}

fn words(rng: &mut Rng, count: usize) -> String {
    let words: Vec<&str> = (0..count).map(|_| *rng.pick(&WORDS).unwrap()).collect();
    words.join(*rng.pick(&[" ", " ", ", ", "\r\n", "@"]).unwrap())
}

fn mail(rng: &mut Rng) -> String {
    let (subject, lines) = (words(rng, 2), 1 + rng.below(12));
    let body: String = (0..lines).map(|_| format!("{} {:x}\r\n", words(rng, 3), rng.next() >> 44)).collect();
    let subject = subject.replace("\r\n", "\r\n ");
    format!(
        "Subject: {subject}\r\nFrom: {0} <{0:.3}@test>\r\nX-{0}: {1}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}",
        rng.pick(&["Ann", "Bob", "Cy"]).unwrap(),
        rng.pick(&WORDS).unwrap(),
    )
}

/// A word, a piece of some, or something no message has.
fn string(rng: &mut Rng) -> String {
    let count = 1 + rng.below(3);
    let words: Vec<char> = words(rng, count).chars().collect();
    let from = rng.below(words.len());
    let length = 1 + rng.below(words.len() - from);
    match rng.below(5) {
        0 => words.into_iter().collect(),
        1 => "absent".to_owned(),
        _ => words.get(from..from + length).unwrap().iter().collect(),
    }
}

fn key(rng: &mut Rng, depth: usize) -> Key {
    if depth > 0 && rng.chance(50) {
        let (a, b) = (key(rng, depth - 1), key(rng, depth - 1));
        return match rng.below(4) {
            0 => Key::or(a, b),
            1 => Key::not(a),
            2 => Key::Fuzzy(Box::new(a)),
            _ => Key::And(vec![a, b, Key::not(Key::Flag("\\Seen".to_owned()))]),
        };
    }
    match rng.below(7) {
        0 | 1 => Key::Body(string(rng)),
        2 => Key::header("Subject", &string(rng)),
        3 => Key::header("From", rng.pick(&["ann", "b", "test>", ""]).unwrap()),
        4 => Key::header("X-Bob", &if rng.chance(50) { string(rng) } else { String::new() }),
        _ => Key::Text(string(rng)),
    }
}

#[test]
fn with_and_without_the_index() {
    for seed in seeds(3) {
        println!("MAILCASK_SEED={seed}");
        let rng = &mut Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::for_tests();
        options.text.workers = 0;
        let store = Store::open(dir.path(), options).unwrap();
        let account = store.create_account(&NewAccount { name: "ann", ..NewAccount::default() }).unwrap();
        let inbox = store.account(account).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let world = World { store, account, inbox, helpers: Helpers::new(1) };
        world.append(rng, 300);
        // A session that is behind: what it sees may leave the index meanwhile.
        let mut behind = world.view();
        for round in 0..6 {
            for _ in 0..rng.below(4) {
                world.store.step_index().unwrap();
            }
            world.append(rng, 40);
            if round % 2 == 1 {
                world.expunge(rng, 10);
            }
            if round == 3 {
                behind.advance(world.store.mailbox(account, inbox).unwrap(), 0, false).unwrap();
            }
            let (fresh, when) = (world.view(), format!("MAILCASK_SEED={seed}, round {round}"));
            for _ in 0..8 {
                let key = key(rng, 2);
                world.assert_same(&fresh, &key, &when);
                world.assert_same(&behind, &key, &when);
            }
        }
        world.store.settle_index().unwrap();
        let whole = world.assert_same(&world.view(), &Key::Body("anchor".to_owned()), "settled");
        assert_eq!(whole.plan.messages_read, 0, "a piece of a word is proved: {}", whole.plan);
        assert_clean(&world.store);
        world.store.close().unwrap();
    }
}
