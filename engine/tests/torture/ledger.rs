//! What one of several threads was told: the accounts that are its own, as a world, and its part of the shared one.
//!
//! Law: a step that was acknowledged is in every world there may be, one that was refused in none, one whose outcome is
//! not known in one of two.

use super::history::History;
use super::life::Wrong;
use super::shared::{Deed, Part, SHARED, random_deed};
use super::step::{Keep, Step, Verdict, random_step_among};
use super::world::{World, learn};
use engine::sys::sim::Rng;
use engine::types::Uid;
use engine::{Error, Result, Store};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// One thing that a thread asks for.
#[derive(Debug, Clone)]
pub enum Act {
    Own(Step),
    Shared(Deed),
}

/// What there is, as far as one thread has to do with it.
#[derive(Debug, Clone)]
pub struct Known {
    pub world: World,
    pub part: Part,
}

/// A thread's ledger over all lives of a run.
pub struct Ledger {
    pub thread: usize,
    /// One, or two while an outcome is unknown.
    pub may_be: Vec<Known>,
    /// What was asked and answered, for people.
    diary: Vec<(Option<Act>, String)>,
}

pub fn names_of(thread: usize) -> [String; 2] {
    [format!("ann{thread}"), format!("bob{thread}")]
}

impl Act {
    pub fn random(rng: &mut Rng, thread: usize, known: &Known) -> Self {
        if rng.one_in(2) {
            return Self::Shared(random_deed(rng, &known.part, &known.world));
        }
        match random_step_among(rng, &known.world, &names_of(thread)) {
            // One thread indexes.
            Step::Keep(Keep::Index) => Self::Own(Step::Keep(Keep::Checkpoint)),
            step => Self::Own(step),
        }
    }

    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Own(Step::Keep(_)))
    }

    /// Whether nothing would be changed by it, so that it may be answered without being written.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Own(step) => matches!(step, Step::Copy { uids, .. } if uids.is_empty()),
            Self::Shared(deed) => deed.is_empty(),
        }
    }

    pub fn in_known(&self, known: &mut Known) -> Verdict {
        match self {
            Self::Own(step) => step.in_world(&mut known.world),
            Self::Shared(deed) => deed.in_part(&mut known.part, &mut known.world),
        }
    }

    /// Asks it of the store; with the UIDs of what was added in the shared account.
    pub fn on_store(&self, store: &Store) -> Result<(Verdict, Vec<u32>)> {
        match self {
            Self::Own(step) => step.on_store(store).map(|verdict| (verdict, Vec::new())),
            Self::Shared(deed) => deed.on_store(store),
        }
    }

    /// Accounts of the thread's own that it changes.
    fn accounts(&self, known: &Known) -> Vec<String> {
        match self {
            Self::Own(step) => step.accounts(&known.world).into_iter().cloned().collect(),
            Self::Shared(deed) => deed.own_accounts().into_iter().cloned().collect(),
        }
    }
}

impl Ledger {
    pub fn new(thread: usize) -> Self {
        let known = Known { world: World::default(), part: Part::new(thread) };
        Self { thread, may_be: vec![known], diary: Vec::new() }
    }

    pub fn is_unknown(&self) -> bool {
        self.may_be.len() > 1
    }

    pub fn note(&mut self, act: Option<Act>, answer: String) {
        self.diary.push((act, answer));
    }

    /// It was acknowledged: what is after it counts, and what it was told on the way.
    pub fn acknowledged(
        &mut self,
        act: &Act,
        uids: &[u32],
        mut after: Known,
        (store, history): (&Store, &Mutex<History>),
    ) -> std::result::Result<(), Wrong> {
        if let Act::Shared(deed) = act {
            let Some(told) = after.part.tell(uids) else {
                return Err(format!("{deed:?} was answered with the UIDs {uids:?}"));
            };
            for mine in &told {
                told_of_shared(store, history, &mine.mailbox, &mine.text, mine.uid)?;
            }
        }
        for name in act.accounts(&self.may_be[0]) {
            let Some(account) = after.world.accounts.get_mut(&name) else { continue };
            let untold: BTreeSet<(String, u32)> = account
                .mailboxes
                .iter()
                .flat_map(|(name, mailbox)| mailbox.messages.iter().map(move |m| (name, m)))
                .filter(|(_, message)| message.facts.is_none())
                .map(|(name, message)| (name.clone(), message.uid))
                .collect();
            match learn(store, &name, account) {
                Ok(()) => {}
                Err(Error::Io { .. }) => continue,
                Err(error) => return Err(format!("after {act:?}: {error}")),
            }
            let mut history = history.lock().unwrap();
            for (name, mailbox) in &account.mailboxes {
                let is_news = |uid: u32| untold.contains(&(name.clone(), uid));
                for message in mailbox.messages.iter().filter(|message| is_news(message.uid)) {
                    let place = (name.as_str(), mailbox.uid_validity.unwrap_or_default());
                    history.told(account.id.unwrap_or_default(), place, message)?;
                }
            }
        }
        self.may_be = vec![after];
        Ok(())
    }

