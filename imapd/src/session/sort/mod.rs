//! SORT and UID SORT (RFC 5256 section 3, RFC 5957), with RETURN (RFC 5267 section 3).
//!
//! Laws
//! - What is sorted is what SEARCH with the same keys finds, and the order is total: messages that
//!   no criterion tells apart come in the order of the mailbox.
//! - The answer is written in parts; a client that goes away ends the work.
//! - Nothing is sorted where only the number of results is asked for.

mod answer;
pub(super) mod kept;
pub(super) mod numbers;
pub(super) mod order;
mod relevancy;

use super::Session;
use super::esearch::Extended;
use super::search::tell_unreadable;
use super::search::updates::{self, Wanted};
use super::sink::Out;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::{ReturnOptions, Sort, SortCriterion};
use crate::proto::write::esearch::Correlator;
use answer::Sorted;
use engine::Store;
use engine::mailbox::View;
use engine::search::{Found, SortKey};
use engine::types::{AccountId, UidSet};
use kept::KeptOrder;
use numbers::Numbers;
use std::sync::atomic::AtomicBool;

impl Session {
    /// RFC 5256 BASE.6.4.SORT, RFC 5267 section 3.
    pub(super) fn sort(&mut self, tag: &str, sort: &Sort, out: &mut Out) -> Answer {
        let answer = self.sort_selected(tag, sort, out);
        if sort.returns.as_ref().is_some_and(|returns| returns.save) {
            self.forget_saved_on_no(&answer);
        }
        answer
    }

    fn sort_selected(&mut self, tag: &str, sort: &Sort, out: &mut Out) -> Answer {
        let (finder, found) = self.find(tag, sort.returns.as_ref(), &sort.key, out)?;
        let watched = finder.watched(out)?;
        let (login, selected) = self.state.selected()?;
        let sorter = Sorter {
            store: &self.shared.store,
            account: login.account,
            view: &selected.view,
            cancel: out.gone(),
        };
        let order = match sort.returns.as_ref().is_none_or(needs_order) {
            true => sorter.found(&found, &sort.by)?,
            false => Vec::new(),
        };
        drop(watched);
        let numbers = Numbers::new(&selected.view, &found.uids, sort.uid)?;
        let sorted = Sorted { view: &selected.view, found: &found, order: &order, numbers: &numbers };
        let correlator = Correlator { tag, mailbox: None };
        match &sort.returns {
            None => sorted.plain(out)?,
            Some(returns) if returns.answers() => sorted.extended(returns, correlator, out)?,
            Some(_) => {}
        }
        if let Some(returns) = &sort.returns {
            if returns.save {
                selected.saved = sorted.returned(returns);
            }
            if returns.update {
                let asked = selected.pinned(&sort.key)?;
                match keys(&sort.by) {
                    Some(by) => {
                        let order = Some(KeptOrder::new(by, order));
                        let wanted = Wanted { correlator, uid: sort.uid, key: asked, order };
                        selected.updates.keep(&finder, wanted, &found, out);
                    }
                    // Each new message changes the scores of the others.
                    None => updates::refuse(tag, "An order by RELEVANCY is not kept up to date", out),
                }
            }
        }
        tell_unreadable(&found, out);
        Ok(Done::plain())
    }
}

fn needs_order(returns: &ReturnOptions) -> bool {
    let ReturnOptions { min, max, all, relevancy, update, partial, .. } = returns;
    *min || *max || *all || *relevancy || *update || partial.is_some()
}

/// Puts messages of a view in order.
pub struct Sorter<'a> {
    pub store: &'a Store,
    pub account: AccountId,
    pub view: &'a View,
    /// The client is gone.
    pub cancel: &'a AtomicBool,
}

impl Sorter<'_> {
    pub fn sorted(&self, uids: &UidSet, by: &[SortKey]) -> Result<Vec<u32>, Stop> {
        let order = self.store.sort(self.account, self.view, uids, by, self.cancel)?;
        Ok(order.ok_or(Stop::Gone)?.into_iter().map(|uid| uid.0).collect())
    }

    /// What a search found, by criteria that may ask for its scores.
    fn found(&self, found: &Found, by: &[SortCriterion]) -> Result<Vec<u32>, Stop> {
        match keys(by) {
            Some(by) => self.sorted(&found.uids, &by),
            None => relevancy::sorted(found, by, &|by| self.sorted(&found.uids, by)),
        }
    }
}

/// The criteria, where none of them is RELEVANCY.
fn keys(by: &[SortCriterion]) -> Option<Vec<SortKey>> {
    let key = |criterion: &SortCriterion| match criterion {
        SortCriterion::Key(key) => Some(*key),
        SortCriterion::Relevancy { .. } => None,
    };
    by.iter().map(key).collect()
}
