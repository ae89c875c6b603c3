//! A client that trusts every ADDTO and REMOVEFROM of its updating SORTs always has the list that the
//! server would give it now (RFC 5267 sections 4.3.2 to 4.3.5).

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture, Random};
use imapd::session::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Criteria and keys of the contexts.
const PROGRAMS: [&str; 5] = [
    "(SUBJECT REVERSE DATE) UTF-8 ALL",
    "(REVERSE SIZE) UTF-8 UNDELETED",
    "(FROM SUBJECT) UTF-8 FLAGGED",
    "(REVERSE ARRIVAL) UTF-8 OR SEEN SUBJECT b",
    "(DATE) UTF-8 NOT KEYWORD $Junk SMALLER 100",
];

/// One updating SORT, as the client has it.
struct Context {
    uid: bool,
    program: String,
    results: Vec<u32>,
}

struct Watcher {
    client: Client,
    contexts: BTreeMap<String, Context>,
}

impl Watcher {
    fn select(shared: &Arc<Shared>) -> Self {
        let mut client = Client::logged_in(shared);
        client.ok("SELECT INBOX");
        Self { client, contexts: BTreeMap::new() }
    }

    fn watch(&mut self, uid: bool, program: &str) {
        let prefix = if uid { "UID " } else { "" };
        let answer = self.client.ok(&format!("{prefix}SORT RETURN (UPDATE ALL) {program}"));
        assert!(!answer.contains("NOUPDATE"), "{answer}");
        let tag = answer.lines().last().unwrap().split(' ').next().unwrap().to_owned();
        let begin = format!("* ESEARCH (TAG \"{tag}\"){}", if uid { " UID" } else { "" });
        // What happened before the command was told to the other contexts.
        let (own, others): (Vec<&str>, Vec<&str>) =
            answer.lines().partition(|line| line.starts_with(&begin) && !line.contains("ADDTO"));
        self.hear(&others.join("\r\n"));
        let [own] = own[..] else { panic!("{answer}") };
        let results = own.split_once("ALL ").map_or(Vec::new(), |(_, set)| expanded(set));
        self.contexts.insert(tag, Context { uid, program: program.to_owned(), results });
    }

    fn run(&mut self, command: &str) {
        // A STORE of what is gone is NO.
        let answer = self.client.send(format!("x {command}\r\n").as_bytes());
        assert!(!answer.contains("x BAD"), "{command}\n{answer}");
        self.hear(&answer);
    }

    fn hear(&mut self, answer: &str) {
        for line in answer.lines() {
            if let Some(rest) = line.strip_prefix("* ESEARCH (TAG \"") {
                let (tag, rest) = rest.split_once("\")").unwrap();
                let context = self.contexts.get_mut(tag).unwrap_or_else(|| panic!("not watched: {line}"));
                assert_eq!(rest.starts_with(" UID "), context.uid, "{line}");
                context.update(rest.trim_start_matches(" UID"), line);
            } else if let Some(seq) = line.strip_suffix(" EXPUNGE").and_then(|line| line.strip_prefix("* ")) {
                let seq = seq.parse().unwrap();
                for context in self.contexts.values_mut().filter(|context| !context.uid) {
                    assert!(!context.results.contains(&seq), "expunged, not removed before: {answer}");
                    for result in context.results.iter_mut().filter(|result| **result > seq) {
                        *result -= 1;
                    }
                }
            }
        }
    }

    /// Every list is what SORT gives now.
    fn compare(&mut self) {
        self.run("NOOP");
        for context in self.contexts.values() {
            let prefix = if context.uid { "UID " } else { "" };
            let answer = self.client.ok(&format!("{prefix}SORT {}", context.program));
            let line = answer.lines().find(|line| line.starts_with("* SORT")).unwrap();
            let now: Vec<u32> = line.split(' ').skip(2).map(|number| number.parse().unwrap()).collect();
            assert_eq!(context.results, now, "{prefix}SORT {}", context.program);
        }
    }

