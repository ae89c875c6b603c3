//! The `mailcask` command: serve a store, administer it, bring mail in and out.
//!
//! Laws
//! - One file a verb. A verb talks to `dyn Admin` and cannot tell whether a server runs.
//! - Data goes to stdout, everything else to stderr. With `--json`, stdout is JSON alone.
//! - Exit status: 0 done, 1 it failed, 2 it was asked wrongly. A failure is one line on stderr.

mod config;
mod count;
mod failure;
mod formats;
mod metrics;
mod moment;
mod output;
mod password;
mod progress;
mod size;
mod store;
mod verbs;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use output::Output;
use std::path::PathBuf;
use std::process::ExitCode;

/// Gives memory back: a sort of a million messages borrows hundreds of MiB, and glibc keeps what a thread
/// once had.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mailbox store: mail in by LMTP, out by IMAP
#[derive(Parser)]
#[command(name = "mailcask", version, max_term_width = 100)]
struct Cli {
    /// Where the store is [default: ./mailcask-data]
    #[arg(long, global = true, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Write data as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Serve(verbs::serve::Args),
    #[command(subcommand, arg_required_else_help = false)]
    Account(verbs::account::Verb),
    #[command(subcommand, arg_required_else_help = false)]
    Mailbox(verbs::mailbox::Verb),
    Import(verbs::import::Args),
    Export(verbs::export::Args),
    Search(verbs::search::Args),
    Reindex(verbs::reindex::Args),
    Stats(verbs::stats::Args),
    Check(verbs::check::Args),
    Repair(verbs::repair::Args),
    Backup(verbs::backup::Args),
    Restore(verbs::restore::Args),
    Compact(verbs::compact::Args),
    #[command(subcommand, arg_required_else_help = false)]
    Dump(verbs::dump::Verb),
}

const DEFAULT_STORE: &str = "./mailcask-data";

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let output = Output::new(cli.json);
    match run(cli, &output) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn run(cli: Cli, output: &Output) -> anyhow::Result<ExitCode> {
    // A server says more, and where to set it up: its own business.
    if let Verb::Serve(args) = cli.verb {
        return verbs::serve::run(args, cli.store, output);
    }
    output::log_warnings();
    let dir = cli.store.unwrap_or_else(|| PathBuf::from(DEFAULT_STORE));
    match cli.verb {
        Verb::Serve(_) => Ok(ExitCode::SUCCESS),
        Verb::Account(verb) => verbs::account::run(verb, &dir, output),
        Verb::Mailbox(verb) => verbs::mailbox::run(verb, &dir, output),
        Verb::Import(args) => verbs::import::run(args, &dir, output),
        Verb::Export(args) => verbs::export::run(args, &dir, output),
        Verb::Search(args) => verbs::search::run(args, &dir, output),
        Verb::Reindex(args) => verbs::reindex::run(args, &dir, output),
        Verb::Stats(args) => verbs::stats::run(args, &dir, output),
        Verb::Check(args) => verbs::check::run(args, &dir, output),
        Verb::Repair(args) => verbs::repair::run(args, &dir, output),
        Verb::Backup(args) => verbs::backup::run(args, &dir, output),
        Verb::Restore(args) => verbs::restore::run(args, &dir, output),
        Verb::Compact(args) => verbs::compact::run(args, &dir, output),
        Verb::Dump(verb) => verbs::dump::run(verb, &dir, output),
    }
}

/// Help and version go out as they are; a usage error is one line.
fn refuse(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked_for || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        drop(error.print());
        return if asked_for { ExitCode::SUCCESS } else { ExitCode::from(failure::USAGE) };
    }
    let text = error.to_string();
    let words: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .flat_map(str::split_whitespace)
        .collect();
    let line = words.join(" ");
    failure::say(&format!("{} (see `mailcask --help`)", line.trim_start_matches("error: ")));
    ExitCode::from(failure::USAGE)
}
