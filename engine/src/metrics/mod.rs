//! Counters of the running store, for `stats` and for a metrics exporter.

mod connections;
mod durations;

pub use connections::{ConnectionCounts, Connections, Open};
pub use durations::{Durations, Timer};

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub struct Metrics {
    commits: Timer,
    groups: AtomicU64,
    groups_failed: AtomicU64,
    log_bytes: AtomicU64,
    deliveries: AtomicU64,
    duplicate_deliveries: AtomicU64,
    checkpoints: AtomicU64,
    snapshots: AtomicU64,
    segments_compacted: AtomicU64,
    removals: AtomicU64,
    messages_indexed: AtomicU64,
    text_segments_built: AtomicU64,
    text_segments_merged: AtomicU64,
    text_bytes_written: AtomicU64,
    scrub_bytes: AtomicU64,
    scrub_passes: AtomicU64,
    scrub_findings: AtomicU64,
}

/// The counters at one moment, since the store was opened.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    pub groups: u64,
    pub groups_failed: u64,
    /// Bytes of the groups written.
    pub log_bytes: u64,
    pub deliveries: u64,
    /// Answered 250 without a second copy: an MTA had lost the first reply.
    pub duplicate_deliveries: u64,
    pub checkpoints: u64,
    pub snapshots: u64,
    pub segments_compacted: u64,
    /// Transactions that expunged messages, or deleted a mailbox or an account.
    pub removals: u64,
    /// Messages whose text went into a tail: from then on searches need not read them.
    pub messages_indexed: u64,
    /// Segments of text views made of a tail.
    pub text_segments_built: u64,
    /// Segments of text views that went into another one.
    pub text_segments_merged: u64,
    /// Bytes of the segments written, by either.
    pub text_bytes_written: u64,
    /// Bytes that the scrub read.
    #[serde(default)]
    pub scrub_bytes: u64,
    /// Passes of the scrub over everything.
    #[serde(default)]
    pub scrub_passes: u64,
    /// What it found wrong, each once.
    #[serde(default)]
    pub scrub_findings: u64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Metrics {
    /// `took`: to write it and to sync it.
    pub fn group_written(&self, bytes: u64, is_durable: bool, took: Duration) {
        add(if is_durable { &self.groups } else { &self.groups_failed }, 1);
        if is_durable {
            add(&self.log_bytes, bytes);
            self.commits.took(took);
        }
    }

    /// How long groups took to be durable.
    #[must_use]
    pub fn commits(&self) -> Durations {
        self.commits.durations()
    }

    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    pub fn delivered(&self, is_duplicate: bool) {
        add(if is_duplicate { &self.duplicate_deliveries } else { &self.deliveries }, 1);
    }

    pub fn checkpoint_made(&self) {
        add(&self.checkpoints, 1);
    }

    pub fn snapshot_made(&self) {
        add(&self.snapshots, 1);
    }

    pub fn compacted(&self, segments: u64) {
        add(&self.segments_compacted, segments);
    }

    pub fn removed(&self) {
        add(&self.removals, 1);
    }

    #[must_use]
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::Relaxed)
    }

    pub fn messages_indexed(&self, messages: u64) {
        add(&self.messages_indexed, messages);
    }

    pub fn text_segment_built(&self, bytes: u64) {
        add(&self.text_segments_built, 1);
        add(&self.text_bytes_written, bytes);
    }

    pub fn text_segments_merged(&self, segments: u64, bytes: u64) {
        add(&self.text_segments_merged, segments);
        add(&self.text_bytes_written, bytes);
    }

    pub fn scrubbed(&self, bytes: u64) {
        add(&self.scrub_bytes, bytes);
    }

    pub fn scrub_found(&self) {
        add(&self.scrub_findings, 1);
    }

    pub fn scrub_passed(&self) {
        add(&self.scrub_passes, 1);
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            groups: read(&self.groups),
            groups_failed: read(&self.groups_failed),
            log_bytes: read(&self.log_bytes),
            deliveries: read(&self.deliveries),
            duplicate_deliveries: read(&self.duplicate_deliveries),
            checkpoints: read(&self.checkpoints),
            snapshots: read(&self.snapshots),
            segments_compacted: read(&self.segments_compacted),
            removals: read(&self.removals),
            messages_indexed: read(&self.messages_indexed),
            text_segments_built: read(&self.text_segments_built),
            text_segments_merged: read(&self.text_segments_merged),
            text_bytes_written: read(&self.text_bytes_written),
            scrub_bytes: read(&self.scrub_bytes),
            scrub_passes: read(&self.scrub_passes),
            scrub_findings: read(&self.scrub_findings),
        }
    }
}
