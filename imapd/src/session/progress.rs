//! How far the command that runs is, for whoever watches it from outside (RFC 9585).
//!
//! Laws
//! - Nothing is reported but while a search runs: no response is half written then, so a report
//!   falls between two responses.
//! - When the search ends, no report of it comes any more: it is sent under the lock that ends it.

use crate::proto::write::{self, Code, Status};
use engine::search::Progress;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by the session, which searches, and by the connection, which watches.
#[derive(Debug, Default)]
pub struct Running(Mutex<Option<Search>>);

#[derive(Debug)]
struct Search {
    tag: String,
    progress: Arc<Progress>,
}

/// A search that runs until this is dropped.
pub struct Watched<'a>(&'a Running);

impl Running {
    pub(super) fn begin(&self, tag: &str, progress: &Arc<Progress>) -> Watched<'_> {
        self.set(Some(Search { tag: tag.to_owned(), progress: Arc::clone(progress) }));
        Watched(self)
    }

    /// Hands on a response that says how far the search is, if one runs (RFC 9585 section 4).
    pub fn report(&self, send: impl FnOnce(Vec<u8>)) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(search) = &*running {
            send(search.response());
        }
    }

    fn set(&self, search: Option<Search>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = search;
    }
}

impl Search {
    fn response(&self) -> Vec<u8> {
        let (done, total) = self.progress.read();
        // The goal is more than what is done, or it is not known.
        let goal = (total > done).then_some(total);
        let mut out = Vec::new();
        let code = Code::InProgress { tag: self.tag.clone(), done, goal };
        write::untagged(&mut out, Status::Ok, Some(&code), "Searching");
        out
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(running: &Running) -> Option<String> {
        let mut said = None;
        running.report(|bytes| said = String::from_utf8(bytes).ok());
        said
    }

    #[test]
    fn only_a_search_that_runs_is_reported() {
        let running = Running::default();
        assert_eq!(report(&running), None);
        let progress = Arc::new(Progress::default());
        let watched = running.begin("a\"1", &progress);
        let said = |numbers: &str| Some(format!("* OK [INPROGRESS (\"a\\\"1\" {numbers})] Searching\r\n"));
        assert_eq!(report(&running), said("0 NIL"));
        progress.expect(10);
        progress.advance(4);
        assert_eq!(report(&running), said("4 10"));
        progress.advance(6);
        assert_eq!(report(&running), said("10 NIL"));
        drop(watched);
        assert_eq!(report(&running), None);
    }
}
