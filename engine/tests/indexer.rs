//! The text index beside the mail: whatever happens to either, each live message that is covered is in
//! it once, and searches of it are exact.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean, seeds};
use engine::indexer::IndexStats;
use engine::ops::{AppendItem, FlagChange, FlagOp, NewAccount};
use engine::sys::clock::SimClock;
use engine::sys::disk::RealDisk;
use engine::sys::sim::SimDisk;
use engine::text::index::{EmailSet, Folded, Needle, Scope, Segment};
use engine::types::{AccountId, EmailId, MailboxId, UidSet};
use engine::{Store, StoreOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WORDS: [&str; 8] = ["Anchor", "binnacle", "capstan", "дрейф", "錨", "Eisgang", "fender", "gunwale"];

/// Without threads: the test says when what is done.
fn by_hand() -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    options.text.workers = 0;
    options
}

fn open(dir: &Path, options: &StoreOptions) -> Store {
    Store::open(dir, options.clone()).unwrap()
}

fn account(store: &Store, name: &str) -> AccountId {
    store.create_account(&NewAccount { name, ..NewAccount::default() }).unwrap()
}

fn mailbox(store: &Store, id: AccountId, name: &str) -> MailboxId {
    store.account(id).unwrap().mailbox_named(name).unwrap().header.id
}

fn text(rng: &mut Rng, lines: usize) -> String {
    let word = |rng: &mut Rng| (*rng.pick(&WORDS).unwrap()).to_owned();
    let subject = word(rng);
    let lines: String =
        (0..lines).map(|_| format!("{} {:x}, {}\r\n", word(rng), rng.next() >> 40, word(rng))).collect();
    format!(
        "Subject: {subject}\r\nFrom: <{:x}@test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{lines}",
        rng.next() >> 48
    )
}

fn append(store: &Store, id: AccountId, to: &str, rng: &mut Rng, count: usize) -> UidSet {
    let items = (0..count).map(|_| {
        let lines = 1 + rng.below(40);
        AppendItem {
            message: stage(store, &text(rng, lines)).unwrap(),
            flags: Vec::new(),
            internal_date: None,
        }
    });
    let items = items.collect();
    store.append(id, mailbox(store, id, to), items).unwrap().uids
}

fn some(rng: &mut Rng, uids: &UidSet, percent: usize) -> UidSet {
    uids.uids().filter(|_| rng.chance(percent)).map(|uid| uid.0).collect()
}

fn expunge(store: &Store, id: AccountId, from: &str, uids: &UidSet) {
    let from = mailbox(store, id, from);
    let flags = vec!["\\Deleted".to_owned()];
    let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
    store.change_flags(id, from, uids, change).unwrap();
    store.expunge(id, from, Some(uids)).unwrap();
}

/// The account's live emails, and the text that is found of each by reading it.
fn live(store: &Store, id: AccountId) -> Vec<(EmailId, String)> {
    let account = store.account(id).unwrap();
    let mut live = Vec::new();
    for mailbox in account.mailboxes() {
        for row in mailbox.rows(&mailbox.uids().unwrap()) {
            let row = row.unwrap();
            let raw = store.email(&row).unwrap().read_all().unwrap();
            live.push((row.email, engine::text::fold(&String::from_utf8(raw).unwrap())));
        }
    }
    live.sort();
    live.dedup_by_key(|(email, _)| *email);
    live
}

/// What a search does: the index proves, the message decides the rest.
fn assert_exact(store: &Store, id: AccountId, when: &str) {
    let text = store.text_view(id).unwrap();
    let live = live(store, id);
    let within: EmailSet = live.iter().map(|(email, _)| *email).collect();
    for pattern in WORDS.iter().copied().chain(["nchor b", "инн", "absent", "ender", "T", ", "]) {
        let needle = Needle::new(pattern);
        let hits = text.find(&needle, Scope::Text, Some(&within), &AtomicBool::new(false));
        for (email, text) in &live {
            let matches = needle.matches(text);
            let (sure, maybe) = (hits.sure.contains(*email), hits.maybe.contains(*email));
            assert!(!(sure && maybe), "{when}: {pattern:?} says both of {email}");
            assert!(!matches || sure || maybe, "{when}: {pattern:?} is in {email}, and not found");
            assert!(matches || !sure, "{when}: {pattern:?} is not in {email}, and found");
        }
    }
}

