//! `mailcask serve --metrics`: what is told, in the form that Prometheus reads, and whether mail is taken.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server};
use std::collections::{BTreeMap, BTreeSet};

const SERVE: [&str; 5] = ["serve", "--imap", "127.0.0.1:0", "--lmtp", "127.0.0.1:0"];

fn start(cask: &Cask) -> (Server, String) {
    let server = Server::start_with(cask, &[&SERVE[..], &["--metrics", "localhost:0"]].concat());
    let said = server.said.iter().find_map(|line| line.strip_prefix("metrics "));
    let address = said.unwrap_or_else(|| panic!("{:?}", server.said)).to_owned();
    (server, address)
}

fn ask(address: &str, method: &str, path: &str) -> (String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = Server::converse(address, &request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

/// The samples by name with labels. Fails at anything that is not as the format has it.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut families, mut family) = (BTreeMap::new(), BTreeSet::new(), (String::new(), ""));
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && families.insert(name.to_owned()), "{line}");
            family = (name.to_owned(), "");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family.0);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            family.1 = kind;
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let of = match family.1 {
                "histogram" => bare.rsplit_once('_').map(|(of, _)| of).unwrap(),
                _ => bare,
            };
            assert_eq!(of, family.0, "{line}");
            assert!(
                bare.starts_with("mailcask_") && bare.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    samples
}

fn scrape(address: &str) -> BTreeMap<String, f64> {
    let (head, text) = ask(address, "GET", "/metrics");
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(!text.contains("ann") && !text.contains('@'), "somebody is named: {text}");
    parsed(&text)
}

#[test]
fn counters_move_with_deliveries() {
    let cask = Cask::with_ann();
    let (server, address) = start(&cask);
    let before = scrape(&address);
    assert_eq!(before["mailcask_accounts"], 1.0);
    assert_eq!(before["mailcask_deliveries_total"], 0.0);
    let lmtp = "LHLO x\r\nMAIL FROM:<b@x>\r\nRCPT TO:<ann@x>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n";
    for _ in 0..2 {
        let answer = Server::converse(&server.lmtp, lmtp);
        assert!(answer.contains("250 2.0.0 <ann@x>"), "{answer}");
    }
    Server::converse(&server.imap, "a LOGIN ann secret\r\nb LOGOUT\r\n");
    let after = scrape(&address);
    assert_eq!(after["mailcask_deliveries_total"], 1.0);
    assert_eq!(after["mailcask_deliveries_duplicate_total"], 1.0);
    assert_eq!(after["mailcask_messages"], 1.0);
    assert!(after["mailcask_log_lsn"] > before["mailcask_log_lsn"]);
    assert!(after["mailcask_disk_bytes{kind=\"log\"}"] > 0.0);
    assert_eq!(after["mailcask_connections_accepted_total{protocol=\"lmtp\"}"], 2.0);
    assert_eq!(after["mailcask_connections_accepted_total{protocol=\"imap\"}"], 1.0);
    let commits = |of: &str| after[&format!("mailcask_log_commit_seconds_{of}")];
    assert!(commits("count") > before["mailcask_log_commit_seconds_count"] && commits("sum") > 0.0);
    assert_eq!(commits("bucket{le=\"+Inf\"}"), commits("count"));
    assert_eq!(after["mailcask_log_groups_total"], commits("count"));
    assert_eq!(
        (after["mailcask_poisoned"], after["mailcask_full"], after["mailcask_damage"]),
        (0.0, 0.0, 0.0)
    );
    assert_eq!(after["mailcask_reserve_segments"], after["mailcask_reserve_segments_wanted"]);
    assert!(after["mailcask_start_timestamp_seconds"] > 1.7e9);
    server.stop();
    cask.check();
}

#[test]
fn what_the_last_scrub_found_is_told() {
    let cask = Cask::with_ann();
    let record = include_str!("../../engine/tests/data/format/drawn/scrub.hex");
    let bytes = record.lines().flat_map(|line| line.split('#').next()).flat_map(str::split_whitespace);
    let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    std::fs::write(cask.store().join("scrub"), bytes).unwrap();
    let (server, address) = start(&cask);
    let found = scrape(&address);
    assert_eq!(found["mailcask_scrub_last_findings"], 1.0);
    assert_eq!(found["mailcask_scrub_passes_total"], 3.0);
    assert_eq!(found["mailcask_scrub_last_finished_timestamp_seconds"], 1.7e9);
    server.stop();
    cask.check();
}

#[test]
fn health_and_what_is_not_there() {
    let cask = Cask::with_ann();
    let (server, address) = start(&cask);
    let (head, body) = ask(&address, "GET", "/healthz");
    assert!(head.starts_with("http/1.1 200 ok") && body == "ok\n", "{head} {body}");
    let (head, body) = ask(&address, "HEAD", "/metrics");
    assert!(head.starts_with("http/1.1 200 ok") && body.is_empty(), "{head} {body}");
    assert!(ask(&address, "GET", "/").0.starts_with("http/1.1 404"));
    let (head, _) = ask(&address, "POST", "/metrics");
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: get, head"), "{head}");
    assert!(Server::converse(&address, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    // A connection that is kept does not hold up the end.
    let kept = std::net::TcpStream::connect(&address).unwrap();
    server.stop();
    drop(kept);
    cask.check();
}

#[test]
fn it_is_off_unless_asked_for_and_local_unless_allowed() {
    let cask = Cask::with_ann();
    let server = Server::start(&cask);
    assert!(!server.said.iter().any(|line| line.starts_with("metrics")), "{:?}", server.said);
    server.stop();
    let refused = cask.refused(2, &["serve", "--metrics", "0.0.0.0:0"]);
    assert!(refused.contains("--allow-plaintext"), "{refused}");
    cask.refused(2, &["serve", "--metrics", "nowhere"]);

    std::fs::write(cask.path("serve.toml"), "metrics = \"127.0.0.1:0\"\n").unwrap();
    let server = Server::start_with(&cask, &[&SERVE[..], &["--config", "serve.toml"]].concat());
    assert!(server.said.iter().any(|line| line.starts_with("metrics 127.0.0.1:")), "{:?}", server.said);
    server.stop();
    cask.check();
}
