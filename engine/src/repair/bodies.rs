//! Large messages that nothing names any more, though their bytes are there.
//!
//! Laws
//! - What a lost row speaks of, by size, thread and date, is taken for its message, if its digest proves it whole. It comes
//!   in under numbers of its own, so nothing rests on that.
//! - While something is lost that may have named it, nothing unnamed goes: before what is lost is off the list, the bytes
//!   are in quarantine/. A segment that nothing names goes there whole.

use super::{Mend, Repair};
use crate::check::Evidence;
use crate::error::{Error, Result};
use crate::log::Orphan;
use crate::mailbox::Row;
use crate::ops::Store;
use crate::types::{AccountId, MailboxId, SegmentId, ThreadId, UidSet, ZonedTime};
use std::collections::{BTreeMap, BTreeSet};

/// What the header of an orphan tells.
struct Facts {
    size_bytes: u64,
    thread: ThreadId,
    sent: Option<ZonedTime>,
    is_taken: bool,
}

/// Whether something is lost that may have named a large message.
pub fn may_be_missed(store: &Store, evidence: &Evidence) -> bool {
    let is_hurt = !store.core().published.lock().lost.is_empty();
    is_hurt
        || evidence
            .lost
            .iter()
            .any(|((account, mailbox), uids)| !rows(store, *account, *mailbox, uids).is_empty())
}

/// The rows whose large message may lie somewhere unnamed.
fn rows(store: &Store, account: AccountId, mailbox: MailboxId, uids: &UidSet) -> Vec<Row> {
    let log = &store.core().log;
    let Ok(mailbox) = store.mailbox(account, mailbox) else { return Vec::new() };
    // A row that cannot be read is seen to with its account.
    let is_large = |row: &Row| stored_bytes(row) > log.body_threshold_bytes();
    mailbox.rows(uids).flatten().filter(|row| is_large(row) && log.may_be_orphaned(row.message)).collect()
}

fn stored_bytes(row: &Row) -> u64 {
    u64::from(row.size_bytes).saturating_sub(row.prefix.len() as u64)
}

impl Repair<'_, '_> {
    pub(super) fn bodies(&mut self) -> Result<()> {
        if !self.plan.has(&Mend::Bodies) {
            return Ok(());
        }
        self.step("looking for large messages that nothing names")?;
        let log = self.store.core().log.clone();
        let orphans = log.orphans(self.work)?;
        let mut facts: Vec<Option<Facts>> = Vec::new();
        for orphan in &orphans {
            self.step("reading large messages that nothing names")?;
            facts.push(if orphan.is_message() { facts_of(self.store, orphan)? } else { None });
        }
        let mut is_missed = !self.store.core().published.lock().lost.is_empty();
        for mend in self.plan.mends() {
            let Mend::LostMessages { account, mailbox, uids } = mend else { continue };
            for row in rows(self.store, *account, *mailbox, uids) {
                if self.bodies.contains_key(&row.message) {
                    continue;
                }
                match take(&mut facts, &row) {
                    Some(at) => drop(orphans.get(at).map(|one| self.bodies.insert(row.message, one.clone()))),
                    None => is_missed = true,
                }
            }
        }
        if is_missed {
            let is_taken =
                |at: &usize| facts.get(*at).is_some_and(|one| one.as_ref().is_some_and(|f| f.is_taken));
            self.keep(&orphans, &(0..orphans.len()).filter(is_taken).collect())?;
        }
        self.did();
        Ok(())
    }

    /// Has what nobody knows in quarantine/.
    fn keep(&mut self, orphans: &[Orphan], taken: &BTreeSet<usize>) -> Result<()> {
        let core = self.store.core().clone();
        let mut of: BTreeMap<SegmentId, Vec<usize>> = BTreeMap::new();
        // What is being written waits for its transaction.
        let at_rest = (0..).zip(orphans).filter(|(_, orphan)| !orphan.is_being_written());
        at_rest.for_each(|(at, orphan)| of.entry(orphan.segment()).or_default().push(at));
        for (id, unnamed) in of {
            let is_empty = core.log.segments().iter().any(|info| info.id == id && info.messages == 0);
            if is_empty && !unnamed.iter().any(|at| taken.contains(at)) {
                self.step("moving large messages that nothing names to the quarantine")?;
                core.log.retire_segments(&[id], core.clock.now_ms())?;
                self.done.quarantined.push(format!("{id}.seg"));
                continue;
            }
            for orphan in unnamed.iter().filter(|at| !taken.contains(at)).filter_map(|at| orphans.get(*at)) {
                self.step("copying large messages that nothing names to the quarantine")?;
                let path = core.log.quarantine_orphan(orphan)?;
                self.done
                    .quarantined
                    .extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(())
    }
}

/// `None`: it is not whole.
fn facts_of(store: &Store, orphan: &Orphan) -> Result<Option<Facts>> {
    let read = store.core().log.read_orphan(orphan).and_then(|stored| {
        stored.verify()?;
        let header = stored.read_range(0..stored.header_len_bytes())?;
        Ok((stored, header))
    });
    match read {
        Ok((stored, header)) => {
            let facts = store.facts_of_header(&header, &stored.digest());
            let (thread, sent) = (facts.thread, facts.sent);
            Ok(Some(Facts { size_bytes: stored.size_bytes(), thread, sent, is_taken: false }))
        }
        Err(Error::Damaged { .. } | Error::Corrupt { .. } | Error::NoSuchMessage) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The orphan that the row speaks of; of several one that no other row has taken, if there is one.
fn take(facts: &mut [Option<Facts>], row: &Row) -> Option<usize> {
    let fits =
        |one: &Facts| one.size_bytes == stored_bytes(row) && one.thread == row.thread && one.sent == row.sent;
    let fitting = facts.iter().enumerate().filter_map(|(at, one)| one.as_ref().map(|one| (at, one)));
    let (_, at) = fitting.filter(|(_, one)| fits(one)).map(|(at, one)| (one.is_taken, at)).min()?;
    facts.get_mut(at)?.as_mut()?.is_taken = true;
    Some(at)
}
