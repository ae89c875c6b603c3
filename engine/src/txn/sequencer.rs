//! The one thread that orders all transactions. That order *is* the exclusive access: there are no
//! mailbox locks and no lock files.
//!
//! Laws
//! - While the log writer syncs one group, the next one fills here; it is handed over the moment the
//!   writer is free. So a lone caller waits for no timer, and many callers share one sync.
//! - A group that is full takes no more requests until the writer is free.

use super::core::Core;
use super::head::{Head, SealedGroup};
use super::inbox::Next;
use super::publish::{Failure, GroupOutcome};
use crate::log::Room;
use crate::types::Lsn;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// A group of this many bytes is not made larger.
const MAX_GROUP_BYTES: u64 = 8 << 20;
const IDLE_AFTER: Duration = Duration::from_secs(1);

pub struct Sequencer {
    head: Head,
    to_writer: Sender<SealedGroup>,
    /// The number of the group that the writer has, if it has one.
    writing: Option<Lsn>,
    /// Groups with records were written since the last marker.
    uncovered: bool,
}

impl Sequencer {
    #[must_use]
    pub fn new(head: Head, to_writer: Sender<SealedGroup>) -> Self {
        Self { head, to_writer, writing: None, uncovered: false }
    }

    /// Runs until the inbox closes and everything taken is answered.
    pub fn run(mut self) {
        let core = self.head.core.clone();
        loop {
            let may_take = self.writing.is_none() || self.head.open_bytes() < MAX_GROUP_BYTES;
            match core.inbox.next(may_take, IDLE_AFTER) {
                Next::Request(request) => {
                    request(&mut self.head);
                    self.take_what_waits(&core);
                }
                Next::Done(outcome) => self.group_done(outcome),
                Next::Idle => self.idle(),
                Next::Closing if self.writing.is_none() && !self.head.has_work() => return,
                Next::Closing => self.wait_for_writer(&core),
            }
            self.hand_over();
        }
    }

    fn take_what_waits(&mut self, core: &Core) {
        while self.head.open_bytes() < MAX_GROUP_BYTES && !self.head.is_broken() {
            let Some(request) = core.inbox.try_next() else { return };
            request(&mut self.head);
        }
    }

    fn wait_for_writer(&mut self, core: &Core) {
        if let Next::Done(outcome) = core.inbox.next(false, IDLE_AFTER) {
            self.group_done(outcome);
        }
    }

    fn group_done(&mut self, outcome: GroupOutcome) {
        let Some(lsn) = self.writing.take() else { return };
        match outcome {
            GroupOutcome::Published => self.head.group_published(),
            GroupOutcome::Failed(failure) => self.head.fall_back(failure, lsn),
        }
    }

    fn hand_over(&mut self) {
        if self.writing.is_some() || !self.head.has_work() {
            return;
        }
        if self.head.is_broken() {
            // A view could not be read in the middle of a transaction: nothing of the open group
            // is sequenced, everyone in it hears so.
            let group = self.head.seal();
            group.replies.into_iter().for_each(|reply| reply(Err(Failure::View)));
            self.head.fall_back(Failure::View, group.lsn);
            return;
        }
        self.uncovered |= self.head.open_bytes() > 0;
        let group = self.head.seal();
        self.send(group);
    }

    /// Nothing came for a while: a marker covers the last acknowledgement, and the log looks whether
    /// a disk that was full has room again.
    fn idle(&mut self) {
        let short_of_room = !self.head.core.log.admits(Room::Append);
        if self.writing.is_none() && !self.head.has_work() && (self.uncovered || short_of_room) {
            self.uncovered = false;
            let group = self.head.seal_marker();
            self.send(group);
        }
    }

    fn send(&mut self, group: SealedGroup) {
        self.writing = Some(group.lsn);
        if let Err(refused) = self.to_writer.send(group) {
            // The writer is gone: only when it panicked. Nobody may hear success from here on.
            self.head.core.health.poison();
            let group = refused.0;
            group.replies.into_iter().for_each(|reply| reply(Err(Failure::Unknown)));
            self.writing = None;
            self.head.fall_back(Failure::Poisoned, group.lsn);
        }
    }
}
