//! One search over what a session sees.

use super::bits::Rows;
use super::evaluate::{Evaluation, micros_since};
use super::explain::{self, How, Label, Step};
use super::helpers::Helpers;
use super::index::TextIndex;
use super::key::Key;
use super::plan::{Node, Plan};
use super::progress::Progress;
use super::relevancy::relevancy;
use super::scope::Scope;
use super::verify::{Place, Reader, Verdict};
use crate::error::{Error, Result};
use crate::mailbox::{Row, View};
use crate::types::{ModSeq, UidSet};
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Where the bytes of messages come from.
pub trait Messages: Sync {
    /// Prefix and stored message.
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>>;
    /// At least the header block of that, with its empty line.
    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>>;
}

/// What a search works with.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    pub messages: &'a dyn Messages,
    /// None: every text key is answered by reading.
    pub index: Option<&'a dyn TextIndex>,
    pub helpers: &'a Helpers,
}

/// What the answer depends on beside the mailbox.
pub struct Context<'a> {
    /// The messages that are \Recent in this session.
    pub recent: &'a UidSet,
    /// Seconds since 1970, for OLDER and YOUNGER.
    pub now_s: i64,
    /// Set when nobody waits for the answer any more.
    pub cancel: &'a AtomicBool,
    /// How far it is, for whoever watches (RFC 9585).
    pub progress: &'a Progress,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Found {
    pub uids: UidSet,
    /// Of the messages found, when the key asked for MODSEQ and any were (RFC 7162 section 3.1.5).
    pub highest_modseq: Option<ModSeq>,
    /// Messages that could not be read and therefore are not in `uids`: damaged, or ghosts past
    /// their grace time.
    pub unreadable: UidSet,
    /// How well each of `uids` matches, 1 to 100, when a FUZZY key was asked (RFC 6203 section 4);
    /// else empty.
    pub relevancy: Vec<u8>,
    /// How it was found.
    pub plan: explain::Plan,
}

/// Why a search ends early.
#[derive(Debug)]
pub(super) enum Halt {
    Cancelled,
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) type Go<T> = std::result::Result<T, Halt>;

/// The messages of the view that match. None when it was cancelled.
///
/// Reads chunks and messages: call it where blocking is allowed.
pub fn run(means: Means<'_>, view: &View, key: &Key, context: &Context<'_>) -> Result<Option<Found>> {
    match search(means, view, key, context) {
        Ok(found) => Ok(Some(found)),
        Err(Halt::Cancelled) => Ok(None),
        Err(Halt::Failed(error)) => Err(error),
    }
}

fn search(means: Means<'_>, view: &View, key: &Key, context: &Context<'_>) -> Go<Found> {
    let begun = Instant::now();
    let mut plan = Plan::new(key, view.latest(), context.now_s)?;
    let uids = plan.scope();
    let scope = Scope::new(view, uids.as_ref())?;
    let mut evaluation = Evaluation::new(scope, &mut plan, means.index, context, uids.is_none());
    let full = evaluation.scope.full.clone();
    let answer = evaluation.ask(&plan.root, &full)?;

    let asked_ghosts = Ghosts::ask(&evaluation, &plan, context)?;
    let mut outcome = Outcome {
        yes: answer.yes,
        unreadable: Rows::none(full.0.len()),
        ghosts: asked_ghosts.yes,
        unreadable_ghosts: UidSet::new(),
        messages_read: 0,
    };
    let (messages, helpers) = (means.messages, means.helpers);
    if !answer.open.is_empty() || !asked_ghosts.open.is_empty() {
        let reader = Reader { evaluation: &evaluation, messages, helpers, context };
        let step = outcome.verify(&reader, &plan.root, &answer.open, &asked_ghosts.open)?;
        evaluation.steps.push(step);
    }
    let reader = Reader { evaluation: &evaluation, messages, helpers, context };
    let relevancy = relevancy(&reader, &outcome.yes, &outcome.ghosts)?;
    let found = outcome.into_found(evaluation, view, asks_modseq(key), begun)?;
    Ok(Found { relevancy, ..found })
}

