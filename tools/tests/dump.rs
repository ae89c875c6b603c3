//! What `mailcask dump` shows, and what it does not.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server, mbox, messages};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;

fn lines(cask: &Cask, args: &[&str]) -> Vec<Value> {
    let text = cask.ok(&[args, &["--json"]].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn filled() -> Cask {
    let cask = Cask::with_ann();
    fs::write(cask.path("mail.mbox"), mbox(&messages(60))).unwrap();
    cask.ok(&["import", "--account", "ann", "mail.mbox"]);
    cask
}

#[test]
fn every_message_and_transaction_is_shown_and_no_secret() {
    let cask = filled();
    let all = lines(&cask, &["dump", "log", "--bytes"]);
    let of = |kind: &str| all.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("message").len() + of("body").len(), 60);
    assert!(of("broken").is_empty(), "{:?}", of("broken"));
    let text = cask.ok(&["dump", "log", "--bytes"]) + &cask.ok(&["dump", "catalog"]);
    assert!(text.contains("append uid 60") && text.contains("\"ann\", a password"), "{text}");
    for secret in ["argon2", "From here", "Subject: message"] {
        assert!(!text.contains(secret), "{secret} is shown");
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.contains(&hex), "{secret} is shown in hexadecimal");
    }
    let one = lines(&cask, &["dump", "message", "17"]);
    let kinds: Vec<&str> = one.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "txn"]);
    assert!(one[1]["what"].as_str().unwrap().contains("append uid 17,"), "{}", one[1]);
    let manifest = cask.ok(&["dump", "manifest"]);
    assert!(manifest.contains("clean true") && manifest.contains("segment.1 log sealed"), "{manifest}");
    let catalog = cask.ok(&["dump", "catalog", "--account", "1"]);
    assert!(catalog.contains("\"INBOX\"") && catalog.contains("60 messages"), "{catalog}");
    cask.check();
}

#[test]
fn ranges_and_a_server_beside() {
    let cask = filled();
    let server = Server::start(&cask);
    let some = lines(&cask, &["dump", "log", "--from", "2", "--to", "3"]);
    let lsns: Vec<u64> = some
        .iter()
        .filter(|line| line["kind"] == "group")
        .map(|line| line["lsn"].as_u64().unwrap())
        .collect();
    assert_eq!(lsns, [2, 3]);
    assert!(lines(&cask, &["dump", "catalog"]).len() > 3);
    server.stop();
    cask.check();
}

#[test]
fn what_is_broken_is_said_and_the_rest_is_shown() {
    let cask = filled();
    let all = lines(&cask, &["dump", "log"]);
    let groups: Vec<&Value> = all.iter().filter(|line| line["kind"] == "group").collect();
    let (segment, at) = (groups[2]["segment"].to_string(), groups[2]["offset"].as_u64().unwrap() + 90);
    let path = cask.store().join(format!("log/{segment}.seg"));
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    fs::remove_file(cask.store().join("MANIFEST")).unwrap();
    let now = lines(&cask, &["dump", "log"]);
    let count = |lines: &[Value], kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((count(&now, "broken"), count(&now, "group")), (1, groups.len() - 1));
    // Its copy is as good.
    let manifest = cask.ok(&["dump", "manifest"]);
    assert!(manifest.contains("manifest.fault") && manifest.contains("durable_lsn"), "{manifest}");
    fs::remove_file(cask.store().join("MANIFEST.copy")).unwrap();
    assert!(cask.ok(&["dump", "manifest"]).contains("manifest missing"));
}
