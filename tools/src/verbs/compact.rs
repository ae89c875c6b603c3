//! `mailcask compact`: room that dead messages take, given back.

use crate::count;
use crate::failure::say;
use crate::output::Output;
use crate::{progress, size, store};
use engine::{CompactOptions, CompactReport};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Move what lives out of segments that are mostly dead and drop those; the server does it by itself too
#[derive(clap::Args)]
pub struct Args {
    /// Give up the history that is kept for a restore to a point in time before now
    #[arg(long)]
    ignore_retention: bool,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir)?;
    let options = CompactOptions { ignore_retention: args.ignore_retention };
    if args.ignore_retention {
        say("the history of this store is given up: it can be restored to now and later, or from backups");
    }
    let report = progress::follow(|work| admin.compact(options, work))?;
    output.data(&report, |out| tell(&report, out))?;
    admin.close()?;
    Ok(ExitCode::SUCCESS)
}

fn tell(report: &CompactReport, out: &mut dyn Write) -> io::Result<()> {
    let (before, after) = (report.disk_before, report.disk_after);
    let messages = |bytes: engine::log::LogBytes| bytes.log + bytes.bodies + bytes.cold;
    writeln!(
        out,
        "{} dropped in {}, {} moved, {} gone",
        count::show(report.segments_dropped, "segment"),
        if report.batches == 1 { "1 batch".to_owned() } else { format!("{} batches", report.batches) },
        count::show(report.messages_moved, "message"),
        count::show(report.messages_dropped, "dead one")
    )?;
    writeln!(
        out,
        "log and messages {} before, {} after; snapshots {}; live {}",
        size::show(messages(before)),
        size::show(messages(after)),
        size::show(after.snapshots),
        size::show(report.live_bytes)
    )?;
    if report.kept_for_history > 0 {
        writeln!(
            out,
            "{} with {} dead: kept as history (--ignore-retention gives it up)",
            count::show(report.kept_for_history, "segment"),
            size::show(report.history_bytes)
        )?;
    }
    if report.put_off > 0 {
        let left = count::show(report.put_off, "segment");
        writeln!(out, "{left} could not be compacted: no room, or damage")?;
    }
    Ok(())
}
