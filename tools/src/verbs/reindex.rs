//! `mailcask reindex`: the text index made again from the messages.

use crate::formats::Total;
use crate::output::Output;
use crate::progress::Progress;
use crate::store;
use engine::attach::Admin;
use engine::ops::AccountInfo;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Drop the text index of an account and make it again; searches read the messages meanwhile
#[derive(clap::Args)]
pub struct Args {
    /// The account
    #[arg(required_unless_present = "all")]
    account: Option<String>,
    /// Every account, one after the other
    #[arg(long, conflicts_with = "account")]
    all: bool,
}

#[derive(Serialize)]
struct Done {
    account: String,
    messages: u64,
    segments: u64,
    index_bytes: u64,
    text_bytes: u64,
    unreadable: u64,
}

const LOOK_EVERY: Duration = Duration::from_millis(200);

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir)?;
    let mut accounts = admin.accounts()?;
    if let Some(name) = &args.account {
        let id = store::account(admin.as_ref(), name)?;
        accounts.retain(|account| account.id == id);
    }
    let done: Vec<Done> =
        accounts.iter().map(|account| reindex(&*admin, account)).collect::<anyhow::Result<_>>()?;
    output.data(&done, |out| {
        for Done { account, messages, segments, index_bytes, text_bytes, unreadable } in &done {
            writeln!(
                out,
                "{account}: {messages} messages, {unreadable} unreadable, {text_bytes} bytes of text, {index_bytes} bytes of index in {segments} segments"
            )?;
        }
        Ok(())
    })?;
    admin.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Starts it, and watches it to its end.
fn reindex(admin: &dyn Admin, account: &AccountInfo) -> anyhow::Result<Done> {
    admin.reindex(account.id)?;
    let mut progress = Progress::new(Total::Files(account.messages))?;
    let stats = loop {
        let stats = admin.index_stats(account.id)?;
        let indexed = account.messages.saturating_sub(stats.backlog);
        progress.advance(indexed, indexed.saturating_sub(progress.messages));
        if stats.settled {
            break stats;
        }
        thread::sleep(LOOK_EVERY);
    };
    progress.finish();
    Ok(Done {
        account: account.name.clone(),
        messages: stats.figures.messages,
        segments: stats.figures.segments,
        index_bytes: stats.figures.segment_bytes + stats.figures.tail_bytes,
        text_bytes: stats.figures.text_bytes,
        unreadable: stats.figures.unreadable,
    })
}
