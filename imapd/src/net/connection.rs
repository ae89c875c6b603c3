//! One connection: moves bytes between a socket and a session.
//!
//! Laws
//! - While a command runs at most `AHEAD_BYTES` are read from the socket, and at most
//!   `CHUNKS_AHEAD` chunks wait to be written; then the other side waits.
//! - A client that goes away ends the command that runs as soon as reading or writing fails.
//! - A client that closed its side still gets the answers to what it sent. Only writing shows whether it
//!   reads them: a search that runs tells it in short intervals how far it is.
//! - A client whose search runs long hears how far it is, between two responses, and only while it takes
//!   what is written.
//! - Silence ends the connection, during IDLE too; so does a client that does not read.

use super::limits::Limits;
use crate::session::{Gone, Session, Sink, Step};
use engine::types::AccountId;
use rustix::net::sockopt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{tcp, unix};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};

const AHEAD_BYTES: usize = 64 << 10;
/// Room made for one read.
const READ_BYTES: usize = 32 << 10;
const CHUNKS_AHEAD: usize = 4;
/// The largest chunk that waits to be written.
const CHUNK_BYTES: usize = 256 << 10;

/// When a client first hears how far its search is (RFC 9585), and how often after that.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);
const PROGRESS_EVERY: Duration = Duration::from_secs(3);
/// The same for a client that closed its side.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// How patient a connection is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub autologout: Duration,
    pub login_timeout: Duration,
    pub write_timeout: Duration,
}

/// The half of a socket that is read.
pub trait Reader: AsyncRead + Unpin + Send + 'static {
    /// Tells the client at once that its bytes came. A client that sends a literal and its line end in
    /// two writes holds the second one back until then: 40 ms a message, where APPENDs are many.
    fn acknowledge(&self);
}

impl Reader for tcp::OwnedReadHalf {
    fn acknowledge(&self) {
        // Only speed depends on it.
        let _ = sockopt::set_tcp_quickack(self.as_ref(), true);
    }
}

impl Reader for unix::OwnedReadHalf {
    fn acknowledge(&self) {}
}

/// Serves one client until it or the server has had enough.
pub async fn serve<R, W>(
    reader: R,
    writer: W,
    session: Session,
    preauth: Option<AccountId>,
    limits: Arc<Limits>,
    patience: Patience,
    stopping: watch::Receiver<bool>,
) where
    R: Reader,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let gone = Arc::new(AtomicBool::new(false));
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let written = tokio::spawn(write_chunks(writer, chunks, Arc::clone(&gone), patience.write_timeout));
    let connection = Connection {
        reader,
        ahead: Vec::new(),
        is_at_end: false,
        sender,
        gone,
        limits,
        patience,
        stopping,
        heard: Instant::now(),
    };
    connection.converse(session, preauth).await;
    // The sender is dropped: what is left is written, within the patience for that.
    let _ = written.await;
}

struct Connection<R> {
    reader: R,
    /// Read, and not yet pushed into the session.
    ahead: Vec<u8>,
    /// The client closed its side.
    is_at_end: bool,
    sender: mpsc::Sender<Vec<u8>>,
    gone: Arc<AtomicBool>,
    limits: Arc<Limits>,
    patience: Patience,
    stopping: watch::Receiver<bool>,
    /// When the client last sent something or was last answered.
    heard: Instant,
}

/// Why a session that waited for bytes goes on.
enum Woken {
    Bytes,
    MailboxChanged,
    Silence,
    Stopping,
    Gone,
}

impl<R: Reader> Connection<R> {
    async fn converse(mut self, session: Session, preauth: Option<AccountId>) {
        let mut at = self.work(session, move |session, sink| session.greet(preauth, sink)).await;
        while let Some((session, step)) = at {
            at = match step {
                Step::Close => None,
                Step::Again => self.step(session).await,
                Step::PasswordTurn => {
                    let _turn = self.limits.login_turn().await;
                    self.step(session).await
                }
                Step::Pause(pause) => {
                    sleep(pause).await;
                    self.step(session).await
                }
                Step::NeedBytes => self.feed(session).await,
            };
        }
    }

    async fn step(&mut self, session: Session) -> Option<(Session, Step)> {
        let at = self.work(session, Session::step).await;
        self.heard = Instant::now();
        at
    }

