//! Failures: one line on stderr and an exit status.

use std::io::{self, Write};
use std::process::ExitCode;

/// It failed.
pub const FAILED: u8 = 1;
/// It was asked wrongly.
pub const USAGE: u8 = 2;

/// What the user asked cannot be understood or makes no sense.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

pub fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(text.into()))
}

/// Writes the failure's line and gives its exit status.
pub fn report(error: &anyhow::Error) -> ExitCode {
    // The reader of our output left (`mailcask ... | head`): nobody is there to be told.
    let pipe_closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(pipe_closed) {
        return ExitCode::SUCCESS;
    }
    say(&format!("{error:#}"));
    ExitCode::from(if error.downcast_ref::<Usage>().is_some() { USAGE } else { FAILED })
}

/// One line on stderr.
pub fn say(text: &str) {
    let line = text.lines().collect::<Vec<_>>().join(" ");
    // Without a stderr there is nowhere to say it; the exit status remains.
    drop(writeln!(io::stderr().lock(), "mailcask: {line}"));
}
