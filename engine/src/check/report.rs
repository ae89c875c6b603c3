//! What a check says: findings by severity and kind, each with what repair would do about it.
//!
//! Laws
//! - The word of a kind is for machines and never changes; `docs/tools.md` lists them.
//! - No number is hidden: of one kind at one object a few are named, and the rest is counted.
//! - No message's text stands in a finding.

use crate::types::Lsn;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// So many findings of one kind at one object are named; the rest is one finding with their number.
const NAMED_MAX: u64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Acknowledged bytes are lost or cannot be proved.
    Damage,
    /// Something that is made from the log is wrong, and can be made again: nothing is lost.
    View,
    /// Nothing is wrong now; somebody should know all the same.
    Warning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Transactions are lost that no view has.
    Hole,
    /// Transactions are lost from the log, but a view has what they did.
    CoveredHole,
    /// An account that takes no writes, because a hole hit it.
    ReadOnlyAccount,
    /// An account whose beginning is lost.
    LostAccount,
    /// A row whose message cannot be proved.
    LostMessage,
    /// Bytes of a segment that do not fit.
    Segment,
    /// A row says something of its message that is not so.
    RowFacts,
    /// What readers see differs from the log.
    Mailbox,
    /// What the catalog holds cannot be read, or differs from what readers see.
    Catalog,
    /// Counters that are not those of the rows.
    Counters,
    /// The remembered deliveries differ from the log.
    Deliveries,
    /// The text index.
    Text,
    /// What SORT and THREAD need of messages.
    Summaries,
    /// A snapshot run that counts cannot be read.
    Snapshot,
    /// FORMAT, MANIFEST, or the copy of one, cannot be read or is not the newest.
    Listing,
    /// Something was wrong and the opening has mended it.
    Mended,
    /// A file in the store's folders that is none of its own.
    UnknownFile,
}

impl Kind {
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::Hole
            | Self::ReadOnlyAccount
            | Self::LostAccount
            | Self::LostMessage
            | Self::Segment
            | Self::RowFacts => Severity::Damage,
            Self::CoveredHole
            | Self::Mailbox
            | Self::Catalog
            | Self::Counters
            | Self::Deliveries
            | Self::Text
            | Self::Summaries
            | Self::Snapshot
            | Self::Listing => Severity::View,
            Self::Mended | Self::UnknownFile => Severity::Warning,
        }
    }

    /// What repair does about it, in words.
    #[must_use]
    pub fn mend(self) -> &'static str {
        match self {
            Self::Hole => {
                "counters jump past what may have been issued, mailboxes get a new UIDVALIDITY, messages that no mailbox names come into `Recovered`"
            }
            Self::CoveredHole | Self::Snapshot => "two whole snapshots are written",
            Self::ReadOnlyAccount => "the account takes writes again once its hole is mended",
            Self::LostAccount => {
                "the account is completed under the name `recovered-ID`, with all that is known to be its"
            }
            Self::LostMessage => {
                "what is left of it goes to quarantine/ and into `Recovered`, and the row is expunged"
            }
            Self::Segment => "what lives in the segment is moved, and its file goes to quarantine/",
            Self::RowFacts => "nothing mends it; restore the message from a backup",
            Self::Mailbox | Self::Catalog | Self::Counters | Self::Deliveries => {
                "it is made again from the log"
            }
            Self::Text | Self::Summaries => "it is made again from the messages",
            Self::Listing => "it is written again",
            Self::Mended => "nothing is left to do",
            Self::UnknownFile => "it goes to quarantine/",
        }
    }
}

/// One thing that is wrong, or several of a kind that are not named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    pub kind: Kind,
    /// Whose: "account 3 (alice), mailbox 1 (INBOX)", "segment 7".
    pub object: String,
    pub what: String,
    /// What `mailcask repair` would do.
    pub mend: String,
    /// How many it stands for.
    pub count: u64,
}

/// What the check looked at and what it found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CheckReport {
    /// Everything was compared as of this group.
    pub lsn: Lsn,
    pub accounts: u64,
    pub mailboxes: u64,
    pub messages: u64,
    pub segments: u64,
    pub groups: u64,
    pub transactions: u64,
    pub bytes: u64,
    /// Every byte was read and compared with checksums and digests.
    pub deep: bool,
    /// Damage first, then views, then warnings.
    pub findings: Vec<Finding>,
    /// How many more there are than are named.
    #[serde(skip)]
    pub(super) more: BTreeMap<(Kind, String), (u64, u64)>,
}

impl CheckReport {
    /// Nothing is wrong; there may be warnings.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Warning)
    }

    /// How many of a severity there are, the ones that are not named included.
    #[must_use]
    pub fn count(&self, severity: Severity) -> u64 {
        self.findings.iter().filter(|found| found.severity == severity).map(|found| found.count).sum()
    }

    pub(super) fn add(&mut self, kind: Kind, object: &str, what: &str) {
        let (named, more) = self.more.entry((kind, object.to_owned())).or_default();
        if *named >= NAMED_MAX {
            *more += 1;
            return;
        }
        *named += 1;
        self.push(kind, object, what.to_owned(), 1);
    }

    fn push(&mut self, kind: Kind, object: &str, what: String, count: u64) {
        self.findings.push(Finding {
            severity: kind.severity(),
            kind,
            object: object.to_owned(),
            what,
            mend: kind.mend().to_owned(),
            count,
        });
    }

    /// Counts what was not named, and puts all in order.
    pub(super) fn finish(&mut self) {
        for ((kind, object), (_, more)) in std::mem::take(&mut self.more) {
            if more > 0 {
                self.push(kind, &object, format!("and {more} more"), more);
            }
        }
        self.findings.sort_by_key(|finding| finding.severity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_counted() {
        let mut report = CheckReport::default();
        (0..25).for_each(|uid| report.add(Kind::LostMessage, "a", &format!("UID {uid}")));
        report.add(Kind::Text, "a", "x");
        report.add(Kind::LostMessage, "b", "UID 1");
        report.finish();
        assert_eq!(report.count(Severity::Damage), 26);
        assert_eq!(report.count(Severity::View), 1);
        assert_eq!(report.findings.len(), 13);
        assert!(report.findings.iter().any(|found| found.what == "and 15 more" && found.object == "a"));
        assert_eq!(report.findings.last().map(|found| found.kind), Some(Kind::Text));
    }

    #[test]
    fn a_kind_is_one_word_for_machines() {
        assert_eq!(serde_json::to_string(&Kind::LostMessage).unwrap(), "\"lost-message\"");
        assert_eq!(serde_json::to_string(&Severity::Damage).unwrap(), "\"damage\"");
    }
}
