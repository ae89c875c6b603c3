//! A server on a socket of its own, a client that reads replies, and a double of `Deliver`.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)]

use lmtpd::deliver::{Deliver, Message};
use lmtpd::proto::address::Address;
use lmtpd::proto::refusal::Refusal;
use lmtpd::{Server, ServerOptions};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// What was delivered: recipients as the client named them, and the bytes.
pub type Delivered = (Vec<String>, Vec<u8>);

/// Takes mail for everybody and keeps it; `gate` holds commits back, one permit each.
#[derive(Clone)]
pub struct Double {
    pub delivered: Arc<Mutex<Vec<Delivered>>>,
    pub gate: Arc<Semaphore>,
}

impl Double {
    pub fn new() -> Self {
        Self { delivered: Arc::default(), gate: Arc::new(Semaphore::new(1_000_000)) }
    }

    pub fn gated() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::new() }
    }
}

pub struct DoubleMessage {
    double: Double,
    bytes: Vec<u8>,
}

impl Deliver for Double {
    type Target = ();
    type Message = DoubleMessage;

    async fn check(&self, recipient: &Address, _size_bytes: Option<u64>) -> Result<(), Refusal> {
        if recipient.unquoted().starts_with("nobody") { Err(Refusal::NoSuchAccount) } else { Ok(()) }
    }

    async fn begin(&self) -> Result<DoubleMessage, Refusal> {
        Ok(DoubleMessage { double: self.clone(), bytes: Vec::new() })
    }
}

impl Message for DoubleMessage {
    type Target = ();

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    async fn commit(
        self,
        _sender: Option<Address>,
        recipients: Vec<(Address, ())>,
    ) -> Vec<Result<(), Refusal>> {
        self.double.gate.acquire().await.unwrap().forget();
        let names: Vec<String> = recipients.iter().map(|(address, ())| address.to_string()).collect();
        let verdicts = vec![Ok(()); names.len()];
        self.double.delivered.lock().unwrap().push((names, self.bytes));
        verdicts
    }
}

/// A server running on a free port.
pub struct Running {
    pub address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn start(mut options: ServerOptions, deliver: impl Deliver) -> Self {
        options.listen.push("127.0.0.1:0".parse().unwrap());
        options.hostname = "foo.edu".into();
        let server = Server::bind(options, deliver).await.unwrap();
        let address = server.addresses().last().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.address).await
    }

    /// Asks for the stop; the handle is done when the server is.
    pub fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.task
    }
}

pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub async fn connect(address: &str) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// Connected, greeted, LHLO said.
    pub async fn hello(address: &str) -> Self {
        let mut client = Self::connect(address).await;
        assert_eq!(client.reply().await, "220 foo.edu LMTP Mailcask ready");
        client.send("LHLO test\r\n").await;
        while client.reply().await.starts_with("250-") {}
        client
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(text.as_ref()).await.unwrap();
    }

    /// The next line; empty when the server has closed.
    pub async fn reply(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    pub async fn replies(&mut self, count: usize) -> Vec<String> {
        let mut replies = Vec::new();
        for _ in 0..count {
            replies.push(self.reply().await);
        }
        replies
    }

    /// Sends, and reads one reply.
    pub async fn ask(&mut self, text: impl AsRef<[u8]>) -> String {
        self.send(text).await;
        self.reply().await
    }

    /// Sends a message to recipients that are taken; the replies after the final dot.
    pub async fn deliver(&mut self, from: &str, to: &[&str], text: &str) -> Vec<String> {
        assert_eq!(self.ask(format!("MAIL FROM:<{from}>\r\n")).await, "250 2.1.0 sender OK");
        for to in to {
            assert_eq!(self.ask(format!("RCPT TO:<{to}>\r\n")).await, format!("250 2.1.5 <{to}> OK"));
        }
        assert!(self.ask("DATA\r\n").await.starts_with("354 "));
        self.send(format!("{text}.\r\n")).await;
        self.replies(to.len()).await
    }
}
