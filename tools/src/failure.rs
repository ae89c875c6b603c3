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
    // The reader of our output left (`mailcask dump log | head`): nobody is there to be told.
    let pipe_closed = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(pipe_closed) {
        return ExitCode::SUCCESS;
    }
    say(&line_of(error));
    ExitCode::from(if error.downcast_ref::<Usage>().is_some() { USAGE } else { FAILED })
}

/// The causes one after the other; one that the text before ends with already is not said twice.
fn line_of(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&cause);
        }
    }
    line
}

/// One line on stderr.
pub fn say(text: &str) {
    let line = text.lines().collect::<Vec<_>>().join(" ");
    // Without a stderr there is nowhere to say it; the exit status remains.
    drop(writeln!(io::stderr().lock(), "mailcask: {line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let disk = || io::Error::from_raw_os_error(5);
        let error =
            anyhow::Error::new(engine::Error::io("reading a segment", disk())).context("opening the store");
        assert_eq!(line_of(&error), format!("opening the store: reading a segment: {}", disk()));
    }
}
