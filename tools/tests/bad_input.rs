//! Bad input: one clear line, exit status 1 (it failed) or 2 (asked wrongly), nothing lost, nothing
//! made.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, mbox, messages};
use std::fs;

#[test]
fn asked_wrongly_is_status_2() {
    let cask = Cask::with_ann();
    let questions: [&[&str]; 12] = [
        &["account", "add"],
        &["account", "add", "a name"],
        &["account", "add", "ann+x"],
        &["account", "quota", "ann", "lots"],
        &["mailbox", "create", "ann", "a//b"],
        &["import", "mail.mbox"],
        &["export", "--account", "ann", "out"],
        &["import", "--account", "ann", "--format", "tar", "x"],
        &["search", "ann", "FROM"],
        &["search", "ann", "SINCE yesterday"],
        &["check", "--deeper"],
        &["serve", "--imap", "nonsense"],
    ];
    for question in questions {
        cask.refused(2, question);
    }
    let plain = cask.command(&["nonsense"]).output().unwrap();
    assert_eq!(plain.status.code(), Some(2));
    cask.check();
}

#[test]
fn failures_are_status_1() {
    let cask = Cask::with_ann();
    fs::write(cask.path("prose"), "Dear reader,\n").unwrap();
    fs::write(cask.path("one.mbox"), mbox(&messages(1))).unwrap();
    fs::create_dir(cask.path("empty")).unwrap();
    fs::write(cask.path("taken"), "precious").unwrap();
    let questions: [&[&str]; 12] = [
        &["account", "add", "ann"],
        &["account", "show", "nobody"],
        &["account", "delete", "nobody"],
        &["mailbox", "list", "nobody"],
        &["import", "--account", "ann", "absent"],
        &["import", "--account", "ann", "prose"],
        &["import", "--account", "ann", "empty"],
        &["import", "--account", "nobody", "one.mbox"],
        &["import", "--account", "ann", "--format", "maildir", "one.mbox"],
        &["export", "--account", "ann", "--format", "mbox", "taken"],
        &["export", "--account", "ann", "--mailbox", "absent", "--format", "mbox", "out"],
        &["search", "ann", "ALL", "--mailbox", "absent"],
    ];
    for question in questions {
        cask.refused(1, question);
    }
    assert_eq!(fs::read_to_string(cask.path("taken")).unwrap(), "precious");
    assert!(!cask.path("out").exists());
    assert_eq!(cask.messages("INBOX"), 0);
    cask.check();
}

#[test]
fn a_mistyped_store_is_not_made() {
    let cask = Cask::new();
    let lines = [
        cask.refused(1, &["account", "list"]),
        cask.refused(1, &["import", "--account", "ann", "."]),
        cask.refused(2, &["check"]),
        cask.refused(1, &["stats"]),
    ];
    assert!(lines[0].contains("no store"), "{lines:?}");
    assert!(!cask.store().exists());
}

#[test]
fn a_bad_configuration_is_named_with_its_line() {
    let cask = Cask::new();
    fs::write(cask.path("bad.toml"), "imap = []\nimpa = []\n").unwrap();
    let line = cask.refused(2, &["serve", "--config", "bad.toml"]);
    assert!(line.contains("line 2") && line.contains("impa"), "{line}");
    cask.refused(1, &["serve", "--config", "absent.toml"]);
    assert!(!cask.store().exists());
}
