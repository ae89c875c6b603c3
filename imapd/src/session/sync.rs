//! Tells the client what changed in the selected mailbox (RFC 3501 sections 5.2, 7.3 and 7.4).
//!
//! Laws
//! - What is told is the difference of two versions of the mailbox; nothing is queued anywhere.
//! - EXPUNGE first, then EXISTS and RECENT, then flags, then what that does to searches that are kept up
//!   to date (RFC 5267 section 4.3); numbers are right at the moment each is sent.
//! - A keyword is named by FLAGS before the first message that carries it.
//! - A message becomes \Recent for the first session that is told of it, and for no other.

use super::Session;
use super::search::updates::Touched;
use super::sink::Out;
use super::state::{Selected, State};
use super::stop::{Answer, Stop};
use crate::proto::write::{self, Code, FetchResponse, Status};
use engine::Store;
use engine::mailbox::{Change, Mailbox, Row};
use engine::types::{AccountId, Uid};
use std::sync::Arc;

/// How a changed message is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// Flags, and MODSEQ and UID when CONDSTORE is enabled.
    Flags,
    /// MODSEQ and UID: the client knows the flags.
    ModSeq,
    Nothing,
}

impl Session {
    /// Tells what changed before a command is answered. The answer stays true whatever becomes of
    /// that, unless the session ends.
    pub(super) fn with_changes(&mut self, answer: Answer, expunges: bool, out: &mut Out) -> Answer {
        if !matches!(answer, Ok(_) | Err(Stop::No(..))) {
            return answer;
        }
        match self.changes(expunges, &mut |_| Tell::Flags, out) {
            Err(stop @ (Stop::Gone | Stop::Bye(..))) => Err(stop),
            _ => answer,
        }
    }

    /// Tells what changed since the client was told last; `tell` decides about changed flags.
    pub(super) fn changes(
        &mut self,
        expunges: bool,
        tell: &mut dyn FnMut(&Row) -> Tell,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let State::Selected(login, selected) = &mut self.state else { return Ok(()) };
        let account = self.shared.store.account(login.account)?;
        let Some(latest) = account.mailbox(selected.mailbox) else {
            return Err(Stop::Bye(None, "The selected mailbox was deleted".into()));
        };
        let before = Arc::clone(selected.view.latest());
        let changes = selected.view.advance(Arc::clone(latest), self.shared.store.now_ms(), expunges)?;
        let touched = match selected.updates.is_empty() {
            true => None,
            false => Some(Touched::of(&selected.view, &before, &changes)),
        };
        selected.tell_keywords(out);
        selected.tell_expunged(&changes, out)?;
        for change in changes {
            match change {
                Change::Expunged { seq, .. } => write::expunge(out.buffer(), seq),
                Change::Exists(exists) => {
                    write::exists(out.buffer(), exists);
                    selected.claim_recent(&self.shared.store, login.account)?;
                }
                Change::Flags { seq, row } => match tell(&row) {
                    Tell::Nothing => {}
                    told => selected.tell_message(&row, seq, told, login.condstore, login.condstore, out),
                },
            }
            out.settle()?;
        }
        selected.tell_recent(out)?;
        if let Some(touched) = touched {
            selected.tell_updates(&self.shared.store, login.account, touched, out)?;
        }
        Ok(())
    }

    /// The first CONDSTORE enabling command: the selected mailbox's HIGHESTMODSEQ is told (RFC 7162
    /// section 3.1).
    pub(super) fn enable_condstore(&mut self, out: &mut Out) -> Result<(), Stop> {
        let login = self.state.login()?;
        if std::mem::replace(&mut login.condstore, true) {
            return Ok(());
        }
        if let State::Selected(_, selected) = &self.state {
            let code = Code::HighestModSeq(selected.view.latest().header.highest_modseq.0);
            write::untagged(out.buffer(), Status::Ok, Some(&code), "CONDSTORE is enabled");
        }
        Ok(())
    }
}

impl Selected {
    /// One message's flags or modseq.
    pub fn tell_message(
        &self,
        row: &Row,
        seq: u32,
        told: Tell,
        with_uid: bool,
        with_modseq: bool,
        out: &mut Out,
    ) {
        let flags = self.flag_names(row);
        let mut response = FetchResponse::begin(out.buffer(), seq);
        if with_uid {
            response.uid(row.uid.0);
        }
        if told == Tell::Flags {
            response.flags(&flags);
        }
        if with_modseq || told == Tell::ModSeq {
            response.modseq(row.modseq.0);
        }
        response.end();
    }

    /// FLAGS and PERMANENTFLAGS, when the mailbox has keywords that the client has not heard of.
    pub fn tell_keywords(&mut self, out: &mut Out) {
        let keywords = self.view.latest().header.keywords.len();
        if keywords > self.keywords_told {
            self.keywords_told = keywords;
            let mailbox = Arc::clone(self.view.latest());
            tell_flags(&mailbox, self.read_only, out);
        }
    }

    /// Takes what is \Recent for this session now. A read-only session looks and takes nothing.
    pub fn claim_recent(&mut self, store: &Store, account: AccountId) -> Result<(), Stop> {
        let (first, last) = match self.read_only {
            true => {
                let last = self.view.latest().header.uid_next.0.saturating_sub(1);
                (store.recent_uid(account, self.mailbox)?.next(), Uid(last))
            }
            false => store.claim_recent(account, self.mailbox)?,
        };
        if first <= last {
            self.recent.insert_range(first.0, last.0);
        }
        Ok(())
    }

    /// RECENT, when its number changed.
    pub fn tell_recent(&mut self, out: &mut Out) -> Result<(), Stop> {
        let recent = self.recent_count()?;
        if recent != self.recent_told {
            self.recent_told = recent;
            write::recent(out.buffer(), recent);
        }
        Ok(())
    }

    /// How many messages of the view are \Recent.
    pub fn recent_count(&self) -> Result<u32, Stop> {
        // By the ends of the ranges, so that SELECT loads next to nothing.
        let latest = self.view.latest();
        let mut count = self.view.ghost_uids().intersect(&self.recent).len();
        for &(first, last) in self.recent.ranges() {
            let before = latest.rank(Uid(first.saturating_sub(1)))?;
            count += u64::from(latest.rank(Uid(last))?.saturating_sub(before));
        }
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// FLAGS and PERMANENTFLAGS of a mailbox (RFC 3501 section 7.1 and 7.2.6).
pub fn tell_flags(mailbox: &Mailbox, read_only: bool, out: &mut Out) {
    let keywords = mailbox.header.keywords.iter().map(|keyword| &**keyword);
    let flags: Vec<&str> =
        ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"].into_iter().chain(keywords).collect();
    write::flags(out.buffer(), &flags);
    let (code, text) = match read_only {
        true => (Code::PermanentFlags(Vec::new(), false), "Read-only"),
        false => {
            let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
            (Code::PermanentFlags(flags, true), "These flags are kept")
        }
    };
    write::untagged(out.buffer(), Status::Ok, Some(&code), text);
}
