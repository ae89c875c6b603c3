//! Stage 2: closed tails become segments, segments merge, and what is mostly dead is written anew.
//!
//! Laws
//! - What lives is counted from the rows, after the part was taken: an email that is in the part and in
//!   no row then is dead for good.
//! - A job is one segment; who finishes it looks whether there is another.

use super::Shared;
use super::feed::LIVE_PERCENT;
use super::gather;
use super::polite::Polite;
use crate::error::Result;
use crate::text::account::TextView;
use crate::text::index::EmailSet;
use crate::types::{AccountId, Lsn};

pub struct Builder<'a> {
    shared: &'a Shared,
    polite: Polite<'a>,
}

impl<'a> Builder<'a> {
    pub fn new(shared: &'a Shared) -> Self {
        Self { shared, polite: Polite::new(&shared.core, &shared.queue) }
    }

    pub fn run(&self, id: AccountId) -> Result<()> {
        let view = self.shared.view(id)?;
        // Again until there is nothing: another segment may be worth it.
        if self.one_job(id, &view)? {
            self.shared.queue.job(id);
        }
        Ok(())
    }

    fn one_job(&self, id: AccountId, view: &TextView) -> Result<bool> {
        let metrics = &self.shared.core.metrics;
        let segments_max = self.shared.options.segments_max;
        let mut go_on = || self.polite.go_on();
        if let Some(job) = view.take_build() {
            if view.has_work(segments_max) {
                // Another builder may take the next one.
                self.shared.queue.job(id);
            }
            let built = view.build(job, |live| self.look(id, live), &mut go_on)?;
            metrics.text_segment_built(built.map_or(0, |info| info.disk_bytes));
            return Ok(true);
        }
        let job = match view.take_merge(segments_max) {
            Some(job) => Some(job),
            None => {
                let live = self.live(id)?;
                self.shared.summaries.purge(id, &live)?;
                view.take_purge(&live, LIVE_PERCENT)
            }
        };
        let Some(job) = job else { return Ok(false) };
        let from = job.segments() as u64;
        let merged = view.merge(job, |live| self.look(id, live), self.shared.queue.stopped())?;
        metrics.text_segments_merged(from, merged.map_or(0, |info| info.disk_bytes));
        Ok(true)
    }

    fn live(&self, id: AccountId) -> Result<EmailSet> {
        gather::live(&*self.shared.core.registry.account(id)?)
    }

    /// What lives now, and as of which group.
    fn look(&self, id: AccountId, live: &mut EmailSet) -> Result<Lsn> {
        let lsn = self.shared.core.published.lock().lsn;
        *live = self.live(id)?;
        Ok(lsn)
    }
}
