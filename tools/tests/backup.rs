//! `mailcask backup` and `restore`: beside a server and without, whole stores and single mailboxes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server, mbox, messages};
use std::fs;

fn deliver(server: &Server, number: usize) {
    let lmtp = format!(
        "LHLO x\r\nMAIL FROM:<b@x>\r\nRCPT TO:<ann@x>\r\nDATA\r\nSubject: late {number}\r\n\r\nx\r\n.\r\nQUIT\r\n"
    );
    assert!(Server::converse(&server.lmtp, &lmtp).contains("250 2.1.5"), "the delivery failed");
}

/// The store with another folder for `--store`.
fn at<'a>(args: &[&'a str], store: &'a str) -> Vec<&'a str> {
    [args, &["--store", store]].concat()
}

/// `--store` goes once: the command of the restored one.
fn in_store(cask: &Cask, store: &str, args: &[&str]) -> serde_json::Value {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mailcask"))
        .args(at(args, store))
        .arg("--json")
        .current_dir(cask.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused_in(cask: &Cask, store: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mailcask"))
        .args(at(args, store))
        .current_dir(cask.dir.path())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{args:?} went well");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_backup_beside_the_server_makes_the_same_store() {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), mbox(&messages(400))).unwrap();
    let server = Server::start(&cask);
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    let first = cask.json(&["backup", "dest"]);
    assert!(first["bytes_copied"].as_u64().unwrap() > 0);
    (0..20).for_each(|number| deliver(&server, number));
    let second = cask.json(&["backup", "dest", "--rate", "50M"]);
    assert!(second["bytes_copied"].as_u64().unwrap() < 40_000, "only what is new: {second}");
    assert_eq!(cask.json(&["backup", "dest", "--list"]).as_array().unwrap().len(), 2);
    assert_eq!(cask.json(&["backup", "dest", "--verify"])["findings"], serde_json::json!([]));
    deliver(&server, 20);

    let restored = in_store(&cask, "new", &["restore", "dest"]);
    assert_eq!((&restored["accounts"], &restored["messages"]), (&1.into(), &420.into()));
    server.stop();
    let there = in_store(&cask, "new", &["mailbox", "list", "ann"]);
    let here = cask.json(&["mailbox", "list", "ann"]);
    assert_eq!(there[0]["uid_validity"], here[0]["uid_validity"]);
    assert!(there[0]["uid_next"].as_u64() > here[0]["uid_next"].as_u64());
    assert_eq!(in_store(&cask, "new", &["check", "--deep"])["findings"], serde_json::json!([]));
    let taken = refused_in(&cask, "new", &["restore", "dest"]);
    assert!(taken.contains("is not empty"), "{taken}");

    // The password is that of the lost store.
    let output = cask.ok(&["export", "--account", "ann", "--format", "mbox", "here.mbox"]);
    drop(output);
    in_store(&cask, "new", &["export", "--account", "ann", "--format", "mbox", "there.mbox"]);
    let (here, there) =
        (fs::read(cask.path("here.mbox")).unwrap(), fs::read(cask.path("there.mbox")).unwrap());
    assert!(here.starts_with(&there) && here.len() > there.len(), "the late delivery apart they are equal");
    cask.check();
}

#[test]
fn one_mailbox_comes_back_into_a_living_store_and_never_twice() {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), mbox(&messages(300))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    cask.ok(&["import", "--account", "ann", "--mailbox", "Old/Lists", "mail.mbox"]);
    cask.ok(&["backup", "dest"]);
    cask.ok(&["mailbox", "delete", "ann", "Old/Lists"]);
    let server = Server::start(&cask);
    let args = ["restore", "dest", "--account", "ann", "--mailbox", "Old/Lists"];
    let brought = cask.json(&args);
    assert_eq!((&brought["messages"], &brought["there_already"]), (&300.into(), &0.into()));
    let name = brought["mailboxes"][0].as_str().unwrap().to_owned();
    assert!(name.starts_with("Restored/2") && name.ends_with("/Old/Lists"), "{name}");
    assert_eq!(cask.messages(&name), 300);
    let again = cask.json(&args);
    assert_eq!((&again["messages"], &again["there_already"]), (&0.into(), &300.into()));
    assert_eq!(cask.messages(&name), 300);
    // Mail that came from elsewhere is not continued.
    cask.ok(&["import", "--account", "ann", "--mailbox", "Other", "mail.mbox"]);
    cask.ok(&["import", "--account", "ann", "--mailbox", "Other", "mail.mbox"]);
    let into = cask.json(&[&args[..], &["--into", "Other"]].concat());
    assert_eq!(into["mailboxes"][0], "Other (2)");
    cask.ok(&["export", "--account", "ann", "--mailbox", &name, "--format", "mbox", "back.mbox"]);
    assert!(fs::read(cask.path("back.mbox")).unwrap() == mbox(&messages(300)));
    server.stop();
    cask.check();
}

#[test]
fn a_deleted_account_comes_back_with_its_password() {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), mbox(&messages(30))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    cask.ok(&["backup", "dest"]);
    cask.ok(&["account", "delete", "ann", "--yes"]);
    let line = cask.refused(1, &["restore", "dest", "--account", "ann"]);
    assert!(line.contains("--create"), "{line}");
    let brought = cask.json(&["restore", "dest", "--account", "ann", "--create", "--into", "Back"]);
    assert_eq!((&brought["account_made"], &brought["messages"]), (&true.into(), &30.into()));
    assert_eq!(cask.messages("Back/INBOX"), 30);
    let server = Server::start(&cask);
    let answer = Server::converse(&server.imap, "a LOGIN ann secret\r\nb LOGOUT\r\n");
    assert!(answer.contains("a OK"), "{answer}");
    server.stop();
    cask.check();
}

