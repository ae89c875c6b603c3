//! The naive search: every key on every row, messages read as often as asked. What SEARCH is held to.

use super::super::{Context, Messages};
use crate::mailbox::{Mailbox, Row};
use crate::search::{DateIs, DateOf, Key};
use crate::text::index::Query;
use crate::text::{self, Field, fold};
use crate::types::ZonedTime;

/// True, false, or None when reading decides and cannot.
pub fn truth(
    key: &Key,
    row: &Row,
    mailbox: &Mailbox,
    messages: &dyn Messages,
    context: &Context<'_>,
) -> Option<bool> {
    Oracle { row, mailbox, messages, context }.of(key, false)
}

struct Oracle<'a> {
    row: &'a Row,
    mailbox: &'a Mailbox,
    messages: &'a dyn Messages,
    context: &'a Context<'a>,
}

fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let answers: Vec<_> = answers.collect();
    if answers.contains(&Some(false)) {
        return Some(false);
    }
    (!answers.contains(&None)).then_some(true)
}

impl Oracle<'_> {
    fn of(&self, key: &Key, fuzzy: bool) -> Option<bool> {
        let row = self.row;
        Some(match key {
            Key::All | Key::SaveDateSupported => true,
            Key::And(keys) => return all(keys.iter().map(|key| self.of(key, fuzzy))),
            Key::Or(a, b) => {
                let not = |key: &Key| self.of(key, fuzzy).map(|value| !value);
                return all([not(a), not(b)].into_iter()).map(|value| !value);
            }
            Key::Not(key) => !self.of(key, fuzzy)?,
            Key::Fuzzy(key) => return self.of(key, true),
            Key::Uids(uids) => uids.contains_uid(row.uid),
            Key::Flag(name) => self.has_flag(name),
            Key::Recent => self.is_recent(),
            Key::New => self.is_recent() && !self.has_flag("\\Seen"),
            Key::Old => !self.is_recent(),
            Key::Date { of, is, day } => {
                let own = match of {
                    DateOf::Internal => Some(row.internal_date.local_day()),
                    DateOf::Sent => row.sent.map(ZonedTime::local_day),
                    DateOf::Saved => Some(row.save_date_s.div_euclid(86_400)),
                };
                own.is_some_and(|own| match is {
                    DateIs::Before => own < *day,
                    DateIs::On => own == *day,
                    DateIs::Since => own >= *day,
                })
            }
            Key::Older(s) => row.internal_date.unix_s <= self.context.now_s - i64::from(*s),
            Key::Younger(s) => row.internal_date.unix_s >= self.context.now_s - i64::from(*s),
            Key::Larger(bytes) => u64::from(row.size_bytes) > *bytes,
            Key::Smaller(bytes) => u64::from(row.size_bytes) < *bytes,
            Key::ModSeq(modseq) => row.modseq >= *modseq,
            Key::EmailId(email) => row.email == *email,
            Key::ThreadId(thread) => row.thread == *thread,
            Key::Header { name, string } => {
                let header = self.messages.header_bytes(row).ok()?;
                let texts = text::canon_fields(&header, &name.to_ascii_lowercase());
                holds(&texts, string) || fuzzy && !string.is_empty() && is_like(&texts, string)
            }
            Key::Body(string) | Key::Text(string) if string.is_empty() => true,
            Key::Body(string) => {
                let texts = self.bodies(&|field| *field == Field::Body)?;
                holds(&texts, string) || fuzzy && is_like(&texts, string)
            }
            Key::Text(string) => {
                let header = text::header_block(&self.messages.header_bytes(row).ok()?);
                let in_header = [header.clone()];
                if holds(&in_header, string) {
                    return Some(true);
                }
                let mut texts = self.bodies(&|_| true)?;
                texts.push(header);
                holds(&texts, string) || fuzzy && is_like(&texts, string)
            }
        })
    }

    fn is_recent(&self) -> bool {
        self.context.recent.contains_uid(self.row.uid)
    }

    fn has_flag(&self, name: &str) -> bool {
        self.mailbox.flag_id(name).is_some_and(|flag| self.row.flags.contains(flag))
    }

    fn bodies(&self, wanted: &dyn Fn(&Field) -> bool) -> Option<Vec<String>> {
        let email = self.messages.email_bytes(self.row).ok()?;
        let texts = text::canon_bodies(&email).into_iter().filter(|canon| wanted(&canon.field));
        Some(texts.map(|canon| canon.text).collect())
    }
}

fn holds(texts: &[String], string: &str) -> bool {
    texts.iter().any(|text| fold(text).contains(&fold(string)))
}

fn is_like(texts: &[String], string: &str) -> bool {
    let forms = Query::new(&[fold(string)]);
    let mut counts = Vec::new();
    texts.iter().for_each(|text| forms.count(&fold(text), &mut counts));
    !counts.is_empty() && !counts.contains(&0)
}
