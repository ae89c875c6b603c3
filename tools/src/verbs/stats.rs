//! `mailcask stats`: the store in numbers.

use crate::output::Output;
use crate::store;
use serde_json::Value;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Show the store in numbers
#[derive(clap::Args)]
pub struct Args {}

pub fn run(_: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir)?;
    let stats = admin.stats()?;
    let value = serde_json::to_value(&stats)?;
    output.data(&stats, |out| write_value(out, "", &value))?;
    admin.close()?;
    Ok(ExitCode::SUCCESS)
}

/// One `name value` a line; what lies deeper has its path as name.
fn write_value(out: &mut dyn Write, name: &str, value: &Value) -> io::Result<()> {
    let Value::Object(fields) = value else { return writeln!(out, "{name} {value}") };
    for (field, value) in fields {
        let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
        write_value(out, &name, value)?;
    }
    Ok(())
}
