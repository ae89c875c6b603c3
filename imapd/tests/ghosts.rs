//! Messages that another session expunged: readable for a while, then NO (ARCHITECTURE, RFC 5530).

#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Everybody, check};
use engine::ops::NewAccount;
use engine::sys::clock::Clock;
use engine::sys::disk::RealDisk;
use engine::{Store, StoreOptions};
use imapd::session::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that is turned by hand.
struct Turned(AtomicU64);

impl Clock for Turned {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn boot_id(&self) -> String {
        "boot".to_owned()
    }
}

#[test]
fn an_expunged_message_is_readable_for_its_grace_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Turned(AtomicU64::new(1_700_000_000_000)));
    let store =
        Store::open_on(Arc::new(RealDisk), clock.clone(), dir.path(), StoreOptions::for_tests()).unwrap();
    let new = NewAccount { name: "alice", password: Some("secret"), quota_bytes: None };
    store.create_account(&new).unwrap();
    let shared = Arc::new(Shared {
        store: store.clone(),
        admission: Arc::new(Everybody),
        max_literal_bytes: 1 << 20,
        grace_ms: 600_000,
        failed_login_delay: Duration::ZERO,
    });
    let (mut reader, mut remover) = (Client::logged_in(&shared), Client::logged_in(&shared));
    reader.append("INBOX", "", b"Subject: one\r\n\r\n1\r\n");
    reader.append("INBOX", "", b"Subject: two\r\n\r\n2\r\n");
    reader.ok("SELECT INBOX");
    remover.ok("SELECT INBOX");
    remover.ok("STORE 1 +FLAGS (\\Deleted)");
    remover.ok("EXPUNGE");

    // Noticed now, and not announced: FETCH may not.
    assert!(reader.ok("FETCH 1 BODY.PEEK[TEXT]").contains("BODY[TEXT] {3}\r\n1\r\n)"));
    clock.0.fetch_add(600_000, Ordering::SeqCst);
    assert!(reader.ok("FETCH 1 BODY.PEEK[TEXT]").contains("{3}\r\n1\r\n)"));
    clock.0.fetch_add(1, Ordering::SeqCst);
    // The others are sent, the flags are still known, and NO says what is wrong.
    let answer = reader.no("FETCH 1:2 (UID BODY.PEEK[TEXT])");
    assert!(answer.contains("* 2 FETCH (UID 2 BODY[TEXT] {3}\r\n2\r\n)"), "{answer}");
    assert!(!answer.contains("* 1 FETCH") && answer.contains(" NO [EXPUNGEISSUED] "), "{answer}");
    assert!(reader.ok("FETCH 1 (UID FLAGS)").contains("* 1 FETCH (UID 1 FLAGS ("));
    assert!(reader.no("COPY 1:2 Sent").contains("NO [EXPUNGEISSUED]"));
    assert!(reader.ok("NOOP").contains("* 1 EXPUNGE"));
    assert!(reader.ok("STATUS Sent (MESSAGES)").contains("MESSAGES 0"), "COPY is all or nothing");
    drop((reader, remover));
    check(&store);
    store.close().unwrap();
}
