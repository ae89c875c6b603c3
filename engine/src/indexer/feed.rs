//! Stage 1: what is not covered goes into the tail of its account.
//!
//! Laws
//! - A message that cannot be read, or that nothing sensible can be made of, is listed as unreadable:
//!   searches decide about it themselves, and the others are not kept waiting.
//! - Between two batches, an account that a search waits for is served.

use super::gather::{self, Waiting, Window};
use super::polite::Polite;
use super::queue::Task;
use super::{Shared, summaries};
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::summary::Summary;
use crate::text::account::{Marks, TextView};
use crate::text::index::Folded;
use crate::types::{AccountId, EmailId, Lsn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Messages, and bytes of them, that go into one batch.
const BATCH_MESSAGES: usize = 256;
const BATCH_BYTES: u64 = 1 << 20;
/// A segment with less than this much alive is written anew.
pub const LIVE_PERCENT: u64 = 70;

pub struct Feeder<'a> {
    shared: &'a Shared,
    polite: Polite<'a>,
}

impl<'a> Feeder<'a> {
    pub fn new(shared: &'a Shared) -> Self {
        Self { shared, polite: Polite::new(&shared.core, &shared.queue) }
    }

    pub fn run(&self, task: &Task) -> Result<()> {
        match task {
            Task::Feed(id) => self.feed(*id, true),
            Task::Reset(id) => self.reset(*id),
            Task::Close(id) => self.close(*id),
            Task::Rest => Ok(()),
        }
    }

    /// The account and its view; `None` when it is gone, and then its view goes too.
    fn open(&self, id: AccountId) -> Result<Option<(Arc<Account>, Arc<TextView>)>> {
        let account = match self.shared.core.registry.account(id) {
            Err(Error::NoSuchAccount) => {
                self.shared.summaries.remove(id)?;
                self.shared.views.remove(id)?;
                return Ok(None);
            }
            account => account?,
        };
        let view = self.shared.view(id)?;
        Ok(Some((account, view)))
    }

    fn feed(&self, id: AccountId, serves_others: bool) -> Result<()> {
        loop {
            let Some((account, view)) = self.open(id)? else { return Ok(()) };
            let from = view.uncovered();
            // EmailIds begin with 1: an account without mail has no view.
            let from_summaries = self.shared.summaries.covered(id)?;
            if from_summaries < from.covered {
                summaries::catch_up(self.shared, &account, from_summaries, from.covered)?;
                self.polite.go_on()?;
                continue;
            }
            if account.next_email <= from.covered.max(EmailId(1)) {
                return self.after(&account, &view);
            }
            let window = gather::window(&account, &from, gather::WINDOW_EMAILS)?;
            drop(account);
            self.take(&view, window, serves_others)?;
            if !serves_others {
                // The rest comes in turn.
                self.shared.queue.changed(id);
                return Ok(());
            }
            self.polite.go_on()?;
        }
    }

    /// Takes a window in, batch by batch.
    fn take(&self, view: &TextView, window: Window, serves_others: bool) -> Result<()> {
        let Window { rows, covered, marks } = window;
        let mut rest = rows.as_slice();
        loop {
            let (batch, next) = rest.split_at(batch_len(rest));
            let none = Marks::new();
            match next.first() {
                Some(row) => self.take_batch(view, batch, row.email, &none)?,
                None => return self.take_batch(view, batch, covered, &marks),
            }
            if serves_others {
                self.serve_wanted(view.account())?;
            }
            self.polite.go_on()?;
            rest = next;
        }
    }

    fn take_batch(&self, view: &TextView, batch: &[Waiting], covered: EmailId, marks: &Marks) -> Result<()> {
        let mut texts = Vec::with_capacity(batch.len());
        let mut summaries = Vec::with_capacity(batch.len());
        let mut unreadable = Vec::new();
        for row in batch {
            match self.fold(row) {
                Some((text, summary)) => {
                    texts.push(text);
                    summaries.push((row.email, summary));
                }
                None => unreadable.push(row.email),
            }
        }
        // First: where the text goes on, nobody looks back for summaries.
        self.shared.summaries.append(view.account(), &summaries, covered)?;
        view.append(&texts, &unreadable, covered, marks)?;
        self.shared.core.metrics.messages_indexed(texts.len() as u64);
        self.shared.queue.made_progress();
        self.close_if_full(view)
    }

