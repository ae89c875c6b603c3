//! The server on sockets: listeners, limits, silence, clients that go away or do not read.

#![allow(clippy::unwrap_used)]

mod common;

use common::Fixture;
use common::net::{Lines, Running, TOO_LONG, config};
use imapd::{Config, Listen, Preauth, ServeError, Server};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_this_machine_needs_to_be_allowed() {
    let fixture = Fixture::new();
    let listen: Listen = "0.0.0.0:0".parse().unwrap();
    let mut config = Config { listen: vec![listen.clone()], ..config() };
    let refused = Server::bind(fixture.store.clone(), &config).await;
    assert!(matches!(refused, Err(ServeError::Plaintext(address)) if address == listen));
    config.allow_plaintext = true;
    assert!(Server::bind(fixture.store.clone(), &config).await.is_ok());
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_user_needs_no_password_on_a_unix_socket() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
    let preauth = Preauth { owner_account: Some("alice".to_owned()), ..Preauth::default() };
    let trusting = Config { listen: vec![Listen::Unix(ours.clone())], preauth, ..config() };
    let trusting = Running::start(&fixture, &trusting).await;
    let careful =
        Running::start(&fixture, &Config { listen: vec![Listen::Unix(plain.clone())], ..config() }).await;

    let mut client = Lines::new(UnixStream::connect(&ours).await.unwrap());
    assert!(client.line().await.starts_with("* PREAUTH [CAPABILITY IMAP4rev1 "));
    client.ok("SELECT INBOX").await;
    let mut stranger = Lines::new(UnixStream::connect(&plain).await.unwrap());
    assert!(stranger.line().await.starts_with("* OK [CAPABILITY IMAP4rev1 "));
    stranger.ok("LOGIN alice secret").await;
    drop((client, stranger));

    trusting.stop().await;
    careful.stop().await;
    assert!(!ours.exists() && !plain.exists(), "a server takes its socket files away");
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_left_behind_is_taken_over_and_one_in_use_is_not() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imap.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = Config { listen: vec![Listen::Unix(path.clone())], ..config() };
    let server = Running::start(&fixture, &config).await;
    assert!(matches!(Server::bind(fixture.store.clone(), &config).await, Err(ServeError::Bind { .. })));
    server.stop().await;
    std::fs::write(&path, b"a file").unwrap();
    assert!(Server::bind(fixture.store.clone(), &config).await.is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_by_address_and_by_account() {
    let fixture = Fixture::new();
    let config = Config { max_connections_per_address: 3, max_connections_per_account: 1, ..config() };
    let server = Running::start(&fixture, &config).await;
    let first = server.logged_in().await;
    let mut second = server.connect().await;
    second.line().await;
    second.send("a LOGIN alice secret\r\n").await;
    assert!(second.line().await.starts_with("a NO [LIMIT] "));
    let third = server.connect().await;
    let mut fourth = server.connect().await;
    assert!(fourth.rest().await.starts_with("* BYE Too many connections"));
    // A place is free again once its connection is over.
    drop((first, third));
    loop {
        second.send("b LOGIN alice secret\r\n").await;
        let line = second.line().await;
        if line.starts_with("b OK") {
            break;
        }
        assert!(line.starts_with("b NO [LIMIT] "), "{line}");
    }
    server.stop().await;
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_a_connection_sooner_before_login_and_during_idle_too() {
    let fixture = Fixture::new();
    let hasty = Duration::from_millis(200);
    let config = Config { login_timeout: hasty, autologout: hasty, ..config() };
    let server = Running::start(&fixture, &config).await;
    let mut stranger = server.connect().await;
    let (stranger, idler) = tokio::join!(stranger.rest(), async {
        let mut idler = server.logged_in().await;
        idler.ok("SELECT INBOX").await;
        idler.send("i IDLE\r\n").await;
        idler.rest().await
    });
    assert!(stranger.ends_with("* BYE Autologout; idle for too long\r\n"), "{stranger}");
    assert!(idler.ends_with("* BYE Autologout; idle for too long\r\n"), "{idler}");
    server.stop().await;
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_bye() {
    let fixture = Fixture::new();
    let server = Running::start(&fixture, &config()).await;
    let mut client = server.logged_in().await;
    let mut idler = server.logged_in().await;
    idler.send("i IDLE\r\n").await;
    assert_eq!(idler.line().await, "+ idling");
    server.stop().await;
    assert_eq!(client.rest().await, "* BYE The server is shutting down\r\n");
    assert_eq!(idler.rest().await, "* BYE The server is shutting down\r\n");
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_commands_are_answered_after_the_client_closed_its_side() {
    let fixture = Fixture::new();
    let server = Running::start(&fixture, &config()).await;
    let mut client = server.connect().await;
    let commands = "a LOGIN alice secret\r\nb APPEND INBOX {4+}\r\nA: b\r\nc SELECT INBOX\r\n\
                    d FETCH 1 RFC822.SIZE\r\ne SEARCH ALL\r\nf LOGOUT\r\n";
    client.send(commands).await;
    client.stream.get_mut().shutdown().await.unwrap();
    let said = client.rest().await;
    let tagged: Vec<&str> =
        said.lines().filter(|line| line.as_bytes()[1] == b' ' && !line.starts_with('*')).collect();
    assert_eq!(tagged.len(), 6, "{said}");
    assert!(tagged.iter().all(|line| line[1..].starts_with(" OK")), "{said}");
    server.stop().await;
    fixture.end();
}

/// Compresses badly, and has no line ends but the header's.
fn large_message(bytes: usize) -> Vec<u8> {
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    let mut state = 7_u32;
    message.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + u8::try_from(state >> 24).unwrap() % 26
        })
        .take(bytes),
    );
    message
}

async fn append(client: &mut Lines<TcpStream>, message: &[u8]) {
    client.send(&format!("l APPEND INBOX {{{}}}\r\n", message.len())).await;
    assert!(client.line().await.starts_with("+ "));
    client.stream.get_mut().write_all(message).await.unwrap();
    client.send("\r\n").await;
    loop {
        let line = client.line().await;
        if line.starts_with("l ") {
            assert!(line.starts_with("l OK"), "{line}");
            return;
        }
    }
}

/// The literal that a FETCH of one section answers.
async fn literal(client: &mut Lines<TcpStream>, item: &str) -> Vec<u8> {
    client.send(&format!("f FETCH 1 {item}\r\n")).await;
    let line = client.line().await;
    let length = line.rsplit_once('{').unwrap().1.trim_end_matches('}').parse().unwrap();
    let mut bytes = vec![0; length];
    tokio::time::timeout(TOO_LONG, client.stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    while !client.line().await.starts_with("f OK") {}
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_goes_in_and_out_byte_for_byte() {
    let fixture = Fixture::new();
    let server = Running::start(&fixture, &config()).await;
    let mut client = server.logged_in().await;
    let message = large_message(3 << 20);
    append(&mut client, &message).await;
    client.ok("SELECT INBOX").await;
    assert!(literal(&mut client, "BODY[]").await == message);
    assert!(literal(&mut client, "RFC822").await == message);
    assert!(literal(&mut client, "RFC822.TEXT").await == message[18..]);
    assert!(literal(&mut client, "BODY[TEXT]").await == message[18..]);
    assert!(literal(&mut client, "BODY[1]").await == message[18..]);
    assert_eq!(literal(&mut client, "BODY[HEADER]").await, message[..18]);
    assert!(literal(&mut client, "BODY[]<200000.1000000>").await == message[200_000..1_200_000]);
    assert!(literal(&mut client, "BODY[TEXT]<3145700.1000>").await == message[3_145_718..]);
    server.stop().await;
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_stops_nobody_and_is_cut() {
    let fixture = Fixture::new();
    let config = Config { write_timeout: Duration::from_secs(1), ..config() };
    let server = Running::start(&fixture, &config).await;
    let mut client = server.logged_in().await;
    append(&mut client, &large_message(8 << 20)).await;
    let mut deaf = server.logged_in().await;
    deaf.ok("SELECT INBOX").await;
    deaf.send(&"d FETCH 1 BODY.PEEK[]\r\n".repeat(8)).await;
    // Others go on, on the same mailbox, while that one is stuck.
    for _ in 0..5 {
        append(&mut client, b"Subject: small\r\n\r\n").await;
        client.ok("STATUS INBOX (MESSAGES)").await;
    }
    // And the stuck one is cut, before it got all it asked for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut received = Vec::new();
    let _ = tokio::time::timeout(TOO_LONG, deaf.stream.read_to_end(&mut received)).await.unwrap();
    assert!(received.len() < 64 << 20, "{} bytes were sent to a client that did not read", received.len());
    server.stop().await;
    fixture.end();
}
