//! One connection: the session's actions done on a socket and a `Deliver`.

use crate::deliver::{Deliver, Message};
use crate::proto::refusal::Refusal;
use crate::proto::reply::Reply;
use crate::session::{Action, Envelope, Limits, Session};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// What a read brings at most; also the size of the pieces a message is written in.
const READ_BYTES: usize = 32 * 1024;

const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    pub hostname: String,
    pub limits: Limits,
    /// RFC 5321 section 4.5.3.2.7: at least 5 minutes.
    pub idle_timeout: Duration,
    /// How long a message under way may take after shutdown.
    pub grace: Duration,
}

/// What a wait for input came to.
enum Event {
    Received(usize),
    /// The peer closed its side.
    Ended,
    TimedOut,
    ShuttingDown,
}

/// Serves one connection until either side ends it.
///
/// # Errors
/// Those of the socket.
pub async fn serve<S, D>(
    mut stream: S,
    deliver: Arc<D>,
    options: ConnectionOptions,
    shutdown: watch::Receiver<bool>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Deliver,
{
    let mut out = Vec::new();
    let mut session = Session::new(&options.hostname, options.limits.clone(), &mut out);
    let mut driver = Driver { deliver, message: None };
    let mut stop = Stop { signal: shutdown, grace: options.grace, grace_ends: None };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        send(&mut stream, &mut out, options.idle_timeout).await?;
        let in_message = !session.is_between_messages();
        let event = wait(&mut stream, &mut buffer, options.idle_timeout, &mut stop, in_message).await?;
        let reason = match event {
            Event::Received(n) => {
                let received = buffer.get(..n).unwrap_or_default();
                if driver.run(&mut session, received, &mut out).await {
                    continue;
                }
                None
            }
            Event::Ended => return Ok(()),
            Event::TimedOut => Some(Reply::closing("4.4.2", "timed out waiting for the client")),
            Event::ShuttingDown => Some(Reply::closing("4.3.2", "shutting down; try again later")),
        };
        match reason {
            Some(reason) => {
                session.close(&reason, &mut out);
                send(&mut stream, &mut out, options.idle_timeout).await?;
                return stream.shutdown().await;
            }
            None => {
                send(&mut stream, &mut out, options.idle_timeout).await?;
                return linger(stream, &mut buffer).await;
            }
        }
    }
}

/// Closes after the last reply. Closing over input not read would reset the connection, and the client
/// might lose that reply: so what it still sends is read away, for a moment.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, buffer: &mut [u8]) -> io::Result<()> {
    stream.shutdown().await?;
    // Over the moment, or an error: it is closed either way.
    let _ = timeout(LINGER, async {
        while stream.read(buffer).await? > 0 {}
        io::Result::Ok(())
    })
    .await;
    Ok(())
}

/// Says why there is no room for this connection.
///
/// # Errors
/// Those of the socket.
pub async fn turn_away<S: AsyncWrite + Unpin>(mut stream: S, within: Duration) -> io::Result<()> {
    let mut out = Vec::new();
    Reply::closing("4.3.2", "too many connections; try again later").write(&mut out);
    send(&mut stream, &mut out, within).await?;
    stream.shutdown().await
}

/// Waits for input, the time-out or the shutdown, which comes first: 421 may answer any command
/// (RFC 5321 section 3.8). A message on its way in is waited for until the grace has run out.
async fn wait<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut [u8],
    idle_timeout: Duration,
    stop: &mut Stop,
    in_message: bool,
) -> io::Result<Event> {
    tokio::select! {
        biased;
        () = stop.wait(in_message) => Ok(Event::ShuttingDown),
        read = timeout(idle_timeout, stream.read(buffer)) => match read {
            Err(_) => Ok(Event::TimedOut),
            Ok(Ok(0)) => Ok(Event::Ended),
            Ok(Ok(n)) => Ok(Event::Received(n)),
            Ok(Err(e)) => Err(e),
        },
    }
}

/// The shutdown as one connection sees it.
struct Stop {
    signal: watch::Receiver<bool>,
    grace: Duration,
    /// Set once, so that a trickle of input does not prolong the grace.
    grace_ends: Option<Instant>,
}

impl Stop {
    async fn wait(&mut self, in_message: bool) {
        // A sender that is gone is a shutdown too.
        let _ = self.signal.wait_for(|stop| *stop).await;
        let grace = self.grace;
        let grace_ends = *self.grace_ends.get_or_insert_with(|| Instant::now() + grace);
        if in_message {
            tokio::time::sleep_until(grace_ends).await;
        }
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut Vec<u8>, within: Duration) -> io::Result<()> {
    if !out.is_empty() {
        timeout(within, stream.write_all(out)).await??;
        out.clear();
    }
    Ok(())
}

/// Does what the session asks for.
struct Driver<D: Deliver> {
    deliver: Arc<D>,
    message: Option<D::Message>,
}

impl<D: Deliver> Driver<D> {
    /// Works the input off. False: the session is over.
    async fn run(&mut self, session: &mut Session<D::Target>, mut input: &[u8], out: &mut Vec<u8>) -> bool {
        loop {
            match session.advance(&mut input, out) {
                Action::Read => return true,
                Action::Close => return false,
                Action::CheckRecipient { recipient, size_bytes } => {
                    let verdict = self.deliver.check(&recipient, size_bytes).await;
                    session.recipient_checked(verdict, out);
                }
                Action::Begin => match self.deliver.begin().await {
                    Ok(message) => {
                        self.message = Some(message);
                        session.begun(Ok(()), out);
                    }
                    Err(refusal) => session.begun(Err(refusal), out),
                },
                Action::Write(bytes) => {
                    let Some(message) = &mut self.message else { continue };
                    if let Err(refusal) = message.write(bytes).await {
                        self.message = None;
                        session.write_failed(refusal);
                    }
                }
                Action::Abandon => self.message = None,
                Action::Commit(envelope) => {
                    let verdicts = self.commit(envelope).await;
                    session.committed(&verdicts, out);
                }
            }
        }
    }

    async fn commit(&mut self, envelope: Envelope<D::Target>) -> Vec<Result<(), Refusal>> {
        let Some(message) = self.message.take() else { return Vec::new() };
        let recipients = envelope.recipients.into_iter().map(|r| (r.address, r.target)).collect();
        let verdicts = message.commit(envelope.sender, recipients).await;
        let delivered = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        let refused = verdicts.iter().find_map(|verdict| verdict.err()).map(Refusal::label);
        tracing::info!(recipients = verdicts.len(), delivered, refused, "message");
        verdicts
    }
}
