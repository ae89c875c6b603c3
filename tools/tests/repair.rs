//! `check` finds, `repair` says what it would do and does it, `check` finds nothing more; beside a server and
//! alone.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that do not compress, without newlines in them.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8 | 0x80
    };
    (0..4_000).map(|_| next()).collect()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// A store with five messages, of which the third has a bit flipped.
fn damaged() -> Cask {
    let cask = Cask::with_ann();
    fs::create_dir(cask.path("in")).unwrap();
    for n in 1..=5 {
        let message = [b"Subject: noise\n\n".as_slice(), &noise(n), b"\n"].concat();
        fs::write(cask.path(&format!("in/{n}.eml")), message).unwrap();
    }
    cask.ok(&["import", "--account", "ann", "in"]);
    let (mut found, needle) = (Vec::new(), &noise(3)[1_000..1_100]);
    files(&cask.store().join("log"), &mut found);
    let hit = found.iter().filter(|path| {
        let mut bytes = fs::read(path).unwrap();
        let at = memchr::memmem::find(&bytes, needle);
        at.is_some_and(|at| {
            bytes[at] ^= 1;
            fs::write(path, bytes).is_ok()
        })
    });
    assert_eq!(hit.count(), 1);
    cask
}

/// What a damaged store says, and what it says after its repair.
fn found_and_repaired(cask: &Cask) {
    let found = cask.run(&["check", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let kinds: Vec<_> = report["findings"].as_array().unwrap().iter().map(|found| &found["kind"]).collect();
    assert!(kinds.contains(&&"lost-message".into()), "{report:#}");
    let people = String::from_utf8(cask.run(&["check"]).stdout).unwrap();
    assert!(people.contains("UID 3") && people.contains("mailcask repair --dry-run"), "{people}");

    let plan = cask.ok(&["repair", "--dry-run"]);
    assert!(plan.contains("UIDs 3") && plan.contains("nothing was done"), "{plan}");
    assert_eq!(cask.messages("INBOX"), 5);

    let done = cask.json(&["repair"]);
    assert_eq!(done["repaired"]["left"], serde_json::json!([]), "{done:#}");
    assert_eq!(done["repaired"]["expunged"], 1, "{done:#}");
    assert_eq!((cask.messages("INBOX"), cask.messages("Recovered")), (4, 1));
    let mut kept = Vec::new();
    files(&cask.store().join("quarantine"), &mut kept);
    let journal = kept.iter().find(|path| path.extension().is_some_and(|ext| ext == "jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&fs::read_to_string(journal).unwrap()).unwrap();
    assert_eq!((&line["uid"], &line["mailbox_name"]), (&3.into(), &"INBOX".into()));

    cask.ok(&["export", "--account", "ann", "--mailbox", "Recovered", "--format", "eml", "out"]);
    let mut out = Vec::new();
    files(&cask.path("out"), &mut out);
    let recovered = fs::read(&out[0]).unwrap();
    let starts = b"X-Mailcask-Recovered: mailbox=INBOX;";
    assert!(recovered.starts_with(starts), "{}", String::from_utf8_lossy(&recovered));
    let text = String::from_utf8_lossy(&recovered);
    assert!(text.contains("Subject: noise\r\n") && text.contains("of this message are lost]"), "{text}");

    assert!(cask.ok(&["repair"]).contains("nothing to mend"));
    cask.check();
}

#[test]
fn a_damaged_message_is_found_and_repaired() {
    found_and_repaired(&damaged());
}

#[test]
fn beside_a_server_too() {
    let cask = damaged();
    let server = Server::start(&cask);
    found_and_repaired(&cask);
    server.stop();
    cask.check();
}

#[test]
fn views_on_disk_are_made_again() {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), common::mbox(&common::messages(400))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    cask.ok(&["reindex", "--all"]);
    let mut repaired = 0;
    for folder in ["text", "summaries"] {
        // What an opening sees it makes again by itself: it is opened before.
        let server = Server::start(&cask);
        cask.check();
        let mut found = Vec::new();
        files(&cask.store().join(folder), &mut found);
        for path in found.iter().filter(|path| path.metadata().unwrap().len() > 2_000) {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(path, bytes).unwrap();
        }
        let found = cask.run(&["check", "--deep"]);
        if found.status.code() == Some(1) {
            let plan = cask.ok(&["repair"]);
            assert!(plan.contains("text index"), "{plan}");
            repaired += 1;
        }
        cask.check();
        server.stop();
        cask.check();
    }
    assert!(repaired > 0);
}

#[test]
fn what_cannot_be_checked_is_status_2() {
    let cask = Cask::new();
    assert!(cask.refused(2, &["check"]).contains("no store"));
    cask.refused(1, &["repair"]);
    assert!(!cask.store().exists());
}