/// All of it is in the index: nothing but what no index can say is left to be read.
fn assert_covered(store: &Store, id: AccountId) -> IndexStats {
    let account = store.account(id).unwrap();
    let text = store.text_view(id).unwrap();
    assert!(text.covered() >= account.next_email, "{} < {}", text.covered(), account.next_email);
    let stats = store.index_stats(Some(id)).unwrap();
    assert_eq!(stats.backlog, 0);
    stats
}

fn settle(store: &Store) {
    assert!(store.settle_index().unwrap());
}

fn folder(dir: &Path, id: AccountId) -> PathBuf {
    dir.join("text").join(id.to_string())
}

fn close(store: Store) {
    store.close().unwrap();
}

#[test]
fn mail_is_covered_and_built_in_the_background() {
    for seed in seeds(2) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &StoreOptions::for_tests());
        let id = account(&store, "alice");
        for round in 0..12 {
            let count = 1 + rng.below(60);
            append(&store, id, "INBOX", &mut rng, count);
            assert_exact(&store, id, &format!("seed {seed}, round {round}"));
            if round % 2 == 0 {
                // What came is built now, not with what comes next.
                settle(&store);
            }
        }
        settle(&store);
        let stats = assert_covered(&store, id);
        assert!((1..=3).contains(&stats.figures.segments), "{stats:?}");
        assert_eq!(stats.figures.messages, live(&store, id).len() as u64);
        assert!(stats.figures.terms > 0 && stats.figures.segment_bytes > 0 && stats.settled);
        let counts = store.stats().unwrap().counts;
        assert!(counts.text_segments_built > 3 && counts.text_segments_merged > 3, "{counts:?}");
        assert_eq!(counts.messages_indexed, stats.figures.messages);
        assert_exact(&store, id, "settled");
        assert_clean(&store);
        close(store);
    }
}

/// A store is left after each number of steps, and opened again.
/// A search that waits for the account puts it first: also when it is the one at hand.
#[test]
fn an_account_that_is_searched_while_it_is_taken_in_is_taken_in_once() {
    for seed in seeds(2) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &by_hand());
        let id = account(&store, "a");
        let mut rng = Rng::new(seed);
        for _ in 0..8 {
            append(&store, id, "INBOX", &mut rng, 200);
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    store.text_view(id).unwrap();
                }
            });
            settle(&store);
            done.store(true, Ordering::Relaxed);
        });
        assert_covered(&store, id);
        assert_exact(&store, id, &format!("seed {seed}"));
        close(store);
    }
}

#[test]
fn a_restart_at_any_stage_goes_on() {
    for seed in seeds(1) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path(), &by_hand());
        let id = account(&store, "alice");
        for steps in 0..14 {
            let when = format!("seed {seed}, {steps} steps");
            let count = 1 + rng.below(70);
            let new = append(&store, id, "INBOX", &mut rng, count);
            for _ in 0..steps % 6 {
                store.step_index().unwrap();
            }
            if rng.chance(50) {
                expunge(&store, id, "INBOX", &some(&mut rng, &new, 40));
            }
            assert_exact(&store, id, &when);
            close(store);
            store = open(dir.path(), &by_hand());
            assert_exact(&store, id, &when);
            if rng.chance(30) {
                settle(&store);
                assert_covered(&store, id);
                assert_exact(&store, id, &when);
            }
            assert_clean(&store);
        }
        close(store);
    }
}

