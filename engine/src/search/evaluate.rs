//! The answer of a whole key over sets of rows: columns a chunk at a time, texts by the index.
//!
//! Laws
//! - Every node is asked within the rows that are still open to it, and says of those which match for
//!   certain and which only reading decides; the rest does not match. AND asks a child what the ones
//!   before left, OR what they have not matched, NOT answers within its rows. Nothing left: nothing asked.
//! - Nothing is read here. A row that stays open at the root is decided once, by `verify`, in the same
//!   order of nodes: so a leaf is asked of no row that it was not asked of here.

use super::bits::{Bits, Rows};
use super::explain::{How, Step};
use super::index::TextIndex;
use super::leaf::{Known, Leaf};
use super::plan::{Kind, Node, Plan};
use super::run::{Context, Go, Halt};
use super::scope::{Scope, Slot};
use crate::error::Result;
use crate::text::index::{self as text, EmailSet, Hits};
use crate::types::{EmailId, UidSet};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

pub struct Evaluation<'a> {
    pub scope: Scope<'a>,
    pub leaves: Vec<Leaf>,
    pub steps: Vec<Step>,
    index: Option<&'a dyn TextIndex>,
    context: &'a Context<'a>,
    /// The scope is all of the mailbox.
    is_whole: bool,
}

/// Of the rows that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// They match.
    pub yes: Rows,
    /// Reading decides.
    pub open: Rows,
}

impl<'a> Evaluation<'a> {
    /// Takes leaves and steps out of the plan; its root is asked.
    pub fn new(
        scope: Scope<'a>,
        plan: &mut Plan,
        index: Option<&'a dyn TextIndex>,
        context: &'a Context<'a>,
        is_whole: bool,
    ) -> Self {
        let leaves = std::mem::take(&mut plan.leaves);
        let steps = std::mem::take(&mut plan.steps);
        Self { scope, leaves, steps, index, context, is_whole }
    }

    fn none(&self) -> Rows {
        Rows::none(self.scope.chunks.len())
    }

    fn go_on(&self) -> Go<()> {
        if self.context.cancel.load(Ordering::Relaxed) { Err(Halt::Cancelled) } else { Ok(()) }
    }

    pub fn ask(&mut self, node: &Node, within: &Rows) -> Go<Answer> {
        let begun = Instant::now();
        if within.is_empty() {
            return Ok(Answer { yes: self.none(), open: self.none() });
        }
        let answer = match &node.kind {
            _ if !node.has_text => Answer { yes: self.columns(node, within)?, open: self.none() },
            Kind::All(nodes) => self.all(nodes, within)?,
            Kind::Any(nodes) => self.any(nodes, within)?,
            Kind::Not(inner) => {
                let Answer { yes, open } = self.ask(inner, within)?;
                let mut not = within.clone();
                not.subtract(&yes);
                not.subtract(&open);
                Answer { yes: not, open }
            }
            Kind::Row(_) => Answer { yes: self.columns(node, within)?, open: self.none() },
            Kind::Text(leaf) => self.text(*leaf, node.step, within)?,
        };
        if let Some(step) = self.steps.get_mut(node.step) {
            if node.has_text {
                step.rows_in = within.count();
                step.rows_out = answer.yes.count();
                step.open = answer.open.count();
            }
            if node.has_text && !matches!(node.kind, Kind::Text(_)) {
                step.how = How::Parts;
            }
            step.micros = Some(micros_since(begun));
        }
        Ok(answer)
    }

    fn all(&mut self, nodes: &[Node], within: &Rows) -> Go<Answer> {
        let (mut left, mut open) = (within.clone(), self.none());
        for node in nodes {
            let answer = self.ask(node, &left)?;
            left = answer.yes;
            left.join(&answer.open);
            open.join(&answer.open);
        }
        open.meet(&left);
        left.subtract(&open);
        Ok(Answer { yes: left, open })
    }

    fn any(&mut self, nodes: &[Node], within: &Rows) -> Go<Answer> {
        let (mut left, mut yes, mut open) = (within.clone(), self.none(), self.none());
        for node in nodes {
            let answer = self.ask(node, &left)?;
            left.subtract(&answer.yes);
            yes.join(&answer.yes);
            open.join(&answer.open);
        }
        open.subtract(&yes);
        Ok(Answer { yes, open })
    }

    /// One pass over the chunks for all that columns answer below the node.
    fn columns(&mut self, node: &Node, within: &Rows) -> Go<Rows> {
        let mut yes = self.none();
        for ((at, within), out) in (0..).zip(&within.0).zip(&mut yes.0) {
            if within.is_empty() {
                continue;
            }
            self.go_on()?;
            if let Some(slot) = self.scope.slot(at) {
                *out = of_chunk(node, &slot, *within, self.context.recent, &mut self.steps)?;
            }
        }
        Ok(yes)
    }

    fn text(&mut self, leaf: usize, step: usize, within: &Rows) -> Go<Answer> {
        self.go_on()?;
        let asked = match self.index {
            Some(index) => self.ask_index(leaf, index, within)?,
            None => None,
        };
        // An index that cannot be asked leaves everything to reading.
        let how = asked.as_ref().map_or(How::NoIndex, |(_, unindexed)| How::Index { unindexed: *unindexed });
        if let Some(step) = self.steps.get_mut(step) {
            step.how = how;
        }
        let Some((known, _)) = asked else { return Ok(Answer { yes: self.none(), open: within.clone() }) };
        let answer = Answer { yes: known.sure.clone(), open: known.open.clone() };
        if let Some(leaf) = self.leaves.get_mut(leaf) {
            leaf.known = Some(known);
        }
        Ok(answer)
    }

