//! SEARCH, SORT, THREAD and PREVIEW over a session's view.

use super::Store;
use crate::error::Result;
use crate::mailbox::{Row, View};
use crate::search::{
    self, Context, Found, Key, Means, Messages, SortKey, Sources, TextIndex, ThreadBy, Threads,
};
use crate::text;
use crate::types::{AccountId, Uid, UidSet};
use std::sync::atomic::AtomicBool;

impl Store {
    /// The messages of the view that match; None when it was cancelled. Blocks.
    pub fn search(
        &self,
        account: AccountId,
        view: &View,
        key: &Key,
        context: &Context<'_>,
    ) -> Result<Option<Found>> {
        // What rows answer needs no index, and no place in the queue of the accounts that search.
        let text = search::has_text(key).then(|| self.text_view(account)).transpose()?;
        let index = text.as_deref().map(|text| text as &dyn TextIndex);
        let means = Means { messages: self, index, helpers: &self.inner.search_helpers };
        let found = search::run(means, view, key, context)?;
        if let Some(found) = &found {
            self.say_if_slow(account, view, found);
        }
        Ok(found)
    }

    /// For the operator: which searches take long, and where. What was looked for is not said.
    fn say_if_slow(&self, account: AccountId, view: &View, found: &Found) {
        let plan = &found.plan;
        let ms = plan.micros / 1000;
        if ms < self.options().search.slow_ms {
            return;
        }
        tracing::warn!(
            account = account.0,
            mailbox = view.latest().header.id.0,
            ms,
            messages = plan.messages,
            messages_read = plan.messages_read,
            found = found.uids.len(),
            %plan,
            "a slow search"
        );
    }

    /// The given messages of the view in the order asked for (RFC 5256 section 3, RFC 5957); None when it
    /// was cancelled. Blocks.
    pub fn sort(
        &self,
        account: AccountId,
        view: &View,
        uids: &UidSet,
        by: &[SortKey],
        cancel: &AtomicBool,
    ) -> Result<Option<Vec<Uid>>> {
        search::sort(&self.sources(account, view, cancel), uids, by)
    }

    /// The given messages of the view as threads (RFC 5256 section 3); None when it was cancelled.
    /// Blocks.
    pub fn thread(
        &self,
        account: AccountId,
        view: &View,
        uids: &UidSet,
        by: ThreadBy,
        cancel: &AtomicBool,
    ) -> Result<Option<Threads>> {
        search::thread(&self.sources(account, view, cancel), uids, by)
    }

    fn sources<'a>(&'a self, account: AccountId, view: &'a View, cancel: &'a AtomicBool) -> Sources<'a> {
        Sources { messages: self, summaries: self.summaries(), account, view, cancel }
    }

    /// The beginning of the message's text, at most 200 characters, blanks collapsed (RFC 8970 section 3);
    /// empty where it has none. Reads the beginning of the message, and more only where that has no text.
    pub fn preview(&self, _account: AccountId, row: &Row) -> Result<String> {
        let email = self.email(row)?;
        for bytes in PREVIEW_READS_BYTES {
            let found = text::preview(&email.read_range(0..bytes)?);
            if !found.is_empty() || email.size_bytes() <= bytes {
                return Ok(found);
            }
        }
        Ok(String::new())
    }
}

/// How much of a message is read for its preview, the first time and when that had no text.
const PREVIEW_READS_BYTES: [u64; 2] = [128 << 10, 4 << 20];

impl Messages for Store {
    fn email_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.email(row)?.read_all()
    }

    fn header_bytes(&self, row: &Row) -> Result<Vec<u8>> {
        self.email(row)?.header()
    }
}