#[test]
fn copies_and_moves_before_indexing_are_covered_once() {
    for seed in seeds(5) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &by_hand());
        let id = account(&store, "alice");
        let (inbox, archive) = (mailbox(&store, id, "INBOX"), mailbox(&store, id, "Archive"));
        for round in 0..8 {
            let count = 1 + rng.below(30);
            let new = append(&store, id, "INBOX", &mut rng, count);
            if rng.chance(30) {
                store.step_index().unwrap();
            }
            store.copy(id, inbox, &some(&mut rng, &new, 30), archive).unwrap();
            store.move_messages(id, inbox, &some(&mut rng, &new, 50), archive).unwrap();
            let here = store.mailbox(id, archive).unwrap().uids().unwrap();
            expunge(&store, id, "Archive", &some(&mut rng, &here, 20));
            if rng.chance(50) {
                store.step_index().unwrap();
            }
            assert_exact(&store, id, &format!("seed {seed}, round {round}"));
            assert_clean(&store);
        }
        settle(&store);
        assert_covered(&store, id);
        assert_exact(&store, id, "settled");
        assert_clean(&store);
        close(store);
    }
}

#[test]
fn what_was_expunged_leaves_the_index() {
    let mut rng = Rng::new(1);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &by_hand());
    let id = account(&store, "alice");
    let all = append(&store, id, "INBOX", &mut rng, 300);
    settle(&store);
    let before = assert_covered(&store, id).figures;
    expunge(&store, id, "INBOX", &some(&mut rng, &all, 80));
    settle(&store);
    let after = assert_covered(&store, id).figures;
    assert!(after.messages < before.messages / 2, "{before:?} {after:?}");
    assert_exact(&store, id, "after");
    let rest = store.mailbox(id, mailbox(&store, id, "INBOX")).unwrap().uids().unwrap();
    expunge(&store, id, "INBOX", &rest);
    settle(&store);
    assert_eq!(assert_covered(&store, id).figures.segments, 0);
    assert_clean(&store);
    close(store);
}

#[test]
fn the_view_comes_back_when_it_was_removed() {
    let mut rng = Rng::new(1);
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::for_tests();
    let store = open(dir.path(), &options);
    let id = account(&store, "alice");
    append(&store, id, "INBOX", &mut rng, 150);
    settle(&store);
    let before = assert_covered(&store, id).figures;
    close(store);
    for remove in ["text", "summaries", &format!("text/{id}"), &format!("text/{id}/MANIFEST")] {
        let path = dir.path().join(remove);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap()
        } else {
            std::fs::remove_file(&path).unwrap()
        }
        let store = open(dir.path(), &options);
        assert_exact(&store, id, remove);
        settle(&store);
        let after = assert_covered(&store, id).figures;
        assert_eq!((after.messages, after.text_bytes), (before.messages, before.text_bytes), "{remove}");
        assert_exact(&store, id, remove);
        assert_clean(&store);
        close(store);
    }
}

/// Every file of the view in turn loses a byte in its middle while the store is closed.
#[test]
fn damage_costs_time_and_no_answer() {
    for seed in seeds(1) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let options = by_hand();
        let store = open(dir.path(), &options);
        let id = account(&store, "alice");
        append(&store, id, "INBOX", &mut rng, 120);
        settle(&store);
        append(&store, id, "INBOX", &mut rng, 5);
        settle(&store);
        close(store);
        for number in 0..30 {
            let mut files = Vec::new();
            list(&folder(dir.path(), id), &mut files);
            files.sort();
            let Some(file) = files.get(number) else { break };
            let mut bytes = std::fs::read(file).unwrap();
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
            std::fs::write(file, bytes).unwrap();
            let when =
                format!("seed {seed}: {}, byte {at}", file.strip_prefix(dir.path()).unwrap().display());
            let store = open(dir.path(), &options);
            // Damage where no search looks is found by `check --deep`.
            if store.check(true).unwrap().is_clean() {
                assert_exact(&store, id, &when);
            } else {
                store.reindex(id).unwrap();
            }
            settle(&store);
            assert_exact(&store, id, &when);
            assert_covered(&store, id);
            assert_clean(&store);
            close(store);
        }
    }
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

