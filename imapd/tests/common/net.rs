//! A server on loopback, and a client that speaks lines.

#![allow(dead_code, clippy::unwrap_used)]

use super::Fixture;
use imapd::{Config, Listen, Server};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What no test should need; a server that hangs fails the test instead of stopping it.
pub const TOO_LONG: Duration = Duration::from_secs(60);

pub struct Running {
    pub addresses: Vec<Listen>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

pub fn config() -> Config {
    Config {
        listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))],
        failed_login_delay: Duration::ZERO,
        ..Config::default()
    }
}

impl Running {
    pub async fn start(fixture: &Fixture, config: &Config) -> Self {
        let server = Server::bind(fixture.store.clone(), config).await.unwrap();
        let addresses = server.addresses();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { addresses, stop, served }
    }

    pub fn tcp(&self) -> SocketAddr {
        match &self.addresses[0] {
            Listen::Tcp(address) => *address,
            Listen::Unix(_) => panic!("not on TCP"),
        }
    }

    pub async fn connect(&self) -> Lines<TcpStream> {
        Lines::new(TcpStream::connect(self.tcp()).await.unwrap())
    }

    pub async fn logged_in(&self) -> Lines<TcpStream> {
        let mut client = self.connect().await;
        client.line().await;
        client.ok("LOGIN alice secret").await;
        client
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(TOO_LONG, self.served).await.unwrap().unwrap();
    }
}

pub struct Lines<S> {
    pub stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    pub fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// The next line without its end; empty at the end of the stream.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(TOO_LONG, self.stream.read_line(&mut line)).await.unwrap().unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// Runs a command that must be OK, and gives its lines.
    pub async fn ok(&mut self, command: &str) -> Vec<String> {
        self.send(&format!("x {command}\r\n")).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            assert!(!line.is_empty(), "the connection ended: {lines:?}");
            let is_end = line.starts_with("x ");
            assert!(!is_end || line.starts_with("x OK"), "{command}: {line}");
            lines.push(line);
            if is_end {
                return lines;
            }
        }
    }

    /// Everything up to the end of the stream.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        tokio::time::timeout(TOO_LONG, self.stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