    /// Whether it is there is not known.
    pub fn unknown(&mut self, after: Known) {
        if !self.is_unknown() {
            self.may_be.push(after);
        }
    }

    /// What is found after opening has to be one of what may be.
    pub fn verify(&mut self, store: &Store, said: &World) -> std::result::Result<(), Wrong> {
        let names = names_of(self.thread);
        let of_mine = |name: &String| names.contains(name);
        let accounts = said.accounts.iter().filter(|(name, _)| of_mine(name));
        let own = World { accounts: accounts.map(|(name, a)| (name.clone(), a.clone())).collect() };
        let shared = &said.accounts[SHARED];
        let opens = |known: &Known| {
            let accounts = known.world.accounts.iter();
            let mut set = accounts.filter_map(|(name, account)| Some((name, account.password.as_ref()?)));
            set.all(|(name, password)| store.authenticate(name, password).is_ok())
        };
        let why = |known: &Known| {
            let differs = known.world.differs_from(&own).or_else(|| known.part.differs_from(shared));
            differs.or_else(|| (!opens(known)).then(|| "a password is not the one set".to_owned()))
        };
        let differences: Vec<Option<String>> = self.may_be.iter().map(why).collect();
        let Some(found) = differences.iter().position(Option::is_none) else {
            return Err(differences.into_iter().flatten().collect::<Vec<_>>().join("; or: "));
        };
        let mut known = self.may_be.swap_remove(found);
        known.world.adopt(own);
        known.part.adopt(shared);
        self.may_be = vec![known];
        Ok(())
    }

    /// The end of the diary, in words.
    pub fn story(&self) -> String {
        const LAST: usize = 30;
        let short = |act: &Option<Act>| {
            let words = act.as_ref().map_or_else(|| "---".to_owned(), |act| format!("{act:?}"));
            words.chars().take(300).collect::<String>()
        };
        let from = self.diary.len().saturating_sub(LAST);
        let lines = self.diary[from..].iter().map(|(act, answer)| {
            format!(
                "  thread {}: {} -> {}\n",
                self.thread,
                short(act),
                answer.chars().take(120).collect::<String>()
            )
        });
        lines.collect()
    }
}

/// A UID of the shared account that was told: never given before.
fn told_of_shared(
    store: &Store,
    history: &Mutex<History>,
    mailbox: &str,
    text: &std::sync::Arc<str>,
    uid: Option<u32>,
) -> std::result::Result<(), Wrong> {
    let Some(uid) = uid else { return Ok(()) };
    let gone = |what: &str| format!("{SHARED}/{mailbox} UID {uid}, just told: {what}");
    let id = store.account_id(SHARED).ok_or_else(|| gone("no account"))?;
    let account = store.account(id).map_err(|error| gone(&error.to_string()))?;
    let there = account.mailbox_named(mailbox).ok_or_else(|| gone("no mailbox"))?;
    let row = match there.by_uid(Uid(uid)) {
        Ok(row) => row.ok_or_else(|| gone("no such row"))?,
        Err(Error::Io { .. }) => return Ok(()),
        Err(error) => return Err(gone(&error.to_string())),
    };
    let stored = super::world::mark(text.as_bytes().get(row.prefix.len()..).unwrap_or_default());
    let facts = Some(super::world::facts_of(&row, stored));
    let message =
        super::world::Message { uid, flags: BTreeSet::new(), text: text.clone(), date: None, facts };
    history.lock().unwrap().told(id.0, (mailbox, there.header.uid_validity.0), &message)
}