#[test]
fn a_torn_tail_is_cut_and_goes_on() {
    for seed in seeds(10) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut options = by_hand();
        options.text.segment_text_bytes = 1 << 20;
        let store = open(dir.path(), &options);
        let id = account(&store, "alice");
        for _ in 0..6 {
            append(&store, id, "INBOX", &mut rng, 3);
            store.step_index().unwrap();
        }
        let covered = store.text_view(id).unwrap().covered();
        close(store);
        let mut files = Vec::new();
        list(&folder(dir.path(), id), &mut files);
        let tail = files.iter().find(|path| path.to_string_lossy().contains("tail-")).unwrap();
        let bytes = std::fs::read(tail).unwrap();
        let mut torn = bytes[..rng.below(bytes.len())].to_vec();
        // What a power cut may leave behind: zeros, or what was there before.
        torn.extend(vec![0; rng.below(3000)]);
        std::fs::write(tail, torn).unwrap();
        let store = open(dir.path(), &options);
        assert!(store.text_view(id).unwrap().covered() <= covered);
        assert_exact(&store, id, &format!("seed {seed}, torn"));
        append(&store, id, "INBOX", &mut rng, 3);
        settle(&store);
        assert_covered(&store, id);
        close(store);
        let store = open(dir.path(), &options);
        assert_covered(&store, id);
        assert_exact(&store, id, &format!("seed {seed}, opened again"));
        assert_clean(&store);
        close(store);
    }
}

#[test]
fn a_deleted_account_leaves_nothing() {
    let mut rng = Rng::new(1);
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::for_tests();
    let store = open(dir.path(), &options);
    let (alice, bob) = (account(&store, "alice"), account(&store, "bob"));
    for id in [alice, bob] {
        append(&store, id, "INBOX", &mut rng, 100);
    }
    settle(&store);
    store.delete_account(alice).unwrap();
    settle(&store);
    assert!(!folder(dir.path(), alice).exists() && folder(dir.path(), bob).exists());
    assert!(!dir.path().join("summaries").join(alice.to_string()).exists());
    close(store);
    // One that went while nobody was there to see it.
    std::fs::create_dir_all(folder(dir.path(), alice).join("7")).unwrap();
    let store = open(dir.path(), &options);
    settle(&store);
    assert!(!folder(dir.path(), alice).exists());
    assert_exact(&store, bob, "the other");
    assert_clean(&store);
    close(store);
}

#[test]
fn many_accounts_share_few_open_views() {
    let mut rng = Rng::new(1);
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::for_tests();
    options.text.open_accounts = 4;
    options.text.cache_bytes = 10_000;
    let store = open(dir.path(), &options);
    let ids: Vec<AccountId> = (0..30).map(|n| account(&store, &format!("user{n}"))).collect();
    for _ in 0..3 {
        for id in &ids {
            let count = 1 + rng.below(12);
            append(&store, *id, "INBOX", &mut rng, count);
        }
    }
    settle(&store);
    for id in &ids {
        assert_covered(&store, *id);
        assert_exact(&store, *id, "many");
    }
    settle(&store);
    let stats = store.index_stats(None).unwrap();
    assert!(stats.open_accounts <= 5, "{stats:?}");
    assert_eq!(stats.figures.messages, store.stats().unwrap().messages);
    assert_clean(&store);
    close(store);
}

#[test]
fn reindex_makes_the_same_again_beside_searches() {
    let mut rng = Rng::new(1);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &StoreOptions::for_tests());
    let id = account(&store, "alice");
    append(&store, id, "INBOX", &mut rng, 200);
    settle(&store);
    let before = assert_covered(&store, id).figures;
    store.reindex(id).unwrap();
    for _ in 0..5 {
        assert_exact(&store, id, "meanwhile");
    }
    settle(&store);
    let after = assert_covered(&store, id).figures;
    assert_eq!((after.messages, after.text_bytes), (before.messages, before.text_bytes));
    assert_clean(&store);
    close(store);
}

