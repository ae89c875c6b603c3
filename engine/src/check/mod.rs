//! The consistency check: every view against the log.
//!
//! Laws
//! - The log is read again from the oldest transaction needed; what comes of it is compared with what
//!   readers see now. Nothing is changed.
//! - Works beside a busy store: both sides are taken as of one group, and only checkpoints, snapshots and
//!   compaction wait meanwhile.
//! - A finding says what is wrong and with what; no message's text stands in it.

mod compare;
mod shadow;
mod text;

use crate::error::Result;
use crate::ops::Store;
use crate::types::Lsn;
use crate::work::Work;
use serde::{Deserialize, Serialize};

/// What the check looked at and what it found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CheckReport {
    /// Everything was compared as of this group.
    pub lsn: Lsn,
    pub accounts: u64,
    pub mailboxes: u64,
    pub messages: u64,
    /// Every byte was read and compared with checksums and digests.
    pub deep: bool,
    pub findings: Vec<Finding>,
}

impl CheckReport {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which view or part of the log: "log", "catalog", "mailbox", "counters", "message", "text".
    pub area: String,
    /// Whose: "account 3, mailbox 1 (INBOX)", "segment 7".
    pub object: String,
    pub what: String,
}

impl Store {
    /// Compares catalog, mailboxes, counters and the text index with the log; with `deep` reads every byte of it.
    pub fn check(&self, deep: bool) -> Result<CheckReport> {
        self.check_told(deep, &mut Work::quiet())
    }

    /// The same, saying how far it is.
    pub fn check_told(&self, deep: bool, work: &mut Work<'_>) -> Result<CheckReport> {
        let mut report = CheckReport { deep, ..CheckReport::default() };
        for damage in &self.recovery().damage {
            report.add("log", "when it was opened", damage);
        }
        for id in self.core().registry.read_only() {
            report.add("log", &format!("account {id}"), "damage hit it: it is read-only until repair");
        }
        compare::views(self, &mut report)?;
        text::views(self, &mut report)?;
        self.core().log.scan_all(deep, work, &mut |finding| {
            let object = format!("segment {}, offset {}", finding.segment, finding.offset);
            report.add("log", &object, &finding.what);
        })?;
        Ok(report)
    }
}

impl CheckReport {
    fn add(&mut self, area: &str, object: &str, what: &str) {
        let (area, object, what) = (area.to_owned(), object.to_owned(), what.to_owned());
        self.findings.push(Finding { area, object, what });
    }
}
