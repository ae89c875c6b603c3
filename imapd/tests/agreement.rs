//! Several sessions on one mailbox, doing random things, always agree: what each client pieced
//! together from untagged responses is what the server has (RFC 3501 sections 5.2 and 7.4).

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture, Random};
use imapd::session::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a client that trusts the server's every word believes.
struct Believer {
    client: Client,
    /// By sequence number; `None` where the UID was not told yet.
    messages: Vec<Message>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Message {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

impl Believer {
    fn select(shared: &Arc<Shared>) -> Self {
        let mut client = Self { client: Client::logged_in(shared), messages: Vec::new() };
        client.run("SELECT INBOX");
        client
    }

    fn run(&mut self, command: &str) -> String {
        let may_expunge =
            !["FETCH", "STORE", "SEARCH", "SORT", "THREAD"].iter().any(|never| command.starts_with(never));
        let answer = self.client.send(format!("x {command}\r\n").as_bytes());
        let tagged = answer.lines().last().unwrap_or_default().to_owned();
        assert!(tagged.starts_with("x OK") || tagged.starts_with("x NO"), "{command}\n{answer}");
        // A response goes on behind its literal: the message here is `A: b`.
        for line in answer.replace("{7}\r\nA: b\r\n\r", "literal").lines() {
            self.believe(line, may_expunge);
        }
        tagged
    }

    fn believe(&mut self, line: &str, may_expunge: bool) {
        let words: Vec<&str> = line.split(' ').collect();
        let ["*", number, what, ..] = words[..] else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        match what {
            "EXISTS" => {
                assert!(number >= self.messages.len(), "EXISTS never shrinks: {line}");
                self.messages.resize(number, Message::default());
            }
            "EXPUNGE" => {
                assert!(may_expunge, "EXPUNGE where RFC 3501 section 7.4.1 forbids it");
                self.messages.remove(number - 1);
            }
            "FETCH" => {
                let message = &mut self.messages[number - 1];
                if let Some(uid) =
                    after(line, "UID ").and_then(|rest| rest.split([' ', ')']).next()?.parse().ok())
                {
                    assert!(message.uid.is_none_or(|known| known == uid), "another UID at {number}: {line}");
                    message.uid = Some(uid);
                }
                if let Some(flags) = after(line, "FLAGS (").and_then(|rest| rest.split(')').next()) {
                    let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
                    message.flags = Some(flags.map(str::to_owned).collect());
                }
            }
            _ => {}
        }
    }

    /// STORE .SILENT is not answered: the client changes what it believes itself.
    fn assume(&mut self, seq: usize, op: &str, flag: &str) {
        if let Some(flags) = &mut self.messages[seq - 1].flags {
            match op {
                "+FLAGS" => drop(flags.insert(flag.to_owned())),
                "-FLAGS" => drop(flags.remove(flag)),
                _ => *flags = BTreeSet::from([flag.to_owned()]),
            }
        }
    }

    fn by_uid(&self) -> BTreeMap<u32, BTreeSet<String>> {
        let known = |message: &Message| Some((message.uid?, message.flags.clone()?));
        self.messages.iter().filter_map(known).collect()
    }
}

fn after<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.split_once(mark).map(|(_, rest)| rest)
}

#[test]
fn sessions_agree_whatever_they_do() {
    let seeds = match std::env::var("MAILCASK_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=12_u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect::<Vec<u64>>(),
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
    let mut clients: Vec<Believer> = (0..4).map(|_| Believer::select(&shared)).collect();
    for _ in 0..400 {
        let who = random.below(clients.len());
        act(&mut clients[who], &mut random);
    }
    compare(&mut clients, seed);
    drop(clients);
    fixture.end();
}

/// The same at once, a thread each: what a seed does then also depends on the machine.
#[test]
fn sessions_agree_when_they_run_at_once() {
    let fixture = Fixture::new();
    let shared = fixture.shared();
    let clients: Vec<Believer> = (0..4).map(|_| Believer::select(&shared)).collect();
    let threads: Vec<_> = (1..)
        .zip(clients)
        .map(|(seed, mut client)| {
            std::thread::spawn(move || {
                let mut random = Random(seed * 7_919);
                for _ in 0..250 {
                    act(&mut client, &mut random);
                }
                client
            })
        })
        .collect();
    let mut clients: Vec<Believer> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    compare(&mut clients, 0);
    drop(clients);
    fixture.end();
}

/// Every client believes what is there, and all the same.
fn compare(clients: &mut [Believer], seed: u64) {
    let mut views = Vec::new();
    for client in clients {
        client.run("NOOP");
        let believed = client.by_uid();
        // What was pieced together has to be what is there.
        client.run("FETCH 1:* (UID FLAGS)");
        let fetched = client.by_uid();
        assert_eq!(fetched.len(), client.messages.len());
        for (uid, flags) in &believed {
            assert_eq!(fetched.get(uid), Some(flags), "message {uid}, MAILCASK_SEED={seed}");
        }
        let uids: Vec<u32> = client.messages.iter().filter_map(|message| message.uid).collect();
        assert!(uids.is_sorted_by(|a, b| a < b), "UIDs ascend strictly: {uids:?}");
        views.push(fetched);
    }
    assert!(views.windows(2).all(|pair| pair[0] == pair[1]), "the sessions disagree, MAILCASK_SEED={seed}");
}

fn act(client: &mut Believer, random: &mut Random) {
    let count = client.messages.len();
    let flag = random.pick(&["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "$Work"]);
    let op = random.pick(&["+FLAGS", "-FLAGS", "FLAGS"]);
    let seq = random.below(count.max(1)) + 1;
    match random.below(14) {
        0 | 1 => {
            let flags = random.pick(&["", "\\Seen", "$Work"]);
            client.run(&format!("APPEND INBOX ({flags}) {{7+}}\r\nA: b\r\n\r"));
        }
        2 if count > 0 => drop(client.run(&format!("STORE {seq} {op} ({flag})"))),
        3 if count > 0 => drop(client.run(&format!("UID STORE 1:* {op} ({flag})"))),
        4 if count > 0 => silent(client, seq, op, flag),
        5 => drop(client.run("EXPUNGE")),
        6 => drop(client.run("NOOP")),
        7 if count > 0 => drop(client.run(&format!("FETCH {seq}:* (UID FLAGS)"))),
        8 => drop(client.run("UID FETCH 1:* (FLAGS)")),
        9 if count > 0 => drop(client.run(&format!("FETCH {seq} BODY[]"))),
        10 => {
            let searches = ["SEARCH UNSEEN", "SORT (DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL"];
            client.run(random.pick(&searches));
        }
        11 if count > 0 => drop(client.run(&format!("COPY {seq} INBOX"))),
        12 if count > 0 => drop(client.run(&format!("MOVE {seq} Trash"))),
        13 if count > 0 => drop(client.run("UID SEARCH ALL")),
        _ => {}
    }
}

/// A silent STORE: the client believes its own change as it sends it; what it is told after that is
/// how the flags are in the end.
fn silent(client: &mut Believer, seq: usize, op: &str, flag: &str) {
    client.assume(seq, op, flag);
    client.run(&format!("STORE {seq} {op}.SILENT ({flag})"));
}