    /// What the index knows, and how many of the open rows it has not seen yet. None when it fails.
    fn ask_index(&self, leaf: usize, index: &dyn TextIndex, within: &Rows) -> Go<Option<(Known, u64)>> {
        let Some(leaf) = self.leaves.get(leaf) else { return Ok(None) };
        let emails = self.emails_of(within, index.known())?;
        let (scope, string) = leaf.question();
        let cancel = self.context.cancel;
        let found = index.find(&string, scope, emails.as_ref(), cancel).and_then(|hits| {
            let weights = match leaf.forms {
                Some(_) => index.ranked(&string, scope, emails.as_ref(), cancel)?,
                None => HashMap::new(),
            };
            Ok((hits, weights))
        });
        self.go_on()?;
        match found {
            Ok((hits, weights)) => Ok(Some(self.rows_of(&hits, weights, scope, index.known(), within)?)),
            Err(error) => {
                tracing::warn!(%error, "the text index cannot be asked: messages are read instead");
                Ok(None)
            }
        }
    }

    /// The emails of the rows; None where naming them would narrow nothing.
    fn emails_of(&self, within: &Rows, known: &EmailSet) -> Go<Option<EmailSet>> {
        let is_all = self.is_whole && *within == self.scope.full;
        if is_all && within.count().saturating_mul(2) >= known.len() {
            return Ok(None);
        }
        let mut emails = EmailSet::new();
        for (at, bits) in within.chunks() {
            self.go_on()?;
            let Some(slot) = self.scope.slot(at) else { continue };
            let column = slot.chunk()?.emails();
            bits.iter().filter_map(|row| column.get(row)).for_each(|email| emails.insert(*email));
        }
        Ok(Some(emails))
    }

    fn rows_of(
        &self,
        hits: &Hits,
        weights: HashMap<EmailId, f32>,
        scope: text::Scope,
        indexed: &EmailSet,
        within: &Rows,
    ) -> Go<(Known, u64)> {
        let mut known = Known {
            sure: self.none(),
            open: self.none(),
            by_words: self.none(),
            unproved: self.none(),
            weights,
        };
        let having_words: EmailSet = known.weights.keys().copied().collect();
        let mut unindexed = 0;
        for (at, within) in within.chunks() {
            self.go_on()?;
            let Some(slot) = self.scope.slot(at) else { continue };
            let emails = slot.chunk()?.emails();
            let low = emails.iter().copied().fold(EmailId(u32::MAX), EmailId::min);
            let high = emails.iter().copied().fold(EmailId(0), EmailId::max);
            let in_set = |set: &EmailSet| match set.meets(low, high) {
                true => Bits::of(emails, |email| set.contains(email)) & within,
                false => Bits::NONE,
            };
            let (mut sure, maybe) = (in_set(&hits.sure), in_set(&hits.maybe));
            let mut open = maybe;
            if !indexed.has_all(low, high) {
                let fresh = !Bits::of(emails, |email| indexed.contains(email)) & within & !sure;
                unindexed += fresh.count();
                open |= fresh;
            }
            let mut by_words = in_set(&having_words) & !sure;
            if scope == text::Scope::AnyHeader {
                // The words may stand in another field.
                open |= by_words;
                by_words = Bits::NONE;
            }
            sure |= by_words;
            set(&mut known.sure, at, sure);
            set(&mut known.open, at, open & !sure);
            set(&mut known.by_words, at, by_words);
            set(&mut known.unproved, at, by_words & maybe);
        }
        Ok((known, unindexed))
    }
}

fn set(rows: &mut Rows, at: usize, bits: Bits) {
    if let Some(slot) = rows.0.get_mut(at) {
        *slot = bits;
    }
}

/// The rows of one chunk that pass a node without texts.
fn of_chunk(node: &Node, slot: &Slot<'_>, within: Bits, recent: &UidSet, steps: &mut [Step]) -> Result<Bits> {
    let rows = match &node.kind {
        Kind::All(nodes) => {
            let mut left = within;
            for node in nodes {
                if left.is_empty() {
                    break;
                }
                left = of_chunk(node, slot, left, recent, steps)?;
            }
            left
        }
        Kind::Any(nodes) => {
            let (mut left, mut found) = (within, Bits::NONE);
            for node in nodes {
                if left.is_empty() {
                    break;
                }
                found |= of_chunk(node, slot, left, recent, steps)?;
                left &= !found;
            }
            found
        }
        Kind::Not(node) => !of_chunk(node, slot, within, recent, steps)? & within,
        Kind::Row(test) => test.of_chunk(slot, within, recent)? & within,
        // Never below a node without texts.
        Kind::Text(_) => Bits::NONE,
    };
    if let Some(step) = steps.get_mut(node.step) {
        step.rows_in += within.count();
        step.rows_out += rows.count();
    }
    Ok(rows)
}

pub fn micros_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)
}