/// What is known of the ghosts without reading.
#[derive(Default)]
struct Ghosts {
    yes: Vec<usize>,
    open: Vec<usize>,
}

impl Ghosts {
    fn ask(evaluation: &Evaluation<'_>, plan: &Plan, context: &Context<'_>) -> Result<Self> {
        let mut asked = Self::default();
        for (at, row) in evaluation.scope.ghosts.iter().enumerate() {
            match plan.root.of_row(row, context.recent, &mut |_| Ok(None))? {
                Some(true) => asked.yes.push(at),
                Some(false) => {}
                None => asked.open.push(at),
            }
        }
        Ok(asked)
    }
}

struct Outcome {
    yes: Rows,
    unreadable: Rows,
    ghosts: Vec<usize>,
    unreadable_ghosts: UidSet,
    messages_read: u64,
}

impl Outcome {
    /// Reads what is open and takes the verdicts in.
    fn verify(&mut self, reader: &Reader<'_>, root: &Node, open: &Rows, ghosts: &[usize]) -> Go<Step> {
        let begun = Instant::now();
        let verified = reader.verify(root, open, ghosts)?;
        let mut step = Step::new(0, Label::plain("verify"), true);
        for (place, verdict) in verified.said {
            step.rows_out += u64::from(verdict == Verdict::Matches);
            match (place, verdict) {
                (Place::Chunk { at, row }, Verdict::Matches) => self.yes.insert(at, row),
                (Place::Chunk { at, row }, Verdict::Unreadable) => self.unreadable.insert(at, row),
                (Place::Ghost(at), Verdict::Matches) => self.ghosts.push(at),
                (Place::Ghost(at), Verdict::Unreadable) => {
                    let row = reader.evaluation.scope.ghosts.get(at);
                    row.into_iter().for_each(|row| self.unreadable_ghosts.insert_uid(row.uid));
                }
            }
        }
        self.messages_read = verified.messages_read;
        step.how = How::Read { messages: verified.messages_read };
        step.rows_in = open.count() + ghosts.len() as u64;
        step.micros = Some(micros_since(begun));
        Ok(step)
    }

    fn into_found(
        self,
        evaluation: Evaluation<'_>,
        view: &View,
        asks_modseq: bool,
        begun: Instant,
    ) -> Go<Found> {
        let scope = &evaluation.scope;
        let ghosts = || self.ghosts.iter().filter_map(|at| scope.ghosts.get(*at));
        let mut uids = scope.uids_of(&self.yes)?;
        ghosts().for_each(|row| uids.insert_uid(row.uid));
        let mut unreadable = scope.uids_of(&self.unreadable)?;
        unreadable = unreadable.union(&self.unreadable_ghosts);
        let highest_modseq = match asks_modseq && !uids.is_empty() {
            true => scope.highest_modseq(&self.yes)?.max(ghosts().map(|row| row.modseq).max()),
            false => None,
        };
        let plan = explain::Plan {
            steps: evaluation.steps,
            messages: u64::from(view.exists()),
            messages_read: self.messages_read,
            micros: micros_since(begun),
        };
        Ok(Found { uids, highest_modseq, unreadable, relevancy: Vec::new(), plan })
    }
}

/// True when the key asks for a text.
#[must_use]
pub fn has_text(key: &Key) -> bool {
    match key {
        Key::Header { .. } | Key::Body(_) | Key::Text(_) => true,
        Key::And(keys) => keys.iter().any(has_text),
        Key::Or(a, b) => has_text(a) || has_text(b),
        Key::Not(key) | Key::Fuzzy(key) => has_text(key),
        _ => false,
    }
}

fn asks_modseq(key: &Key) -> bool {
    match key {
        Key::ModSeq(_) => true,
        Key::And(keys) => keys.iter().any(asks_modseq),
        Key::Or(a, b) => asks_modseq(a) || asks_modseq(b),
        Key::Not(key) | Key::Fuzzy(key) => asks_modseq(key),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
