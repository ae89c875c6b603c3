//! stdout: for people by default, JSON when asked.
//!
//! Law: whoever reads it may leave (`mailcask check | head`): the work goes on, and the exit status is its own.

use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

pub struct Output {
    json: bool,
}

impl Output {
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes data: one JSON value on a line, or what `people` writes.
    pub fn data<T: Serialize>(
        &self,
        value: &T,
        people: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        write_out(|out| {
            if !self.json {
                return people(out);
            }
            serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
            out.write_all(b"\n")
        })
    }

    /// Writes what is for people only.
    pub fn people(&self, people: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        if self.json {
            return Ok(());
        }
        write_out(people)
    }

    /// One line that others wait for: written through at once.
    pub fn line(&self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}

fn write_out(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A table with columns as wide as they need; the last column is ragged.
pub fn table(out: &mut dyn Write, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: &mut dyn Iterator<Item = &str>| -> io::Result<()> {
        let text: Vec<String> = cells.zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", text.join("  ").trim_end())
    };
    line(&mut head.iter().copied())?;
    rows.iter().try_for_each(|row| line(&mut row.iter().map(String::as_str)))
}

/// Logs of a tool: warnings, on stderr, unless RUST_LOG says otherwise.
pub fn log_warnings() {
    log(LevelFilter::WARN);
}

/// Logs of a server.
pub fn log_info() {
    log(LevelFilter::INFO);
}

fn log(level: LevelFilter) {
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    drop(subscriber.try_init());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut out = Vec::new();
        let rows = vec![vec!["é".into(), "1".into()], vec!["long name".into(), "22".into()]];
        table(&mut out, &["name", "n"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "name       n\né          1\nlong name  22\n");
    }
}
