//! A progress bar on stderr, where that is a terminal.

use crate::formats::Total;
use engine::work::{Step, Unit, Work};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Runs long work of the store with a bar for each part of it: how far, how fast, how long still.
pub fn follow<T>(run: impl FnOnce(&mut Work<'_>) -> engine::Result<T>) -> anyhow::Result<T> {
    let mut bar: Option<(String, ProgressBar)> = None;
    let mut show = |step: &Step| {
        let is_another = bar.as_ref().is_none_or(|(doing, _)| *doing != step.doing);
        if is_another {
            bar.take().into_iter().for_each(|(_, old)| old.finish_and_clear());
            bar = Some((step.doing.clone(), new_bar(step)));
        }
        if let Some((_, bar)) = &bar {
            bar.set_length(step.total);
            bar.set_position(step.done);
        }
        true
    };
    let result = run(&mut Work::told_to(&mut show));
    bar.into_iter().for_each(|(_, bar)| bar.finish_and_clear());
    Ok(result?)
}

fn new_bar(step: &Step) -> ProgressBar {
    let template = match step.unit {
        Unit::Bytes => "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        _ => "{msg} {wide_bar} {pos}/{len}, {per_sec}, {eta} left",
    };
    // A template that cannot be understood is a bar of the default form.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(step.total).with_style(style).with_message(step.doing.clone())
}

pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    pub messages: u64,
}

impl Progress {
    pub fn new(total: Total) -> anyhow::Result<Self> {
        let (length, unit) = match total {
            Total::Bytes(bytes) => (bytes, "{bytes}/{total_bytes}"),
            Total::Files(files) => (files, "{pos}/{len}"),
        };
        let template = format!("{{wide_bar}} {unit}, {{msg}}, {{eta}} left");
        let bar = ProgressBar::new(length).with_style(ProgressStyle::with_template(&template)?);
        Ok(Self { bar, started: Instant::now(), messages: 0 })
    }

    pub fn advance(&mut self, position: u64, messages: u64) {
        self.messages += messages;
        self.bar.set_position(position);
        self.bar.set_message(format!("{} messages, {:.0}/s", self.messages, self.per_second()));
    }

    /// Above the bar, without disturbing it.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| crate::failure::say(text));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn per_second(&self) -> f64 {
        // Exact to 2^53 messages.
        #[allow(clippy::cast_precision_loss)]
        let messages = self.messages as f64;
        messages / self.elapsed().as_secs_f64().max(0.000_001)
    }
}
