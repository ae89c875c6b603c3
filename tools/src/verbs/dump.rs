//! `mailcask dump`: what a store's files hold, for people who look into one.
//!
//! Laws
//! - Nothing is locked, recovered or written: it works beside a server and on a store that does not open. The
//!   catalog is copied first, for its library writes when it opens.
//! - No text of a message and no password hash is shown.

use crate::output::Output;
use anyhow::{Context, bail};
use clap::Subcommand;
use engine::dump::{self, Wanted};
use engine::types::{AccountId, Lsn, MessageNo, SegmentId};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Show what a store's files hold, record by record; works on damaged stores too
#[derive(Subcommand)]
pub enum Verb {
    /// The segments: groups, messages, transactions, and what is broken
    Log {
        /// This segment alone
        #[arg(long, value_name = "N")]
        segment: Option<u32>,
        /// Groups from this LSN on
        #[arg(long, value_name = "LSN")]
        from: Option<u64>,
        /// Groups up to this LSN
        #[arg(long, value_name = "LSN")]
        to: Option<u64>,
        /// This account's (by number: names are in the store, which is not opened)
        #[arg(long, value_name = "N")]
        account: Option<u32>,
        /// The bytes of transactions too, in hexadecimal
        #[arg(long)]
        bytes: bool,
    },
    /// The catalog's objects
    Catalog {
        /// This account's, by number
        #[arg(long, value_name = "N")]
        account: Option<u32>,
    },
    /// FORMAT and MANIFEST
    Manifest,
    /// Where a message is stored, and the transactions that name it
    Message { number: u64 },
}

pub fn run(verb: Verb, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    if !dir.is_dir() {
        bail!("there is no store in {}", dir.display());
    }
    match verb {
        Verb::Log { segment, from, to, account, bytes } => {
            let wanted = Wanted {
                segment: segment.map(SegmentId),
                from: from.map(Lsn),
                to: to.map(Lsn),
                account: account.map(AccountId),
                message: None,
                bytes,
            };
            log(dir, &wanted, output)?;
        }
        Verb::Message { number } => {
            let wanted = Wanted { message: Some(MessageNo(number)), ..Wanted::default() };
            log(dir, &wanted, output)?;
        }
        Verb::Manifest => {
            for (name, value) in dump::manifest(dir)? {
                line(
                    output,
                    &[(&name, &value)].into_iter().collect::<Named<'_>>(),
                    &format!("{name} {value}"),
                )?;
            }
        }
        Verb::Catalog { account } => catalog(dir, account.map(AccountId), output)?,
    }
    Ok(ExitCode::SUCCESS)
}

type Named<'a> = std::collections::BTreeMap<&'a String, &'a String>;

/// One line as it comes: a dump may be long, and its reader may have seen enough.
fn line(output: &Output, value: &impl Serialize, people: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if output.is_json() {
        serde_json::to_writer(&mut out, value)?;
        return out.write_all(b"\n");
    }
    writeln!(out, "{people}")
}

fn log(dir: &Path, wanted: &Wanted, output: &Output) -> anyhow::Result<()> {
    let mut refused = Ok(());
    let dumped = dump::log(dir, wanted, &mut |one| {
        let indent = if matches!(one.kind, "segment" | "group") { "" } else { "  " };
        let bytes = one.bytes.as_deref().map_or(String::new(), |bytes| format!("\n    {bytes}"));
        let people = format!("{indent}{}:{} {} {}{bytes}", one.segment, one.offset, one.kind, one.what);
        refused = line(output, &one, &people);
        if refused.is_ok() { Ok(()) } else { Err(engine::Error::Interrupted) }
    });
    refused?;
    Ok(dumped?)
}

fn catalog(dir: &Path, account: Option<AccountId>, output: &Output) -> anyhow::Result<()> {
    let copy = tempfile::tempdir().context("making a folder for a copy of the catalog")?;
    let from = dir.join("catalog");
    for entry in fs::read_dir(&from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry.with_context(|| format!("reading {}", from.display()))?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, copy.path().join(name)).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    let mut refused = Ok(());
    let dumped = dump::catalog(copy.path(), account, &mut |row| {
        let people = format!("{} as of {}, {} bytes: {}", row.key, row.as_of, row.bytes, row.what);
        refused = line(output, &row, &people);
        if refused.is_ok() { Ok(()) } else { Err(engine::Error::Interrupted) }
    });
    refused?;
    Ok(dumped?)
}