    /// Waits for what the session needs, then goes on.
    async fn feed(&mut self, mut session: Session) -> Option<(Session, Step)> {
        match self.wait(&mut session).await {
            Woken::Bytes => {
                self.reader.acknowledge();
                session.push(&self.ahead);
                self.ahead.clear();
                self.step(session).await
            }
            Woken::MailboxChanged => self.work(session, Session::wake).await,
            Woken::Silence => {
                self.work(session, |session, sink| session.end("Autologout; idle for too long", sink)).await
            }
            Woken::Stopping => {
                self.work(session, |session, sink| session.end("The server is shutting down", sink)).await
            }
            Woken::Gone => None,
        }
    }

    async fn wait(&mut self, session: &mut Session) -> Woken {
        if !self.ahead.is_empty() {
            return Woken::Bytes;
        }
        if self.is_at_end {
            return Woken::Gone;
        }
        let patience =
            if session.is_logged_in() { self.patience.autologout } else { self.patience.login_timeout };
        let changed = async {
            match session.idle_watch() {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        self.ahead.reserve(READ_BYTES);
        tokio::select! {
            read = self.reader.read_buf(&mut self.ahead) => match read {
                Ok(count) if count > 0 => Woken::Bytes,
                _ => Woken::Gone,
            },
            _ = changed => Woken::MailboxChanged,
            () = sleep_until(self.heard + patience) => Woken::Silence,
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::Stopping,
            () = self.sender.closed() => Woken::Gone,
        }
    }

    /// Lets the session work on a blocking thread, reading ahead meanwhile. `None`: it panicked.
    async fn work<F>(&mut self, mut session: Session, f: F) -> Option<(Session, Step)>
    where
        F: FnOnce(&mut Session, &mut dyn Sink) -> Step + Send + 'static,
    {
        let mut sink = ChannelSink { sender: self.sender.clone(), gone: Arc::clone(&self.gone) };
        let running = session.running();
        let mut progress = match self.is_at_end {
            false => every(PROGRESS_AFTER, PROGRESS_EVERY),
            true => every(PROBE_EVERY, PROBE_EVERY),
        };
        let mut working = tokio::task::spawn_blocking(move || {
            let step = f(&mut session, &mut sink);
            (session, step)
        });
        loop {
            self.ahead.reserve(READ_BYTES);
            tokio::select! {
                done = &mut working => return done.ok(),
                _ = progress.tick() => running.report(|response| {
                    // Where there is no room the client does not read: it misses nothing.
                    let _ = self.sender.try_send(response);
                }),
                read = self.reader.read_buf(&mut self.ahead), if self.reads_ahead() => {
                    self.is_at_end = !matches!(&read, Ok(count) if *count > 0);
                    if self.is_at_end {
                        progress = every(PROBE_EVERY, PROBE_EVERY);
                    }
                    if read.is_err() {
                        self.gone.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    fn reads_ahead(&self) -> bool {
        !self.is_at_end && self.ahead.len() < AHEAD_BYTES
    }
}

/// Ticks that are not made up for when they were missed.
fn every(first: Duration, then: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + first, then);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// From the blocking thread to the task that writes.
struct ChannelSink {
    sender: mpsc::Sender<Vec<u8>>,
    gone: Arc<AtomicBool>,
}

impl Sink for ChannelSink {
    fn send(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        if bytes.len() <= CHUNK_BYTES {
            return self.sender.blocking_send(bytes).map_err(|_| Gone);
        }
        for chunk in bytes.chunks(CHUNK_BYTES) {
            self.sender.blocking_send(chunk.to_vec()).map_err(|_| Gone)?;
        }
        Ok(())
    }

    fn gone(&self) -> &AtomicBool {
        &self.gone
    }
}

/// Writes chunks in order until there are no more, or the client does not take them.
async fn write_chunks<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut chunks: mpsc::Receiver<Vec<u8>>,
    gone: Arc<AtomicBool>,
    patience: Duration,
) {
    while let Some(chunk) = chunks.recv().await {
        if !matches!(timeout(patience, writer.write_all(&chunk)).await, Ok(Ok(()))) {
            gone.store(true, Ordering::Relaxed);
            return;
        }
    }
    let _ = timeout(patience, writer.shutdown()).await;
}
