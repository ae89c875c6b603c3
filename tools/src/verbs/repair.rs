//! `mailcask repair`: a plan, then what it says.
//!
//! Law: the plan is said before anything is changed, always.

use crate::count;
use crate::failure::{self, FAILED};
use crate::output::Output;
use crate::size;
use crate::{progress, store};
use engine::repair::{Plan, Repaired};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Mend what `check --deep` finds: views are made again, damaged bytes go to quarantine/, nothing is deleted
#[derive(clap::Args)]
pub struct Args {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Done {
    plan: Plan,
    /// `None`: nothing was done.
    repaired: Option<Repaired>,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir).map_err(|error| {
        error.context("the store does not open, and repair has nothing to work on; where the reason below cannot be removed, `mailcask restore` makes one from a backup")
    })?;
    let plan = progress::follow(|work| admin.repair_plan(work))?;
    let people = |out: &mut dyn Write| say_plan(&plan, args.dry_run, out);
    if args.dry_run || plan.is_empty() {
        let done = Done { plan: plan.clone(), repaired: None };
        output.data(&done, people)?;
        admin.close()?;
        return Ok(ExitCode::SUCCESS);
    }
    // People read it before, machines with what came of it.
    output.people(people)?;
    let repaired = progress::follow(|work| admin.repair(&plan, work))?;
    for left in &repaired.left {
        failure::say(&format!("left as it is: {left}"));
    }
    let code = if repaired.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    let said = repaired.clone();
    output.data(&Done { plan, repaired: Some(repaired) }, |out| say_done(&said, out))?;
    admin.close()?;
    Ok(code)
}

fn say_plan(plan: &Plan, is_dry: bool, out: &mut dyn Write) -> io::Result<()> {
    if plan.is_empty() {
        return writeln!(out, "nothing to mend");
    }
    for step in &plan.steps {
        writeln!(out, "{}: {}", step.object, step.why)?;
        writeln!(out, "  mend: {}", step.does)?;
        if let Some(lost) = &step.lost {
            writeln!(out, "  lost: {lost}")?;
        }
    }
    let steps = count::show(plan.steps.len() as u64, "step");
    match is_dry {
        true => writeln!(out, "{steps}; nothing was done. next: `mailcask repair`"),
        false => writeln!(out, "{steps}"),
    }
}

fn say_done(done: &Repaired, out: &mut dyn Write) -> io::Result<()> {
    let Repaired { steps, recovered, expunged, moved, .. } = done;
    writeln!(
        out,
        "{} done: {} into Recovered, {} without a provable message expunged, {} moved out of damaged segments",
        count::show(*steps, "step"),
        count::show(*recovered, "message"),
        count::show(*expunged, "row"),
        count::show(*moved, "message")
    )?;
    for name in &done.quarantined {
        writeln!(out, "  quarantine/{name}")?;
    }
    if done.quarantine_bytes > 0 {
        let all = size::show(done.quarantine_bytes);
        writeln!(out, "quarantine/ holds {all}; remove it by hand once nobody wants what is in it")?;
    }
    writeln!(out, "next: `mailcask check --deep`")
}
