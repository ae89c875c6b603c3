//! Commands with bytes changed, dropped and put in: a session answers or ends, and never panics, and the
//! store is sound afterwards.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture, Random};

/// What the noise is made of: the client's lines of the transcripts.
const SOURCES: [&str; 13] = [
    include_str!("transcripts/append.txt"),
    include_str!("transcripts/condstore.txt"),
    include_str!("transcripts/copy_move.txt"),
    include_str!("transcripts/fetch_sections.txt"),
    include_str!("transcripts/idle.txt"),
    include_str!("transcripts/list.txt"),
    include_str!("transcripts/mailboxes.txt"),
    include_str!("transcripts/search.txt"),
    include_str!("transcripts/sort.txt"),
    include_str!("transcripts/thread.txt"),
    include_str!("transcripts/esort.txt"),
    include_str!("transcripts/context_sort.txt"),
    include_str!("transcripts/preview.txt"),
];

/// Bytes that mean something to the grammar, more often than others.
const SPICE: &[u8] = b" (){}[]<>\"\\*%+,:.0123456789\r\n\0\x80\xffAaBODY";

#[test]
fn noise_panics_nothing_and_spoils_nothing() {
    let seeds = match std::env::var("MAILCASK_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 1..=60_u64,
    };
    let lines: Vec<&[u8]> = SOURCES
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix('C').and_then(|line| line.split_once(": ")))
        .map(|(_, command)| command.as_bytes())
        .collect();
    let fixture = Fixture::new();
    let shared = fixture.shared();
    for seed in seeds {
        println!("MAILCASK_SEED={seed}");
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut client = Client::logged_in(&shared);
        client.append("INBOX", "", b"Subject: one\r\n\r\n1\r\n");
        client.ok("SELECT INBOX");
        for _ in 0..60 {
            let line = spoil(lines[random.below(lines.len())], &mut random);
            client.send_raw(&line);
            if client.is_closed {
                client = Client::logged_in(&shared);
            }
        }
    }
    fixture.end();
}

fn spoil(line: &[u8], random: &mut Random) -> Vec<u8> {
    let mut line = line.to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(line.len() + 1);
        let spice = SPICE[random.below(SPICE.len())];
        match random.below(3) {
            0 => line.insert(at, spice),
            1 if at < line.len() => line[at] = spice,
            _ if at < line.len() => drop(line.remove(at)),
            _ => {}
        }
    }
    line.extend_from_slice(b"\r\n");
    line
}
