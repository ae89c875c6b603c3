//! Which accounts have something to do, and who goes first.
//!
//! Laws
//! - Telling the queue costs a short lock: it is done on the way of every commit.
//! - An account that a search waits for goes before the others, these in the order in which they came,
//!   after a moment in which more mail may come.
//! - One feeder takes tasks; many builders take jobs, also several of one account.

use crate::error::{Error, Result};
use crate::types::AccountId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the feeder has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Take in what is not covered.
    Feed(AccountId),
    /// Make the view anew.
    Reset(AccountId),
    /// Close the tail: the account is quiet.
    Close(AccountId),
    /// Nothing came for a while.
    Rest,
}

impl Task {
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Feed(id) | Self::Reset(id) | Self::Close(id) => Some(*id),
            Self::Rest => None,
        }
    }
}

const REST_AFTER: Duration = Duration::from_secs(5);
/// How often one who waits is asked whether it is still wanted.
const ASK_EVERY: Duration = Duration::from_millis(250);
const QUIET_TIMES_MAX: u32 = 15;

#[derive(Default)]
struct State {
    /// When they changed first, since they were looked at.
    changed: HashMap<AccountId, Instant>,
    order: VecDeque<AccountId>,
    wanted: BTreeSet<AccountId>,
    damaged: BTreeSet<AccountId>,
    /// When it was first asked for, and when it is due.
    close_at: BTreeMap<AccountId, (Instant, Instant)>,
    failed: BTreeMap<AccountId, Instant>,
    feeding: Option<(AccountId, Instant)>,
    is_fed: bool,
    jobs: BTreeSet<AccountId>,
    jobs_running: usize,
    /// Accounts were not yet looked for.
    looking: bool,
    /// Somebody waits for everything to be done.
    hurried: usize,
    stopping: bool,
}

pub struct Queue {
    gather: Duration,
    state: Mutex<State>,
    tasks: Condvar,
    jobs: Condvar,
    progress: Condvar,
    /// For what cannot ask.
    stopped: Arc<AtomicBool>,
}

impl Queue {
    pub fn new(gather: Duration) -> Self {
        let state = State { looking: true, ..State::default() };
        Self {
            gather,
            state: Mutex::new(state),
            tasks: Condvar::new(),
            jobs: Condvar::new(),
            progress: Condvar::new(),
            stopped: Arc::default(),
        }
    }

    /// Something of the account was published.
    pub fn changed(&self, id: AccountId) {
        let mut state = self.state.lock();
        if state.stopping || state.changed.contains_key(&id) {
            return;
        }
        state.changed.insert(id, Instant::now());
        state.order.push_back(id);
        if state.order.len() == 1 {
            self.tasks.notify_one();
        }
    }

    /// A search waits for the account.
    pub fn wanted(&self, id: AccountId) {
        self.state.lock().wanted.insert(id);
        self.tasks.notify_one();
    }

    /// The account's view has to be made anew.
    pub fn damaged(&self, id: AccountId) {
        self.state.lock().damaged.insert(id);
        self.tasks.notify_one();
    }

