//! The server on sockets: pipelining, limits, time-outs and the stop, over a double of `Deliver`.
#![allow(clippy::unwrap_used)]

mod support;

use lmtpd::{Listen, Server, ServerOptions};
use std::time::Duration;
use support::{Client, Double, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

fn options() -> ServerOptions {
    ServerOptions::default()
}

/// RFC 2920 section 3.2: a pipelined group may come in one packet; the replies come in its order.
#[tokio::test]
async fn a_pipelined_group_is_answered_in_order() {
    let double = Double::new();
    let server = Running::start(options(), double.clone()).await;
    let mut client = Client::hello(&server.address).await;
    client
        .send(
            "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<pat@b>\r\nRCPT TO:<nobody@b>\r\nRCPT TO:<tim@b>\r\nDATA\r\n",
        )
        .await;
    let replies = client.replies(6).await;
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "550", "250", "354"]);
    client
        .send(
            "Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<x@b>\r\nBDAT 3 LAST\r\nhi\nQUIT\r\n",
        )
        .await;
    let replies = client.replies(6).await;
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "250", "250", "221"]);
    assert_eq!(client.reply().await, "", "and the connection is closed");
    let delivered = double.delivered.lock().unwrap().clone();
    let names = vec!["pat@b".to_owned(), "tim@b".to_owned()];
    assert_eq!(delivered[0], (names, b"Subject: x\r\n\r\nbody\r\n".to_vec()));
    assert_eq!(delivered[1], (vec!["x@b".to_owned()], b"hi\n".to_vec()));
}

#[tokio::test]
async fn a_message_larger_than_any_buffer_comes_whole() {
    let double = Double::new();
    let server = Running::start(options(), double.clone()).await;
    let mut client = Client::hello(&server.address).await;
    let line = "..0123456789 and so on, with a stuffed dot\r\n";
    let wire = line.repeat(50_000);
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<pat@b>\r\nDATA\r\n").await;
    client.replies(3).await;
    client.send(&wire).await;
    assert_eq!(client.ask(".\r\n").await, "250 2.0.0 <pat@b> delivered");
    let delivered = double.delivered.lock().unwrap().clone();
    assert_eq!(delivered[0].1, line[1..].repeat(50_000).as_bytes());
}

#[tokio::test]
async fn a_unix_socket_serves_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lmtp.sock");
    let options = ServerOptions { listen: vec![Listen::Unix(path.clone())], ..options() };
    let server = Running::start(options, Double::new()).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"QUIT\r\n").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "220 foo.edu LMTP Mailcask ready\r\n221 2.0.0 closing connection\r\n");
    server.stop().await.unwrap();
    assert!(!path.exists(), "the socket's name goes with the server");
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let options = ServerOptions { max_connections: 1, ..options() };
    let server = Running::start(options, Double::new()).await;
    let mut first = Client::hello(&server.address).await;
    let mut second = server.client().await;
    assert_eq!(second.reply().await, "421 4.3.2 too many connections; try again later");
    assert_eq!(second.reply().await, "");
    assert_eq!(first.ask("QUIT\r\n").await, "221 2.0.0 closing connection");
    assert_eq!(first.reply().await, "");
    // The place is free again, as soon as the server has seen the end of the first.
    loop {
        let mut third = server.client().await;
        match third.reply().await.get(..3) {
            Some("220") => break,
            Some("421") => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let options = ServerOptions { idle_timeout: Duration::from_millis(50), ..options() };
    let server = Running::start(options, Double::new()).await;
    let mut client = Client::hello(&server.address).await;
    assert_eq!(client.reply().await, "421 4.4.2 timed out waiting for the client");
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn a_stop_lets_idle_clients_go_and_a_commit_end_in_its_reply() {
    let double = Double::gated();
    let server = Running::start(options(), double.clone()).await;
    let address = server.address.clone();
    let mut idle = Client::hello(&address).await;
    let mut sending = Client::hello(&address).await;
    let mut committing = Client::hello(&address).await;
    for client in [&mut sending, &mut committing] {
        client.send("MAIL FROM:<a@b>\r\nRCPT TO:<pat@b>\r\nDATA\r\n").await;
        client.replies(3).await;
    }
    committing.send("one\r\n.\r\n").await;
    sending.send("tw").await;
    let stopped = server.stop();
    let closing = "421 4.3.2 shutting down; try again later";
    assert_eq!(idle.reply().await, closing);
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    double.gate.add_permits(2);
    assert_eq!(committing.replies(2).await, ["250 2.0.0 <pat@b> delivered", closing]);
    // The message that was under way still comes in.
    sending.send("o\r\n.\r\n").await;
    assert_eq!(sending.replies(3).await, ["250 2.0.0 <pat@b> delivered", closing, ""]);
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_message_under_way_at_the_stop_has_only_the_grace() {
    let options = ServerOptions { grace: Duration::from_millis(50), ..options() };
    let double = Double::new();
    let server = Running::start(options, double.clone()).await;
    let mut client = Client::hello(&server.address).await;
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<pat@b>\r\nDATA\r\nnever ends\r\n").await;
    client.replies(3).await;
    server.stop().await.unwrap();
    assert_eq!(client.reply().await, "421 4.3.2 shutting down; try again later");
    assert_eq!(double.delivered.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_delivers_nothing() {
    let double = Double::new();
    let server = Running::start(options(), double.clone()).await;
    let mut client = Client::hello(&server.address).await;
    client.send("MAIL FROM:<a@b>\r\nRCPT TO:<pat@b>\r\nDATA\r\n").await;
    client.replies(3).await;
    client.send("half a mess").await;
    drop(client);
    server.stop().await.unwrap();
    assert_eq!(double.delivered.lock().unwrap().len(), 0);
}

/// The last reply is not lost to a reset, whatever was still on its way.
#[tokio::test]
async fn the_last_reply_arrives_though_more_was_sent() {
    let server = Running::start(options(), Double::new()).await;
    let mut client = Client::hello(&server.address).await;
    client.send(format!("BDAT x\r\n{}", "noise\r\n".repeat(20_000))).await;
    assert_eq!(client.reply().await, "501 5.5.4 syntax: BDAT octets [LAST]; closing");
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = Running::start(options(), Double::new()).await;
    let options = ServerOptions { listen: vec![server.address.parse().unwrap()], ..options() };
    let error = Server::bind(options, Double::new()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), format!("another server is listening on {}", server.address));
}
