//! The text view against the messages.
//!
//! Laws
//! - The snapshot is taken first, the rows after it: what lives then lived before, so each email below
//!   `covered` has to be in exactly one place.
//! - Deep: every live message is read and folded again; strings drawn from some of them have to be found
//!   where they are, and proved nowhere else.

use super::{Check, Kind, of_account};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::indexer::{Waiting, live, window};
use crate::ops::Store;
use crate::sys::sim::Rng;
use crate::text::account::{AccountText, Marks, Uncovered};
use crate::text::index::{EmailSet, Folded, Group, Hits, Needle, SEAM, Scope};
use crate::types::{AccountId, EmailId};
use crate::work::Unit;
use std::sync::atomic::AtomicBool;

const WINDOW_EMAILS: u32 = 4096;
/// Messages that strings are drawn from.
const DRAWN_FROM: u64 = 8;
/// Characters of a string.
const DRAWN_CHARS: u64 = 24;

impl Check<'_, '_> {
    pub(super) fn texts(&mut self) -> Result<()> {
        let ids = self.store.core().registry.ids();
        let total = ids.len() as u64;
        for (done, id) in (0..).zip(ids) {
            self.work.step("comparing the text index", done, total, Unit::Objects)?;
            match self.look(id, Self::text_of) {
                Ok(()) | Err(Error::NoSuchAccount) => {}
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                // Rows that cannot be read are the catalog's finding.
                Err(_) if self.evidence.accounts.contains_key(&id) => {}
                Err(error) => self.text_is_wrong(id, &format!("account {id}"), &error.to_string()),
            }
        }
        Ok(())
    }

    fn text_is_wrong(&mut self, id: AccountId, object: &str, what: &str) {
        self.add(Kind::Text, object, what);
        self.evidence.text.entry(id).or_insert_with(|| what.to_owned());
    }

    fn text_of(&mut self, id: AccountId) -> Result<()> {
        let text = self.store.indexer().inspect(id, self.deep)?;
        let account = self.store.account(id)?;
        self.coverage(&text, &account)?;
        if self.deep { self.contents(&text, &account) } else { Ok(()) }
    }

    /// Each live email that is covered is in exactly one place.
    fn coverage(&mut self, text: &AccountText, account: &Account) -> Result<()> {
        let live: EmailSet = live(account)?.iter().filter(|email| *email < text.covered()).collect();
        for (email, places) in text.held_wrongly(&live) {
            let what = format!("email {email} is in {places} places of the index");
            self.text_is_wrong(account.id, &of_account(account), &what);
        }
        Ok(())
    }

    fn contents(&mut self, text: &AccountText, account: &Account) -> Result<()> {
        let held = text.known().len();
        if held == 0 {
            return Ok(());
        }
        let mut rng = Rng::new(account.last_lsn.0 ^ u64::from(account.id.0).rotate_left(32));
        let mut drawn = Vec::new();
        self.each_message(text, account, &mut |folded| {
            // About so many, whatever comes.
            if drawn.len() < 2 * DRAWN_FROM as usize && rng.next_u64() % held <= DRAWN_FROM {
                draw(&mut rng, &folded, text, &mut drawn);
            }
        })?;
        let mut wrong = Vec::new();
        self.each_message(text, account, &mut |folded| {
            for Drawn { needle, scope, hits } in &drawn {
                let matches = groups(scope).iter().any(|group| needle.matches(folded.text(*group)));
                let (sure, maybe) = (hits.sure.contains(folded.email), hits.maybe.contains(folded.email));
                if matches && !sure && !maybe || !matches && sure {
                    let what = if matches { "is not found" } else { "is found where it is not" };
                    wrong.push(format!("email {}: a string drawn for {scope:?} {what}", folded.email));
                }
            }
        })?;
        wrong.iter().for_each(|what| self.text_is_wrong(account.id, &of_account(account), what));
        Ok(())
    }

    /// Every live message that is held, read and folded again.
    fn each_message(
        &mut self,
        text: &AccountText,
        account: &Account,
        look: &mut dyn FnMut(Folded),
    ) -> Result<()> {
        let mut from = Uncovered { covered: EmailId(0), marks: Marks::new() };
        let total = u64::from(text.covered().0);
        while from.covered < text.covered() {
            self.work.step("searching messages", u64::from(from.covered.0), total, Unit::Messages)?;
            let next = window(account, &from, WINDOW_EMAILS)?;
            for row in next.rows.iter().filter(|row| text.known().contains(row.email)) {
                // What cannot be read is a finding of the rows.
                if let Ok(raw) = read(self.store, row) {
                    look(Folded::of(row.email, &raw));
                }
            }
            from.covered = next.covered;
        }
        Ok(())
    }
}

/// A string, where it is looked for, and what the index says of it.
struct Drawn {
    needle: Needle,
    scope: Scope,
    hits: Hits,
}

fn read(store: &Store, row: &Waiting) -> Result<Vec<u8>> {
    Ok([&row.prefix[..], &store.core().log.read(row.message)?.read_all()?].concat())
}

/// Draws a string from the body, and one from the header or a field of it.
fn draw(rng: &mut Rng, folded: &Folded, text: &AccountText, drawn: &mut Vec<Drawn>) {
    let fields = [Scope::Text, Scope::AnyHeader, Scope::Field(Group::Subject), Scope::Field(Group::From)];
    let field = fields.get((rng.next_u64() % 4) as usize).copied().unwrap_or(Scope::Text);
    for scope in [Scope::Body, field] {
        let of = groups(&scope).last().map_or("", |group| folded.text(*group));
        let Some(needle) = draw_string(rng, of) else { continue };
        let hits = text.find(&needle, scope, None, &AtomicBool::new(false));
        drawn.push(Drawn { needle, scope, hits });
    }
}

/// Some characters in a row. What folding changes again is of no use as a pattern.
fn draw_string(rng: &mut Rng, text: &str) -> Option<Needle> {
    let at = rng.next_u64() % (text.len() as u64).max(1);
    let start = (at as usize..text.len()).find(|at| text.is_char_boundary(*at))?;
    let chars = 1 + rng.next_u64() % DRAWN_CHARS;
    let string: String = text.get(start..)?.chars().take_while(|c| *c != SEAM).take(chars as usize).collect();
    let needle = Needle::new(&string);
    (!string.is_empty() && needle.folded() == string).then_some(needle)
}

fn groups(scope: &Scope) -> &[Group] {
    match scope {
        Scope::Text => &[Group::Body, Group::Header],
        Scope::Body => &[Group::Body],
        Scope::Field(group) => std::slice::from_ref(group),
        Scope::AnyHeader => &[Group::Header],
    }
}
