//! STORE and UID STORE (RFC 3501 section 6.4.6, RFC 7162 section 3.1.3).
//!
//! Laws
//! - All messages change in one transaction; those gone, or changed since UNCHANGEDSINCE, do not
//!   stop the others.
//! - .SILENT keeps quiet only about flags that are as the client must think they are: when another
//!   session changed them too, they are told, once and as they are in the end.

use super::Session;
use super::sink::Out;
use super::state::Selected;
use super::stop::{Answer, Done, Stop};
use super::sync::Tell;
use crate::proto::ast::{self, StoreOp};
use crate::proto::write::Code;
use engine::mailbox::{FlagId, Mailbox, Row, RowFlags, ViewRow};
use engine::ops::{FlagChange, FlagOp, FlagsChanged};
use engine::types::{ModSeq, UidSet};
use std::sync::Arc;

/// What was asked and what came of it.
struct Stored<'a> {
    asked: &'a ast::Store,
    live: &'a UidSet,
    result: &'a FlagsChanged,
    condstore: bool,
}

impl Session {
    pub(super) fn store(&mut self, asked: ast::Store, out: &mut Out) -> Answer {
        if self.state.selected()?.1.read_only {
            return Err(Stop::no(Code::ReadOnly, "The mailbox is read-only"));
        }
        if asked.unchanged_since.is_some() {
            self.enable_condstore(out)?;
        }
        let (_, selected) = self.state.selected()?;
        let uids = selected.messages(&asked.set, asked.uid)?;
        let (login, selected) = self.state.selected()?;
        let live = uids.difference(&selected.view.ghost_uids());
        // What the client was told last, whatever others did since.
        let before = Arc::clone(selected.view.latest());
        let result =
            self.shared.store.change_flags(login.account, selected.mailbox, &live, change(&asked))?;
        let stored = Stored { asked: &asked, live: &live, result: &result, condstore: login.condstore };
        let after = self.mailbox_now()?;
        self.changes(false, &mut |row| stored.tell(row, &before, &after), out)?;
        let (_, selected) = self.state.selected()?;
        stored.answer_messages(selected, out)?;
        let some_gone = !uids.intersect(&selected.view.ghost_uids()).is_empty();
        stored.end(selected, some_gone)
    }

    /// The selected mailbox as it is now; the view's version when it was deleted meanwhile.
    fn mailbox_now(&mut self) -> Result<Arc<Mailbox>, Stop> {
        let account = self.account()?;
        let (_, selected) = self.state.selected()?;
        Ok(Arc::clone(account.mailbox(selected.mailbox).unwrap_or_else(|| selected.view.latest())))
    }
}

impl Stored<'_> {
    /// About a message whose flags changed while the command ran.
    fn tell(&self, row: &Row, before: &Mailbox, after: &Mailbox) -> Tell {
        if !self.live.contains_uid(row.uid) {
            return Tell::Flags;
        }
        if !self.asked.silent {
            // Answered one by one afterwards.
            return Tell::Nothing;
        }
        let flags = before.by_uid(row.uid).ok().flatten().map(|old| self.expected(&old.flags, after));
        if flags.as_ref() == Some(&row.flags) || self.result.modified.contains_uid(row.uid) {
            Tell::Nothing
        } else {
            Tell::Flags
        }
    }

    /// What the client must think the flags are.
    fn expected(&self, old: &RowFlags, mailbox: &Mailbox) -> RowFlags {
        let asked: Vec<FlagId> =
            self.asked.flags.iter().filter_map(|name| mailbox.header.keywords.id(name)).collect();
        let mut flags = if self.asked.op == StoreOp::Replace { RowFlags::default() } else { old.clone() };
        for flag in asked {
            match self.asked.op {
                StoreOp::Remove => flags.remove(flag),
                StoreOp::Add | StoreOp::Replace => flags.insert(flag),
            };
        }
        flags
    }

    /// The FETCH responses of the messages asked for. A conditional STORE tells every MODSEQ even
    /// when silent, and the flags of what it did not change (RFC 7162 section 3.1.3).
    fn answer_messages(&self, selected: &Selected, out: &mut Out) -> Result<(), Stop> {
        let conditional = self.asked.unchanged_since.is_some();
        let told = match self.asked.silent {
            false => self.live.clone(),
            true if conditional => self.live.clone(),
            true if self.condstore => self.result.changed.clone(),
            true => return Ok(()),
        };
        for row in selected.view.rows(&told) {
            let ViewRow { row, seq, .. } = row?;
            let failed = self.result.modified.contains_uid(row.uid);
            let tell = if self.asked.silent && !failed { Tell::ModSeq } else { Tell::Flags };
            selected.tell_message(&row, seq, tell, self.asked.uid || self.condstore, self.condstore, out);
            out.settle()?;
        }
        Ok(())
    }

    fn end(&self, selected: &Selected, some_gone: bool) -> Answer {
        let modified = self.modified(selected)?;
        let code = (!modified.is_empty()).then_some(Code::Modified(modified));
        if some_gone {
            // RFC 2180 section 4.2. UID STORE too, though it ignores UIDs that never were: the client
            // still sees these messages and must not take an OK for a change that did not happen.
            return Err(Stop::No(code.or(Some(Code::ExpungeIssued)), "Some of the messages are gone".into()));
        }
        Ok(Done { code, text: None })
    }

    /// The messages that failed UNCHANGEDSINCE, in the numbers that the command used.
    fn modified(&self, selected: &Selected) -> Result<Vec<u32>, Stop> {
        let modified = &self.result.modified;
        if self.asked.uid {
            return Ok(modified.iter().collect());
        }
        let mut numbers = Vec::new();
        for row in selected.view.rows(modified) {
            numbers.push(row?.seq);
        }
        Ok(numbers)
    }
}

fn change(asked: &ast::Store) -> FlagChange {
    FlagChange {
        op: match asked.op {
            StoreOp::Add => FlagOp::Add,
            StoreOp::Remove => FlagOp::Remove,
            StoreOp::Replace => FlagOp::Replace,
        },
        flags: asked.flags.clone(),
        unchanged_since: asked.unchanged_since.map(ModSeq),
    }
}
