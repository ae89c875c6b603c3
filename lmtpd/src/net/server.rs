//! The server: binds, accepts, counts connections, stops.

use super::connection::{self, ConnectionOptions};
use super::listen::{Listen, ListenError, Listener, Stream};
use crate::deliver::Deliver;
use crate::session::Limits;
use engine::metrics::{Connections, Open};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

#[derive(Debug, Clone)]
pub struct ServerOptions {
    pub listen: Vec<Listen>,
    /// The name in the greeting.
    pub hostname: String,
    pub limits: Limits,
    pub max_connections: usize,
    pub idle_timeout: Duration,
    /// How long a message under way may take after shutdown.
    pub grace: Duration,
    /// Listen away from loopback too.
    pub allow_plaintext: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            hostname: hostname(),
            limits: Limits::default(),
            max_connections: 500,
            idle_timeout: Duration::from_secs(5 * 60),
            grace: Duration::from_secs(10),
            allow_plaintext: false,
        }
    }
}

/// An LMTP server whose sockets are bound.
pub struct Server<D> {
    listeners: Vec<Listener>,
    deliver: Arc<D>,
    options: ServerOptions,
    connections: Connections,
}

impl<D: Deliver> Server<D> {
    /// Binds every address of the options.
    ///
    /// # Errors
    /// On the first that cannot be bound; none is left bound then.
    pub async fn bind(options: ServerOptions, deliver: D) -> Result<Self, ListenError> {
        let mut listeners = Vec::new();
        for address in &options.listen {
            listeners.push(Listener::bind(address, options.allow_plaintext).await?);
        }
        Ok(Self { listeners, deliver: Arc::new(deliver), options, connections: Connections::default() })
    }

    /// Where it listens: connections are taken from now on, served once `run` is polled.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listen> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// How many connections there are, and were.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Serves until `shutdown` is done and every connection has ended.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let slots = Slots {
            free: Arc::new(Semaphore::new(self.options.max_connections)),
            connections: self.connections,
        };
        let options = Arc::new(self.options);
        let mut acceptors = JoinSet::new();
        for listener in self.listeners {
            let (deliver, options) = (self.deliver.clone(), options.clone());
            acceptors.spawn(accept(listener, deliver, options, slots.clone(), stopped.clone()));
        }
        drop(stopped);
        shutdown.await;
        let _ = stop.send(true);
        while acceptors.join_next().await.is_some() {}
    }
}

/// Places for connections.
#[derive(Clone)]
struct Slots {
    free: Arc<Semaphore>,
    connections: Connections,
}

impl Slots {
    /// A place, until it is dropped; none when all are taken.
    fn take(&self) -> Option<(OwnedSemaphorePermit, Open)> {
        match self.free.clone().try_acquire_owned() {
            Ok(permit) => Some((permit, self.connections.open())),
            Err(_) => {
                self.connections.refused();
                None
            }
        }
    }
}

/// Accepts on one listener until the stop, then waits for the connections it accepted.
async fn accept<D: Deliver>(
    listener: Listener,
    deliver: Arc<D>,
    options: Arc<ServerOptions>,
    slots: Slots,
    stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stop = stopped.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Finished connections are forgotten as they end.
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a peer gone before it was accepted: wait, go on.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let slot = slots.take();
        let (deliver, options, stopped) = (deliver.clone(), options.clone(), stopped.clone());
        let span = tracing::info_span!("lmtp", %peer);
        let task = async move {
            let served = match stream {
                Stream::Tcp(stream) => converse(stream, slot.is_some(), deliver, &options, stopped).await,
                Stream::Unix(stream) => converse(stream, slot.is_some(), deliver, &options, stopped).await,
            };
            if let Err(error) = served {
                tracing::debug!(%error, "connection lost");
            }
            drop(slot);
        };
        connections.spawn(task.instrument(span));
    }
    // The name goes before the connections do: the next server may bind it.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn converse<S, D>(
    stream: S,
    has_slot: bool,
    deliver: Arc<D>,
    options: &ServerOptions,
    stopped: watch::Receiver<bool>,
) -> std::io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    D: Deliver,
{
    if !has_slot {
        return connection::turn_away(stream, options.idle_timeout).await;
    }
    let options = ConnectionOptions {
        hostname: options.hostname.clone(),
        limits: options.limits.clone(),
        idle_timeout: options.idle_timeout,
        grace: options.grace,
    };
    connection::serve(stream, deliver, options, stopped).await
}

/// This machine's name, for the greeting.
#[must_use]
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()))
        .unwrap_or_else(|| "localhost".to_owned())
}
