//! The sequencer's door: requests come in, and the log writer says when a group is done.
//!
//! Laws
//! - Requests are taken in the order in which they came.
//! - While the open group is full, none is taken: callers wait, memory stays bounded.

use super::head::Head;
use super::publish::{Failure, GroupOutcome};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Duration;

/// Runs on the sequencer's thread.
pub type Request = Box<dyn FnOnce(&mut Head) + Send>;

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    outcome: Option<GroupOutcome>,
    closing: bool,
}

#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
}

/// What the sequencer finds at its door.
pub enum Next {
    Request(Request),
    /// The group that was being written is done.
    Done(GroupOutcome),
    /// Nothing came for the time given.
    Idle,
    /// No request will come any more, and all were taken.
    Closing,
}

impl Inbox {
    /// False when the store is closing: the request was not taken.
    pub fn push(&self, request: Request) -> bool {
        let mut state = self.state.lock();
        if state.closing {
            return false;
        }
        state.requests.push_back(request);
        self.wake.notify_one();
        true
    }

    pub fn group_done(&self, outcome: GroupOutcome) {
        self.state.lock().outcome = Some(outcome);
        self.wake.notify_one();
    }

    /// How many requests wait: what may be put off is put off while there are many.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.lock().requests.len()
    }

    pub fn close(&self) {
        self.state.lock().closing = true;
        self.wake.notify_one();
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.lock().closing
    }

    /// A thread of the commit path died: nobody waits for it. What waits is dropped unanswered, and
    /// its callers take that for an unknown outcome.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        state.requests.clear();
        state.outcome = Some(GroupOutcome::Failed(Failure::Unknown));
        self.wake.notify_one();
    }

    /// Waits for something to do. With `may_take` false only for the group being written.
    pub fn next(&self, may_take: bool, idle_after: Duration) -> Next {
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return Next::Done(outcome);
            }
            if may_take {
                if let Some(request) = state.requests.pop_front() {
                    return Next::Request(request);
                }
                if state.closing {
                    return Next::Closing;
                }
            }
            if self.wake.wait_for(&mut state, idle_after).timed_out() && state.outcome.is_none() {
                return Next::Idle;
            }
        }
    }

    /// The next request if one waits already and the end of no group has to be seen to before it.
    pub fn try_next(&self) -> Option<Request> {
        let mut state = self.state.lock();
        if state.outcome.is_some() { None } else { state.requests.pop_front() }
    }
}