    /// The account's tail is to be closed when it was quiet for that long; an account that never is
    /// waits no longer than for some such times.
    pub fn close_after(&self, id: AccountId, quiet: Duration) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let (first, at) = state.close_at.entry(id).or_insert((now, now));
        *at = (now + quiet).min(*first + quiet.saturating_mul(QUIET_TIMES_MAX));
        drop(state);
        if quiet.is_zero() {
            self.tasks.notify_one();
        }
    }

    pub fn failed(&self, id: AccountId, retry_after: Duration) {
        self.state.lock().failed.insert(id, Instant::now() + retry_after);
    }

    /// There is something to build or merge.
    pub fn job(&self, id: AccountId) {
        self.state.lock().jobs.insert(id);
        self.jobs.notify_one();
    }

    /// All accounts were looked for.
    pub fn looked(&self) {
        self.state.lock().looking = false;
        self.progress.notify_all();
    }

    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.stopped.store(true, Ordering::Relaxed);
        self.tasks.notify_all();
        self.jobs.notify_all();
        self.progress.notify_all();
    }

    pub fn is_stopping(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Set once the store closes.
    pub fn stopped(&self) -> &Arc<AtomicBool> {
        &self.stopped
    }

    /// Waits for a task; `None` when the store closes.
    pub fn next_task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            let now = Instant::now();
            if let Some(task) = state.take(now, self.gather) {
                return Some(task);
            }
            let rest_at = now + REST_AFTER;
            let due = state.next_due(self.gather).map_or(rest_at, |due| due.min(rest_at));
            if self.tasks.wait_until(&mut state, due).timed_out() && due == rest_at {
                return Some(Task::Rest);
            }
        }
    }

    /// A task, as if there were no need to wait for any.
    pub fn try_task(&self) -> Option<Task> {
        let mut state = self.state.lock();
        state.hurried += 1;
        let task = state.take(Instant::now(), self.gather);
        state.hurried -= 1;
        task
    }

    /// An account that a search waits for, in the middle of another's task.
    pub fn take_wanted(&self) -> Option<AccountId> {
        self.state.lock().wanted.pop_first()
    }

    pub fn task_done(&self) {
        let mut state = self.state.lock();
        state.feeding = None;
        state.is_fed = false;
        self.progress.notify_all();
    }

    /// Waits for something to build; `None` when the store closes.
    pub fn next_job(&self) -> Option<AccountId> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(id) = state.jobs.pop_first() {
                state.jobs_running += 1;
                return Some(id);
            }
            self.jobs.wait(&mut state);
        }
    }

    pub fn try_job(&self) -> Option<AccountId> {
        let mut state = self.state.lock();
        let id = state.jobs.pop_first()?;
        state.jobs_running += 1;
        Some(id)
    }

    pub fn job_done(&self) {
        self.state.lock().jobs_running -= 1;
        self.progress.notify_all();
    }

    pub fn made_progress(&self) {
        self.progress.notify_all();
    }

    /// Waits while `still` holds, at most that long.
    pub fn wait_for_progress(&self, at_most: Duration, still: impl Fn() -> bool) {
        let until = Instant::now() + at_most;
        loop {
            let mut state = self.state.lock();
            if state.stopping || self.progress.wait_until(&mut state, until).timed_out() {
                return;
            }
            drop(state);
            if !still() {
                return;
            }
        }
    }

    pub fn is_settled(&self) -> bool {
        self.state.lock().is_settled()
    }

    pub fn nothing_failed(&self) -> bool {
        self.state.lock().failed.is_empty()
    }

    /// Waits, asking now and then whether it is still wanted.
    pub fn wait_until_settled(&self, is_wanted: &mut dyn FnMut() -> Result<()>) -> Result<bool> {
        let mut state = self.state.lock();
        state.hurried += 1;
        self.tasks.notify_one();
        let mut wanted = Ok(());
        while wanted.is_ok() && !state.is_settled() && !state.stopping {
            self.progress.wait_for(&mut state, ASK_EVERY);
            wanted = MutexGuard::unlocked(&mut state, &mut *is_wanted);
        }
        state.hurried -= 1;
        wanted?;
        if state.stopping { Err(Error::Closed) } else { Ok(state.failed.is_empty()) }
    }

    /// The account's view is about to be made anew.
    pub fn is_damaged(&self, id: AccountId) -> bool {
        self.state.lock().damaged.contains(&id)
    }

    /// The accounts that may not be covered, and for how long the one that waits longest has waited.
    pub fn behind(&self) -> (BTreeSet<AccountId>, Duration) {
        let state = self.state.lock();
        let mut ids: BTreeSet<AccountId> = state.changed.keys().copied().collect();
        ids.extend(state.wanted.iter().chain(&state.damaged).chain(state.failed.keys()));
        ids.extend(state.feeding.map(|(id, _)| id));
        let since = state.changed.values().copied().chain(state.feeding.map(|(_, since)| since)).min();
        (ids, since.map_or(Duration::ZERO, |since| since.elapsed()))
    }
}

