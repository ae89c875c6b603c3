//! What is to be done, step by step, as people read it and as the repair does it.

use super::{bodies, strays};
use crate::check::Evidence;
use crate::error::{Error, Result};
use crate::log::Orphan;
use crate::ops::Store;
use crate::types::{AccountId, Lsn, MailboxId, SegmentId, UidSet};
use crate::work::Work;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mend {
    /// A file that is none of the store's goes to quarantine/.
    File { path: String },
    /// FORMAT, MANIFEST and their copies are written again.
    Listing,
    /// What readers see of the account and what the catalog holds is made again from the log.
    Account { account: AccountId },
    /// The remembered deliveries of the account, likewise.
    Deliveries { account: AccountId },
    /// An account whose beginning is lost is made anew.
    LostAccount { account: AccountId },
    /// Transactions of the account are lost: its counters jump, and strays come into `Recovered`.
    Hole { account: AccountId },
    /// Large messages that nothing names: those of lost rows come into `Recovered`, the others are kept in quarantine/.
    Bodies,
    /// Messages that cannot be proved: what is left of them comes into `Recovered`, and their rows go.
    LostMessages { account: AccountId, mailbox: MailboxId, uids: UidSet },
    /// The text index and the summaries of the account are made again.
    Index { account: AccountId },
    /// Rows of the catalog that cannot be read, or that nobody names, go.
    Catalog,
    /// A damaged snapshot run is copied to quarantine/, and whole ones are written.
    Run { file: String },
    /// Two whole snapshots are written.
    Snapshots,
    /// What lives in a damaged segment moves, and its file goes to quarantine/.
    Segment { segment: SegmentId },
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub mend: Mend,
    /// Whose.
    pub object: String,
    pub why: String,
    /// In words.
    pub does: String,
    /// What is lost by now, if anything: repair loses nothing more.
    pub lost: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The group it was made at.
    pub lsn: Lsn,
    pub steps: Vec<Step>,
}

impl Plan {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn of(store: &Store, lsn: Lsn, evidence: Evidence, work: &mut Work<'_>) -> Result<Self> {
        let mut plan = Self { lsn, steps: Vec::new() };
        plan.views(store, &evidence);
        plan.lost(store, &evidence)?;
        plan.bodies(store, &evidence, work)?;
        plan.storage(store, &evidence);
        Ok(plan)
    }

    fn push(&mut self, mend: Mend, object: String, why: &str, does: &str, lost: Option<String>) {
        let (why, does) = (why.to_owned(), does.to_owned());
        self.steps.push(Step { mend, object, why, does, lost });
    }

    /// What is made again, and nothing is lost.
    fn views(&mut self, store: &Store, evidence: &Evidence) {
        for path in &evidence.unknown_files {
            let mend = Mend::File { path: path.clone() };
            self.push(mend, path.clone(), "it is no file of this store", "moves it to quarantine/", None);
        }
        for (name, why) in &evidence.listing {
            self.push(Mend::Listing, name.clone(), why, "writes it and its copy again", None);
        }
        let anew = "makes it again from the log";
        for (account, why) in &evidence.accounts {
            self.push(Mend::Account { account: *account }, name(store, *account), why, anew, None);
        }
        for account in &evidence.deliveries {
            let why = "the remembered deliveries differ from the log";
            self.push(Mend::Deliveries { account: *account }, name(store, *account), why, anew, None);
        }
        if let Some(why) = &evidence.catalog {
            let does = "writes the catalog's rows again and removes those that nobody names";
            self.push(Mend::Catalog, "catalog".to_owned(), why, does, None);
        }
        let mut indexes = evidence.summaries.clone();
        indexes.extend(evidence.text.clone());
        for (account, why) in indexes {
            let does = "makes the text index and the summaries again from the messages";
            self.push(Mend::Index { account }, name(store, account), &why, does, None);
        }
    }

    /// Transactions, accounts and messages that are lost.
    fn lost(&mut self, store: &Store, evidence: &Evidence) -> Result<()> {
        let lost = store.core().published.lock().lost.clone();
        let strays = match strays::find(store.core()) {
            // The repair looks again.
            Err(error @ Error::Io { .. }) => {
                tracing::error!(%error, "messages that no mailbox names cannot be looked for");
                BTreeMap::new()
            }
            strays => strays?,
        };
        let known: BTreeSet<AccountId> = store.core().registry.ids().into_iter().collect();
        let unknown = strays.keys().filter(|id| !known.contains(id)).chain(&lost.accounts);
        for account in unknown.copied().collect::<BTreeSet<_>>() {
            let count = strays.get(&account).map_or(0, Vec::len);
            let does = format!("completes it as far as it is known, with {count} messages in `Recovered`");
            let gone = "its name, password and mailboxes".to_owned();
            let why = "its beginning is lost";
            let mend = Mend::LostAccount { account };
            self.push(mend, name(store, account), why, &does, Some(gone));
        }
        for account in lost.hit().intersection(&known) {
            let holes: Vec<_> = lost.holes.iter().filter(|hole| hole.accounts.contains(account)).collect();
            let ranges = ranges(holes.iter().map(|hole| (hole.first, hole.last))).unwrap_or_default();
            let why = format!("transactions {ranges} are lost");
            let count = strays.get(account).map_or(0, Vec::len);
            let does = format!(
                "counters jump, its mailboxes get a new UIDVALIDITY, {count} messages come into `Recovered`, it takes writes again"
            );
            let gone = "what those transactions did to it: deliveries, flags, expunges".to_owned();
            self.push(Mend::Hole { account: *account }, name(store, *account), &why, &does, Some(gone));
        }
        for ((account, mailbox), uids) in &evidence.lost {
            let (account, mailbox) = (*account, *mailbox);
            let of = store.mailbox(account, mailbox);
            let mailbox_name = of.map_or_else(|_| String::new(), |of| of.header.name.to_string());
            let object = format!("{}, mailbox {mailbox} ({mailbox_name})", name(store, account));
            let why = format!("UIDs {uids}: their messages cannot be proved");
            let does = "copies what is stored to quarantine/, puts what is proved into `Recovered`, expunges the rows";
            let gone = format!("what cannot be proved of {} messages", uids.len());
            let mend = Mend::LostMessages { account, mailbox, uids: uids.clone() };
            self.push(mend, object, &why, does, Some(gone));
        }
        Ok(())
    }

