//! engine.sock: the same store from another side of a socket.
#![allow(clippy::unwrap_used)]

mod common;

use common::assert_clean;
use engine::attach::{
    Admin, Body, Guard, NewMessage, Remote, Role, open_admin, own_as_server, serve, socket_path,
};
use engine::ops::{NewAccount, Recipient};
use engine::search::Key;
use engine::types::{AccountId, MailboxId, Uid, ZonedTime};
use engine::work::Work;
use engine::{Error, Store, StoreOptions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

struct Bytes(Vec<u8>);

impl Body for Bytes {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0.as_slice()))
    }
}

fn message(text: &[u8], flags: &[&str]) -> NewMessage {
    NewMessage {
        body: Box::new(Bytes(text.to_vec())),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        internal_date: Some(ZonedTime { unix_s: 1_000_000_000, offset_minutes: 90 }),
    }
}

fn served(dir: &Path, role: Role) -> (Store, Guard) {
    let store = Store::open(dir, StoreOptions::for_tests()).unwrap();
    let guard = serve(store.clone(), dir, role).unwrap();
    (store, guard)
}

fn account(admin: &dyn Admin, name: &str, quota_bytes: Option<u64>) -> (AccountId, MailboxId) {
    let id = admin.create_account(&NewAccount { name, password: Some("secret"), quota_bytes }).unwrap();
    let inbox = admin.mailboxes(id).unwrap().into_iter().find(|mailbox| mailbox.name == "INBOX").unwrap();
    (id, inbox.id)
}

fn read(admin: &dyn Admin, account: AccountId, mailbox: MailboxId, uid: u32) -> engine::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    admin.read(account, mailbox, Uid(uid), &mut bytes).map(|_| bytes)
}

