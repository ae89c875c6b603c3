//! ESEARCH: a search in many mailboxes (RFC 7377).
//!
//! Laws
//! - A mailbox is searched once, however many sources name it; one that does not exist is passed over.
//! - The selected mailbox is searched as the session sees it, others in their latest version; what is
//!   selected does not change.
//! - A mailbox is answered only if something was found in it (section 2.1).

use super::answer::Results;
use super::updates::{Wanted, refuse};
use super::{key, tell_unreadable};
use crate::proto::ast::{MultiSearch, SequenceSet, Source};
use crate::proto::write::esearch::Correlator;
use crate::session::Session;
use crate::session::esearch::Extended;
use crate::session::messages::resolve;
use crate::session::sink::Out;
use crate::session::state::{Selected, State};
use crate::session::stop::{Answer, Done, Stop};
use engine::Store;
use engine::accounts::Account;
use engine::mailbox::names::{DELIMITER, is_below, parent};
use engine::mailbox::{Mailbox, View};
use engine::types::{MailboxId, UidSet};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Session {
    /// RFC 7377 section 2.
    pub(in crate::session) fn multi_search(
        &mut self,
        tag: &str,
        search: &MultiSearch,
        out: &mut Out,
    ) -> Answer {
        let answer = self.search_sources(tag, search, out);
        if search.returns.save {
            self.forget_saved_on_no(&answer);
        }
        answer
    }

    fn search_sources(&mut self, tag: &str, search: &MultiSearch, out: &mut Out) -> Answer {
        if search.returns.update || search.sources.contains(&Source::Selected) {
            self.state.selected()?;
            self.check_update(tag, &search.returns)?;
        }
        if search.key.uses_modseq() {
            self.enable_condstore(out)?;
        }
        let account = self.account()?;
        let finder = self.finder(tag)?;
        let id = self.state.selected().ok().map(|(_, selected)| selected.mailbox);
        let mut updated = false;
        for (name, mailbox) in mailboxes(&account, &search.sources, id) {
            let here = Place::of(&mut self.state, &mailbox, &finder.store)?;
            let key = key(&search.key, &|set, uid| here.messages(set, uid))?;
            let found = finder.find(here.view(), here.recent(), &key, out)?;
            let correlator = Correlator { tag, mailbox: Some((name, mailbox.header.uid_validity.0)) };
            let results = Results { view: here.view(), found: &found, uid: true };
            let returned = results.returned(&search.returns);
            if !found.uids.is_empty() && search.returns.answers() {
                results.extended(&search.returns, correlator, out)?;
            }
            tell_unreadable(&found, out);
            if let Place::Selected(selected) = here {
                if search.returns.save {
                    selected.saved = returned;
                }
                if search.returns.update {
                    let asked = selected.pinned(&search.key)?;
                    let wanted = Wanted { correlator, uid: true, key: asked, order: None };
                    selected.updates.keep(&finder, wanted, &found, out);
                    updated = true;
                }
            }
        }
        if search.returns.update && !updated {
            // Only the selected mailbox is kept up to date, and it is none of those searched (section 2.2).
            refuse(tag, "The selected mailbox was not searched", out);
        }
        Ok(Done::plain())
    }
}

/// What the sources name, by name.
fn mailboxes<'a>(
    account: &'a Account,
    sources: &[Source],
    selected: Option<MailboxId>,
) -> BTreeMap<&'a str, Arc<Mailbox>> {
    let named =
        |mailbox: &&Arc<Mailbox>| sources.iter().any(|source| names(source, mailbox, account, selected));
    account.mailboxes().filter(named).map(|mailbox| (&*mailbox.header.name, Arc::clone(mailbox))).collect()
}

/// RFC 7377 section 2.2, RFC 5465 section 6.
fn names(source: &Source, mailbox: &Mailbox, account: &Account, selected: Option<MailboxId>) -> bool {
    let name = &*mailbox.header.name;
    match source {
        Source::Selected => selected == Some(mailbox.header.id),
        // `user+detail` delivers into any mailbox, so each of them is an inbox (RFC 5465 section 6.3).
        Source::Inboxes | Source::Personal => true,
        Source::Subscribed => account.subscriptions().contains(name),
        Source::Mailboxes(names) => names.iter().any(|one| one == name),
        Source::Subtree(roots) => roots.iter().any(|root| root.is_empty() || one_or_below(name, trim(root))),
        Source::SubtreeOne(roots) => roots
            .iter()
            .map(|root| trim(root))
            .any(|root| name == root || parent(name).unwrap_or_default() == root),
    }
}

fn one_or_below(name: &str, root: &str) -> bool {
    name == root || is_below(name, root)
}

/// A trailing delimiter says nothing more.
fn trim(root: &str) -> &str {
    root.strip_suffix(DELIMITER).unwrap_or(root)
}

/// Where a search looks.
enum Place<'a> {
    Selected(&'a mut Selected),
    Other { view: View, recent: UidSet },
}

impl<'a> Place<'a> {
    fn of(state: &'a mut State, mailbox: &Arc<Mailbox>, store: &Store) -> Result<Self, Stop> {
        let header = &mailbox.header;
        match state {
            State::Selected(_, selected) if selected.mailbox == header.id => Ok(Self::Selected(selected)),
            _ => {
                // As STATUS counts them: \Recent for no session yet.
                let first = store.recent_uid(header.account, header.id)?.next().0;
                let mut recent = UidSet::new();
                if first < header.uid_next.0 {
                    recent.insert_range(first, header.uid_next.0 - 1);
                }
                Ok(Self::Other { view: View::open(Arc::clone(mailbox)), recent })
            }
        }
    }

    fn view(&self) -> &View {
        match self {
            Self::Selected(selected) => &selected.view,
            Self::Other { view, .. } => view,
        }
    }

    fn recent(&self) -> &UidSet {
        match self {
            Self::Selected(selected) => &selected.recent,
            Self::Other { recent, .. } => recent,
        }
    }

    /// Numbers count in the mailbox searched; `$` is of the selected one.
    fn messages(&self, set: &SequenceSet, uid: bool) -> Result<UidSet, Stop> {
        match self {
            Self::Selected(selected) => selected.messages_or_none(set, uid),
            Self::Other { view, .. } => resolve(view, &UidSet::new(), set, uid),
        }
    }
}
