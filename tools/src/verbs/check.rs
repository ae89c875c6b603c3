//! `mailcask check`: the store's views against its log, and the log against itself.
//!
//! Law: exit status 0 when nothing is wrong, 1 when something is, 2 when that could not be found out.

use crate::failure::{self, FAILED, USAGE};
use crate::output::Output;
use crate::{progress, store};
use engine::check::{CheckReport, Severity};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Compare every view with the log and the log with its checksums; exit status 1 when something is wrong
#[derive(clap::Args)]
pub struct Args {
    /// Read every byte: messages against their digests, snapshots, the text index, summaries
    #[arg(long)]
    deep: bool,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let report = match check(args, dir) {
        Ok(report) => report,
        Err(error) => {
            failure::report(&error);
            return Ok(ExitCode::from(USAGE));
        }
    };
    output.data(&report, |out| say(&report, out))?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn check(args: Args, dir: &Path) -> anyhow::Result<CheckReport> {
    let admin = store::open(dir)?;
    let report = progress::follow(|work| admin.check(args.deep, work))?;
    admin.close()?;
    Ok(report)
}

/// One block a severity, then what was looked at, then what to type next.
fn say(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    for (severity, word) in BLOCKS {
        let count = report.count(severity);
        if count == 0 {
            continue;
        }
        writeln!(out, "{word} ({count}):")?;
        for found in report.findings.iter().filter(|found| found.severity == severity) {
            writeln!(out, "  {}: {}", found.object, found.what)?;
        }
    }
    let CheckReport { accounts, mailboxes, messages, segments, transactions, .. } = report;
    let found = match report.count(Severity::Damage) + report.count(Severity::View) {
        0 => "nothing wrong".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    writeln!(
        out,
        "{accounts} accounts, {mailboxes} mailboxes, {messages} messages, {segments} segments, {transactions} transactions: {found}"
    )?;
    if !report.is_clean() {
        writeln!(out, "next: `mailcask repair --dry-run` says what would be mended and how")?;
    }
    Ok(())
}

const BLOCKS: [(Severity, &str); 3] = [
    (Severity::Damage, "damage: acknowledged bytes are lost or cannot be proved"),
    (Severity::View, "views: wrong, and can be made again; nothing is lost"),
    (Severity::Warning, "to know"),
];
