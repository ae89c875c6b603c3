//! `lmtpd` as a process of its own: delivery through engine.sock to the owner of the store, and 451
//! while there is none.
#![allow(clippy::unwrap_used)]

mod support;

use engine::attach::{Role, serve};
use engine::ops::NewAccount;
use engine::{Store, StoreOptions};
use lmtpd::ServerOptions;
use lmtpd::deliver::attach::AttachDeliver;
use std::path::Path;
use support::{Client, Running};

const TEXT: &str = "Subject: hello\r\n\r\nOne line.\r\n";

async fn lmtpd(dir: &Path) -> Running {
    Running::start(ServerOptions::default(), AttachDeliver::new(dir.to_owned())).await
}

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::for_tests()).unwrap()
}

fn inbox_messages(store: &Store, name: &str) -> u64 {
    let id = store.account_id(name).unwrap();
    u64::from(store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.exists)
}

#[tokio::test]
async fn the_owner_delivers_and_its_verdicts_come_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_account(&NewAccount { name: "pat", password: None, quota_bytes: None }).unwrap();
    store.create_account(&NewAccount { name: "tim", password: None, quota_bytes: Some(50_000) }).unwrap();
    let guard = serve(store.clone(), dir.path(), Role::Server).unwrap();
    let server = lmtpd(dir.path()).await;
    let mut client = Client::hello(&server.address).await;
    let replies = client.deliver("a@b", &["pat@b", "tim@b"], TEXT).await;
    assert_eq!(replies, ["250 2.0.0 <pat@b> delivered", "250 2.0.0 <tim@b> delivered"]);
    // Larger than any buffer on the way, and than what tim has room for.
    let large = format!("{TEXT}{}", "0123456789abcdef\r\n".repeat(20_000));
    let replies = client.deliver("a@b", &["tim@b", "pat@b"], &large).await;
    assert_eq!(replies, ["552 5.2.2 <tim@b> over quota", "250 2.0.0 <pat@b> delivered"]);
    client.send("MAIL FROM:<a@b> SIZE=60000\r\nRCPT TO:<nobody@b>\r\nRCPT TO:<tim@b>\r\n").await;
    let replies = client.replies(3).await;
    assert_eq!(replies[1..], ["550 5.1.1 <nobody@b> no such account", "552 5.2.2 <tim@b> over quota"]);
    assert_eq!((inbox_messages(&store, "pat"), inbox_messages(&store, "tim")), (2, 1));
    server.stop().await.unwrap();
    drop(guard);
    assert!(store.check(true).unwrap().is_clean());
    store.close().unwrap();
}

#[tokio::test]
async fn without_an_owner_it_answers_451_until_one_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_account(&NewAccount { name: "pat", password: None, quota_bytes: None }).unwrap();
    let server = lmtpd(dir.path()).await;
    let mut client = Client::hello(&server.address).await;
    let nobody = "451 4.3.0 <pat@b> local error; try again later";
    client.ask("MAIL FROM:<a@b>\r\n").await;
    assert_eq!(client.ask("RCPT TO:<pat@b>\r\n").await, nobody);

    let guard = serve(store.clone(), dir.path(), Role::Server).unwrap();
    assert_eq!(client.ask("RCPT TO:<pat@b>\r\n").await, "250 2.1.5 <pat@b> OK");
    assert!(client.ask("DATA\r\n").await.starts_with("354 "));
    // The owner goes while the text comes in: nothing was promised, nothing is.
    drop(guard);
    assert_eq!(client.ask(format!("{TEXT}.\r\n")).await, nobody);
    assert_eq!(inbox_messages(&store, "pat"), 0);

    let guard = serve(store.clone(), dir.path(), Role::Server).unwrap();
    assert_eq!(client.deliver("a@b", &["pat@b"], TEXT).await, ["250 2.0.0 <pat@b> delivered"]);
    assert_eq!(inbox_messages(&store, "pat"), 1);
    server.stop().await.unwrap();
    drop(guard);
    assert!(store.check(true).unwrap().is_clean());
    store.close().unwrap();
}
