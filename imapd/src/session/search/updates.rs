//! Searches that are kept up to date: UPDATE and CANCELUPDATE (RFC 5267 section 4.3).
//!
//! Laws
//! - Who applies every ADDTO and REMOVEFROM has what the same search would find now.
//! - REMOVEFROM of an expunged message goes before its EXPUNGE, ADDTO of a new one after its EXISTS:
//!   numbers are right at the moment each is sent (sections 4.3.3 and 4.3.4).
//! - A SORT's results keep their order, so only those that leave and join it are told, with their places.
//! - Only what changed is looked at again: new messages; changed ones where the key asks for what
//!   changes; those that time moved past an OLDER or YOUNGER.
//! - Sequence numbers and `$` are what they were at the command (section 4.3); `*` in a set of UIDs is
//!   not.
//! - A search that cannot be kept up to date any more is told by NOUPDATE and forgotten.

use super::answer::seqs_of;
use super::key;
use super::run::{Finder, now_s};
use crate::proto::ast::{SearchKey, SeqNumber, SequenceSet};
use crate::proto::write::esearch::{self, Correlator, Update};
use crate::proto::write::{self, Code, Status};
use crate::session::Session;
use crate::session::sink::{Gone, Out};
use crate::session::sort::Sorter;
use crate::session::sort::kept::{self, KeptOrder};
use crate::session::sort::numbers::Numbers;
use crate::session::sort::order::Pair;
use crate::session::state::Selected;
use crate::session::stop::{Answer, Done, Stop};
use engine::Store;
use engine::mailbox::{Change, Mailbox, View};
use engine::search::{Context, Found, Key, Progress};
use engine::types::{AccountId, UidSet};
use std::collections::BTreeMap;

/// Searches kept up to date in one session.
const UPDATES_MAX: usize = 32;
/// Results of all sorted ones, unless there is but one: the order is held in memory.
const SORTED_RESULTS_MAX: usize = 4 << 20;
/// Ranges in one response.
const PIECE: usize = 4096;

/// The searches that the selected mailbox's client is kept up to date about.
#[derive(Default)]
pub struct Updates(Vec<Kept>);

/// A search that is to be kept up to date.
pub struct Wanted<'a> {
    pub correlator: Correlator<'a>,
    pub uid: bool,
    /// With its sequence numbers pinned.
    pub key: SearchKey,
    /// The order of its results, for a SORT.
    pub order: Option<KeptOrder>,
}

struct Kept {
    tag: String,
    uid: bool,
    /// The mailbox as ESEARCH named it, and its UIDVALIDITY.
    mailbox: Option<(String, u32)>,
    key: SearchKey,
    depends: Depends,
    /// What the client has.
    members: UidSet,
    /// In which order, for a SORT.
    order: Option<KeptOrder>,
    /// When it was looked at last, in seconds since 1970.
    looked_s: i64,
}

/// What, beside a message's arrival, changes whether it matches.
#[derive(Default)]
struct Depends {
    /// Flags, keywords, modseq.
    flags: bool,
    /// `*` in a set of UIDs.
    star: bool,
    /// The seconds of OLDER and YOUNGER.
    intervals: Vec<u32>,
}

/// What an advance of the view brought.
pub struct Touched {
    added: UidSet,
    changed: UidSet,
    /// The last message before, and now.
    ends: UidSet,
}

impl Session {
    /// RFC 5267 section 4.3.5. A tag that names no such search has no updates to cancel.
    pub(in crate::session) fn cancel_update(&mut self, tags: &[String]) -> Answer {
        let (_, selected) = self.state.selected()?;
        selected.updates.0.retain(|kept| !tags.contains(&kept.tag));
        Ok(Done { code: None, text: Some("No further updates".into()) })
    }
}

impl Updates {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn sorted_results(&self) -> usize {
        self.0.iter().filter_map(|kept| kept.order.as_ref()).map(KeptOrder::len).sum()
    }

    pub fn contains(&self, tag: &str) -> bool {
        self.0.iter().any(|kept| kept.tag == tag)
    }

    /// Keeps the client up to date from what was found, or says NOUPDATE (RFC 5267 section 4.3.1).
    pub fn keep(&mut self, finder: &Finder, wanted: Wanted<'_>, found: &Found, out: &mut Out) {
        let Wanted { correlator, uid, key, order } = wanted;
        if self.0.len() >= UPDATES_MAX {
            return refuse(correlator.tag, "Too many searches are kept up to date", out);
        }
        let held = self.sorted_results();
        if order.as_ref().is_some_and(|order| held > 0 && held + order.len() > SORTED_RESULTS_MAX) {
            return refuse(correlator.tag, "Too many sorted results are kept up to date", out);
        }
        self.0.push(Kept {
            tag: correlator.tag.to_owned(),
            uid,
            mailbox: correlator.mailbox.map(|(name, uid_validity)| (name.to_owned(), uid_validity)),
            depends: Depends::of(&key),
            key,
            members: found.uids.clone(),
            order,
            looked_s: finder.now_s(),
        });
    }
}

