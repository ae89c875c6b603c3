//! SEARCH by the index is SEARCH by definition: substrings cut from the decoded texts of random messages
//! find exactly the messages that a scan over all of them finds.
//!
//! A part of the mail is in segments of the index, a part in its tail and a part is not indexed at all; some
//! was expunged from each. Everything random comes from one seed, which is printed.
//!
//! By hand, at another size: `MAILCASK_MESSAGES=1000000 MAILCASK_PATTERNS=2000 cargo test --release -p engine
//! --test search_exact -- --nocapture`. The scan folds each message once and asks it all patterns, on as many
//! threads as there are processors; memory is a bit a message and pattern (250 MB then). `MAILCASK_DIR` says
//! where the store is made, `MAILCASK_SEED` repeats a run.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod mail;
mod patterns;

use common::{Rng, assert_clean};
use engine::mailbox::View;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::search::{Context, Progress};
use engine::types::{AccountId, MailboxId, Uid, UidSet};
use engine::{Store, StoreOptions};
use mail::Source;
use patterns::Asked;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// From here on the store is run as a server runs it, not with everything small.
const LARGE: usize = 20_000;
const BATCH: usize = 64;
/// Searches that are repeated after the comparison.
const AGAIN: usize = 50;

fn knob<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn substrings_of_the_texts_find_what_a_scan_finds() {
    let seed: u64 = knob("MAILCASK_SEED", 1);
    let messages: usize = knob("MAILCASK_MESSAGES", 2_000);
    let count: usize = knob("MAILCASK_PATTERNS", 2_000);
    println!("seed {seed}, {messages} messages, {count} patterns");
    let root = std::env::var("MAILCASK_DIR").map_or_else(|_| std::env::temp_dir(), Into::into);
    let dir = tempfile::tempdir_in(root).unwrap();
    // Indexing happens when this test says so.
    let mut options = if messages < LARGE { StoreOptions::for_tests() } else { StoreOptions::default() };
    options.text.workers = 0;
    let store = Store::open(dir.path(), options.clone()).unwrap();
    let account = store.create_account(&NewAccount { name: "u", password: None, quota_bytes: None }).unwrap();
    let inbox = store.account(account).unwrap().mailbox_named("inbox").unwrap().header.id;
    let mut mailbox = Filled { store: &store, account, inbox, rng: Rng::new(seed) };

    let began = Instant::now();
    let mut source = Source::new(messages, seed);
    mailbox.append(&mut source, messages / 2);
    assert!(store.settle_index().unwrap());
    // What is not indexed is read by every search: a little is enough.
    mailbox.append(&mut source, messages / 2 - messages / 50);
    while store.index_stats(Some(account)).unwrap().backlog > 0 && store.step_index().unwrap() {}
    mailbox.append(&mut source, messages);
    mailbox.expunge(messages / 50);
    println!("{:?}: filled; {:?}", began.elapsed(), store.index_stats(Some(account)).unwrap());

    let view = View::open(store.mailbox(account, inbox).unwrap());
    let uids: Vec<u32> = view.uids().unwrap().iter().collect();
    let asked = mailbox.patterns(&view, &uids, count);
    let found: Vec<UidSet> = asked.iter().map(|asked| search(&store, account, &view, asked)).collect();
    println!("{:?}: searched, {} hits", began.elapsed(), found.iter().map(UidSet::len).sum::<u64>());
    let wrong = differences(&store, &view, &uids, &asked, &found);
    println!("{:?}: compared with a scan", began.elapsed());
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} differences, of them {:#?}",
        wrong.len(),
        wrong.get(..wrong.len().min(10))
    );

    // Some of them once everything is indexed, and by a store opened anew.
    let asked = asked.get(..asked.len().min(AGAIN)).unwrap();
    assert!(store.settle_index().unwrap());
    same_again(&store, account, &view, asked, &found, seed, "all indexed");
    println!("{:?}: again, all indexed", began.elapsed());
    store.close().unwrap();
    // The view holds on to the store's pages.
    drop((view, store));
    let store = Store::open(dir.path(), options).unwrap();
    let view = View::open(store.mailbox(account, inbox).unwrap());
    same_again(&store, account, &view, asked, &found, seed, "opened again");
    assert_clean(&store);
    println!("{:?}: opened again, checked", began.elapsed());
}

