//! Figures and health of a running server, over HTTP: `GET /metrics` for Prometheus, `GET /healthz` for a supervisor.
//!
//! Laws
//! - Off unless asked for; beyond this machine only with `--allow-plaintext`, as every listener.
//! - One answer at a time is worked out, on a thread that may wait for the disk; those who come meanwhile wait.
//! - Whoever sends nothing, or too slowly, holds a connection for a bounded time; there are few of them.

mod exposition;
mod figures;

use anyhow::Context;
use engine::metrics::Connections;
use engine::ops::Store;
use figures::Figures;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};

/// Threads that work out answers.
pub const BLOCKING_THREADS: usize = 1;

const MAX_CONNECTIONS: usize = 16;
/// For the head of a request, on a connection that is kept too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// For a connection, whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// After a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// What is asked for figures.
pub struct Sources {
    pub store: Store,
    /// By the name of the protocol.
    pub connections: Vec<(&'static str, Connections)>,
}

/// A listener that answers with figures.
pub struct Exporter {
    listener: TcpListener,
    answers: Arc<Answers>,
}

impl Exporter {
    /// Nothing is answered before `run`, but clients can connect.
    pub async fn bind(address: SocketAddr, sources: Sources) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot serve metrics on {address}"))?;
        let started_ms = sources.store.now_ms();
        Ok(Self { listener, answers: Arc::new(Answers { sources, started_ms, turn: Mutex::new(()) }) })
    }

    /// Where it listens, with the port that was given for port 0.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("asking for the address of the metrics")
    }

    /// Answers until `stop` completes. Requests under way are dropped then: they change nothing.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut stop => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = places.clone().try_acquire_owned() else { continue };
                    let answers = self.answers.clone();
                    connections.spawn(async move {
                        let _ = tokio::time::timeout(CONNECTION_TIMEOUT, converse(stream, answers)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection for metrics failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answers = answers.clone();
        async move { Ok::<_, Infallible>(answers.to(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for metrics was lost");
    }
}

struct Answers {
    sources: Sources,
    started_ms: u64,
    /// Held by the one whose answer is worked out.
    turn: Mutex<()>,
}

impl Answers {
    async fn to(self: Arc<Self>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz") {
            return plain(StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let is_health = path == "/healthz";
        let _turn = self.turn.lock().await;
        let this = self.clone();
        let worked_out = spawn_blocking(move || if is_health { this.health() } else { this.metrics() }).await;
        worked_out.unwrap_or_else(|error| failed(&error))
    }

    /// 200 when new mail is taken; else 503 and why not.
    fn health(&self) -> Response<Full<Bytes>> {
        match self.sources.store.takes_mail() {
            Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
            Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let Sources { store, connections } = &self.sources;
        let stats = match store.stats() {
            Ok(stats) => stats,
            Err(error) => return failed(&error),
        };
        let connections: Vec<_> = connections.iter().map(|(name, of)| (*name, of.counts())).collect();
        let (commits, started_ms) = (store.commits(), self.started_ms);
        let figures = Figures { stats: &stats, commits: &commits, connections: &connections, started_ms };
        respond(StatusCode::OK, exposition::CONTENT_TYPE, figures.text())
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response<Full<Bytes>> {
    tracing::warn!(%error, "the figures could not be told");
    plain(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the figures could not be told; see the server's log\n".to_owned(),
    )
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond(status, PLAIN_TEXT, text)
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use engine::ops::{AppendItem, NewAccount, StoreOptions};
    use engine::sys::clock::SimClock;
    use engine::sys::sim::{FaultKind, SimDisk};
    use engine::types::{AccountId, MailboxId};
    use std::path::Path;

    struct World {
        disk: SimDisk,
        clock: SimClock,
        answers: Answers,
        account: AccountId,
        inbox: MailboxId,
    }

    fn world() -> World {
        let (disk, clock) = (SimDisk::new(1), SimClock::new(1_700_000_000_000));
        let (of_store, ticking) = (Arc::new(disk.clone()), Arc::new(clock.clone()));
        let store =
            Store::open_on(of_store, ticking, Path::new("/store"), StoreOptions::for_tests()).unwrap();
        let account = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
        let inbox = store.account(account).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let sources = Sources { store, connections: Vec::new() };
        World {
            disk,
            clock,
            answers: Answers { sources, started_ms: 0, turn: Mutex::new(()) },
            account,
            inbox,
        }
    }

    impl World {
        fn append(&self) -> engine::Result<()> {
            let store = &self.answers.sources.store;
            let mut stager = store.stager();
            stager.write("0123456789abcdef\r\n".repeat(100).as_bytes())?;
            let item = AppendItem { message: stager.finish()?, flags: vec![], internal_date: None };
            store.append(self.account, self.inbox, vec![item]).map(drop)
        }

        fn told(&self, sample: &str) -> bool {
            let store = &self.answers.sources.store;
            let (stats, commits) = (store.stats().unwrap(), store.commits());
            let figures = Figures { stats: &stats, commits: &commits, connections: &[], started_ms: 0 };
            figures.text().lines().any(|line| line == sample)
        }
    }

    #[test]
    fn a_full_disk_is_not_healthy_until_there_is_room() {
        let world = world();
        assert_eq!(world.answers.health().status(), StatusCode::OK);
        world.disk.set_capacity_bytes(Some(world.disk.used_bytes()));
        while world.append().is_ok() {}
        assert_eq!(world.answers.health().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(world.told("mailcask_full 1") && world.told("mailcask_poisoned 0"));
        world.disk.set_capacity_bytes(None);
        world.clock.advance(2_000);
        assert_eq!(world.answers.health().status(), StatusCode::OK);
        assert!(world.told("mailcask_full 0"));
        world.answers.sources.store.close().unwrap();
        assert_eq!(world.answers.health().status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_failed_sync_is_not_healthy() {
        let world = world();
        world.disk.fail_after(FaultKind::SyncEio, 0);
        assert!(world.append().is_err());
        assert_eq!(world.answers.health().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(world.told("mailcask_poisoned 1") && world.told("mailcask_full 0"));
    }
}
