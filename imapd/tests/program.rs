//! The `imapd` program: it owns its store for everybody, and says in one line what went wrong.

#![allow(clippy::unwrap_used)]

use engine::attach::{Admin, Remote};
use engine::ops::NewAccount;
use engine::{Store, StoreOptions};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn imapd(store: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imapd"));
    command.arg("--store").arg(store).args(["--listen", listen]);
    command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    command
}

#[test]
fn who_comes_to_the_store_is_served_over_its_socket() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = imapd(dir.path(), "127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("imap listening on 127.0.0.1:"), "{line}");
    let owner = Remote::connect(dir.path()).unwrap();
    owner.create_account(&NewAccount { name: "ann", password: None, quota_bytes: None }).unwrap();
    drop(owner);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let store = Store::open(dir.path(), StoreOptions::for_tests()).unwrap();
    assert!(store.account_id("ann").is_some());
    assert!(store.check(true).unwrap().is_clean());
    store.close().unwrap();
}

#[test]
fn an_error_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (store, listen) in [(&*file, "127.0.0.1:0"), (dir.path(), "192.0.2.1:1143")] {
        let mut command = imapd(store, listen);
        let output = command.env("RUST_LOG", "off").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.starts_with("imapd: "), "{said}");
    }
}
