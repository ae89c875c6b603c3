//! Listens on TCP and Unix sockets, and starts a connection for each client.
//!
//! Laws
//! - An address that is not this machine's own is refused unless the administrator accepted that
//!   passwords and mail cross the network in the clear.
//! - When `run` returns no connection is left, and no socket file of ours.

use super::connection::{self, Patience};
use super::limits::Limits;
use crate::config::{Config, Listen, Preauth};
use crate::session::{Session, Shared};
use engine::Store;
use engine::metrics::Connections;
use engine::types::AccountId;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long connections get to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// After a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {listen}: {source}")]
    Bind { listen: Listen, source: io::Error },
    #[error(
        "will not listen on {0}: without TLS, passwords and mail would cross the network readable by anybody on the way; \
         listen on 127.0.0.1, or accept that with --allow-plaintext"
    )]
    Plaintext(Listen),
}

/// An IMAP server on a store, bound and ready to run.
pub struct Server {
    listeners: Vec<Listener>,
    context: Arc<Context>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// What every connection starts from.
struct Context {
    shared: Arc<Shared>,
    limits: Arc<Limits>,
    patience: Patience,
    preauth: Preauth,
    own_uid: u32,
}

impl Server {
    /// Binds every listener. Nothing is accepted before `run`, but clients can connect.
    pub async fn bind(store: Store, config: &Config) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        for listen in &config.listen {
            if !listen.is_local() && !config.allow_plaintext {
                return Err(ServeError::Plaintext(listen.clone()));
            }
            let bound = bind(listen).await;
            listeners.push(bound.map_err(|source| ServeError::Bind { listen: listen.clone(), source })?);
        }
        Ok(Self { listeners, context: Arc::new(Context::new(store, config)) })
    }

    /// Where it listens, with the ports that were given for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<Listen> {
        let address = |listener: &Listener| match listener {
            Listener::Tcp(tcp) => tcp.local_addr().ok().map(Listen::Tcp),
            Listener::Unix(_, path) => Some(Listen::Unix(path.clone())),
        };
        self.listeners.iter().filter_map(address).collect()
    }

    /// How many connections there are, and were.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.context.limits.connections()
    }

    /// Serves until `stop` completes; then says BYE to everybody and returns.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(listener, Arc::clone(&self.context), stopped.clone()));
        }
        drop(stopped);
        stop.await;
        let _ = stopping.send(true);
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(STOP_PATIENCE, ended).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
    }
}

impl Context {
    fn new(store: Store, config: &Config) -> Self {
        let limits = Arc::new(Limits::new(
            config.max_connections,
            config.max_connections_per_address,
            config.max_connections_per_account,
        ));
        let shared = Shared {
            store,
            admission: Arc::clone(&limits) as _,
            max_literal_bytes: config.max_literal_bytes,
            grace_ms: u64::try_from(config.grace.as_millis()).unwrap_or(u64::MAX),
            failed_login_delay: config.failed_login_delay,
        };
        Self {
            shared: Arc::new(shared),
            limits,
            patience: Patience {
                autologout: config.autologout,
                login_timeout: config.login_timeout,
                write_timeout: config.write_timeout,
            },
            preauth: config.preauth.clone(),
            own_uid: rustix::process::getuid().as_raw(),
        }
    }

    /// The account a local process is let into without a password.
    fn preauth(&self, stream: &UnixStream) -> Option<AccountId> {
        let uid = stream.peer_cred().ok()?.uid();
        let name = self.preauth.account_for(uid, self.own_uid)?;
        let account = self.shared.store.account_id(name);
        if account.is_none() {
            tracing::warn!(uid, "the account to log this user into does not exist; it has to log in");
        }
        account
    }
}

async fn bind(listen: &Listen) -> io::Result<Listener> {
    match listen {
        Listen::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp),
        Listen::Unix(path) => {
            remove_stale(path).await?;
            let listener = UnixListener::bind(path)?;
            // Anybody on the machine may connect, as over TCP: who is let in is decided afterwards.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
            Ok(Listener::Unix(listener, path.clone()))
        }
    }
}

/// Removes a socket that nobody listens on any more; anything else is left alone.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if metadata.file_type().is_socket() && UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Accepts until the server stops, then waits for the connections it started.
async fn accept(listener: Listener, context: Arc<Context>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept_one(&listener) => accepted,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        match accepted {
            Ok(Accepted::Tcp(stream, address)) => {
                connections.spawn(serve_tcp(stream, address, Arc::clone(&context), stopping.clone()));
            }
            Ok(Accepted::Unix(stream)) => {
                connections.spawn(serve_unix(stream, Arc::clone(&context), stopping.clone()));
            }
            Err(error) => {
                tracing::warn!("accepting a connection failed: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if let Listener::Unix(_, path) = &listener {
        let _ = std::fs::remove_file(path);
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

async fn accept_one(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Tcp(tcp) => tcp.accept().await.map(|(stream, from)| Accepted::Tcp(stream, from.ip())),
        Listener::Unix(unix, _) => unix.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
    }
}

async fn serve_tcp(
    mut stream: TcpStream,
    address: IpAddr,
    context: Arc<Context>,
    stopping: watch::Receiver<bool>,
) {
    let _place = match context.limits.enter(Some(address)) {
        Ok(place) => place,
        Err(refused) => return refuse(&mut stream, refused.text()).await,
    };
    // Replies are written whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let session = Session::new(Arc::clone(&context.shared));
    let limits = Arc::clone(&context.limits);
    connection::serve(reader, writer, session, None, limits, context.patience, stopping).await;
}

async fn serve_unix(mut stream: UnixStream, context: Arc<Context>, stopping: watch::Receiver<bool>) {
    let _place = match context.limits.enter(None) {
        Ok(place) => place,
        Err(refused) => return refuse(&mut stream, refused.text()).await,
    };
    let preauth = context.preauth(&stream);
    let (reader, writer) = stream.into_split();
    let session = Session::new(Arc::clone(&context.shared));
    let limits = Arc::clone(&context.limits);
    connection::serve(reader, writer, session, preauth, limits, context.patience, stopping).await;
}

/// The greeting of a connection that gets no place (RFC 3501 section 7.1.5).
async fn refuse(stream: &mut (impl AsyncWriteExt + Unpin), text: &str) {
    let bye = format!("* BYE {text}\r\n");
    let _ = timeout(STOP_PATIENCE, stream.write_all(bye.as_bytes())).await;
    let _ = stream.shutdown().await;
}
