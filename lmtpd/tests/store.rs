//! Mail on a socket into a real store. Every test ends with the administrator's check.
#![allow(clippy::unwrap_used)]

mod support;

use engine::ops::NewAccount;
use engine::types::{AccountId, Uid};
use engine::{Store, StoreOptions};
use lmtpd::ServerOptions;
use lmtpd::deliver::store::StoreDeliver;
use std::path::Path;
use support::{Client, Running};

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::for_tests()).unwrap()
}

fn account(store: &Store, name: &str, quota_bytes: Option<u64>) -> AccountId {
    store.create_account(&NewAccount { name, password: None, quota_bytes }).unwrap()
}

async fn serve(store: &Store) -> Running {
    Running::start(ServerOptions::default(), StoreDeliver::new(store.clone())).await
}

/// Every message of a mailbox, as it is served.
fn messages(store: &Store, id: AccountId, mailbox: &str) -> Vec<Vec<u8>> {
    let mailbox = store.account(id).unwrap().mailbox_named(mailbox).unwrap().clone();
    let uids = mailbox.uids().unwrap();
    uids.iter()
        .map(|uid| store.email(&mailbox.by_uid(Uid(uid)).unwrap().unwrap()).unwrap().read_all().unwrap())
        .collect()
}

async fn end(server: Running, store: Store) {
    server.stop().await.unwrap();
    let report = store.check(true).unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
    store.close().unwrap();
}

const TEXT: &str = "Subject: hello\r\nMessage-ID: <1@test>\r\n\r\nOne line.\r\n";

#[tokio::test]
async fn a_message_is_served_with_its_trace_header_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (pat, tim) = (account(&store, "pat", None), account(&store, "tim@foo.edu", None));
    let server = serve(&store).await;
    let mut client = Client::hello(&server.address).await;
    let to = ["Pat@foo.edu", "tim@foo.edu", "pat+Sent@foo.edu", "pat+nowhere@foo.edu"];
    let replies = client.deliver("\"a b\"@c", &to, TEXT).await;
    assert_eq!(replies, to.map(|to| format!("250 2.0.0 <{to}> delivered")));
    let served = |to: &str| format!("Return-Path: <\"a b\"@c>\r\nDelivered-To: {to}\r\n{TEXT}").into_bytes();
    assert_eq!(messages(&store, pat, "INBOX"), [served(to[0]), served(to[3])]);
    assert_eq!(messages(&store, pat, "Sent"), [served(to[2])]);
    assert_eq!(messages(&store, tim, "INBOX"), [served(to[1])]);
    let unknown = client.ask("MAIL FROM:<>\r\nRCPT TO:<nobody@foo.edu>\r\n").await;
    assert_eq!(
        (unknown.as_str(), client.reply().await.as_str()),
        ("250 2.1.0 sender OK", "550 5.1.1 <nobody@foo.edu> no such account")
    );
    end(server, store).await;
}

#[tokio::test]
async fn mail_to_a_hundred_is_stored_once_and_one_over_quota_is_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let ids: Vec<AccountId> =
        (0..100).map(|n| account(&store, &format!("u{n}"), (n == 42).then_some(1000))).collect();
    let server = serve(&store).await;
    let mut client = Client::hello(&server.address).await;
    let names: Vec<String> = (0..100).map(|n| format!("u{n}@foo.edu")).collect();
    let to: Vec<&str> = names.iter().map(String::as_str).collect();
    let before = store.stats().unwrap().counts.log_bytes;
    let line: String = (0..5000u32).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761))).collect();
    let replies = client.deliver("a@b", &to, &format!("Subject: big\r\n\r\n{line}\r\n")).await;
    for (n, (reply, id)) in replies.iter().zip(&ids).enumerate() {
        let taken = if n == 42 {
            assert_eq!(reply, "552 5.2.2 <u42@foo.edu> over quota");
            0
        } else {
            assert_eq!(reply, &format!("250 2.0.0 <u{n}@foo.edu> delivered"));
            1
        };
        assert_eq!(store.account(*id).unwrap().messages(), taken);
    }
    let grown = store.stats().unwrap().counts.log_bytes - before;
    assert!(grown < 2 * line.len() as u64, "{grown} bytes of log for one message of {}", line.len());
    end(server, store).await;
}

#[tokio::test]
async fn quota_is_told_at_rcpt() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    account(&store, "pat", Some(10_000));
    let server = serve(&store).await;
    let mut client = Client::hello(&server.address).await;
    client.send("MAIL FROM:<a@b> SIZE=10001\r\nRCPT TO:<pat@b>\r\nRSET\r\nMAIL FROM:<a@b> SIZE=100\r\nRCPT TO:<pat@b>\r\n").await;
    let replies = client.replies(5).await;
    assert_eq!(replies[1], "552 5.2.2 <pat@b> over quota");
    assert_eq!(replies[4], "250 2.1.5 <pat@b> OK");
    end(server, store).await;
}

/// The connection is cut after the final dot, before the reply is read; the client sends again.
#[tokio::test]
async fn a_retry_after_a_lost_reply_is_no_second_copy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let pat = account(&store, "pat", None);
    let server = serve(&store).await;
    let mut client = Client::hello(&server.address).await;
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<pat@b>\r\nDATA\r\n").await;
    client.replies(3).await;
    client.send(format!("{TEXT}.\r\n")).await;
    drop(client);
    let mut client = Client::hello(&server.address).await;
    assert_eq!(client.deliver("a@b", &["pat@b"], TEXT).await, ["250 2.0.0 <pat@b> delivered"]);
    // Whichever of the two came first, and the next try after both.
    assert_eq!(client.deliver("a@b", &["pat@b"], TEXT).await, ["250 2.0.0 <pat@b> delivered"]);
    assert_eq!(messages(&store, pat, "INBOX").len(), 1);
    // The same Message-ID from somebody else, or other bytes: other mail.
    client.deliver("c@d", &["pat@b"], TEXT).await;
    client.deliver("a@b", &["pat@b"], &format!("{TEXT}More.\r\n")).await;
    assert_eq!(messages(&store, pat, "INBOX").len(), 3);
    end(server, store).await;
}

/// 250 means durable: what was answered is there when the store is opened again.
#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let pat = account(&store, "pat", None);
    let server = serve(&store).await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let address = server.address.clone();
        tasks.push(tokio::spawn(async move {
            let mut client = Client::hello(&address).await;
            for m in 0..5 {
                let text = format!("Subject: {n}.{m}\r\n\r\n{}\r\n", "x".repeat(n * 30_000));
                assert!(client.deliver("a@b", &["pat@b"], &text).await[0].starts_with("250 "));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    end(server, store).await;
    let store = open(dir.path());
    let mut subjects: Vec<String> = messages(&store, pat, "INBOX")
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).lines().nth(2).unwrap().to_owned())
        .collect();
    subjects.sort();
    let want: Vec<String> = (0..8).flat_map(|n| (0..5).map(move |m| format!("Subject: {n}.{m}"))).collect();
    assert_eq!(subjects, want);
    assert!(store.check(true).unwrap().is_clean());
}

#[tokio::test]
async fn a_store_that_is_closed_answers_451() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    account(&store, "pat", None);
    let server = serve(&store).await;
    let mut client = Client::hello(&server.address).await;
    store.close().unwrap();
    let replies = client.deliver("a@b", &["pat@b"], TEXT).await;
    assert_eq!(replies, ["451 4.3.0 <pat@b> local error; try again later"]);
    server.stop().await.unwrap();
}