/// The mailbox that is filled and searched.
struct Filled<'a> {
    store: &'a Store,
    account: AccountId,
    inbox: MailboxId,
    rng: Rng,
}

impl Filled<'_> {
    fn append(&mut self, source: &mut Source, count: usize) {
        let mut left = count;
        while left > 0 {
            let items: Vec<AppendItem> =
                source.by_ref().take(BATCH.min(left)).map(|raw| self.item(&raw)).collect();
            if items.is_empty() {
                return;
            }
            left -= items.len();
            self.store.append(self.account, self.inbox, items).unwrap();
        }
    }

    fn item(&self, raw: &[u8]) -> AppendItem {
        let mut stager = self.store.stager();
        stager.write(raw).unwrap();
        AppendItem { message: stager.finish().unwrap(), flags: Vec::new(), internal_date: None }
    }

    /// Takes so many away, from everywhere.
    fn expunge(&mut self, count: usize) {
        let uids: Vec<u32> =
            self.store.mailbox(self.account, self.inbox).unwrap().uids().unwrap().iter().collect();
        let mut gone = UidSet::new();
        for _ in 0..count {
            gone.insert_uid(Uid(*self.rng.pick(&uids).unwrap()));
        }
        let deleted =
            FlagChange { op: FlagOp::Add, flags: vec!["\\Deleted".to_owned()], unchanged_since: None };
        self.store.change_flags(self.account, self.inbox, &gone, deleted).unwrap();
        self.store.expunge(self.account, self.inbox, None).unwrap();
    }

    fn patterns(&mut self, view: &View, uids: &[u32], count: usize) -> Vec<Asked> {
        let mut asked = Vec::with_capacity(count);
        while asked.len() < count {
            let raw = raw(self.store, view, *self.rng.pick(uids).unwrap());
            // Several from one, for it is the decoding that takes long.
            asked.extend((0..4).filter_map(|_| patterns::cut(&mut self.rng, &raw)));
        }
        asked.truncate(count);
        asked
    }
}

fn raw(store: &Store, view: &View, uid: u32) -> Vec<u8> {
    let found = view.row(Uid(uid)).unwrap().unwrap();
    store.email(&found.row).unwrap().read_all().unwrap()
}

fn search(store: &Store, account: AccountId, view: &View, asked: &Asked) -> UidSet {
    let context = Context {
        recent: &UidSet::new(),
        now_s: 0,
        cancel: &AtomicBool::new(false),
        progress: &Progress::default(),
    };
    let found = store.search(account, view, &asked.key, &context).unwrap().unwrap();
    assert!(found.unreadable.is_empty());
    found.uids
}

fn same_again(
    store: &Store,
    account: AccountId,
    view: &View,
    asked: &[Asked],
    found: &[UidSet],
    seed: u64,
    when: &str,
) {
    for (asked, before) in asked.iter().zip(found) {
        let now = search(store, account, view, asked);
        assert_eq!(&now, before, "seed {seed}, {when}: {:?}", asked.key);
    }
}

/// Where a scan over all messages says otherwise than the searches did.
fn differences(store: &Store, view: &View, uids: &[u32], asked: &[Asked], found: &[UidSet]) -> Vec<String> {
    // A bit a message and pattern: looking up in the sets of ranges would take longer than the scan.
    let found: Vec<Vec<u64>> = found.iter().map(|set| bits(uids, set)).collect();
    let next = AtomicUsize::new(0);
    let scan = || {
        let mut wrong = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(uid) = uids.get(at) else { return wrong };
            let texts = patterns::folded(&raw(store, view, *uid));
            for (asked, bits) in asked.iter().zip(&found) {
                let was_found = bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
                let is_there = asked.matches(&texts);
                if was_found != is_there {
                    let which = if is_there { "not found" } else { "found but not there" };
                    wrong.push(format!("UID {uid} {which}: {:?}", asked.key));
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(scan)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn bits(uids: &[u32], set: &UidSet) -> Vec<u64> {
    let mut words = vec![0u64; uids.len().div_ceil(64)];
    let mut at = 0;
    for uid in set.iter() {
        at += uids.get(at..).unwrap().partition_point(|other| *other < uid);
        assert_eq!(uids.get(at), Some(&uid), "a search found what is not in the mailbox");
        *words.get_mut(at / 64).unwrap() |= 1 << (at % 64);
    }
    words
}
