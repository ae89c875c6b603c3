//! SELECT, EXAMINE, CLOSE, UNSELECT and CHECK (RFC 3501 sections 6.3.1, 6.3.2, 6.4.1 and 6.4.2,
//! RFC 3691).
//!
//! Laws
//! - Everything SELECT says is said of one version of the mailbox.
//! - A SELECT that fails leaves no mailbox selected.
//! - EXAMINE changes nothing, \Recent included.

use super::Session;
use super::search::updates::Updates;
use super::sink::Out;
use super::state::Selected;
use super::stop::{Answer, Done, Stop};
use super::sync;
use crate::proto::write::{self, Code, Status};
use engine::Error;
use engine::mailbox::View;
use engine::types::UidSet;
use std::sync::Arc;

impl Session {
    /// RFC 3501 sections 6.3.1 and 6.3.2; CONDSTORE is RFC 7162 section 3.1.8, CLOSED section 3.2.11.
    pub(super) fn select(&mut self, name: &str, condstore: bool, read_only: bool, out: &mut Out) -> Answer {
        self.state.login()?;
        if self.state.deselect().is_some() {
            write::untagged(out.buffer(), Status::Ok, Some(&Code::Closed), "The mailbox before is closed");
        }
        let mailbox = self.mailbox_named(name)?;
        let login = self.state.login()?;
        login.condstore |= condstore;
        let mut selected = Selected {
            mailbox: mailbox.header.id,
            view: View::open(Arc::clone(&mailbox)),
            read_only,
            recent: UidSet::new(),
            recent_told: 0,
            saved: UidSet::new(),
            updates: Updates::default(),
            keywords_told: mailbox.header.keywords.len(),
        };
        selected.claim_recent(&self.shared.store, login.account)?;
        selected.describe(out)?;
        self.state.select(selected);
        Ok(Done::with(if read_only { Code::ReadOnly } else { Code::ReadWrite }))
    }

    /// RFC 3501 section 6.4.2: expunges in silence, unless the mailbox was only examined.
    pub(super) fn close(&mut self) -> Answer {
        let (login, selected) = self.state.selected()?;
        if !selected.read_only {
            match self.shared.store.expunge(login.account, selected.mailbox, None) {
                Ok(_) | Err(Error::NoSuchMailbox) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.state.deselect();
        Ok(Done::plain())
    }

    /// RFC 3691 section 2.
    pub(super) fn unselect(&mut self) -> Answer {
        self.state.selected()?;
        self.state.deselect();
        Ok(Done::plain())
    }

    /// RFC 3501 section 6.4.1: every change is durable already.
    pub(super) fn check(&mut self) -> Answer {
        self.state.selected()?;
        Ok(Done::plain())
    }
}

impl Selected {
    /// What SELECT and EXAMINE say of the mailbox.
    fn describe(&mut self, out: &mut Out) -> Result<(), Stop> {
        let mailbox = Arc::clone(self.view.latest());
        let header = &mailbox.header;
        sync::tell_flags(&mailbox, self.read_only, out);
        write::exists(out.buffer(), header.exists);
        self.recent_told = self.recent_count()?;
        write::recent(out.buffer(), self.recent_told);
        let mut facts = Vec::new();
        if header.unseen > 0
            && let Some(first) = mailbox.first_unseen_seq()?
        {
            facts.push((Code::Unseen(first), "First unseen"));
        }
        facts.push((Code::UidValidity(header.uid_validity.0), "UIDs are valid"));
        facts.push((Code::UidNext(header.uid_next.0), "Next UID"));
        facts.push((Code::MailboxId(header.id), "Identifier"));
        facts.push((Code::HighestModSeq(header.highest_modseq.0), "Highest modseq"));
        for (code, text) in facts {
            write::untagged(out.buffer(), Status::Ok, Some(&code), text);
        }
        Ok(())
    }
}
