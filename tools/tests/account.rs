//! `mailcask account` and `mailcask mailbox`.
#![allow(clippy::unwrap_used)]

mod common;

use common::Cask;
use serde_json::json;

#[test]
fn added_listed_shown_deleted() {
    let cask = Cask::new();
    let said = cask.ok(&["account", "add", "ann", "--quota", "2G"]);
    assert!(said.starts_with("account ann added; password "), "{said}");
    cask.feed(&["account", "add", "bob", "--password-stdin"], b"secret\n");

    let accounts = cask.json(&["account", "list"]);
    assert_eq!(accounts[0]["name"], "ann");
    assert_eq!(accounts[0]["quota_bytes"], json!(2u64 << 30));
    assert_eq!(accounts[1]["name"], "bob");
    cask.ok(&["account", "quota", "ann", "none"]);
    let shown = cask.json(&["account", "show", "ann"]);
    assert_eq!(shown["quota_bytes"], json!(null));
    let names: Vec<&str> =
        shown["mailbox_list"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);

    cask.ok(&["account", "delete", "ann"]);
    assert_eq!(cask.json(&["account", "list"]).as_array().unwrap().len(), 1);
    assert!(cask.ok(&["account", "list"]).contains("bob"));
    cask.check();
}

#[test]
fn passwords_come_from_stdin_or_are_made_up_and_shown_once() {
    let cask = Cask::new();
    let silent = cask.feed(&["account", "add", "ann", "--password-stdin"], b"secret\n");
    assert!(!silent.contains("password"), "{silent}");
    let said = cask.ok(&["account", "passwd", "ann"]);
    assert!(said.contains("password "), "{said}");
    let (one, two) = (cask.json(&["account", "passwd", "ann"]), cask.json(&["account", "passwd", "ann"]));
    assert_ne!(one["password"], two["password"]);
    cask.check();
}

#[test]
fn mailboxes_are_made_and_deleted() {
    let cask = Cask::with_ann();
    cask.ok(&["mailbox", "create", "ann", "Lists/Grüße"]);
    assert!(cask.ok(&["mailbox", "list", "ann"]).contains("Lists/Grüße"));
    cask.refused(1, &["mailbox", "create", "ann", "Lists/Grüße"]);
    cask.ok(&["mailbox", "delete", "ann", "Lists/Grüße"]);
    cask.refused(1, &["mailbox", "delete", "ann", "Lists/Grüße"]);
    cask.refused(1, &["mailbox", "delete", "ann", "inbox"]);
    cask.check();
}
