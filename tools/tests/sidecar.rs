//! Mail out with its sidecar and in again: the same UIDs, modseqs, flags, dates and bytes.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server, mbox, messages};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A mailbox that has seen something: flags changed out of order, messages gone, newlines of every kind.
fn lived_in() -> Cask {
    let cask = Cask::with_ann();
    fs::create_dir(cask.path("odd")).unwrap();
    let odd: [&[u8]; 7] = [
        b"A: crlf\r\n\r\nends well\r\n",
        b"A: crlf\r\n\r\nends without",
        b"A: mixed\r\n\nends well\n",
        b"A: mixed\r\n\nends without",
        b"A: no newline",
        b"A: bare cr\r\r\nx\r",
        b"A: quoted\r\n\r\nFrom x\r\n>From y\r\n\r\n",
    ];
    for (at, text) in odd.iter().enumerate() {
        fs::write(cask.path(&format!("odd/{at}.eml")), text).unwrap();
    }
    cask.ok(&["import", "--account", "ann", "--mailbox", "Kept", "odd"]);
    fs::write(cask.path("mail.mbox"), mbox(&messages(60))).unwrap();
    cask.ok(&["import", "--account", "ann", "--mailbox", "Kept", "mail.mbox"]);
    let server = Server::start(&cask);
    let talk = "a LOGIN ann secret\r\nb SELECT Kept\r\nc UID STORE 30:40 +FLAGS (\\Seen Work)\r\n\
                d UID STORE 2 +FLAGS (\\Flagged $Junk)\r\ne UID STORE 11:13,67 +FLAGS (\\Deleted)\r\n\
                f EXPUNGE\r\ng UID STORE 5 +FLAGS (\\Answered)\r\n\
                h APPEND Kept {12+}\r\nA: lf\n\nlf\nlf\r\ni SUBSCRIBE Kept\r\nj LOGOUT\r\n";
    let answer = Server::converse(&server.imap, talk);
    assert!(answer.contains("i OK"), "{answer}");
    server.stop();
    cask
}