    fn forget(&mut self) {
        let Some((tag, _)) = self.contexts.pop_first() else { return };
        let answer = self.client.ok(&format!("CANCELUPDATE \"{tag}\""));
        self.hear(&answer);
    }
}

impl Context {
    /// ` REMOVEFROM (3 7) ADDTO (1 2:3 5 9)`
    fn update(&mut self, items: &str, line: &str) {
        let mut words = items.split([' ', '(', ')']).filter(|word| !word.is_empty()).peekable();
        while let Some(item) = words.next() {
            while let Some(place) = words.next_if(|word| word.parse::<usize>().is_ok()) {
                let at = place.parse::<usize>().unwrap().checked_sub(1).expect("a place of a sorted list");
                let set = expanded(words.next().unwrap());
                assert!(at <= self.results.len(), "{line}\n{:?}", self.results);
                match item {
                    "ADDTO" => drop(self.results.splice(at..at, set)),
                    "REMOVEFROM" => {
                        let removed: Vec<u32> = self.results.drain(at..at + set.len()).collect();
                        assert_eq!(removed, set, "{line}");
                    }
                    other => panic!("{other} in {line}"),
                }
            }
        }
    }
}

fn expanded(set: &str) -> Vec<u32> {
    let range = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse::<u32>().unwrap()
    };
    set.split(',').flat_map(range).collect()
}

#[test]
fn a_client_that_follows_has_what_the_server_has() {
    let seeds = match std::env::var("MAILCASK_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=4_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        println!("MAILCASK_SEED={seed}");
        play(seed);
    }
}

fn play(seed: u64) {
    let fixture = Fixture::new();
    let shared = fixture.shared();
    let mut random = Random(seed);
    let (mut watcher, mut other) = (Watcher::select(&shared), Client::logged_in(&shared));
    other.ok("SELECT INBOX");
    for _ in 0..8 {
        append(&mut other, &mut random);
    }
    for step in 0..250 {
        act(&mut watcher, &mut other, &mut random);
        if step % 20 == 0 {
            watcher.compare();
        }
    }
    watcher.compare();
    drop((watcher, other));
    fixture.end();
}

fn act(watcher: &mut Watcher, other: &mut Client, random: &mut Random) {
    let flag = random.pick(&["\\Seen", "\\Flagged", "\\Deleted", "$Junk"]);
    let op = random.pick(&["+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT"]);
    let uid = random.below(60) + 1;
    let store = format!("UID STORE {uid}:{} {op} ({flag})", uid + random.below(4));
    let in_other =
        |other: &mut Client, command: &str| drop(other.send(format!("y {command}\r\n").as_bytes()));
    match random.below(12) {
        0..3 => append(other, random),
        3 | 4 => in_other(other, &store),
        5 => watcher.run(&store),
        6 => in_other(other, "EXPUNGE"),
        7 => watcher.run(random.pick(&["EXPUNGE", "NOOP", "CHECK"])),
        8 => watcher.run(random.pick(&["FETCH 1 FLAGS", "SEARCH ALL", "UID FETCH 1:* FLAGS"])),
        9 if watcher.contexts.len() < 4 => {
            let program = random.pick(&PROGRAMS);
            watcher.watch(random.below(2) == 0, program);
        }
        10 if watcher.contexts.len() >= 3 => watcher.forget(),
        _ => {}
    }
}

fn append(other: &mut Client, random: &mut Random) {
    let subject = random.pick(&["a", "Re: a", "b", "fwd: b", "c", ""]);
    let from = random.pick(&["x", "y", "z"]);
    let (day, text) = (random.below(9) + 1, "x".repeat(random.below(90)));
    let message = format!(
        "From: {from}@example.org\r\nSubject: {subject}\r\nDate: {day} Jul 1996 00:00:00 +0000\r\n\r\n{text}\r\n"
    );
    other.append("INBOX", random.pick(&["", "\\Seen", "\\Flagged", "$Junk"]), message.as_bytes());
}
