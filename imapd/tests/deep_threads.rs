//! Answers about a whole mailbox, and a thread as deep as one: written in bounded parts, on a small stack.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture};
use imapd::session::{Gone, Session, Shared, Sink, Step};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const MESSAGES: usize = 14_000;
/// Far less than a frame a message would need.
const STACK_BYTES: usize = 1 << 20;

/// What `Out` gathers before it sends, and one piece of an answer more.
const PART_BYTES_MAX: usize = (64 << 10) + 4096 * 12;

/// Notes the largest part that was sent at once.
#[derive(Default)]
struct Measured {
    bytes: Vec<u8>,
    parts: usize,
    largest_bytes: usize,
    gone: AtomicBool,
}

impl Sink for Measured {
    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.parts += 1;
        self.largest_bytes = self.largest_bytes.max(bytes.len());
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn gone(&self) -> &AtomicBool {
        &self.gone
    }
}

fn ask(session: &mut Session, command: &str) -> Measured {
    let mut sink = Measured::default();
    session.push(format!("a {command}\r\n").as_bytes());
    while session.step(&mut sink) != Step::NeedBytes {}
    sink
}

/// The untagged line of the answer.
fn line(answer: &Measured) -> String {
    let text = String::from_utf8(answer.bytes.clone()).unwrap();
    assert!(text.lines().last().unwrap().starts_with("a OK"), "{text:.200}");
    text.lines().next().unwrap().to_owned()
}

fn append_chain(shared: &Arc<Shared>) {
    let mut client = Client::logged_in(shared);
    let mut bytes = b"a APPEND INBOX".to_vec();
    for n in 1..=MESSAGES {
        let message = format!("Message-ID: <{n}@x>\r\nReferences: <{}@x>\r\nSubject: {n}\r\n\r\n", n - 1);
        bytes.extend_from_slice(format!(" {{{}+}}\r\n{message}", message.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    assert!(client.send(&bytes).contains("a OK"));
}

#[test]
fn answers_about_a_whole_mailbox_come_in_parts() {
    let fixture = Fixture::new();
    let shared = fixture.shared();
    append_chain(&shared);
    let account = fixture.account;
    let small = std::thread::Builder::new().stack_size(STACK_BYTES);
    let asked = small.spawn(move || {
        let mut session = Session::new(shared);
        session.greet(Some(account), &mut Measured::default());
        ask(&mut session, "SELECT INBOX");
        let numbers: Vec<String> = (1..=MESSAGES).map(|n| n.to_string()).collect();
        let in_line = numbers.join(" ");

        let sorted = ask(&mut session, "SORT (ARRIVAL) UTF-8 ALL");
        assert_eq!(line(&sorted), format!("* SORT {in_line}"));
        assert!(sorted.parts > 1 && sorted.largest_bytes <= PART_BYTES_MAX, "{}", sorted.largest_bytes);

        let reversed = ask(&mut session, "UID SORT RETURN (ALL) (REVERSE SIZE) UTF-8 ALL");
        assert!(reversed.largest_bytes <= PART_BYTES_MAX, "{}", reversed.largest_bytes);

        let threads = ask(&mut session, "THREAD REFERENCES UTF-8 ALL");
        assert_eq!(line(&threads), format!("* THREAD ({in_line})"));
        assert!(threads.parts > 1 && threads.largest_bytes <= PART_BYTES_MAX, "{}", threads.largest_bytes);
    });
    asked.unwrap().join().unwrap();
    fixture.end();
}
