//! An account's text view at one moment, as searches use it.
//!
//! Laws
//! - It answers for every email it is asked about: one that it does not hold, for whatever reason, is
//!   a `maybe`. So it may be older or newer than the rows that are searched.
//! - A part that fails, by damage or by a bug, says `maybe` to all that is in it, and the alarm is given:
//!   the view is made again.

use super::part::Part;
use super::scan;
use super::texts::TailTexts;
use crate::error::Result;
use crate::text::index::{EmailSet, Hits, Needle, Scope};
use crate::types::{AccountId, EmailId};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// What all views of a store share.
pub struct Shared {
    pub texts: TailTexts,
    /// Told of an account whose view is damaged.
    pub alarm: Box<dyn Fn(AccountId) + Send + Sync>,
}

pub struct AccountText {
    account: AccountId,
    covered: EmailId,
    parts: Vec<Part>,
    unreadable: Arc<[EmailId]>,
    known: OnceLock<EmailSet>,
    shared: Arc<Shared>,
}

impl AccountText {
    pub(super) fn new(
        shared: &Arc<Shared>,
        account: AccountId,
        covered: EmailId,
        parts: Vec<Part>,
        unreadable: Arc<[EmailId]>,
    ) -> Self {
        Self { account, covered, parts, unreadable, known: OnceLock::new(), shared: shared.clone() }
    }

    /// One that holds nothing.
    pub(super) fn nothing(shared: &Arc<Shared>, account: AccountId) -> Self {
        Self::new(shared, account, EmailId(0), Vec::new(), Arc::default())
    }

    /// Every live email with a lower id is held, or known to be unreadable.
    #[must_use]
    pub fn covered(&self) -> EmailId {
        self.covered
    }

    /// The emails that are held: for these, what is not found does not match.
    #[must_use]
    pub fn known(&self) -> &EmailSet {
        self.known.get_or_init(|| {
            let mut known = EmailSet::with_room(self.covered);
            self.parts.iter().for_each(|part| part.tell(&mut known));
            known
        })
    }

    /// Emails that could not be read when they were to be indexed.
    #[must_use]
    pub fn unreadable(&self) -> &[EmailId] {
        &self.unreadable
    }

    /// Folded text in the tail that is not closed: what is scanned.
    #[must_use]
    pub fn tail_text_bytes(&self) -> u64 {
        match self.parts.last() {
            Some(Part::Tail(tail)) => tail.text_bytes,
            Some(Part::Segment(_)) | None => 0,
        }
    }

    /// How many parts hold each of these emails, if it is not one.
    pub(crate) fn held_wrongly(&self, emails: &EmailSet) -> Vec<(EmailId, usize)> {
        let mut held = vec![EmailSet::new(); self.parts.len()];
        self.parts.iter().zip(&mut held).for_each(|(part, emails)| part.tell(emails));
        let times = |email: EmailId| {
            let listed = self.unreadable.binary_search(&email).is_ok();
            held.iter().filter(|part| part.contains(email)).count() + usize::from(listed)
        };
        emails.iter().map(|email| (email, times(email))).filter(|(_, times)| *times != 1).collect()
    }

    /// Where the string is, of the emails in `within` or of all that are held. Once cancelled, what it
    /// says is worth nothing.
    #[must_use]
    pub fn find(
        &self,
        needle: &Needle,
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
    ) -> Hits {
        let mut hits = Hits::default();
        for part in &self.parts {
            let found = self.guarded(part, || match part {
                Part::Segment(open) => {
                    let mut found = Hits::default();
                    open.segment.find(needle, scope, within, cancel, &mut found).map(|()| found)
                }
                Part::Tail(tail) => scan::find(&self.shared, tail, needle, scope, within, cancel),
            });
            let found = found.unwrap_or_else(|| {
                let mut maybe = EmailSet::new();
                part.tell(&mut maybe);
                Hits { sure: EmailSet::new(), maybe }
            });
            hits.sure.join(&found.sure);
            hits.maybe.join(&found.maybe);
        }
        self.unreadable.iter().for_each(|email| hits.maybe.insert(*email));
        if let Some(within) = within {
            let mut not_held = within.clone();
            not_held.subtract(self.known());
            hits.maybe.join(&not_held);
            hits.maybe.meet(within);
            hits.sure.meet(within);
        }
        hits.maybe.subtract(&hits.sure);
        hits
    }

    /// A score for each message that has all the words (folded ones), in any form, ascending; of the
    /// emails in `within` or of all that are held. Once cancelled, it is worth nothing.
    #[must_use]
    pub fn ranked(
        &self,
        words: &[String],
        scope: Scope,
        within: Option<&EmailSet>,
        cancel: &AtomicBool,
    ) -> Vec<(EmailId, f32)> {
        let mut scores = Vec::new();
        for part in &self.parts {
            let found = self.guarded(part, || match part {
                Part::Segment(open) => {
                    let mut found = Vec::new();
                    open.segment.ranked(words, scope, within, cancel, &mut found).map(|()| found)
                }
                Part::Tail(tail) => scan::ranked(&self.shared, tail, words, scope, within, cancel),
            });
            scores.extend(found.unwrap_or_default());
        }
        scores
    }

    /// Asks a part; `None` when it cannot answer.
    fn guarded<T>(&self, part: &Part, ask: impl FnOnce() -> Result<T>) -> Option<T> {
        let why = match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked; this is a bug".to_owned(),
        };
        let what = if matches!(part, Part::Segment(_)) { "segment" } else { "tail" };
        tracing::error!(
            account = self.account.0,
            what,
            why,
            "a part of a text view failed: it is made again"
        );
        (self.shared.alarm)(self.account);
        None
    }
}
