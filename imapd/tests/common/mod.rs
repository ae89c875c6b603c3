//! A real store in a temporary folder, and sessions on it without sockets.

#![allow(dead_code, clippy::unwrap_used)]

pub mod net;

use engine::ops::NewAccount;
use engine::sys::clock::{Clock, SystemClock};
use engine::sys::disk::{Disk, RealDisk};
use engine::types::AccountId;
use engine::{Store, StoreOptions};
use imapd::session::{Admission, Kept, Session, Shared, Step};
use std::sync::Arc;
use std::time::Duration;

/// A store with the account `alice`, password `secret`; `end` checks it.
pub struct Fixture {
    pub store: Store,
    pub account: AccountId,
    dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self::on(Arc::new(RealDisk), Arc::new(SystemClock))
    }

    pub fn on(disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_on(disk, clock, dir.path(), StoreOptions::for_tests()).unwrap();
        let new = NewAccount { name: "alice", password: Some("secret"), quota_bytes: None };
        let account = store.create_account(&new).unwrap();
        Self { store, account, dir }
    }

    pub fn shared(&self) -> Arc<Shared> {
        Arc::new(Shared {
            store: self.store.clone(),
            admission: Arc::new(Everybody),
            max_literal_bytes: 10 << 20,
            grace_ms: 600_000,
            failed_login_delay: Duration::ZERO,
        })
    }

    /// Where the store's files are.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The administrator's check, as every test that touched a store ends with.
    pub fn end(self) {
        check(&self.store);
        self.store.close().unwrap();
    }
}

pub fn check(store: &Store) {
    let report = store.check(true).unwrap();
    assert!(report.is_clean(), "{report:#?}");
}

pub struct Everybody;

impl Admission for Everybody {
    fn admit(&self, _: AccountId) -> Option<Box<dyn Send>> {
        Some(Box::new(()))
    }
}

/// Small and seeded: a failing run is repeated by its seed (`MAILCASK_SEED=..`).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A client and its session in one thread.
pub struct Client {
    session: Session,
    pub is_closed: bool,
    tags: u32,
}

impl Client {
    /// A connection before login; gives the greeting too.
    pub fn connect(shared: &Arc<Shared>) -> (Self, String) {
        let mut client = Self { session: Session::new(Arc::clone(shared)), is_closed: false, tags: 0 };
        let mut sink = Kept::default();
        let step = client.session.greet(None, &mut sink);
        client.run(step, &mut sink);
        (client, text(&sink))
    }

    pub fn logged_in(shared: &Arc<Shared>) -> Self {
        let (mut client, _) = Self::connect(shared);
        client.ok("LOGIN alice secret");
        client
    }

    /// Sends bytes, and gives everything the session answers until it needs more.
    pub fn send(&mut self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(&self.send_raw(bytes)).into_owned()
    }

    pub fn send_raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        assert!(!self.is_closed, "the session is over");
        self.session.push(bytes);
        let mut sink = Kept::default();
        let step = self.session.step(&mut sink);
        self.run(step, &mut sink);
        sink.bytes
    }

    /// Runs a command and gives its whole answer; it must end in the status.
    pub fn command(&mut self, command: &str, status: &str) -> String {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let answer = self.send(format!("{tag} {command}\r\n").as_bytes());
        let tagged = answer.lines().last().unwrap_or_default();
        assert!(tagged.starts_with(&format!("{tag} {status}")), "{command}:\n{answer}");
        answer
    }

    pub fn ok(&mut self, command: &str) -> String {
        self.command(command, "OK")
    }

    pub fn no(&mut self, command: &str) -> String {
        self.command(command, "NO")
    }

    /// What an idling client is told.
    pub fn wake(&mut self) -> String {
        let mut sink = Kept::default();
        let step = self.session.wake(&mut sink);
        self.run(step, &mut sink);
        text(&sink)
    }

    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> String {
        self.tags += 1;
        let mut bytes =
            format!("t{} APPEND {mailbox} ({flags}) {{{}+}}\r\n", self.tags, message.len()).into_bytes();
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(b"\r\n");
        let answer = self.send(&bytes);
        assert!(answer.contains(&format!("t{} OK", self.tags)), "{answer}");
        answer
    }

    fn run(&mut self, mut step: Step, sink: &mut Kept) {
        loop {
            step = match step {
                Step::NeedBytes => return,
                Step::Close => {
                    self.is_closed = true;
                    return;
                }
                Step::Again | Step::PasswordTurn | Step::Pause(_) => self.session.step(sink),
            };
        }
    }
}

fn text(sink: &Kept) -> String {
    String::from_utf8_lossy(&sink.bytes).into_owned()
}