#[test]
fn what_is_appended_is_listed_read_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let (store, guard) = served(dir.path(), Role::Server);
    let remote = Remote::connect(dir.path()).unwrap();
    let (ann, inbox) = account(&remote, "ann", None);
    let big = [b"Subject: big\r\n\r\n".as_slice(), &b"0123456789abcdef\r\n".repeat(20_000)].concat();
    let mut batch = [message(b"Subject: small\r\n\r\nx\r\n", &["\\Seen", "Work"]), message(&big, &[])];
    assert_eq!(remote.append(ann, inbox, &mut batch).unwrap().uids.to_string(), "1:2");

    let rows = remote.rows(ann, inbox, Uid(1)).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].flags, ["\\Seen", "Work"]);
    assert_eq!((rows[0].internal_date.unix_s, rows[0].internal_date.offset_minutes), (1_000_000_000, 90));
    assert_eq!(rows[1].size_bytes, big.len() as u64);
    assert_eq!(remote.rows(ann, inbox, Uid(2)).unwrap()[..], rows[1..]);
    assert!(remote.rows(ann, inbox, Uid(3)).unwrap().is_empty());
    assert!(read(&remote, ann, inbox, 2).unwrap() == big);
    let found = remote.search(ann, inbox, &Key::header("Subject", "BIG")).unwrap();
    assert_eq!(found.uids.to_string(), "2");
    assert_eq!(remote.stats().unwrap().messages, 2);
    assert!(remote.check(true, &mut Work::quiet()).unwrap().is_clean());

    drop(guard);
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn errors_come_back_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (store, guard) = served(dir.path(), Role::Server);
    let remote = Remote::connect(dir.path()).unwrap();
    let (ann, inbox) = account(&remote, "ann", Some(50));
    let again = NewAccount { name: "ann", password: None, quota_bytes: None };
    assert!(matches!(remote.create_account(&again), Err(Error::AlreadyExists(_))));
    assert!(matches!(remote.mailboxes(AccountId(99)), Err(Error::NoSuchAccount)));
    assert!(matches!(remote.delete_mailbox(ann, MailboxId(99)), Err(Error::NoSuchMailbox)));
    assert!(matches!(read(&remote, ann, inbox, 9), Err(Error::NoSuchMessage)));
    let long = vec![b'x'; 200_000];
    // Refused after all of it was sent, and the connection serves on.
    let refused = remote.append(ann, inbox, &mut [message(&long, &[]), message(b"y", &[])]);
    assert!(matches!(refused, Err(Error::OverQuota)));
    let refused = remote.append(ann, inbox, &mut [message(b"y", &["\\Nonsense"])]);
    assert!(matches!(refused, Err(Error::InvalidName(_))));
    assert!(matches!(remote.hand_over(), Err(Error::NotPossible(_))));
    assert!(remote.rows(ann, inbox, Uid(1)).unwrap().is_empty());
    drop(guard);
    assert!(matches!(remote.accounts(), Err(Error::Closed)));
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn a_delivery_has_a_verdict_for_each_recipient_and_a_retry_makes_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (store, guard) = served(dir.path(), Role::Server);
    let remote = Remote::connect(dir.path()).unwrap();
    let (ann, inbox) = account(&remote, "ann", None);
    account(&remote, "full", Some(10));
    let full = remote.destination("full@x").unwrap().unwrap();
    assert!(full.would_exceed_quota(11));
    assert!(remote.destination("nobody@x").unwrap().is_none());
    let route = remote.destination("ann+lists@x").unwrap().unwrap().route;
    assert_eq!((route.account, route.detail.as_deref()), (ann, Some("lists")));

    for is_duplicate in [false, true] {
        let mut delivery = remote.begin_delivery().unwrap();
        delivery.write(b"Subject: x\r\n").unwrap();
        delivery.write(b"\r\nbody\r\n").unwrap();
        let to = |account, address: &str| Recipient { account, detail: None, address: address.to_owned() };
        let recipients = vec![to(full.route.account, "full@x"), to(ann, "ann@x")];
        let verdicts = delivery.deliver("s@x", recipients).unwrap();
        assert!(matches!(verdicts[0], Err(Error::OverQuota)));
        assert_eq!(verdicts[1].as_ref().unwrap().is_duplicate, is_duplicate);
    }
    let served = read(&remote, ann, inbox, 1).unwrap();
    assert_eq!(served, b"Return-Path: <s@x>\r\nDelivered-To: ann@x\r\nSubject: x\r\n\r\nbody\r\n");
    // One that is given up delivers nothing.
    let mut dropped = remote.begin_delivery().unwrap();
    dropped.write(b"Subject: dropped\r\n\r\n").unwrap();
    drop(dropped);
    assert_eq!(remote.rows(ann, inbox, Uid(1)).unwrap().len(), 1);
    drop(guard);
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn strange_clients_are_dropped_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, guard) = served(dir.path(), Role::Server);
    let path = socket_path(dir.path());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let control =
        |json: &str| [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], &[1], json.as_bytes()].concat();
    let hello = control(r#"{"protocol":"mailcask-attach","version":1}"#);
    let talks: [Vec<u8>; 6] = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        control(r#"{"protocol":"mailcask-attach","version":999}"#),
        [hello.clone(), control("{}")].concat(),
        [hello.clone(), vec![0xff; 64]].concat(),
        [hello.clone(), control("\"Deliver\""), vec![9, 0, 0, 0, 2, b'x']].concat(),
        [hello, control(r#"{"Append":{"account":1,"mailbox":1,"messages":3}}"#)].concat(),
    ];
    for talk in &talks {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(talk).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // Whether it was answered or cut off does not matter; that it ends does.
        let _ = stream.read_to_end(&mut answer);
        if talk == &talks[1] {
            assert!(String::from_utf8_lossy(&answer).contains("version 5"));
        }
    }
    assert_eq!(Remote::connect(dir.path()).unwrap().stats().unwrap().messages, 0);
    drop(guard);
    assert!(!path.exists());
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn a_tool_hands_the_store_over_and_works_on_through_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let tool = open_admin(dir.path(), StoreOptions::for_tests()).unwrap();
    let (ann, inbox) = account(tool.as_ref(), "ann", None);
    tool.append(ann, inbox, &mut [message(b"A: 1\r\n\r\n", &[])]).unwrap();
    // A second tool attaches to the first.
    let second = open_admin(dir.path(), StoreOptions::for_tests()).unwrap();
    second.append(ann, inbox, &mut [message(b"A: 2\r\n\r\n", &[])]).unwrap();

    let (store, guard) = own_as_server(dir.path(), StoreOptions::for_tests()).unwrap();
    assert!(matches!(own_as_server(dir.path(), StoreOptions::for_tests()), Err(Error::NotPossible(_))));
    tool.append(ann, inbox, &mut [message(b"A: 3\r\n\r\n", &[])]).unwrap();
    second.append(ann, inbox, &mut [message(b"A: 4\r\n\r\n", &[])]).unwrap();
    assert_eq!(store.stats().unwrap().messages, 4);

    // The server leaves: the next call finds no owner, and becomes it.
    drop(guard);
    store.close().unwrap();
    drop(store);
    tool.append(ann, inbox, &mut [message(b"A: 5\r\n\r\n", &[])]).unwrap();
    assert_eq!(second.rows(ann, inbox, Uid(1)).unwrap().len(), 5);
    assert!(second.check(true, &mut Work::quiet()).unwrap().is_clean());
    second.close().unwrap();
    assert!(tool.check(true, &mut Work::quiet()).unwrap().is_clean());
    tool.close().unwrap();
    assert!(matches!(tool.accounts(), Err(Error::Closed)));
}

#[test]
fn a_pin_holds_files_until_its_connection_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = StoreOptions::for_tests();
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    let store = Store::open(dir.path(), options).unwrap();
    let guard = serve(store.clone(), dir.path(), Role::Server).unwrap();
    let remote = Remote::connect(dir.path()).unwrap();
    let (ann, inbox) = account(&remote, "ann", None);
    let mut noise = noise_of(3 << 20);
    noise.splice(..0, *b"Subject: big\r\n\r\n");
    remote.append(ann, inbox, &mut [message(&noise, &["\\Deleted"])]).unwrap();
    let held = remote.pin().unwrap();
    let body = held.pinned.files.iter().find(|file| file.folder == "bodies").unwrap();
    let path = dir.path().join("bodies").join(&body.name);
    store.expunge(ann, inbox, None).unwrap();
    assert!(store.compact().unwrap().segments_dropped > 0);
    // Another connection comes and goes: it holds nothing.
    assert_eq!(remote.accounts().unwrap().len(), 1);
    assert!(path.exists());
    drop(held);
    // The owner hears of it by itself, and sweeps within its next second.
    while path.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(guard);
    assert_clean(&store);
    store.close().unwrap();
}

/// Bytes that no compressor makes smaller.
fn noise_of(bytes: usize) -> Vec<u8> {
    let mut rng = common::Rng::new(9);
    (0..bytes / 8).flat_map(|_| rng.next().to_le_bytes()).collect()
}
