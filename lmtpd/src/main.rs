//! `lmtpd`: takes mail over LMTP for a store that another process owns (`mailcask serve`, `imapd`).
//!
//! Laws
//! - It owns no store. 250 is the owner's word; without an owner it answers 451 and keeps listening.

use anyhow::Context as _;
use clap::Parser;
use lmtpd::deliver::attach::AttachDeliver;
use lmtpd::session::Limits;
use lmtpd::{DEFAULT_ADDRESS, Listen, Server, ServerOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Takes mail over LMTP and delivers it to the process that owns the store.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The store's folder.
    #[arg(long, default_value = "mailcask-data")]
    store: PathBuf,
    /// Where to listen: ADDRESS:PORT or unix:PATH; may be given several times.
    #[arg(long, value_name = "WHERE", default_value = DEFAULT_ADDRESS)]
    listen: Vec<Listen>,
    /// Listen beyond this machine although LMTP has neither passwords nor TLS: whoever connects can
    /// deliver to every account, and mail crosses the network readable by anybody on the way.
    #[arg(long)]
    allow_plaintext: bool,
    /// The largest message taken.
    #[arg(long, default_value_t = Limits::default().max_message_bytes)]
    max_message_bytes: u64,
    #[arg(long, default_value_t = ServerOptions::default().max_connections)]
    max_connections: usize,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever RUST_BACKTRACE says.
            eprintln!("lmtpd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let options = ServerOptions {
        listen: arguments.listen,
        limits: Limits { max_message_bytes: arguments.max_message_bytes, ..Limits::default() },
        max_connections: arguments.max_connections,
        allow_plaintext: arguments.allow_plaintext,
        ..ServerOptions::default()
    };
    let server = Server::bind(options, AttachDeliver::new(arguments.store)).await?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    for address in server.addresses() {
        writeln!(std::io::stdout(), "lmtp listening on {address}").context("cannot write to stdout")?;
    }
    server
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(())
}
