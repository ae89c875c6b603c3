//! What a segment says of a needle.
//!
//! Laws
//! - `sure` is proved: by a term that holds the fragment, or by positions whose gaps say what stands
//!   between. All that may match and is not proved is `maybe`; what is in neither does not match.
//! - A fragment over `FRAGMENT_MAX_BYTES` may lie across the pieces of a word: then messages that have
//!   words in pieces are asked by what is bound to lie within one.
//! - Messages of which not all is indexed are never ruled out.

mod join;
mod terms;

pub(super) use terms::{Asked, Terms};

use super::bits::Docs;
use super::emails::EmailSet;
use super::folded::Group;
use super::needle::{Needle, NeedleToken};
use super::segment::{Segment, guarded, has_positions};
use super::tokens::{FRAGMENT_MAX_BYTES, head};
use super::{Hits, Scope};
use crate::error::Result;
use std::sync::atomic::AtomicBool;

/// What one group says.
struct Answer {
    sure: Docs,
    maybe: Docs,
}

impl Segment {
    /// Adds what it knows of the needle, among the messages of `within`. Cancelled, it returns early
    /// and the hits mean nothing.
    pub fn find(
        &self,
        needle: &Needle,
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
        hits: &mut Hits,
    ) -> Result<()> {
        let within = self.docs().docs_of(within);
        if within.is_empty() {
            return Ok(());
        }
        let mut answer = if needle.tokens().is_empty() {
            Answer { sure: Docs::none(self.docs().len()), maybe: within.clone() }
        } else {
            guarded(self.dir(), || self.answer(needle, scope, &within, cancel))?
        };
        let mut opaque = self.docs().opaque.clone();
        opaque.meet(&within);
        answer.maybe.join(&opaque);
        answer.maybe.subtract(&answer.sure);
        self.docs().join_emails(&answer.sure, &mut hits.sure);
        self.docs().join_emails(&answer.maybe, &mut hits.maybe);
        Ok(())
    }

    fn answer(&self, needle: &Needle, scope: Scope, within: &Docs, cancel: &AtomicBool) -> Result<Answer> {
        let of = |group, within: &Docs| self.answer_of(group, needle, within, cancel);
        match scope {
            Scope::Body => of(Group::Body, within),
            Scope::Field(group) => of(group, within),
            Scope::AnyHeader => {
                let mut header = of(Group::Header, within)?;
                header.maybe.join(&header.sure);
                header.sure = Docs::none(self.docs().len());
                Ok(header)
            }
            Scope::Text => {
                let mut all = of(Group::Body, within)?;
                let mut open = within.clone();
                open.subtract(&all.sure);
                let header = of(Group::Header, &open)?;
                all.sure.join(&header.sure);
                all.maybe.join(&header.maybe);
                // Fields are parts of the header, and they have positions.
                if needle.is_proved_by_tokens(Group::Subject) {
                    let mut open = header.maybe;
                    for group in [Group::Subject, Group::From, Group::To, Group::Cc, Group::Bcc] {
                        if !open.is_empty() {
                            let field = of(group, &open)?;
                            open.subtract(&field.sure);
                            all.sure.join(&field.sure);
                        }
                    }
                }
                Ok(all)
            }
        }
    }

    fn answer_of(&self, group: Group, needle: &Needle, within: &Docs, cancel: &AtomicBool) -> Result<Answer> {
        let asked = Asked::of(self, group, cancel)?;
        let none = || Docs::none(self.docs().len());
        let mut answer = match needle.tokens() {
            [] => Answer { sure: none(), maybe: within.clone() },
            [token] => {
                let docs = asked.docs(&outer_terms(&asked, needle, token)?, within)?;
                if needle.leads() || needle.trails() {
                    Answer { sure: none(), maybe: docs }
                } else {
                    Answer { sure: docs, maybe: none() }
                }
            }
            tokens => self.several(&asked, group, needle, tokens, within)?,
        };
        if needle.tokens().iter().any(is_long) {
            let pieces = across_pieces(&asked, needle, &self.docs().long, within)?;
            answer.maybe.join(&pieces);
        }
        Ok(answer)
    }

    /// Tokens in a row.
    fn several(
        &self,
        asked: &Asked<'_>,
        group: Group,
        needle: &Needle,
        tokens: &[NeedleToken],
        within: &Docs,
    ) -> Result<Answer> {
        let none = || Docs::none(self.docs().len());
        let mut docs = within.clone();
        let mut terms = Vec::new();
        // The inner ones are looked up at once: they come first, for they may rule out all.
        for at in (1..tokens.len().saturating_sub(1)).chain([tokens.len() - 1, 0]) {
            let Some(token) = tokens.get(at) else { continue };
            let these = place_terms(asked, needle, token, at == 0, at + 1 == tokens.len())?;
            docs = asked.docs(&these, &docs)?;
            if docs.is_empty() {
                return Ok(Answer { sure: none(), maybe: none() });
            }
            terms.push((at, these));
        }
        terms.sort_by_key(|(at, _)| *at);
        if !has_positions(group) {
            return Ok(Answer { sure: none(), maybe: docs });
        }
        let places: Vec<join::Place<'_>> = terms
            .iter()
            .zip(tokens)
            .map(|((_, terms), token)| join::Place { terms, gap: token.gap(group) })
            .collect();
        match join::join(asked, &places, &docs)? {
            Some(found) if needle.is_proved_by_tokens(group) => Ok(Answer { sure: found, maybe: none() }),
            Some(found) => Ok(Answer { sure: none(), maybe: found }),
            None => Ok(Answer { sure: none(), maybe: docs }),
        }
    }
}

fn is_long(token: &NeedleToken) -> bool {
    token.text.len() > FRAGMENT_MAX_BYTES
}

/// The terms that a needle of one token may be in.
fn outer_terms(asked: &Asked<'_>, needle: &Needle, token: &NeedleToken) -> Result<Terms> {
    place_terms(asked, needle, token, true, true)
}

/// The terms that may stand where a token of the needle does.
fn place_terms(
    asked: &Asked<'_>,
    needle: &Needle,
    token: &NeedleToken,
    is_first: bool,
    is_last: bool,
) -> Result<Terms> {
    let begins = !is_first || needle.leads() || token.is_single;
    let ends = !is_last || needle.trails() || token.is_single;
    match (begins, ends) {
        (true, true) => asked.exact(&token.text),
        (true, false) => asked.beginning_with(&token.text),
        (false, true) => asked.ending_with(&token.text),
        (false, false) => Ok(Terms::Holding(token.text.clone())),
    }
}

/// Of the messages with words in pieces, those that may hold the needle across them.
fn across_pieces(asked: &Asked<'_>, needle: &Needle, long: &Docs, within: &Docs) -> Result<Docs> {
    let mut docs = long.clone();
    docs.meet(within);
    let tokens = needle.tokens();
    for (at, token) in tokens.iter().enumerate() {
        if docs.is_empty() {
            break;
        }
        if is_long(token) {
            let fragment = Terms::Holding(head(&token.text, FRAGMENT_MAX_BYTES).to_owned());
            docs = asked.docs(&fragment, &docs)?;
        } else {
            docs = asked.docs(&place_terms(asked, needle, token, at == 0, at + 1 == tokens.len())?, &docs)?;
        }
    }
    Ok(docs)
}