/// The search is not kept up to date.
pub fn refuse(tag: &str, text: &str, out: &mut Out) {
    write::untagged(out.buffer(), Status::No, Some(&Code::NoUpdate(tag.to_owned())), text);
}

impl Touched {
    /// By the changes that brought the view here from the version before.
    pub fn of(view: &View, before: &Mailbox, changes: &[Change]) -> Result<Self, Stop> {
        let changed = changes.iter().filter_map(|change| match change {
            Change::Flags { row, .. } => Some(row.uid.0),
            _ => None,
        });
        let ends: UidSet = before.last_uid().into_iter().chain(view.last_uid()).map(|uid| uid.0).collect();
        Ok(Self {
            added: view.present(&UidSet::from_range(before.header.uid_next.0, u32::MAX))?,
            changed: changed.collect(),
            ends: view.present(&ends)?,
        })
    }
}

impl Selected {
    /// The key with its sequence numbers as they are now (RFC 5267 section 4.3).
    pub fn pinned(&self, key: &SearchKey) -> Result<SearchKey, Stop> {
        let boxed = |key: &SearchKey| self.pinned(key).map(Box::new);
        Ok(match key {
            SearchKey::SequenceSet(set) => SearchKey::Uid(explicit(&self.messages_or_none(set, false)?)),
            SearchKey::Uid(set) if set.saved => {
                let mut set = set.clone();
                set.ranges.extend(explicit(&self.saved).ranges);
                set.saved = false;
                SearchKey::Uid(set)
            }
            SearchKey::And(keys) => {
                SearchKey::And(keys.iter().map(|key| self.pinned(key)).collect::<Result<_, Stop>>()?)
            }
            SearchKey::Or(left, right) => SearchKey::Or(boxed(left)?, boxed(right)?),
            SearchKey::Not(key) => SearchKey::Not(boxed(key)?),
            SearchKey::Fuzzy(key) => SearchKey::Fuzzy(boxed(key)?),
            key => key.clone(),
        })
    }

    /// REMOVEFROM of what is about to be announced as expunged.
    pub fn tell_expunged(&mut self, changes: &[Change], out: &mut Out) -> Result<(), Gone> {
        for kept in &mut self.updates.0 {
            let mut numbers = BTreeMap::new();
            for change in changes {
                // From the last to the first: each number is still the one from before all of them.
                if let Change::Expunged { seq, uid } = change
                    && kept.members.contains_uid(*uid)
                {
                    numbers.insert(uid.0, if kept.uid { uid.0 } else { *seq });
                }
            }
            let removed: UidSet = numbers.keys().copied().collect();
            kept.members = kept.members.difference(&removed);
            match &mut kept.order {
                None => kept.tell(Update::RemoveFrom, &numbers.into_values().collect(), out)?,
                Some(order) => {
                    let pairs = order.remove(&removed);
                    kept.tell_pairs(Update::RemoveFrom, &pairs, &|uid| numbers.get(&uid).copied(), out)?;
                }
            }
        }
        Ok(())
    }

    /// ADDTO and REMOVEFROM of what came and what changed.
    pub fn tell_updates(
        &mut self,
        store: &Store,
        account: AccountId,
        touched: Result<Touched, Stop>,
        out: &mut Out,
    ) -> Result<(), Stop> {
        for mut kept in std::mem::take(&mut self.updates.0) {
            let looked = match &touched {
                Ok(touched) => kept.look_again(self, store, account, touched, out),
                Err(_) => Err(Stop::bad("What changed is not known")),
            };
            match looked {
                Ok(()) => self.updates.0.push(kept),
                Err(Stop::Gone) => return Err(Stop::Gone),
                Err(_) => refuse(&kept.tag, "The search could not be kept up to date", out),
            }
        }
        Ok(())
    }
}

