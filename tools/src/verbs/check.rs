//! `mailcask check`: the store's views against its log.

use crate::failure::FAILED;
use crate::output::Output;
use crate::{progress, store};
use std::path::Path;
use std::process::ExitCode;

/// Compare catalog, mailboxes and counters with the log; exit status 1 when something is wrong
#[derive(clap::Args)]
pub struct Args {
    /// Read every message too and compare it with its digest
    #[arg(long)]
    deep: bool,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir)?;
    let report = progress::follow(|work| admin.check(args.deep, work))?;
    output.data(&report, |out| {
        for finding in &report.findings {
            writeln!(out, "{}: {}: {}", finding.area, finding.object, finding.what)?;
        }
        let (accounts, mailboxes, messages) = (report.accounts, report.mailboxes, report.messages);
        let found = match report.findings.len() {
            0 => "nothing wrong".to_owned(),
            1 => "1 finding".to_owned(),
            many => format!("{many} findings"),
        };
        writeln!(out, "{accounts} accounts, {mailboxes} mailboxes, {messages} messages: {found}")
    })?;
    admin.close()?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
