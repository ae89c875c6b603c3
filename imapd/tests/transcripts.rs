//! Conversations by RFC and command, as files in `transcripts/`.
//!
//! `C: ` is a line from the client, `S: ` one from the server; a digit makes it another session
//! (`C2: `, `S2: `). `C: .. {@name}` sends the message `name` as a literal; a message is defined by
//! `@name` and lines that begin with `|`. `W: ` wakes an idling session. `…` in an expected line stands
//! for anything, and alone for all lines but the last. What is expected is everything the server says, up to the next line of a client.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Fixture};
use std::collections::{BTreeMap, VecDeque};

macro_rules! transcripts {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            run(include_str!(concat!("transcripts/", stringify!($name), ".txt")));
        }
    )*};
}

transcripts!(
    any_state,
    append,
    bad_commands,
    condstore,
    context,
    context_sort,
    copy_move,
    esearch,
    esort,
    expunge_close,
    fetch_items,
    fetch_sections,
    idle,
    list,
    login,
    mailboxes,
    multisearch,
    preview,
    search,
    searchres,
    select,
    sort,
    status,
    store,
    thread,
    two_sessions,
    vanished_mailbox,
);

/// The sessions that begin logged in; the others begin with the greeting.
const LOGGED_IN: [&str; 4] = ["1", "2", "3", "4"];

struct Player {
    fixture: Fixture,
    clients: BTreeMap<String, Client>,
    said: BTreeMap<String, VecDeque<String>>,
    messages: BTreeMap<String, String>,
}

fn run(transcript: &str) {
    let mut player = Player {
        fixture: Fixture::new(),
        clients: BTreeMap::new(),
        said: BTreeMap::new(),
        messages: BTreeMap::new(),
    };
    let mut defining: Option<String> = None;
    for (number, line) in (1..).zip(transcript.lines()) {
        if let (Some(name), Some(text)) = (&defining, line.strip_prefix('|')) {
            let text = text.strip_prefix(' ').unwrap_or(text);
            let message = player.messages.entry(name.clone()).or_default();
            message.push_str(&text.replace("\\t", "\t"));
            message.push_str("\r\n");
            continue;
        }
        defining = line.strip_prefix('@').map(str::to_owned);
        if line.is_empty() || line.starts_with('#') || defining.is_some() {
            continue;
        }
        let (who, text) = line.split_once(':').unwrap_or((line, ""));
        player.line(who, text.strip_prefix(' ').unwrap_or(text), number);
    }
    player.end();
}

impl Player {
    fn line(&mut self, who: &str, text: &str, number: u32) {
        let (kind, session) = who.split_at(1);
        self.connect(session);
        match kind {
            "S" if text == "…" => {
                let said = self.said.get_mut(session).unwrap();
                said.drain(..said.len().saturating_sub(1));
            }
            "S" => {
                let said = self.said.get_mut(session).unwrap().pop_front();
                let said = said.unwrap_or_else(|| panic!("line {number}: nothing more was said, not {text}"));
                assert!(matches(text, &said), "line {number}:\n expected {text}\n      got {said}");
            }
            "C" => {
                self.expect_silence(session, number);
                let bytes = self.literals(text);
                let answer = self.clients.get_mut(session).unwrap().send(&bytes);
                self.heard(session, &answer);
            }
            "W" => {
                self.expect_silence(session, number);
                let answer = self.clients.get_mut(session).unwrap().wake();
                self.heard(session, &answer);
            }
            _ => panic!("line {number} is neither of the client nor of the server"),
        }
    }

    /// The first line of a session connects it; the greeting is the first thing it says.
    fn connect(&mut self, session: &str) {
        if !self.clients.contains_key(session) {
            let (client, greeting) = Client::connect(&self.fixture.shared());
            self.clients.insert(session.to_owned(), client);
            self.heard(session, &greeting);
            if LOGGED_IN.contains(&session) {
                self.said.remove(session);
                self.clients.get_mut(session).unwrap().ok("LOGIN alice secret");
                self.heard(session, "");
            }
        }
    }

    fn heard(&mut self, session: &str, answer: &str) {
        let said = self.said.entry(session.to_owned()).or_default();
        said.extend(answer.split_terminator("\r\n").map(str::to_owned));
    }

    fn expect_silence(&self, session: &str, number: u32) {
        let said = &self.said[session];
        assert!(said.is_empty(), "before line {number} the server also said: {said:#?}");
    }

    /// `{@name}` becomes a literal; the line ends in CRLF.
    fn literals(&self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{@") {
            let (name, after) = after.split_once('}').unwrap();
            let message = &self.messages[name];
            bytes.extend_from_slice(format!("{before}{{{}+}}\r\n{message}", message.len()).as_bytes());
            rest = after;
        }
        bytes.extend_from_slice(rest.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    fn end(self) {
        for (session, said) in &self.said {
            assert!(said.is_empty(), "at the end session {session:?} also said: {said:#?}");
        }
        drop(self.clients);
        self.fixture.end();
    }
}

/// `…` stands for anything.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || last.is_some_and(|part| part.is_empty() || line.ends_with(part))
}