impl Kept {
    fn look_again(
        &mut self,
        selected: &Selected,
        store: &Store,
        account: AccountId,
        touched: &Touched,
        out: &mut Out,
    ) -> Result<(), Stop> {
        let now_s = now_s(store);
        let find = |key: &Key, out: &Out| -> Result<UidSet, Stop> {
            let progress = Progress::default();
            let context =
                Context { recent: &selected.recent, now_s, cancel: out.gone(), progress: &progress };
            Ok(store.search(account, &selected.view, key, &context)?.ok_or(Stop::Gone)?.uids)
        };
        let mut affected = self.depends.affected(touched);
        if let Some(crossed) = self.depends.crossed(self.looked_s, now_s) {
            affected = affected.union(&find(&crossed, out)?);
        }
        self.looked_s = now_s;
        if affected.is_empty() {
            return Ok(());
        }
        let asked = key(&self.key, &|set, uid| selected.messages_or_none(set, uid))?;
        let matching = find(&Key::And(vec![Key::Uids(affected.clone()), asked]), out)?;
        let left = self.members.intersect(&affected).difference(&matching);
        let joined = matching.difference(&self.members);
        self.members = self.members.difference(&left).union(&joined);
        if let Some(order) = &mut self.order {
            let sorter = Sorter { store, account, view: &selected.view, cancel: out.gone() };
            let numbers = Numbers::new(&selected.view, &left.union(&joined), self.uid)?;
            let (left, joined) = (order.remove(&left), order.insert(&joined, &sorter)?);
            self.tell_pairs(Update::RemoveFrom, &left, &|uid| numbers.of(uid), out)?;
            self.tell_pairs(Update::AddTo, &joined, &|uid| numbers.of(uid), out)?;
            return Ok(());
        }
        for (change, uids) in [(Update::RemoveFrom, left), (Update::AddTo, joined)] {
            let numbers = if self.uid { uids } else { seqs_of(&selected.view, &uids)? };
            self.tell(change, &numbers, out)?;
        }
        Ok(())
    }

    /// Nothing where there is nothing to tell.
    fn tell(&self, change: Update, numbers: &UidSet, out: &mut Out) -> Result<(), Gone> {
        for piece in numbers.ranges().chunks(PIECE) {
            esearch::begin(out.buffer(), self.correlator(), self.uid);
            esearch::update(out.buffer(), change, piece);
            esearch::end(out.buffer());
            out.settle()?;
        }
        Ok(())
    }

    /// The same for a SORT; `number` is how the client names a message.
    fn tell_pairs(
        &self,
        change: Update,
        pairs: &[Pair],
        number: &dyn Fn(u32) -> Option<u32>,
        out: &mut Out,
    ) -> Result<(), Gone> {
        kept::tell(change, pairs, self.correlator(), self.uid, number, out)
    }

    fn correlator(&self) -> Correlator<'_> {
        let mailbox = self.mailbox.as_ref().map(|(name, uid_validity)| (name.as_str(), *uid_validity));
        Correlator { tag: &self.tag, mailbox }
    }
}

impl Depends {
    fn of(key: &SearchKey) -> Self {
        let mut depends = Self::default();
        depends.add(key);
        depends
    }

    fn add(&mut self, key: &SearchKey) {
        use SearchKey::{
            And, Answered, Deleted, Draft, Flagged, Fuzzy, Keyword, ModSeq, New, Not, Older, Or, Seen, Uid,
            Unanswered, Undeleted, Undraft, Unflagged, Unkeyword, Unseen, Younger,
        };
        match key {
            Answered
            | Deleted
            | Draft
            | Flagged
            | Keyword(_)
            | ModSeq { .. }
            | New
            | Seen
            | Unanswered
            | Undeleted
            | Undraft
            | Unflagged
            | Unkeyword(_)
            | Unseen => self.flags = true,
            Uid(set) => self.star |= set.has_star(),
            Older(seconds) | Younger(seconds) => self.intervals.push(*seconds),
            And(keys) => keys.iter().for_each(|key| self.add(key)),
            Fuzzy(key) | Not(key) => self.add(key),
            Or(left, right) => {
                self.add(left);
                self.add(right);
            }
            _ => {}
        }
    }

    /// The messages that may match now and did not, or the other way round.
    fn affected(&self, touched: &Touched) -> UidSet {
        let mut affected = touched.added.clone();
        if self.flags {
            affected = affected.union(&touched.changed);
        }
        if self.star {
            affected = affected.union(&touched.ends);
        }
        affected
    }

    /// The messages that were younger than an interval then, and are not now.
    fn crossed(&self, then_s: i64, now_s: i64) -> Option<Key> {
        let passed_s = u32::try_from(now_s.checked_sub(then_s)?).ok().filter(|passed_s| *passed_s > 0)?;
        let crossed = |&interval_s: &u32| {
            // A second more at both ends: these are looked at, not yet told.
            let since = Key::Older(interval_s.saturating_sub(1));
            let before = Key::Older(interval_s.saturating_add(passed_s).saturating_add(1));
            Key::And(vec![since, Key::not(before)])
        };
        self.intervals.iter().map(crossed).reduce(Key::or)
    }
}

/// A set that names these messages and no other.
fn explicit(uids: &UidSet) -> SequenceSet {
    let ends = |&(first, last): &(u32, u32)| (SeqNumber::Number(first), SeqNumber::Number(last));
    SequenceSet::from(uids.ranges().iter().map(ends).collect::<Vec<_>>())
}