    /// The folded texts and the summary of a message, if it can be read.
    fn fold(&self, row: &Waiting) -> Option<(Folded, Summary)> {
        let read = || -> Result<(Vec<u8>, usize)> {
            let stored = self.shared.core.log.read(row.message)?;
            // A header fits memory: the message does.
            let header_bytes = row.prefix.len() + stored.header_len_bytes() as usize;
            let stored = stored.read_all()?;
            let raw = if row.prefix.is_empty() { stored } else { [&row.prefix[..], &stored].concat() };
            Ok((raw, header_bytes))
        };
        let fold = |raw: &[u8], header_bytes: usize| {
            let summary = Summary::of(raw.get(..header_bytes).unwrap_or(raw));
            (Folded::of(row.email, raw), summary)
        };
        let folded =
            read().map(|(raw, header_bytes)| catch_unwind(AssertUnwindSafe(|| fold(&raw, header_bytes))));
        let why = match folded {
            Ok(Ok(folded)) => return Some(folded),
            // Expunged meanwhile, and compacted away.
            Err(Error::NoSuchMessage | Error::Expunged) => return None,
            Ok(Err(_)) => "reading its text panicked; this is a bug".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            message = row.message.0,
            why,
            "a message is not indexed; searches look at it themselves"
        );
        None
    }

    /// Whoever else is waited for. The account at hand is being served: begun again in the middle, its
    /// messages would be taken in twice.
    fn serve_wanted(&self, at_hand: AccountId) -> Result<()> {
        while let Some(id) = self.shared.queue.take_wanted() {
            if id != at_hand {
                self.feed(id, false)?;
            }
        }
        Ok(())
    }

    fn lsn(&self) -> Lsn {
        self.shared.core.published.lock().lsn
    }

    fn close_if_full(&self, view: &TextView) -> Result<()> {
        if view.tail_text_bytes() >= self.shared.options.segment_text_bytes && view.close_tail(self.lsn())? {
            self.job(view);
        }
        Ok(())
    }

    fn job(&self, view: &TextView) {
        if self.shared.builds {
            self.shared.queue.job(view.account());
        }
    }

    /// All is covered: what else is to be done?
    fn after(&self, account: &Account, view: &TextView) -> Result<()> {
        let options = &self.shared.options;
        if !self.shared.builds {
            return Ok(());
        }
        let text_bytes = view.tail_text_bytes();
        if text_bytes > options.tail_only_bytes {
            self.shared.queue.close_after(account.id, Duration::from_millis(options.quiet_ms));
        }
        let live = account.messages();
        if view.has_work(options.segments_max) || view.is_due_for_purge(live, LIVE_PERCENT) {
            self.job(view);
        }
        Ok(())
    }

    fn close(&self, id: AccountId) -> Result<()> {
        let Some((_, view)) = self.open(id)? else { return Ok(()) };
        if view.tail_text_bytes() > self.shared.options.tail_only_bytes && view.close_tail(self.lsn())? {
            self.job(&view);
        }
        Ok(())
    }

    fn reset(&self, id: AccountId) -> Result<()> {
        let Some((account, view)) = self.open(id)? else { return Ok(()) };
        self.shared.views.clear_settled()?;
        self.shared.summaries.remove(id)?;
        view.reset(&self.shared.expect(id)?)?;
        drop((account, view));
        self.feed(id, true)
    }
}

/// How many of the rows go into one batch: all, if there are none.
fn batch_len(rows: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fit = rows.iter().take(BATCH_MESSAGES).take_while(|row| {
        let fits = bytes < BATCH_BYTES;
        bytes += u64::from(row.size_bytes);
        fits
    });
    fit.count()
}
