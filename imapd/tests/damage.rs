//! A message whose bytes went bad on the disk is reported as damaged; the others are served, and no wrong
//! byte is.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that do not compress, so that they lie in the log as they are.
fn incompressible(bytes: usize, mut state: u32) -> Vec<u8> {
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 1
    };
    let mut message = b"Subject: noise\r\n\r\n".to_vec();
    message.extend(std::iter::repeat_with(next).take(bytes));
    message
}

/// The file below `dir` that holds the bytes, and where.
fn find(dir: &Path, needle: &[u8]) -> Option<(PathBuf, usize)> {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, needle) {
                return Some(found);
            }
        } else if let Some(at) =
            std::fs::read(&path).unwrap().windows(needle.len()).position(|window| window == needle)
        {
            return Some((path, at));
        }
    }
    None
}

fn spoil(dir: &Path, needle: &[u8]) {
    let (path, at) = find(dir, needle).expect("the message lies in a file as it is");
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[needle[0] ^ 4], at as u64).unwrap();
}

#[test]
fn a_damaged_message_costs_itself_only() {
    let fixture = Fixture::new();
    let mut client = Client::logged_in(&fixture.shared());
    // One in a log segment and one, larger, in a body segment: it is sent in ranges.
    let (small, large) = (incompressible(5_000, 1), incompressible(1 << 20, 2));
    for message in [&small[..], &large, b"Subject: sound\r\n\r\nwhole\r\n"] {
        client.append("INBOX", "", message);
    }
    client.ok("SELECT INBOX");
    spoil(fixture.dir(), &small[3_000..3_064]);
    spoil(fixture.dir(), &large[900_000..900_064]);

    let answer = client.no("FETCH 1:3 BODY[]");
    assert!(answer.contains(" NO [CORRUPTION] "), "{answer}");
    assert!(answer.contains("* 3 FETCH (BODY[] {25}\r\nSubject: sound\r\n\r\nwhole\r\n FLAGS (\\Seen"));
    assert!(!answer.contains("noise"), "nothing of the damaged ones is sent");
    // \Seen was set before they were read, so the client is told.
    assert!(answer.contains("* 1 FETCH (FLAGS (\\Seen") && answer.contains("* 2 FETCH (FLAGS (\\Seen"));
    // What is sound of them is served.
    assert!(client.ok("FETCH 1:3 (UID FLAGS RFC822.SIZE)").contains("* 1 FETCH (UID 1 "));
    assert!(client.ok("FETCH 2 BODY.PEEK[]<0.16>").contains("{16}\r\nSubject: noise\r\n"));
    assert!(client.ok("SEARCH SUBJECT sound").contains("* SEARCH 3\r\n"));
    drop(client);
    assert!(!fixture.store.check(true).unwrap().is_clean(), "the check finds the damage");
    fixture.store.close().unwrap();
}
