//! FETCH and UID FETCH (RFC 3501 section 6.4.5, RFC 7162 section 3.1.4, RFC 8970, RFC 9394 section 3.3).
//!
//! Laws
//! - Each message is read once, whatever is asked of it, and only as far as the items need: columns,
//!   header block, or the whole.
//! - \Seen is set before its message is sent, a batch in one transaction, and the response says so;
//!   where it cannot be set the message is sent all the same.
//! - A message that is damaged or gone costs itself only: the others are sent, then NO says why.
//! - Sequence numbers do not shift under the command, even where EXPUNGE may follow it.

mod plan;
mod preview;
mod respond;
mod source;

use super::Session;
use super::search::answer::slice;
use super::sink::Out;
use super::state::Selected;
use super::stop::{Answer, Done, Stop};
use super::sync::Tell;
use crate::proto::ast::Fetch;
use crate::proto::write::Code;
use engine::Error;
use engine::mailbox::FlagId;
use engine::ops::{FlagChange, FlagOp};
use engine::types::{ModSeq, UidSet};
use plan::Plan;
use preview::Previews;
use respond::Marks;
use source::Source;
use std::sync::atomic::Ordering;

/// Messages marked \Seen in one transaction, and sent before the next ones are marked.
const BATCH_MESSAGES: usize = 128;

/// Messages that could not be answered.
#[derive(Default)]
struct Missing {
    damaged: bool,
    expunged: bool,
}

impl Session {
    pub(super) fn fetch(&mut self, fetch: Fetch, out: &mut Out) -> Answer {
        let plan = Plan::new(&fetch);
        self.state.selected()?;
        if plan.modseq {
            self.enable_condstore(out)?;
        }
        let (_, selected) = self.state.selected()?;
        let mut uids = selected.messages(&fetch.set, fetch.uid)?;
        if let Some(range) = fetch.partial {
            uids = slice(&uids, range.places(uids.len()));
        }
        if let Some(since) = fetch.changed_since {
            uids = uids.intersect(&selected.changed_since(ModSeq(since))?);
        }
        let mut missing = Missing::default();
        let mut previews = Previews::new(plan.preview);
        let mut uids = uids.iter();
        loop {
            let batch: UidSet = uids.by_ref().take(BATCH_MESSAGES).collect();
            if batch.is_empty() {
                return missing.answer();
            }
            let seen = if plan.sets_seen { self.mark_seen(&batch, out)? } else { UidSet::new() };
            self.fetch_batch(&plan, &batch, &seen, &mut previews, &mut missing, out)?;
        }
    }

    fn fetch_batch(
        &mut self,
        plan: &Plan,
        batch: &UidSet,
        seen: &UidSet,
        previews: &mut Previews,
        missing: &mut Missing,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let now_ms = self.shared.store.now_ms();
        let (login, selected) = self.state.selected()?;
        let condstore = login.condstore;
        for row in selected.view.rows(batch) {
            if out.gone().load(Ordering::Relaxed) {
                return Err(Stop::Gone);
            }
            let row = row?;
            let touched = seen.contains_uid(row.row.uid);
            let is_over = |since_ms: u64| since_ms.saturating_add(self.shared.grace_ms) < now_ms;
            if plan.reads_message() && row.ghost_since_ms.is_some_and(is_over) {
                missing.expunged = true;
                continue;
            }
            // All that is needed of the message, before the response begins.
            let read = previews
                .of(&self.shared.store, login.account, &row.row)
                .and_then(|preview| Ok((preview, Source::load(&self.shared.store, &row.row, plan)?)));
            let (preview, source) = match read {
                Ok(read) => read,
                Err(error) => {
                    let store = &self.shared.store;
                    missing.note(store.why_unread(login.account, selected.mailbox, &row.row, error))?;
                    if touched {
                        let (row, seq) = (&row.row, row.seq);
                        selected.tell_message(row, seq, Tell::Flags, plan.uid, condstore, out);
                    }
                    continue;
                }
            };
            let flags = selected.flag_names(&row.row);
            let marks = Marks { flags: &flags, touched, condstore, preview: preview.as_deref() };
            respond::respond(plan, &row, marks, &source, out)?;
            out.settle()?;
        }
        Ok(())
    }

    /// Sets \Seen where it is not set, and gives the messages whose flags the client must be told.
    fn mark_seen(&mut self, batch: &UidSet, out: &mut Out) -> Result<UidSet, Stop> {
        let (login, selected) = self.state.selected()?;
        let unseen = selected.unseen(batch)?;
        if selected.read_only || unseen.is_empty() {
            return Ok(UidSet::new());
        }
        let change = FlagChange { op: FlagOp::Add, flags: vec!["\\Seen".to_owned()], unchanged_since: None };
        match self.shared.store.change_flags(login.account, selected.mailbox, &unseen, change) {
            Ok(_) => {}
            Err(error @ (Error::OutcomeUnknown | Error::Closed)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(error = error.label(), "\\Seen is not set: {error}");
                return Ok(UidSet::new());
            }
        }
        // The FETCH responses that follow tell the flags of these; others are told now.
        self.changes(
            false,
            &mut |row| if unseen.contains_uid(row.uid) { Tell::Nothing } else { Tell::Flags },
            out,
        )?;
        Ok(unseen)
    }
}

impl Selected {
    /// Those of the messages that are there and lack \Seen.
    fn unseen(&self, uids: &UidSet) -> Result<UidSet, Stop> {
        let mut unseen = UidSet::new();
        for row in self.view.rows(uids) {
            let row = row?;
            if !row.is_ghost() && !row.row.flags.contains(FlagId::SEEN) {
                unseen.insert_uid(row.row.uid);
            }
        }
        Ok(unseen)
    }

    /// The messages that changed after `since`.
    fn changed_since(&self, since: ModSeq) -> Result<UidSet, Stop> {
        Ok(self.view.latest().changed_since(since)?.into_iter().collect())
    }
}

impl Missing {
    /// A message that cannot be read: what spoils only itself is noted, the rest ends the command.
    fn note(&mut self, error: Error) -> Result<(), Stop> {
        match error {
            Error::Expunged | Error::NoSuchMessage => self.expunged = true,
            Error::Damaged { .. } => {
                tracing::error!(error = error.label(), "{error}");
                self.damaged = true;
            }
            error => return Err(error.into()),
        }
        Ok(())
    }

    fn answer(&self) -> Answer {
        if self.damaged {
            return Err(Stop::no(Code::Corruption, "Some messages are damaged, the others were sent"));
        }
        if self.expunged {
            return Err(Stop::no(Code::ExpungeIssued, "Some messages are gone, the others were sent"));
        }
        Ok(Done::plain())
    }
}
