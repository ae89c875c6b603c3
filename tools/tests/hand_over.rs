//! A tool that owns the store hands it to a server in the middle of its work, and ends its work through
//! that server.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cask, Server, mbox, messages};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn an_import_goes_on_while_a_server_takes_the_store_and_leaves_again() {
    let cask = Cask::with_ann();
    let fifo = cask.path("mail.fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let import = cask
        .command(&["import", "--account", "ann", "--format", "mbox", "mail.fifo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let all = mbox(&messages(2_000));
    let (first, rest) = all.split_at(all.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let mut feed = File::options().write(true).open(&fifo).unwrap();

    feed.write_all(first).unwrap();
    // The import has the store by now, or will have: either way the server has to come to it.
    while !cask.store().join("engine.sock").exists() {
        sleep(Duration::from_millis(5));
    }
    let server = Server::start(&cask);
    feed.write_all(second).unwrap();
    assert!(Server::converse(&server.imap, "a LOGIN ann secret\r\nb LOGOUT\r\n").contains("a OK"));
    server.stop();
    feed.write_all(third).unwrap();
    drop(feed);

    let output = import.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(cask.messages("INBOX"), 2_000);
    cask.ok(&["export", "--account", "ann", "--format", "mbox", "out.mbox"]);
    assert!(std::fs::read(cask.path("out.mbox")).unwrap() == all, "the export differs from what was fed");
    cask.check();
}