    /// Large messages that nothing names, where something is lost that may have named them.
    fn bodies(&mut self, store: &Store, evidence: &Evidence, work: &mut Work<'_>) -> Result<()> {
        if !bodies::may_be_missed(store, evidence) {
            return Ok(());
        }
        let orphans = store.core().log.orphans(work)?;
        let messages = orphans.iter().filter(|orphan| orphan.is_message()).count();
        if !orphans.is_empty() {
            let bytes: u64 = orphans.iter().map(Orphan::stored_bytes).sum();
            let why =
                format!("{bytes} bytes with {messages} whole records are named by nothing that is left");
            let does = "puts what lost rows speak of into `Recovered`, and keeps the rest in quarantine/";
            self.push(Mend::Bodies, "large messages".to_owned(), &why, does, None);
        }
        Ok(())
    }

    /// Files of the log and the snapshots.
    fn storage(&mut self, store: &Store, evidence: &Evidence) {
        for (file, why) in &evidence.runs {
            let does = "copies it to quarantine/ and writes whole snapshots";
            self.push(Mend::Run { file: file.clone() }, format!("snapshots/{file}"), why, does, None);
        }
        let (current, previous) = store.core().log.manifest_runs();
        let of_accounts = |mend: &Mend| matches!(mend, Mend::Hole { .. } | Mend::LostAccount { .. });
        let holes = store.core().published.lock().lost.holes.clone();
        if !holes.is_empty() && !self.mends().any(of_accounts) {
            let why = "transactions are lost that hit nobody who is still there";
            self.push(Mend::Snapshots, "snapshots".to_owned(), why, "writes two whole snapshots", None);
        } else if !evidence.covered.is_empty() {
            let why = match ranges(evidence.covered.iter().copied()) {
                Some(ranges) => {
                    format!("transactions {ranges} are lost from the log; a view has what they did")
                }
                None => "the log lists damage that is mended by then".to_owned(),
            };
            let object = format!("snapshots as of {} and {}", previous.as_of, current.as_of);
            self.push(Mend::Snapshots, object, &why, "writes two whole snapshots", None);
        }
        for (segment, why) in &evidence.segments {
            let mend = Mend::Segment { segment: *segment };
            let missing = "its file is missing: if you have it, stop here and put it back first";
            let why = if store.core().log.has_file(*segment) { why } else { missing };
            let does = "moves what lives in it, and its file to quarantine/";
            self.push(mend, format!("segment {segment}"), why, does, None);
        }
    }

    pub(super) fn mends(&self) -> impl Iterator<Item = &Mend> {
        self.steps.iter().map(|step| &step.mend)
    }

    pub(super) fn has(&self, mend: &Mend) -> bool {
        self.mends().any(|one| one == mend)
    }

    pub(super) fn indexes(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.mends().filter_map(|mend| match mend {
            Mend::Index { account } => Some(*account),
            _ => None,
        })
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &String> {
        self.mends().filter_map(|mend| match mend {
            Mend::Run { file } => Some(file),
            _ => None,
        })
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentId> + '_ {
        self.mends().filter_map(|mend| match mend {
            Mend::Segment { segment } => Some(*segment),
            _ => None,
        })
    }

    /// Whether what is damaged would be rested on without whole snapshots.
    pub(super) fn needs_snapshots(&self) -> bool {
        self.mends().any(|mend| !matches!(mend, Mend::File { .. } | Mend::Listing | Mend::Index { .. }))
    }
}

/// Ranges of transactions in words, ascending, those that meet as one. `None`: they are of messages alone.
fn ranges(of: impl Iterator<Item = (Lsn, Lsn)>) -> Option<String> {
    let mut sorted: Vec<(Lsn, Lsn)> = of.filter(|(first, _)| *first > Lsn(0)).collect();
    sorted.sort();
    let mut joined: Vec<(Lsn, Lsn)> = Vec::new();
    for (first, last) in sorted {
        match joined.last_mut() {
            Some((_, end)) if first <= end.next() => *end = (*end).max(last),
            _ => joined.push((first, last)),
        }
    }
    let say = |(first, last): &(Lsn, Lsn)| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    (!joined.is_empty()).then(|| joined.iter().map(say).collect::<Vec<_>>().join(", "))
}

fn name(store: &Store, id: AccountId) -> String {
    match store.account(id) {
        Ok(account) => format!("account {id} ({})", account.name),
        Err(_) => format!("account {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_meet_are_one() {
        let of = |pairs: &[(u64, u64)]| ranges(pairs.iter().map(|(first, last)| (Lsn(*first), Lsn(*last))));
        assert_eq!(of(&[(9, 9), (0, 0), (3, 5), (6, 7), (0, 0)]).unwrap(), "3 to 7, 9");
        assert_eq!(of(&[(0, 0)]), None);
    }
}
