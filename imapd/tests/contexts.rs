//! Searches kept up to date (RFC 5267 section 4.3): whatever others do, who applies every ADDTO and
//! REMOVEFROM has what the same search finds now.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture, Random};
use engine::sys::clock::SimClock;
use engine::sys::disk::RealDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const KEYS: [&str; 14] = [
    "ALL",
    "UNSEEN",
    "FLAGGED UNDELETED",
    "OR DELETED KEYWORD $Work",
    "NOT (SEEN FLAGGED)",
    "SUBJECT apple",
    "TEXT pear NOT ANSWERED",
    "OR BODY apple UNKEYWORD $Work",
    "YOUNGER 50 UNDELETED",
    "OLDER 30",
    "OR OLDER 70 NOT YOUNGER 20",
    "UID *",
    "UID 7:* NOT UID 9",
    "MODSEQ 40",
];

/// What a client that follows its searches has, by tag.
struct Follower {
    client: Client,
    results: BTreeMap<String, BTreeSet<u32>>,
    searches: u32,
    compared: u32,
    updates: u32,
}

impl Follower {
    fn run(&mut self, command: &str) {
        let answer = self.client.send(format!("x {command}\r\n").as_bytes());
        let tagged = answer.lines().last().unwrap_or_default();
        assert!(tagged.starts_with("x OK") || tagged.starts_with("x NO"), "{command}\n{answer}");
        self.hear(&answer);
    }

    fn hear(&mut self, answer: &str) {
        for line in answer.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["*", seq, "EXPUNGE"] => self.expunge(seq.parse().unwrap()),
                ["*", "ESEARCH", "(TAG", tag, ref rest @ ..] => {
                    let tag = tag.trim_matches(['"', ')']);
                    self.esearch(tag, rest, line);
                }
                _ => assert!(!line.contains("NOUPDATE"), "{line}"),
            }
        }
    }

    /// Numbers above move down, in what was asked for by number.
    fn expunge(&mut self, gone: u32) {
        for (_, numbers) in self.results.iter_mut().filter(|(tag, _)| tag.starts_with("num")) {
            assert!(!numbers.contains(&gone), "REMOVEFROM {gone} comes before its EXPUNGE");
            *numbers = numbers.iter().map(|&n| if n > gone { n - 1 } else { n }).collect();
        }
    }

    fn esearch(&mut self, tag: &str, rest: &[&str], line: &str) {
        let mut rest = rest.iter().filter(|word| **word != "UID");
        let item = rest.next().copied().unwrap_or("ALL");
        if let Some(of) = tag.strip_prefix("fresh") {
            let now: BTreeSet<u32> = rest.next().map(|set| numbers(set).collect()).unwrap_or_default();
            assert_eq!(self.results[of], now, "what {of} was told of differs: {line}");
            self.compared += 1;
            return;
        }
        let results = self.results.entry(tag.to_owned()).or_default();
        if item == "ALL" {
            results.extend(rest.next().into_iter().flat_map(|set| numbers(set)));
            return;
        }
        self.updates += 1;
        assert_eq!(rest.next(), Some(&"(0"), "{line}");
        for number in numbers(rest.next().unwrap().trim_end_matches(')')) {
            match item {
                "ADDTO" => assert!(results.insert(number), "{number} is there already: {line}"),
                "REMOVEFROM" => assert!(results.remove(&number), "{number} is not there: {line}"),
                _ => panic!("{line}"),
            }
        }
    }

    /// A search to follow; at times an older one is cancelled for it.
    fn follow(&mut self, random: &mut Random) {
        if self.results.len() >= 20 {
            let tag = self.results.keys().nth(random.below(self.results.len())).unwrap().clone();
            // Nothing is told of it any more, not even what comes with the answer.
            self.results.remove(&tag);
            self.run(&format!("CANCELUPDATE \"{tag}\""));
        }
        let key = random.below(KEYS.len());
        let (kind, uid) = if random.below(2) == 0 { ("num", "") } else { ("uid", "UID ") };
        self.searches += 1;
        let tag = format!("{kind}-{key}-{}", self.searches);
        let answer =
            self.client.send(format!("{tag} {uid}SEARCH RETURN (UPDATE ALL) {}\r\n", KEYS[key]).as_bytes());
        assert!(answer.contains(&format!("{tag} OK")), "{answer}");
        self.hear(&answer);
    }

    fn compare(&mut self) {
        for tag in self.results.keys().cloned().collect::<Vec<_>>() {
            let parts: Vec<&str> = tag.split('-').collect();
            let uid = if parts[0] == "uid" { "UID " } else { "" };
            let key = KEYS[parts[1].parse::<usize>().unwrap()];
            let answer =
                self.client.send(format!("fresh{tag} {uid}SEARCH RETURN (ALL) {key}\r\n").as_bytes());
            self.hear(&answer);
        }
    }
}