/// A full disk, and a simulated one, which has tails only.
#[test]
fn a_full_disk_leaves_searches_exact() {
    for seed in seeds(3) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        let clock = Arc::new(SimClock::new(1_000_000));
        let mut options = StoreOptions::for_tests();
        options.log.reserve_segments = 0;
        let dir = Path::new("/store");
        let store = Store::open_on(Arc::new(disk.clone()), clock.clone(), dir, options.clone()).unwrap();
        let id = account(&store, "alice");
        append(&store, id, "INBOX", &mut rng, 20);
        settle(&store);
        append(&store, id, "INBOX", &mut rng, 20);
        disk.set_capacity_bytes(Some(disk.used_bytes() + rng.below(2000) as u64));
        let failed = store.settle_index();
        assert_exact(&store, id, &format!("seed {seed}, {failed:?}"));
        disk.set_capacity_bytes(None);
        store.reindex(id).unwrap();
        settle(&store);
        assert_covered(&store, id);
        assert_clean(&store);
        close(store);
        let disk = disk.power_cut();
        let store = Store::open_on(Arc::new(disk), clock, dir, options).unwrap();
        assert_exact(&store, id, "after the power cut");
        settle(&store);
        assert_covered(&store, id);
        assert_clean(&store);
        close(store);
    }
}

const CHILD_STORE: &str = "MAILCASK_INDEXER_STORE";
const CHILD_SEED: &str = "MAILCASK_INDEXER_SEED";

/// Does nothing unless asked to be the child: mail comes and goes, with the index behind it.
#[test]
fn child_under_load() {
    let (Ok(dir), Ok(seed)) = (std::env::var(CHILD_STORE), std::env::var(CHILD_SEED)) else { return };
    let mut rng = Rng::new(seed.parse().unwrap());
    let store = open(Path::new(&dir), &StoreOptions::for_tests());
    let id = store.account_id("alice").unwrap();
    for _ in 0.. {
        let count = 1 + rng.below(20);
        let new = append(&store, id, "INBOX", &mut rng, count);
        if rng.chance(40) {
            expunge(&store, id, "INBOX", &some(&mut rng, &new, 50));
        }
        if rng.chance(30) {
            settle(&store);
        }
        println!("\n@ {}", new.len());
    }
}

/// The process is killed under load, again and again; after each time searches are exact, and the index
/// catches up.
#[test]
fn kill_nine_under_load_leaves_the_index_right() {
    for seed in seeds(1) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), &by_hand());
        let id = account(&store, "alice");
        close(store);
        for round in 0..8 {
            run_and_kill(dir.path(), rng.next() >> 1, 1 + rng.below(15));
            let when = format!("seed {seed}, round {round}");
            let store = open(dir.path(), &by_hand());
            assert_exact(&store, id, &when);
            assert_clean(&store);
            if rng.chance(50) {
                settle(&store);
                assert_covered(&store, id);
                assert_exact(&store, id, &when);
                assert_clean(&store);
            }
            close(store);
        }
    }
}

fn run_and_kill(dir: &Path, seed: u64, rounds: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_under_load", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD_STORE, dir)
        .env(CHILD_SEED, seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let said = lines.filter(|line| line.starts_with("@ ")).take(rounds).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said, rounds, "the child ended by itself");
}

#[test]
fn a_merge_that_is_told_to_stop_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |number: u32| dir.path().join(number.to_string());
    let parts: Vec<Arc<Segment>> = (1..=2)
        .map(|number| {
            let folded = Folded::of(EmailId(number), format!("Subject: {number}\r\n\r\nbody\r\n").as_bytes());
            Segment::build(&RealDisk, &path(number), &mut std::iter::once(Ok(folded))).unwrap();
            Arc::new(Segment::open(&RealDisk, &path(number)).unwrap())
        })
        .collect();
    let live: EmailSet = (1..=2).map(EmailId).collect();
    let stop = Arc::new(AtomicBool::new(true));
    assert!(Segment::merge_until(&RealDisk, &path(3), &parts, &live, &stop).is_err());
    assert!(!path(3).exists());
    stop.store(false, Ordering::Relaxed);
    assert_eq!(Segment::merge_until(&RealDisk, &path(3), &parts, &live, &stop).unwrap().unwrap().docs, 2);
}
