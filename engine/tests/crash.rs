//! kill -9 of a process under load: every delivery and flag that it acknowledged is there once.
//!
//! The child is this same test binary, asked to run `child_under_load` by an environment variable; it
//! prints a line for each acknowledgement, and dies in the middle of the next.
#![allow(clippy::unwrap_used)]

mod common;

use common::work::stage;
use common::{Rng, assert_clean, seeds};
use engine::ops::{FlagChange, FlagOp, NewAccount, Recipient};
use engine::types::UidSet;
use engine::{Store, StoreOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const STORE: &str = "MAILCASK_CRASH_STORE";
const ROUND: &str = "MAILCASK_CRASH_ROUND";
const THREADS: usize = 4;
const ROUNDS: u64 = 5;

fn open(dir: &Path) -> Store {
    let mut options = StoreOptions::for_tests();
    options.keep.checkpoint_ms = 50;
    options.keep.checkpoint_bytes = 64 << 10;
    options.keep.snapshot_bytes = 128 << 10;
    Store::open(dir, options).unwrap()
}

/// Does nothing unless asked to be the child.
#[test]
fn child_under_load() {
    let (Ok(dir), Ok(round)) = (std::env::var(STORE), std::env::var(ROUND)) else { return };
    let store = open(Path::new(&dir));
    let id = store.account_id("alice").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, round) = (&store, &round);
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("{round}-{thread}-{number}");
                    let message =
                        stage(store, &format!("Subject: {name}\r\n\r\nbody of {name}\r\n")).unwrap();
                    let to = Recipient { account: id, detail: None, address: "alice".into() };
                    let delivered = store.deliver(&message, "", vec![to]).remove(0).unwrap();
                    say(&format!("delivered {name} {}", delivered.uid));
                    if number % 3 == 0 {
                        let mut uids = UidSet::new();
                        uids.insert_uid(delivered.uid);
                        let flags = vec!["\\Seen".into(), "kept".into()];
                        let change = FlagChange { op: FlagOp::Add, flags, unchanged_since: None };
                        store.change_flags(id, delivered.mailbox, &uids, change).unwrap();
                        say(&format!("flagged {name} {}", delivered.uid));
                    }
                }
            });
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@ {line}").unwrap();
    out.flush().unwrap();
}

#[derive(Default)]
struct Told {
    delivered: BTreeMap<String, u32>,
    flagged: BTreeSet<String>,
}

/// Runs the child until it has said `acks` things, and kills it.
fn run_and_kill(dir: &Path, round: u64, acks: usize, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_under_load", "--exact", "--nocapture", "--test-threads=1"])
        .env(STORE, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = 0;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        let Some(line) = line.strip_prefix("@ ") else { continue };
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["delivered", name, uid] => {
                told.delivered.insert((*name).to_owned(), uid.parse().unwrap());
            }
            ["flagged", name, _] => {
                told.flagged.insert((*name).to_owned());
            }
            // The kill cut the line: then it was not said.
            _ => continue,
        }
        said += 1;
        if said == acks {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(said >= acks, "the child ended by itself after {said} of {acks} lines");
}

#[test]
fn kill_nine_under_load_loses_nothing_acknowledged() {
    for seed in seeds(1) {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.create_account(&NewAccount { name: "alice", ..NewAccount::default() }).unwrap();
        store.close().unwrap();
        drop(store);
        let mut told = Told::default();
        for round in 0..ROUNDS {
            run_and_kill(dir.path(), round, 20 + rng.below(300), &mut told);
            if round % 2 == 1 {
                std::fs::remove_dir_all(dir.path().join("catalog")).unwrap();
            }
            assert_kept(dir.path(), &told, &format!("seed {seed}, round {round}"));
        }
    }
}

fn assert_kept(dir: &Path, told: &Told, when: &str) {
    let store = open(dir);
    let account = store.account(store.account_id("alice").unwrap()).unwrap();
    let inbox = account.mailbox_named("INBOX").unwrap();
    let mut found = BTreeMap::new();
    for row in inbox.rows(&inbox.uids().unwrap()) {
        let row = row.unwrap();
        let text = String::from_utf8(store.email(&row).unwrap().read_all().unwrap()).unwrap();
        let name = text.rsplit("body of ").next().unwrap().trim().to_owned();
        let flags = inbox.flag_names(&row.flags).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert!(found.insert(name.clone(), (row.uid.0, flags)).is_none(), "{when}: {name} is there twice");
    }
    for (name, uid) in &told.delivered {
        let (found_uid, flags) = found.get(name).unwrap_or_else(|| panic!("{when}: {name} is lost"));
        assert_eq!(found_uid, uid, "{when}: {name} changed its UID");
        if told.flagged.contains(name) {
            assert!(flags.contains("\\Seen") && flags.contains("kept"), "{when}: {name} lost its flags");
        }
    }
    assert_clean(&store);
    store.close().unwrap();
}