/// The members of a set.
fn numbers(set: &str) -> impl Iterator<Item = u32> + '_ {
    set.split(',').flat_map(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    })
}

#[test]
fn followers_have_what_a_fresh_search_finds() {
    let seeds = match std::env::var("MAILCASK_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=10_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        println!("MAILCASK_SEED={seed}");
        play(seed);
    }
}

fn play(seed: u64) {
    let clock = Arc::new(SimClock::new(1_700_000_000_000));
    let fixture = Fixture::on(Arc::new(RealDisk), Arc::clone(&clock) as _);
    let shared = fixture.shared();
    let mut random = Random(seed);
    let mut other = Client::logged_in(&shared);
    other.ok("SELECT INBOX");
    let client = Client::logged_in(&shared);
    let mut follower = Follower { client, results: BTreeMap::new(), searches: 0, compared: 0, updates: 0 };
    follower.run("SELECT INBOX");
    for _ in 0..250 {
        clock.advance(random.below(9_000) as u64);
        if random.below(2) == 0 {
            change(&mut |command| drop(other.send(format!("y {command}\r\n").as_bytes())), &mut random);
            continue;
        }
        match random.below(8) {
            0 => follower.run("NOOP"),
            1 => follower.run("FETCH 1:* (UID FLAGS)"),
            2 => follower.run("UID FETCH 1:* BODY[TEXT]"),
            3 => {
                let idling = follower.client.send(b"x IDLE\r\n");
                follower.hear(&idling);
                change(&mut |command| drop(other.send(format!("y {command}\r\n").as_bytes())), &mut random);
                let woken = follower.client.wake();
                follower.hear(&woken);
                let done = follower.client.send(b"DONE\r\n");
                follower.hear(&done);
            }
            4 | 5 => follower.follow(&mut random),
            6 => change(&mut |command| follower.run(command), &mut random),
            _ => follower.compare(),
        }
    }
    follower.run("NOOP");
    follower.compare();
    assert!(follower.compared > 50 && follower.updates > 50, "too little was seen, MAILCASK_SEED={seed}");
    drop((other, follower));
    fixture.end();
}

/// Something that changes the mailbox, or tries to.
fn change(run: &mut dyn FnMut(&str), random: &mut Random) {
    let flag = random.pick(&["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "$Work"]);
    let op = random.pick(&["+FLAGS.SILENT", "-FLAGS.SILENT", "FLAGS", "+FLAGS"]);
    let uid = random.below(30) + 1;
    match random.below(8) {
        0..=3 => {
            let subject = random.pick(&["an apple", "a pear", "a plum"]);
            let text = random.pick(&["apples", "pears", "plums"]);
            let flags = random.pick(&["", "\\Seen", "$Work", "\\Flagged"]);
            let message = format!("Subject: {subject}\r\n\r\n{text}\r\n");
            run(&format!("APPEND INBOX ({flags}) {{{}+}}\r\n{message}", message.len()));
        }
        4 | 5 => run(&format!("UID STORE {uid}:* {op} ({flag})")),
        6 => run("EXPUNGE"),
        _ => run(&format!("UID MOVE {uid} Trash")),
    }
}

#[test]
fn too_many_are_refused_one_by_one() {
    let fixture = Fixture::new();
    let mut client = Client::logged_in(&fixture.shared());
    client.ok("SELECT INBOX");
    let refused = |answer: &str| answer.contains("* NO [NOUPDATE \"t");
    let mut kept = 0;
    // The other options are honoured all the same (RFC 5267 section 4.3.1).
    while !refused(&client.ok("SEARCH RETURN (UPDATE COUNT) UNSEEN")) {
        kept += 1;
        assert!(kept < 1000, "there is a limit");
    }
    assert!(kept > 1);
    assert!(client.ok("SEARCH RETURN (UPDATE COUNT) UNSEEN").contains("COUNT 0\r\n"));
    client.ok("CANCELUPDATE \"t3\"");
    assert!(!refused(&client.ok("SEARCH RETURN (UPDATE COUNT) UNSEEN")));
    drop(client);
    fixture.end();
}
