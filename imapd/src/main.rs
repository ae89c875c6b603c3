//! `imapd`: owns a store and serves it over IMAP, IMAP alone. `mailcask serve` serves LMTP too.

use anyhow::Context as _;
use clap::Parser;
use engine::attach::own_as_server;
use engine::{Store, StoreOptions};
use imapd::{Config, Listen, Preauth, Server};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Serves a Mailcask store over IMAP.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The store's folder; made when it is not there.
    #[arg(long, default_value = "mailcask-data")]
    store: PathBuf,
    /// Where to listen: ADDRESS:PORT or unix:PATH; may be given several times
    /// [default: 127.0.0.1:1143, or port 143 when run as a system service].
    #[arg(long, value_name = "WHERE")]
    listen: Vec<Listen>,
    /// Listen beyond this machine although there is no TLS: passwords and mail then cross the network
    /// readable by anybody on the way.
    #[arg(long)]
    allow_plaintext: bool,
    /// The largest message that can be appended.
    #[arg(long, default_value_t = Config::default().max_literal_bytes)]
    max_literal_bytes: u64,
    #[arg(long, default_value_t = Config::default().max_connections)]
    max_connections: usize,
    #[arg(long, default_value_t = Config::default().max_connections_per_address)]
    max_connections_per_address: u32,
    #[arg(long, default_value_t = Config::default().max_connections_per_account)]
    max_connections_per_account: u32,
    /// Let the system user UID into ACCOUNT without a password, on a Unix socket.
    #[arg(long, value_name = "UID=ACCOUNT", value_parser = uid_and_account)]
    preauth: Vec<(u32, String)>,
    /// Let root and the user that runs the server into ACCOUNT without a password, on a Unix socket.
    #[arg(long, value_name = "ACCOUNT")]
    preauth_owner: Option<String>,
}

fn uid_and_account(text: &str) -> Result<(u32, String), String> {
    let (uid, account) = text.split_once('=').ok_or("give UID=ACCOUNT")?;
    let uid = uid.parse().map_err(|_| format!("`{uid}` is not a number of a user"))?;
    Ok((uid, account.to_owned()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever RUST_BACKTRACE says.
            eprintln!("imapd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let config = config(arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(config.blocking_threads())
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // What is announced as APPENDLIMIT the store takes.
    let options = StoreOptions { max_message_bytes: config.max_literal_bytes, ..StoreOptions::default() };
    let (store, guard) = own_as_server(&arguments.store, options)
        .with_context(|| format!("cannot open the store in {}", arguments.store.display()))?;
    let served = runtime.block_on(serve(store.clone(), &config));
    drop(runtime);
    // engine.sock goes before the store, so that nobody is told that it is closed.
    drop(guard);
    store.close().context("the store did not close cleanly")?;
    served
}

fn config(arguments: &Arguments) -> Config {
    let defaults = Config::default();
    Config {
        listen: if arguments.listen.is_empty() { defaults.listen.clone() } else { arguments.listen.clone() },
        allow_plaintext: arguments.allow_plaintext,
        max_literal_bytes: arguments.max_literal_bytes,
        max_connections: arguments.max_connections,
        max_connections_per_address: arguments.max_connections_per_address,
        max_connections_per_account: arguments.max_connections_per_account,
        preauth: Preauth {
            accounts: arguments.preauth.iter().cloned().collect(),
            owner_account: arguments.preauth_owner.clone(),
        },
        ..defaults
    }
}

async fn serve(store: Store, config: &Config) -> anyhow::Result<()> {
    let server = Server::bind(store, config).await?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    for address in server.addresses() {
        writeln!(std::io::stdout(), "imap listening on {address}").context("cannot write to stdout")?;
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
