//! A client that others wrote: the async-imap crate, over TCP.

#![allow(clippy::unwrap_used)]

mod common;

use async_imap::extensions::idle::IdleResponse;
use async_imap::types::Flag;
use common::Fixture;
use common::net::{Running, config};
use futures_util::TryStreamExt;
use tokio::net::TcpStream;

const MESSAGE: &[u8] = b"From: Bob <bob@example.org>\r\nSubject: hello\r\n\r\nHow are you?\r\n";

type Session = async_imap::Session<TcpStream>;

async fn log_in(server: &Running) -> Session {
    let stream = TcpStream::connect(server.tcp()).await.unwrap();
    let mut client = async_imap::Client::new(stream);
    client.read_response().await.unwrap().unwrap();
    client.login("alice", "secret").await.map_err(|(error, _)| error).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn async_imap_does_a_days_work() {
    let fixture = Fixture::new();
    let server = Running::start(&fixture, &config()).await;
    let mut session = log_in(&server).await;
    assert!(session.capabilities().await.unwrap().has_str("MOVE"));
    session.create("Lists/Rust").await.unwrap();
    session.append("INBOX", Some("(\\Flagged)"), None, MESSAGE).await.unwrap();
    session.append("INBOX", None, None, MESSAGE).await.unwrap();
    let mailbox = session.select("INBOX").await.unwrap();
    assert_eq!((mailbox.exists, mailbox.recent, mailbox.uid_next), (2, 2, Some(3)));
    read_mail(&mut session).await;
    change_mail(&mut session).await;
    organise(&mut session).await;
    session.logout().await.unwrap();
    server.stop().await;
    fixture.end();
}

async fn read_mail(session: &mut Session) {
    let found = session.uid_search("SUBJECT hello FLAGGED").await.unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [1]);
    let items = "(UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[])";
    let fetched: Vec<_> = session.fetch("1:*", items).await.unwrap().try_collect().await.unwrap();
    assert_eq!(fetched.len(), 2);
    for message in &fetched {
        assert_eq!(message.body(), Some(MESSAGE));
        assert_eq!(message.size, Some(u32::try_from(MESSAGE.len()).unwrap()));
        assert_eq!(message.envelope().unwrap().subject.as_deref(), Some(&b"hello"[..]));
        assert!(message.bodystructure().is_some());
    }
    assert!(fetched[0].flags().any(|flag| flag == Flag::Flagged));
}

async fn change_mail(session: &mut Session) {
    let stored: Vec<_> = session.store("2", "+FLAGS (\\Deleted)").await.unwrap().try_collect().await.unwrap();
    assert!(stored[0].flags().any(|flag| flag == Flag::Deleted));
    let expunged: Vec<u32> = session.expunge().await.unwrap().try_collect().await.unwrap();
    assert_eq!(expunged, [2]);
    session.copy("1", "Lists/Rust").await.unwrap();
    session.mv("1", "Archive").await.unwrap();
    assert_eq!(session.examine("Archive").await.unwrap().exists, 1);
}

async fn organise(session: &mut Session) {
    let names: Vec<_> = session.list(Some(""), Some("*")).await.unwrap().try_collect().await.unwrap();
    assert!(names.iter().any(|name| name.name() == "Lists/Rust"));
    let status = session.status("Lists/Rust", "(MESSAGES UNSEEN)").await.unwrap();
    assert_eq!((status.exists, status.unseen), (1, Some(1)));
    session.rename("Lists/Rust", "Rust").await.unwrap();
    session.subscribe("Rust").await.unwrap();
    session.delete("Rust").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn async_imap_is_woken_from_idle() {
    let fixture = Fixture::new();
    let server = Running::start(&fixture, &config()).await;
    let mut idler = log_in(&server).await;
    idler.select("INBOX").await.unwrap();
    let mut idle = idler.idle();
    idle.init().await.unwrap();
    let mut other = log_in(&server).await;
    let (wait, _stop) = idle.wait_with_timeout(common::net::TOO_LONG);
    let (woken, appended) = tokio::join!(wait, other.append("INBOX", None, None, MESSAGE));
    appended.unwrap();
    assert!(matches!(woken.unwrap(), IdleResponse::NewData(_)));
    let mut idler = idle.done().await.unwrap();
    idler.logout().await.unwrap();
    other.logout().await.unwrap();
    server.stop().await;
    fixture.end();
}