#[test]
fn a_restore_that_was_interrupted_is_not_served_and_goes_on() {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), mbox(&messages(200))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    cask.ok(&["backup", "dest"]);
    // A copy that cannot be read ends it in the middle.
    let log = cask.path("dest/log");
    let copy = fs::read_dir(&log).unwrap().next().unwrap().unwrap().path();
    fs::rename(&copy, cask.path("away")).unwrap();
    refused_in(&cask, "new", &["restore", "dest"]);
    assert!(cask.path("new/RESTORING").exists());
    let line = refused_in(&cask, "new", &["account", "add", "bob"]);
    assert!(line.contains("not restored completely"), "{line}");
    let line = refused_in(&cask, "new", &["restore", "dest", "--nothing-since"]);
    assert!(line.contains("another restore"), "{line}");
    fs::rename(cask.path("away"), &copy).unwrap();
    assert_eq!(in_store(&cask, "new", &["restore", "dest"])["messages"], 200);
    assert_eq!(in_store(&cask, "new", &["check", "--deep"])["findings"], serde_json::json!([]));
}

#[test]
fn wrong_wishes_are_refused_in_a_line() {
    let cask = Cask::with_ann();
    cask.refused(1, &["restore", "nowhere"]);
    cask.refused(1, &["backup", "nowhere", "--list"]);
    cask.refused(2, &["backup", "store/inside"]);
    cask.refused(2, &["backup", "dest", "--prune"]);
    cask.refused(2, &["backup", "dest", "--keep", "0"]);
    cask.refused(2, &["backup", "dest", "--rate", "none"]);
    cask.refused(2, &["restore", "dest", "--at", "yesterday"]);
    cask.refused(2, &["restore", "dest", "--mailbox", "INBOX"]);
    cask.ok(&["backup", "dest"]);
    cask.ok(&["backup", "dest", "--keep", "1"]);
    cask.refused(1, &["restore", "dest", "--account", "nobody"]);
    let early = refused_in(&cask, "new", &["restore", "dest", "--at", "2001-01-01"]);
    assert!(early.contains("the earliest moment"), "{early}");
    cask.check();
}

/// kill -9 at some moment of a backup and of a restore: run again they end, and nothing is lost.
#[test]
fn killed_at_some_moment_it_goes_on() {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), mbox(&messages(150))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    let kill_after = |args: &[&str], store: &str, ms: u64| {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mailcask"))
            .args(at(args, store))
            .current_dir(cask.dir.path())
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(ms));
        let _ = child.kill();
        child.wait().unwrap();
    };
    let mut ms = 5;
    for round in 0..3 {
        ms = (ms * 7 + 13) % 150;
        println!("round {round}: killed after {ms} ms");
        kill_after(&["backup", "dest"], "store", ms);
        cask.ok(&["import", "--account", "ann", "mail.mbox"]);
        kill_after(&["backup", "dest", "--rate", "200k"], "store", ms);
        cask.ok(&["backup", "dest", "--keep", "2"]);
        assert_eq!(cask.json(&["backup", "dest", "--verify"])["findings"], serde_json::json!([]));
        let to = format!("new{round}");
        kill_after(&["restore", "dest"], &to, ms);
        kill_after(&["restore", "dest", "--rate", "100k"], &to, ms);
        // Killed after its end, or before its mark: then there is a store, or nothing.
        if !cask.path(&to).join("FORMAT").exists() || cask.path(&to).join("RESTORING").exists() {
            in_store(&cask, &to, &["restore", "dest"]);
        }
        let there = in_store(&cask, &to, &["mailbox", "list", "ann"]);
        let inbox = there.as_array().unwrap().iter().find(|m| m["name"] == "INBOX").unwrap();
        assert_eq!(inbox["messages"], 150 * (round + 2), "round {round}");
        assert_eq!(in_store(&cask, &to, &["check", "--deep"])["findings"], serde_json::json!([]));
    }
    cask.check();
}
