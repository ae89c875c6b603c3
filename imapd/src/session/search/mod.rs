//! SEARCH and UID SEARCH (RFC 3501 section 6.4.4, RFC 4466 section 2.6, RFC 4731, RFC 5182, RFC 6203,
//! RFC 7162 section 3.1.5, RFC 9394), and ESEARCH (RFC 7377).
//!
//! Laws
//! - The answer is exact for the session's view at the start of the command.
//! - A client that goes away ends the search.
//! - What SAVE keeps changes only by a SEARCH with SAVE: to what it returned, or to nothing when it ends
//!   in NO (RFC 5182 section 2.1). BAD changes nothing.

pub(super) mod answer;
mod key;
mod multi;
mod run;
pub(super) mod updates;

pub use key::key;

use super::Session;
use super::esearch::Extended;
use super::sink::Out;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::{ReturnOptions, Search, SearchKey};
use crate::proto::write::esearch::Correlator;
use crate::proto::write::{self, Code, Status};
use answer::Results;
use engine::search::Found;
use engine::types::UidSet;
use run::Finder;
use updates::Wanted;

impl Session {
    /// RFC 3501 section 6.4.4, RFC 4731 section 3.1.
    pub(super) fn search(&mut self, tag: &str, search: &Search, out: &mut Out) -> Answer {
        let answer = self.search_selected(tag, search, out);
        if search.returns.as_ref().is_some_and(|returns| returns.save) {
            self.forget_saved_on_no(&answer);
        }
        answer
    }

    fn search_selected(&mut self, tag: &str, search: &Search, out: &mut Out) -> Answer {
        let (finder, found) = self.find(tag, search.returns.as_ref(), &search.key, out)?;
        let (_, selected) = self.state.selected()?;
        let results = Results { view: &selected.view, found: &found, uid: search.uid };
        match &search.returns {
            None => results.plain(out)?,
            Some(returns) if returns.answers() => {
                results.extended(returns, Correlator { tag, mailbox: None }, out)?;
            }
            Some(_) => {}
        }
        if let Some(returns) = &search.returns {
            if returns.save {
                selected.saved = results.returned(returns);
            }
            if returns.update {
                let asked = selected.pinned(&search.key)?;
                let correlator = Correlator { tag, mailbox: None };
                let wanted = Wanted { correlator, uid: search.uid, key: asked, order: None };
                selected.updates.keep(&finder, wanted, &found, out);
            }
        }
        tell_unreadable(&found, out);
        Ok(Done::plain())
    }

    /// What matches in the view; for SEARCH, SORT and THREAD.
    pub(super) fn find(
        &mut self,
        tag: &str,
        returns: Option<&ReturnOptions>,
        asked: &SearchKey,
        out: &mut Out,
    ) -> Result<(Finder, Found), Stop> {
        self.state.selected()?;
        if let Some(returns) = returns {
            self.check_update(tag, returns)?;
        }
        if asked.uses_modseq() {
            self.enable_condstore(out)?;
        }
        let finder = self.finder(tag)?;
        let (_, selected) = self.state.selected()?;
        let key = key(asked, &|set, uid| selected.messages_or_none(set, uid))?;
        let found = finder.find(&selected.view, &selected.recent, &key, out)?;
        Ok((finder, found))
    }

    /// RFC 5267 section 4.3: a tag names one search that is kept up to date.
    fn check_update(&mut self, tag: &str, returns: &ReturnOptions) -> Result<(), Stop> {
        match returns.update && self.state.selected()?.1.updates.contains(tag) {
            true => Err(Stop::bad("Tag reuse: that search is still kept up to date")),
            false => Ok(()),
        }
    }

    /// RFC 5182 section 2.1.
    pub(super) fn forget_saved_on_no(&mut self, answer: &Answer) {
        if matches!(answer, Err(Stop::No(..))) {
            self.forget_saved();
        }
    }

    /// `$` names no message any more.
    pub(super) fn forget_saved(&mut self) {
        if let Ok((_, selected)) = self.state.selected() {
            selected.saved = UidSet::new();
        }
    }
}

/// Says so when some messages could not be read.
pub(super) fn tell_unreadable(found: &Found, out: &mut Out) {
    if !found.unreadable.is_empty() {
        tracing::error!(messages = found.unreadable.len(), "SEARCH could not read some messages");
        let text = "Some messages could not be read and are left out";
        write::untagged(out.buffer(), Status::No, Some(&Code::Corruption), text);
    }
}
