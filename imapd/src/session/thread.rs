//! THREAD and UID THREAD (RFC 5256 section 3).
//!
//! Laws
//! - Every message that SEARCH with the same keys finds is in the answer, once.
//! - Threads of any depth are written, in parts and without recursion.

use super::Session;
use super::search::tell_unreadable;
use super::sink::Out;
use super::sort::numbers::Numbers;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::Thread;
use crate::proto::write::ThreadResponse;

/// Members written between two looks at the size of the buffer.
const PIECE: usize = 4096;

impl Session {
    /// RFC 5256 BASE.6.4.THREAD.
    pub(super) fn thread(&mut self, tag: &str, thread: &Thread, out: &mut Out) -> Answer {
        let (finder, found) = self.find(tag, None, &thread.key, out)?;
        let watched = finder.watched(out)?;
        let (login, selected) = self.state.selected()?;
        let store = &self.shared.store;
        let Some(threads) =
            store.thread(login.account, &selected.view, &found.uids, thread.by, out.gone())?
        else {
            return Err(Stop::Gone);
        };
        drop(watched);
        let numbers = Numbers::new(&selected.view, &found.uids, thread.uid)?;
        let mut response = ThreadResponse::new(out.buffer());
        for piece in threads.nodes().chunks(PIECE) {
            for node in piece {
                let number = node.uid.and_then(|uid| numbers.of(uid.0));
                response.member(out.buffer(), number, node.children);
            }
            out.settle()?;
        }
        response.end(out.buffer());
        tell_unreadable(&found, out);
        Ok(Done::plain())
    }
}
