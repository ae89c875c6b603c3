//! One pass: every segment that counts, then every snapshot run.

use super::Shared;
use super::pace::Pace;
use super::record::UnderWay;
use crate::error::{Error, Result};
use crate::log::run::RunReader;
use crate::log::{Damage, Finding, RunInfo, SegmentInfo, SegmentKind};
use crate::types::MessageNo;
use crate::work::{Step, Work};
use std::collections::BTreeSet;

/// Read bytes are given back to the system in pieces of at least this.
const FORGET_BYTES: u64 = 4 << 20;
/// How far it is is noted after at least so many bytes, and when it is cut off.
const NOTE_BYTES: u64 = 256 << 20;

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

    /// Reads everything, or what the pass before it did not come to; returns how much is wrong.
    pub fn run(mut self) -> Result<u64> {
        let done = self.read_all();
        if done.is_err() && self.shared.under_way.lock().is_some() {
            self.shared.note();
        }
        done.map(|()| self.findings)
    }

    fn read_all(&mut self) -> Result<()> {
        let log = &self.shared.core.log;
        let segments = log.segments();
        let (current, previous) = log.manifest_runs();
        let mut runs = current.runs;
        runs.extend(previous.runs.into_iter().filter(|run| !runs.contains(run)).collect::<Vec<_>>());
        let before = *self.shared.under_way.lock();
        self.findings = before.map_or(0, |pass| pass.findings);
        // Numbers rise: what was written since has higher ones, moved messages too.
        let is_read = |info: &&SegmentInfo| before.is_some_and(|pass| info.id <= pass.segment);
        self.done_bytes = segments.iter().filter(is_read).map(|info| info.bytes).sum();
        {
            let mut stats = self.shared.stats.lock();
            stats.running = true;
            stats.position_bytes = self.done_bytes;
            let of_runs: u64 = runs.iter().map(|run| run.bytes).sum();
            stats.total_bytes = segments.iter().map(|segment| segment.bytes).sum::<u64>() + of_runs;
        }
        let mut noted_bytes = self.done_bytes;
        for segment in segments.iter().filter(|info| !is_read(info)) {
            self.segment(segment)?;
            self.done_bytes += segment.bytes;
            self.shared.stats.lock().position_bytes = self.done_bytes;
            let so_far = UnderWay { segment: segment.id, findings: self.findings };
            *self.shared.under_way.lock() = Some(so_far);
            if self.done_bytes - noted_bytes >= NOTE_BYTES {
                self.shared.note();
                noted_bytes = self.done_bytes;
            }
        }
        for run in &runs {
            self.run_file(run)?;
            self.done_bytes += run.bytes;
            self.shared.stats.lock().position_bytes = self.done_bytes;
        }
        Ok(())
    }

    fn segment(&mut self, segment: &SegmentInfo) -> Result<()> {
        let (log, id) = (self.shared.core.log.clone(), segment.id);
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
        self.found(segment, &found);
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

    /// Says what is wrong in a segment, and lists what is lost there: all of it at once, for each listing is a new
    /// MANIFEST.
    fn found(&mut self, segment: &SegmentInfo, findings: &[Finding]) {
        let log = &self.shared.core.log;
        for finding in findings {
            self.say(format!("segment {}, offset {}", finding.segment, finding.offset), &finding.what);
        }
        if segment.kind == SegmentKind::Log && !findings.is_empty() {
            let last = if segment.sealed { segment.last_lsn } else { log.durable_lsn() };
            self.shared.keeper.cover_soon(last);
        }
        // Those that are read from there; others lie elsewhere too, or are dead.
        let is_lost = |m: &MessageNo| {
            matches!(log.read(*m).and_then(|message| message.verify()), Err(Error::Damaged { .. }))
        };
        let mut messages = BTreeSet::new();
        let mut what = None;
        for finding in findings {
            let lost: Vec<MessageNo> = finding.messages.iter().copied().filter(is_lost).collect();
            if !lost.is_empty() {
                what.get_or_insert(&finding.what);
                messages.extend(lost);
            }
        }
        let Some(what) = what else { return };
        let what = match findings.len() {
            1 => what.clone(),
            many => format!("{what}, and {} more in this segment", many - 1),
        };
        let messages = messages.into_iter().collect();
        let damage = Damage { segment: segment.id, messages, what, ..Damage::default() };
        if damage.is_known_by(&log.damage()) {
            return;
        }
        if let Err(error) = log.report_damage(&[damage]) {
            tracing::warn!(%error, "what the scrub found could not be listed; the next pass tries again");
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