impl State {
    fn take(&mut self, now: Instant, gather: Duration) -> Option<Task> {
        self.retry_failed(now);
        if let Some(id) = self.damaged.pop_first() {
            return Some(self.begin(Task::Reset(id), id, now));
        }
        if let Some(id) = self.wanted.pop_first() {
            let since = self.forget_changed(id).unwrap_or(now);
            return Some(self.begin(Task::Feed(id), id, since));
        }
        if let Some(id) = self.order.front().copied() {
            let since = self.changed.get(&id).copied().unwrap_or(now);
            if self.hurried > 0 || since + gather <= now {
                self.forget_changed(id);
                return Some(self.begin(Task::Feed(id), id, since));
            }
        }
        let due = self.close_at.iter().find(|(_, at)| self.hurried > 0 || at.1 <= now).map(|(id, _)| *id)?;
        self.close_at.remove(&due);
        Some(self.begin(Task::Close(due), due, now))
    }

    fn begin(&mut self, task: Task, id: AccountId, since: Instant) -> Task {
        self.feeding = Some((id, since));
        self.is_fed = true;
        task
    }

    fn forget_changed(&mut self, id: AccountId) -> Option<Instant> {
        let since = self.changed.remove(&id)?;
        self.order.retain(|other| *other != id);
        Some(since)
    }

    fn retry_failed(&mut self, now: Instant) {
        let due: Vec<AccountId> =
            self.failed.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id).collect();
        for id in due {
            self.failed.remove(&id);
            if self.changed.insert(id, now).is_none() {
                self.order.push_back(id);
            }
        }
    }

    /// When something will be due by itself.
    fn next_due(&self, gather: Duration) -> Option<Instant> {
        let front = self.order.front().and_then(|id| self.changed.get(id)).map(|since| *since + gather);
        front
            .into_iter()
            .chain(self.close_at.values().map(|(_, at)| *at))
            .chain(self.failed.values().copied())
            .min()
    }

    fn is_settled(&self) -> bool {
        let nothing_waits = self.order.is_empty() && self.wanted.is_empty() && self.damaged.is_empty();
        let nothing_runs = !self.is_fed && !self.looking && self.jobs.is_empty() && self.jobs_running == 0;
        nothing_waits && nothing_runs && self.close_at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: AccountId = AccountId(1);
    const B: AccountId = AccountId(2);

    #[test]
    fn damage_first_then_who_is_waited_for_then_in_turn() {
        let queue = Queue::new(Duration::ZERO);
        queue.looked();
        queue.changed(B);
        queue.changed(A);
        queue.changed(B);
        queue.close_after(B, Duration::ZERO);
        queue.wanted(A);
        queue.damaged(B);
        assert_eq!(queue.behind().0.len(), 2);
        let tasks: Vec<Task> = std::iter::from_fn(|| queue.try_task()).collect();
        assert_eq!(tasks, [Task::Reset(B), Task::Feed(A), Task::Feed(B), Task::Close(B)]);
        assert!(!queue.is_settled());
        queue.task_done();
        assert!(queue.is_settled());
    }

    #[test]
    fn what_failed_comes_again_and_does_not_keep_anybody_waiting() {
        let queue = Queue::new(Duration::ZERO);
        queue.looked();
        queue.failed(A, Duration::ZERO);
        assert!(queue.is_settled() && !queue.nothing_failed());
        assert_eq!(queue.try_task(), Some(Task::Feed(A)));
        assert!(queue.nothing_failed());
    }

    #[test]
    fn several_builders_take_jobs_and_all_have_to_end() {
        let queue = Queue::new(Duration::ZERO);
        queue.looked();
        queue.job(A);
        assert_eq!(queue.next_job(), Some(A));
        queue.job(A);
        assert_eq!((queue.try_job(), queue.try_job()), (Some(A), None));
        queue.job_done();
        assert!(!queue.is_settled());
        queue.job_done();
        assert!(queue.is_settled());
        queue.stop();
        assert_eq!((queue.next_job(), queue.next_task()), (None, None));
    }
}
