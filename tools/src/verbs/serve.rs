//! `mailcask serve`: engine, IMAP and LMTP in one process.
//!
//! Laws
//! - The store is opened first, the sockets are bound next, and only then is anything announced: a line
//!   on stdout means that a client can connect.
//! - At the end the daemons stop first, then engine.sock, then the store closes.

use crate::config::{self, Config};
use crate::failure::usage;
use crate::metrics::{self, Exporter, Sources};
use crate::output::{self, Output};
use crate::{DEFAULT_STORE, password};
use anyhow::Context;
use engine::attach::own_as_server;
use engine::ops::NewAccount;
use engine::{Store, StoreOptions};
use lmtpd::deliver::store::StoreDeliver;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// The account of a new store.
const FIRST_ACCOUNT: &str = "me";

/// Run the store with its IMAP and LMTP servers
#[derive(clap::Args)]
pub struct Args {
    /// Serve IMAP there; may be said again [default: 127.0.0.1:1143]
    #[arg(long, value_name = "ADDR:PORT|unix:PATH")]
    imap: Vec<String>,
    /// Serve LMTP there; may be said again [default: 127.0.0.1:2424]
    #[arg(long, value_name = "ADDR:PORT|unix:PATH")]
    lmtp: Vec<String>,
    /// Serve figures for Prometheus (/metrics) and health (/healthz) over HTTP there [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    metrics: Option<String>,
    /// Settings in TOML; the command line goes before them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen beyond this machine without TLS: passwords and mail cross the network readable
    #[arg(long)]
    allow_plaintext: bool,
}

/// What is served, once the command line and the file are put together.
struct Plan {
    store: PathBuf,
    options: StoreOptions,
    imap: imapd::Config,
    lmtp: lmtpd::ServerOptions,
    metrics: Option<SocketAddr>,
}

pub fn run(args: Args, store: Option<PathBuf>, output: &Output) -> anyhow::Result<ExitCode> {
    output::log_info();
    let config = args.config.as_deref().map(config::read).transpose()?.unwrap_or_default();
    let plan = plan(args, store, config)?;
    let threads = plan.imap.blocking_threads() + plan.lmtp.max_connections + metrics::BLOCKING_THREADS;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(threads)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let (store, guard) = own_as_server(&plan.store, plan.options.clone())
        .with_context(|| format!("the store in {}", plan.store.display()))?;
    let served = runtime.block_on(serve(&store, &plan, output));
    drop(runtime);
    drop(guard);
    store.close().context("the store did not close cleanly; the next start recovers it")?;
    served.map(|()| ExitCode::SUCCESS)
}

fn plan(args: Args, store: Option<PathBuf>, config: Config) -> anyhow::Result<Plan> {
    let allow_plaintext = args.allow_plaintext || config.allow_plaintext.unwrap_or(false);
    let mut options = StoreOptions::default();
    let mut imap = imapd::Config { allow_plaintext, ..imapd::Config::default() };
    let mut lmtp = lmtpd::ServerOptions { allow_plaintext, ..lmtpd::ServerOptions::default() };
    lmtp.listen = addresses(args.lmtp, config.lmtp, vec![lmtpd::DEFAULT_ADDRESS.to_owned()])?;
    if let Some(listen) = chosen(args.imap, config.imap) {
        imap.listen = parse_all(&listen)?;
    }
    if let Some(bytes) = config.max_message_bytes {
        options.max_message_bytes = bytes;
        imap.max_literal_bytes = bytes;
        lmtp.limits.max_message_bytes = bytes;
    }
    if let Some(ms) = config.slow_search_ms {
        options.search.slow_ms = ms;
    }
    let metrics = args.metrics.or(config.metrics);
    let metrics = metrics.map(|text| metrics_address(&text, allow_plaintext)).transpose()?;
    let store = store.or(config.store).unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
    Ok(Plan { store, options, imap, lmtp, metrics })
}

/// Where to serve metrics. They name no user, but say when mail comes, and how much.
fn metrics_address(text: &str, allow_plaintext: bool) -> anyhow::Result<SocketAddr> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = numeric
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| usage(format!("`{text}` is not an address for metrics: give ADDRESS:PORT")))?;
    if !address.ip().to_canonical().is_loopback() && !allow_plaintext {
        let why = format!(
            "will not serve metrics on {address}: anybody who reaches it could read them; \
             listen on 127.0.0.1, or accept that with --allow-plaintext"
        );
        return Err(usage(why));
    }
    Ok(address)
}

/// What the command line says, or else the file.
fn chosen(said: Vec<String>, file: Option<Vec<String>>) -> Option<Vec<String>> {
    if said.is_empty() { file } else { Some(said) }
}

fn addresses<T: FromStr<Err: Display>>(
    said: Vec<String>,
    file: Option<Vec<String>>,
    default: Vec<String>,
) -> anyhow::Result<Vec<T>> {
    parse_all(&chosen(said, file).unwrap_or(default))
}

fn parse_all<T: FromStr<Err: Display>>(texts: &[String]) -> anyhow::Result<Vec<T>> {
    texts.iter().map(|text| text.parse().map_err(|error: T::Err| usage(error.to_string()))).collect()
}

async fn serve(store: &Store, plan: &Plan, output: &Output) -> anyhow::Result<()> {
    // First of all, so that a signal during the start ends it in order too.
    let stop = stop_signal()?;
    let imap = imapd::Server::bind(store.clone(), &plan.imap).await?;
    let lmtp = lmtpd::Server::bind(plan.lmtp.clone(), StoreDeliver::new(store.clone())).await?;
    let exporter = match plan.metrics {
        Some(address) => {
            let connections = vec![("imap", imap.connections()), ("lmtp", lmtp.connections())];
            Some(Exporter::bind(address, Sources { store: store.clone(), connections }).await?)
        }
        None => None,
    };
    let of_first = store.clone();
    let first = tokio::task::spawn_blocking(move || first_account(&of_first)).await??;
    if let Some(password) = first {
        output.line(&format!("account {FIRST_ACCOUNT} password {password}"))?;
    }
    if let Some(exporter) = &exporter {
        output.line(&format!("metrics {}", exporter.address()?))?;
    }
    for address in imap.addresses() {
        output.line(&format!("imap {address}"))?;
    }
    for address in lmtp.addresses() {
        output.line(&format!("lmtp {address}"))?;
    }
    let until_stopped = until(stop.clone());
    let export = async {
        if let Some(exporter) = exporter {
            exporter.run(until_stopped).await;
        }
    };
    tokio::join!(imap.run(until(stop.clone())), lmtp.run(until(stop)), export);
    Ok(())
}

/// A store without an account gets one; its password is shown this once.
fn first_account(store: &Store) -> anyhow::Result<Option<String>> {
    if !store.accounts()?.is_empty() {
        return Ok(None);
    }
    let password = password::generate()?;
    store.create_account(&NewAccount {
        name: FIRST_ACCOUNT,
        password: Some(&password),
        quota_bytes: None,
    })?;
    Ok(Some(password))
}

/// Turns true at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        // Nobody waits any more when the servers have ended already.
        let _ = stop.send(true);
    });
    Ok(stopped)
}

async fn until(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone: time to end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
