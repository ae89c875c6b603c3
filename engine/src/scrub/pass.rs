//! One pass: every segment that counts, then every snapshot run.

use super::Shared;
use super::pace::Pace;
use crate::error::{Error, Result};
use crate::log::run::RunReader;
use crate::log::{Damage, Finding, RunInfo};
use crate::types::SegmentId;
use crate::work::{Step, Work};

/// Read bytes are given back to the system in pieces of at least this.
const FORGET_BYTES: u64 = 4 << 20;

pub struct Pass<'a> {
    shared: &'a Shared,
    pace: Pace,
    /// Of what was looked at whole.
    done_bytes: u64,
    findings: u64,
}

impl<'a> Pass<'a> {
    pub fn new(shared: &'a Shared, pace: Pace) -> Self {
        Self { shared, pace, done_bytes: 0, findings: 0 }
    }

    /// Reads everything; returns how much is wrong.
    pub fn run(mut self) -> Result<u64> {
        let log = &self.shared.core.log;
        let segments = log.segments();
        let (current, previous) = log.manifest_runs();
        let mut runs = current.runs;
        runs.extend(previous.runs.into_iter().filter(|run| !runs.contains(run)).collect::<Vec<_>>());
        {
            let mut stats = self.shared.stats.lock();
            stats.running = true;
            stats.position_bytes = 0;
            let of_runs: u64 = runs.iter().map(|run| run.bytes).sum();
            stats.total_bytes = segments.iter().map(|segment| segment.bytes).sum::<u64>() + of_runs;
        }
        for segment in &segments {
            self.segment(segment.id)?;
            self.done_bytes += segment.bytes;
            self.shared.stats.lock().position_bytes = self.done_bytes;
        }
        for run in &runs {
            self.run_file(run)?;
            self.done_bytes += run.bytes;
            self.shared.stats.lock().position_bytes = self.done_bytes;
        }
        Ok(self.findings)
    }

    fn segment(&mut self, id: SegmentId) -> Result<()> {
        let log = self.shared.core.log.clone();
        let (mut read_to, mut forgotten_to) = (0, 0);
        let mut found = Vec::new();
        let mut listener = |step: &Step| {
            let goes_on = self.read(step.done.saturating_sub(read_to), step.done);
            read_to = read_to.max(step.done);
            if read_to - forgotten_to >= FORGET_BYTES {
                log.forget_cached(id, forgotten_to..read_to);
                forgotten_to = read_to;
            }
            goes_on
        };
        let totals = log.verify_segment(id, true, &mut Work::told_to(&mut listener), &mut |finding| {
            found.push(finding);
        })?;
        log.forget_cached(id, forgotten_to..totals.bytes);
        let goes_on = self.read(totals.bytes.saturating_sub(read_to), totals.bytes);
        found.into_iter().for_each(|finding| self.found(&finding));
        if goes_on { Ok(()) } else { Err(Error::Interrupted) }
    }

    /// Waits until what was read is paid for; false when the store closes.
    fn read(&mut self, bytes: u64, at: u64) -> bool {
        {
            let mut stats = self.shared.stats.lock();
            stats.bytes_read += bytes;
            stats.position_bytes = self.done_bytes + at;
        }
        self.shared.core.metrics.scrubbed(bytes);
        self.pace.read(bytes);
        loop {
            let wait = self.pace.wait();
            if self.shared.is_stopped_after(wait) {
                return false;
            }
            if wait.is_zero() {
                return true;
            }
        }
    }

    fn run_file(&mut self, run: &RunInfo) -> Result<()> {
        let log = self.shared.core.log.clone();
        let verified =
            RunReader::open(log.disk(), &log.dir().join("snapshots").join(&run.file)).and_then(|reader| {
                let mut at = 0;
                for entry in reader.iter() {
                    let entry = entry?;
                    let bytes = (entry.key.len() + entry.value.map_or(0, |value| value.len())) as u64;
                    at += bytes;
                    if !self.read(bytes, at) {
                        return Err(Error::Interrupted);
                    }
                }
                Ok(())
            });
        match verified {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => {
                // It may have been merged into another one meanwhile.
                let (current, previous) = log.manifest_runs();
                if current.runs.contains(run) || previous.runs.contains(run) {
                    self.say(format!("snapshots/{}", run.file), &error.to_string());
                }
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn found(&mut self, finding: &Finding) {
        let log = &self.shared.core.log;
        let what = &finding.what;
        self.say(format!("segment {}, offset {}", finding.segment, finding.offset), what);
        // Those that are read from there; others lie elsewhere too, or are dead.
        let is_lost = |m: &&crate::types::MessageNo| {
            matches!(log.read(**m).and_then(|message| message.verify()), Err(Error::Damaged { .. }))
        };
        let messages: Vec<_> = finding.messages.iter().filter(is_lost).copied().collect();
        let (segment, what) = (finding.segment, what.clone());
        let damage = Damage { segment, messages, what, ..Damage::default() };
        if damage.messages.is_empty() || damage.is_known_by(&log.damage()) {
            return;
        }
        if let Err(error) = log.report_damage(&[damage]) {
            tracing::warn!(%error, "a finding of the scrub could not be listed; the next pass tries again");
        }
    }

    fn say(&mut self, place: String, what: &str) {
        self.findings += 1;
        if self.shared.said.lock().insert(format!("{place}: {what}")) {
            self.shared.stats.lock().findings += 1;
            self.shared.core.metrics.scrub_found();
            tracing::error!(place, what, "the scrub found damage; run `mailcask check --deep`");
        }
    }
}
