//! A progress bar on stderr, where that is a terminal.

use crate::formats::Total;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

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
