//! The log against itself, and what is known of its damage.

use super::{Check, Kind, Shadow};
use crate::error::Result;
use crate::log::Damage;
use crate::types::Lsn;

impl Check<'_, '_> {
    /// What was found before and is not mended yet.
    pub(super) fn known_damage(&mut self) {
        let core = self.store.core().clone();
        let lost = core.published.lock().lost.clone();
        for id in core.registry.read_only() {
            let what = "damage in the log hit it: it takes no writes until repair";
            self.add(Kind::ReadOnlyAccount, &format!("account {id}"), what);
        }
        for hole in &lost.holes {
            let (first, last) = (hole.first, hole.last);
            self.add(Kind::Hole, "log", &format!("transactions {first} to {last} are lost: {}", hole.what));
        }
        for id in &lost.accounts {
            let what = "it has transactions, but its beginning is lost";
            self.add(Kind::LostAccount, &format!("account {id}"), what);
        }
        for damage in core.log.damage() {
            let (first, last) = (damage.first_lsn, damage.last_lsn);
            if damage.is_hole() && !lost.holes.iter().any(|hole| hole.first <= first && last <= hole.last) {
                let what = format!("transactions {first} to {last} are lost from the log: {}", damage.what);
                self.add(Kind::CoveredHole, &format!("segment {}", damage.segment), &what);
                self.evidence.covered.push((first, last));
            }
            let messages = damage.messages.iter().filter(|message| core.log.contains(**message));
            self.evidence.bad_messages.extend(messages);
            if core.log.segments().iter().any(|info| info.id == damage.segment) {
                self.evidence.segments.entry(damage.segment).or_insert(damage.what);
            }
        }
    }

    /// Every group, record, footer and block; deep, with every digest.
    pub(super) fn segments(&mut self) -> Result<()> {
        let mut found = Vec::new();
        let totals =
            self.store.core().log.scan_all(self.deep, self.work, &mut |finding| found.push(finding))?;
        for finding in found {
            if let Some(missing) = finding.missing {
                self.missing.push((finding.segment, missing, finding.what));
                continue;
            }
            let object = format!("segment {}", finding.segment);
            self.add(Kind::Segment, &object, &format!("offset {}: {}", finding.offset, finding.what));
            self.evidence.segments.entry(finding.segment).or_insert(finding.what);
            self.evidence.bad_messages.extend(finding.messages);
        }
        self.report.segments = totals.segments;
        self.report.groups = totals.groups;
        self.report.transactions = totals.transactions;
        self.report.bytes = totals.bytes;
        Ok(())
    }

    /// Transactions that others name, once it is known what the log tells: those of a hole are told with it.
    pub(super) fn missing_transactions(&mut self, from_log: &Shadow) {
        let core = self.store.core().clone();
        let known: Vec<(Lsn, Lsn)> = {
            let published = core.published.lock();
            published.lost.holes.iter().map(|hole| (hole.first, hole.last)).collect()
        };
        let listed = core.log.damage();
        let covers = |damage: &Damage, lsn: Lsn| damage.first_lsn <= lsn && lsn <= damage.last_lsn;
        for hole in from_log.told.holes.iter().filter(|damage| damage.is_hole()) {
            let is_known =
                known.iter().any(|(first, last)| *first <= hole.first_lsn && hole.last_lsn <= *last)
                    || hole.is_known_by(&listed);
            if !is_known {
                let (first, last) = (hole.first_lsn, hole.last_lsn);
                let what = format!("transactions {first} to {last} are lost from the log: {}", hole.what);
                self.add(Kind::CoveredHole, &format!("segment {}", hole.segment), &what);
                self.evidence.covered.push((first, last));
            }
        }
        for (segment, missing, what) in std::mem::take(&mut self.missing) {
            let is_told = known.iter().any(|(first, last)| (*first..=*last).contains(&missing))
                || from_log.told.holes.iter().chain(&listed).any(|hole| covers(hole, missing));
            // Beside damaged bytes it is one of those that stand there: the replay has it, or told the hole.
            if !is_told && self.evidence.segments.is_empty() {
                self.add(Kind::Segment, &format!("segment {segment}"), &what);
            }
        }
    }
}