fn export(cask: &Cask, account: &str, mailbox: &str, format: &str, out: &str) {
    let args = ["export", "--account", account, "--mailbox", mailbox, "--sidecar", "--format", format, out];
    cask.ok(&args);
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sidecar(cask: &Cask, format: &str, out: &str) -> Vec<Value> {
    match format {
        "mbox" => lines(&cask.path(&format!("{out}.mailcask.jsonl"))),
        _ => lines(&cask.path(out).join("mailcask.jsonl")),
    }
}

/// Where a message lies differs with the time of the export.
fn without_places(mut lines: Vec<Value>) -> Vec<Value> {
    lines.iter_mut().skip(1).for_each(|line| drop(line.as_object_mut().unwrap().remove("at")));
    lines
}

#[test]
fn everything_comes_back_under_its_numbers() {
    let cask = lived_in();
    for (number, (format, eol)) in [
        ("mbox", "lf"),
        ("mbox", "crlf"),
        ("maildir", "lf"),
        ("maildir", "crlf"),
        ("eml", "crlf"),
        ("eml", "lf"),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("{format}-{eol}");
        let args = [
            "export",
            "--account",
            "ann",
            "--mailbox",
            "Kept",
            "--sidecar",
            "--format",
            format,
            "--eol",
            eol,
            &out,
        ];
        cask.ok(&args);
        let before = sidecar(&cask, format, &out);
        assert_eq!(before.len(), 1 + 64, "{out}");

        let other = Cask::with_ann();
        let from = cask.path(&out);
        let from = from.to_str().unwrap();
        let told = other.json(&["import", "--account", "ann", "--keep-uids", from]);
        assert_eq!((&told["imported"], &told["mailbox"]), (&64.into(), &"Kept".into()), "{out}");
        assert_eq!((&told["changed"], &told["unmet"]), (&0.into(), &0.into()), "{out}");
        export(&other, "ann", "Kept", format, "again");
        let after = sidecar(&other, format, "again");
        assert_eq!(without_places(after), without_places(before), "{out}");

        // What comes next is newer than all that a client may know.
        let server = Server::start(&other);
        let talk = "a LOGIN ann secret\r\nb APPEND Kept {5+}\r\nA: b\n\r\nc LOGOUT\r\n";
        let answer = Server::converse(&server.imap, talk);
        assert!(answer.contains(" 69] "), "{out}: UIDNEXT was 69: {answer}");
        server.stop();
        other.check();
        // The name has had this UIDVALIDITY: no message may come under it again.
        let line = other.refused(1, &["import", "--account", "ann", "--keep-uids", from]);
        assert!(line.contains("exists already"), "{line}");
        other.ok(&["mailbox", "delete", "ann", "Kept"]);
        let line = other.refused(1, &["import", "--account", "ann", "--keep-uids", from]);
        assert!(line.contains("UIDVALIDITY"), "{line}");
        let name = format!("Other{number}");
        other.ok(&["import", "--account", "ann", "--keep-uids", "--mailbox", &name, from]);
        other.check();
    }
    cask.check();
}

#[test]
fn inbox_comes_back_in_a_new_account() {
    let cask = lived_in();
    cask.ok(&["import", "--account", "ann", "odd"]);
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    let server = Server::start(&cask);
    let talk = "a LOGIN ann secret\r\nb SELECT INBOX\r\nc UID STORE 1:5,67 +FLAGS (\\Deleted)\r\nd EXPUNGE\r\n\
                e CREATE Spam\r\nf LOGOUT\r\n";
    assert!(Server::converse(&server.imap, talk).contains("e OK"));
    server.stop();
    export(&cask, "ann", "INBOX", "maildir", "out");
    let before = sidecar(&cask, "maildir", "out");
    let other = Cask::with_ann();
    let from = cask.path("out");
    let from = from.to_str().unwrap();
    other.ok(&["import", "--account", "ann", "--keep-uids", from]);
    export(&other, "ann", "INBOX", "maildir", "again");
    assert_eq!(without_places(sidecar(&other, "maildir", "again")), without_places(before));
    // It can be selected and delivered to as before; a UID that it gives now is a new one.
    let server = Server::start(&other);
    let talk = "a LOGIN ann secret\r\nb APPEND INBOX {5+}\r\nA: b\n\r\nc LIST \"\" *\r\nd LOGOUT\r\n";
    let answer = Server::converse(&server.imap, talk);
    assert!(answer.contains(" 68] ") && !answer.contains("importing"), "{answer}");
    server.stop();
    let line = other.refused(1, &["import", "--account", "ann", "--keep-uids", from]);
    assert!(line.contains("exists already"), "{line}");
    other.check();
    cask.check();
}

#[test]
fn an_import_that_was_broken_off_has_given_no_uid_that_a_client_knows() {
    let cask = lived_in();
    export(&cask, "ann", "Kept", "mbox", "out");
    let before = sidecar(&cask, "mbox", "out");
    let other = Cask::with_ann();
    other.ok(&["account", "quota", "ann", "2K"]);
    let from = cask.path("out");
    let from = from.to_str().unwrap();
    let line = other.refused(1, &["import", "--account", "ann", "--keep-uids", from]);
    assert!(line.contains("(importing "), "{line}");
    let listed = other.ok(&["mailbox", "list", "ann"]);
    assert!(!listed.lines().any(|line| line.starts_with("Kept  ")), "{listed}");
    other.ok(&["account", "quota", "ann", "10M"]);
    other.ok(&["import", "--account", "ann", "--keep-uids", from]);
    assert!(!other.ok(&["mailbox", "list", "ann"]).contains("importing"));
    export(&other, "ann", "Kept", "mbox", "again");
    assert_eq!(without_places(sidecar(&other, "mbox", "again")), without_places(before));
    other.check();
    cask.check();
}

#[test]
fn without_keeping_uids_flags_and_dates_come_from_the_sidecar() {
    let cask = lived_in();
    export(&cask, "ann", "Kept", "mbox", "out");
    cask.ok(&["import", "--account", "ann", "--mailbox", "Again", "out"]);
    export(&cask, "ann", "Again", "mbox", "again");
    let (before, after) = (sidecar(&cask, "mbox", "out"), sidecar(&cask, "mbox", "again"));
    for (uid, (one, other)) in before.iter().zip(&after).skip(1).enumerate() {
        for field in ["flags", "internal_date", "blake3", "size_bytes"] {
            assert_eq!(one[field], other[field], "{field} of {one}");
        }
        assert_eq!(other["uid"], uid + 1);
    }
    cask.check();
}

#[test]
fn what_is_not_what_was_exported_keeps_no_uid() {
    let cask = lived_in();
    export(&cask, "ann", "Kept", "eml", "out");
    fs::write(cask.path("out/0000000007.eml"), "Subject: another\r\n\r\n").unwrap();
    fs::write(cask.path("out/9999999999.eml"), "Subject: new\r\n\r\n").unwrap();
    fs::remove_file(cask.path("out/0000000009.eml")).unwrap();
    let output =
        cask.run(&["import", "--account", "ann", "--keep-uids", "--mailbox", "New", "out", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["imported"], &told["unmet"]), (&62.into(), &1.into()), "{told}");
    assert_eq!(told["refused"].as_array().unwrap().len(), 2, "{told}");
    let told = cask.json(&["import", "--account", "ann", "--mailbox", "All", "out"]);
    assert_eq!((&told["imported"], &told["changed"]), (&64.into(), &2.into()), "{told}");
    let line = cask.refused(1, &["import", "--account", "ann", "--keep-uids", "--mailbox", "X", "odd"]);
    assert!(line.contains("needs the sidecar"), "{line}");
    cask.check();
}

#[test]
fn an_interrupted_export_is_a_part_and_no_export() {
    let cask = lived_in();
    fs::write(cask.path("out.part"), "").unwrap();
    let args = ["export", "--account", "ann", "--mailbox", "Kept", "--format", "mbox", "out"];
    assert!(cask.refused(1, &args).contains("interrupted"));
    fs::remove_file(cask.path("out.part")).unwrap();
    cask.ok(&args);
    assert!(!cask.path("out.part").exists());
    cask.check();
}
