//! A pattern looked for in a tail: byte by byte, and so exact.

use super::batch::Entry;
use super::part::tail_emails;
use super::snapshot::Shared;
use super::tail::Tail;
use crate::error::Result;
use crate::text::index::{EmailSet, Group, Hits, Needle, Query, SEAM, Scope};
use crate::types::EmailId;
use memchr::memmem::Finder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Hands out the texts of the batches that have a message of `within`; stops when cancelled.
pub fn texts(
    shared: &Shared,
    tail: &Tail,
    within: Option<&EmailSet>,
    cancel: &AtomicBool,
    look: &mut dyn FnMut(&Entry, &[u8]),
) -> Result<()> {
    let is_asked = |entry: &&Entry| within.is_none_or(|within| within.contains(entry.email));
    let keeps = shared.texts.fits(tail.raw_bytes);
    let mut kept = if keeps { shared.texts.of(tail.file.id) } else { Vec::new() };
    for (number, batch) in tail.batches.iter().enumerate() {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        if !keeps && !batch.entries.iter().any(|entry| is_asked(&entry)) {
            continue;
        }
        let raw = match kept.get(number) {
            Some(raw) => raw.clone(),
            None => Arc::new(tail.file.texts(batch)?),
        };
        batch.entries.iter().filter(is_asked).for_each(|entry| look(entry, &raw));
        if keeps && kept.len() == number {
            kept.push(raw);
        }
    }
    if keeps {
        shared.texts.keep(tail.file.id, kept);
    }
    Ok(())
}

/// The messages of the tail whose texts hold the string.
pub fn find(
    shared: &Shared,
    tail: &Tail,
    needle: &Needle,
    scope: Scope,
    within: Option<&EmailSet>,
    cancel: &AtomicBool,
) -> Result<Hits> {
    let mut hits = Hits::default();
    if needle.folded().is_empty() || needle.folded().contains(SEAM) {
        // The empty string asks whether there is such a text at all, and a text may hold a seam of its
        // own: the message decides.
        hits.maybe = asked(tail, within);
        return Ok(hits);
    }
    let finder = Finder::new(needle.folded());
    let groups = groups(&scope);
    let found = if scope == Scope::AnyHeader { &mut hits.maybe } else { &mut hits.sure };
    texts(shared, tail, within, cancel, &mut |entry, raw| {
        if groups.iter().any(|group| finder.find(entry.text(raw, *group)).is_some()) {
            found.insert(entry.email);
        }
    })?;
    Ok(hits)
}

/// The scores of the messages of the tail that have all the words.
pub fn ranked(
    shared: &Shared,
    tail: &Tail,
    words: &[String],
    scope: Scope,
    within: Option<&EmailSet>,
    cancel: &AtomicBool,
) -> Result<Vec<(EmailId, f32)>> {
    let query = Query::new(words);
    let mut counted = Vec::new();
    texts(shared, tail, within, cancel, &mut |entry, raw| {
        let mut counts = Vec::new();
        for group in groups(&scope) {
            query.count(&String::from_utf8_lossy(entry.text(raw, *group)), &mut counts);
        }
        counted.push((entry.email, counts));
    })?;
    Ok(query.scores(&counted))
}

fn groups(scope: &Scope) -> &[Group] {
    match scope {
        Scope::Text => &[Group::Body, Group::Header],
        Scope::Body => &[Group::Body],
        Scope::Field(group) => std::slice::from_ref(group),
        Scope::AnyHeader => &[Group::Header],
    }
}

/// The emails of the tail that were asked about.
pub fn asked(tail: &Tail, within: Option<&EmailSet>) -> EmailSet {
    let mut emails: EmailSet = tail_emails(tail).collect();
    if let Some(within) = within {
        emails.meet(within);
    }
    emails
}
