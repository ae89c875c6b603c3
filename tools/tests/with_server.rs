//! Every verb beside a running server, through engine.sock.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server, mbox, messages};
use std::fs;

#[test]
fn a_new_store_says_account_password_and_listeners() {
    let cask = Cask::new();
    let server = Server::start(&cask);
    let words: Vec<&str> = server.said[0].split(' ').collect();
    assert_eq!(words[..3], ["account", "me", "password"]);
    let login = format!("a LOGIN me {}\r\nb LOGOUT\r\n", words[3]);
    let answer = Server::converse(&server.imap, &login);
    assert!(answer.contains("a OK"), "{answer}");
    server.stop();
    assert!(!cask.store().join("engine.sock").exists());

    let again = Server::start(&cask);
    assert!(again.said.is_empty(), "the password is shown once: {:?}", again.said);
    again.stop();
    cask.check();
}

#[test]
fn verbs_work_beside_the_server() {
    let cask = Cask::new();
    let server = Server::start(&cask);
    cask.feed(&["account", "add", "ann", "--password-stdin"], b"secret\n");
    let original = mbox(&messages(600));
    fs::write(cask.path("mail.mbox"), &original).unwrap();
    assert_eq!(cask.json(&["import", "--account", "ann", "mail.mbox"])["imported"], 600);

    let answer =
        Server::converse(&server.imap, "a LOGIN ann secret\r\nb STATUS INBOX (MESSAGES)\r\nc LOGOUT\r\n");
    assert!(answer.contains("MESSAGES 600"), "{answer}");
    let lmtp = "LHLO x\r\nMAIL FROM:<b@x>\r\nRCPT TO:<ann@x>\r\nRCPT TO:<nobody@x>\r\nDATA\r\nSubject: needle\r\n\r\nx\r\n.\r\nQUIT\r\n";
    let answer = Server::converse(&server.lmtp, lmtp);
    assert!(answer.contains("550 5.1.1"), "{answer}");
    assert_eq!(cask.ok(&["search", "ann", "SUBJECT needle"]), "601\n");
    assert_eq!(cask.ok(&["search", "ann", "601:* SUBJECT needle"]), "601\n");
    let plan = cask.ok(&["search", "ann", "UNSEEN SUBJECT needle", "--explain"]);
    assert!(plan.contains("SUBJECT \"needle\"") && plan.contains("1 of 601 messages found"), "{plan}");
    let said = cask.json(&["search", "ann", "UNSEEN SUBJECT needle", "--explain"]);
    assert_eq!((&said["uids"][0], &said["plan"]["messages"]), (&601.into(), &601.into()), "{said}");

    cask.ok(&["mailbox", "create", "ann", "Kept"]);
    cask.refused(1, &["mailbox", "create", "ann", "Kept"]);
    assert_eq!(cask.json(&["stats"])["messages"], 601);
    cask.check();
    cask.ok(&["export", "--account", "ann", "--format", "mbox", "with.mbox"]);
    server.stop();
    cask.ok(&["export", "--account", "ann", "--format", "mbox", "without.mbox"]);
    let (with, without) =
        (fs::read(cask.path("with.mbox")).unwrap(), fs::read(cask.path("without.mbox")).unwrap());
    assert!(with == without, "the exports with and without a server differ");
    assert!(with.starts_with(&original), "the export differs from what was imported");
    cask.check();
}

#[test]
fn reindex_beside_the_server_and_without() {
    let cask = Cask::new();
    let server = Server::start(&cask);
    cask.feed(&["account", "add", "ann", "--password-stdin"], b"secret\n");
    fs::write(cask.path("mail.mbox"), mbox(&messages(300))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    let with = cask.json(&["reindex", "ann"]);
    assert_eq!((&with[0]["account"], &with[0]["messages"]), (&"ann".into(), &300.into()));
    assert_eq!(cask.json(&["stats"])["index"]["messages"], 300);
    cask.refused(1, &["reindex", "nobody"]);
    cask.refused(2, &["reindex"]);
    cask.refused(2, &["reindex", "ann", "--all"]);
    server.stop();
    let without = cask.json(&["reindex", "--all"]);
    let ann = without.as_array().unwrap().iter().find(|done| done["account"] == "ann").unwrap();
    assert_eq!((&ann["messages"], &ann["text_bytes"]), (&with[0]["messages"], &with[0]["text_bytes"]));
    cask.check();
}

#[test]
fn a_second_server_is_refused_with_the_first_ones_number() {
    let cask = Cask::new();
    let server = Server::start(&cask);
    let line = cask.refused(1, &["serve", "--imap", "127.0.0.1:0", "--lmtp", "127.0.0.1:0"]);
    assert!(line.contains("is served by process"), "{line}");
    server.stop();
    cask.check();
}

#[test]
fn sockets_as_listeners_from_a_configuration() {
    let cask = Cask::new();
    let (imap, lmtp) = (cask.path("imap.sock"), cask.path("lmtp.sock"));
    let toml = format!("imap = [\"unix:{}\"]\nlmtp = [\"unix:{}\"]\n", imap.display(), lmtp.display());
    fs::write(cask.path("mailcask.toml"), toml).unwrap();
    let server = Server::start_with(&cask, &["serve", "--config", "mailcask.toml"]);
    assert_eq!(server.imap, format!("unix:{}", imap.display()));
    assert_eq!(server.lmtp, format!("unix:{}", lmtp.display()));
    std::os::unix::net::UnixStream::connect(&lmtp).unwrap();
    server.stop();
    cask.check();
}
