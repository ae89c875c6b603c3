//! One search in one view, watched and cancelled from outside: for SEARCH, ESEARCH, SORT and what keeps
//! their results up to date.

use crate::session::Session;
use crate::session::progress::{Running, Watched};
use crate::session::sink::Out;
use crate::session::stop::Stop;
use engine::Store;
use engine::mailbox::View;
use engine::search::{Context, Found, Key, Progress};
use engine::types::{AccountId, UidSet};
use std::sync::Arc;

/// Searches for one command.
pub struct Finder {
    pub store: Store,
    account: AccountId,
    running: Arc<Running>,
    tag: String,
    /// Over all views that the command looks through.
    progress: Arc<Progress>,
    now_s: i64,
}

impl Session {
    /// What searches for the command with this tag.
    pub(in crate::session) fn finder(&mut self, tag: &str) -> Result<Finder, Stop> {
        Ok(Finder {
            account: self.state.login()?.account,
            store: self.shared.store.clone(),
            running: Arc::clone(&self.running),
            tag: tag.to_owned(),
            progress: Arc::default(),
            now_s: now_s(&self.shared.store),
        })
    }
}

impl Finder {
    /// When the command began.
    pub fn now_s(&self) -> i64 {
        self.now_s
    }

    /// While this lives, and nothing is written, the client is told how far the command is (RFC 9585).
    pub fn watched(&self, out: &mut Out) -> Result<Watched<'_>, Stop> {
        // Whole responses only are on their way when others may come between.
        out.flush()?;
        Ok(self.running.begin(&self.tag, &self.progress))
    }

    /// What matches in the view; the client is told how far it is when that takes long (RFC 9585).
    pub fn find(&self, view: &View, recent: &UidSet, key: &Key, out: &mut Out) -> Result<Found, Stop> {
        let _watched = self.watched(out)?;
        let context = Context { recent, now_s: self.now_s, cancel: out.gone(), progress: &self.progress };
        self.store.search(self.account, view, key, &context)?.ok_or(Stop::Gone)
    }
}

/// Seconds since 1970.
pub fn now_s(store: &Store) -> i64 {
    i64::try_from(store.now_ms() / 1000).unwrap_or(i64::MAX)
}
