//! The thread that makes groups durable: one write, one sync, then everyone hears.
//!
//! Laws
//! - Publish only after the sync, answer only after the publish.
//! - A group without records is not written: it waits for the ones before it, which are durable by
//!   the time it comes here.

use super::core::Core;
use super::head::SealedGroup;
use super::publish::{Failure, GroupOutcome, Reply};
use crate::error::Error;
use crate::log::LogWriter;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

/// Runs until the sequencer is gone; gives the log back for a clean stop.
pub fn run(core: &Arc<Core>, mut log: LogWriter, groups: &Receiver<SealedGroup>) -> LogWriter {
    while let Ok(group) = groups.recv() {
        let (result, replies) = write(core, &mut log, group);
        // The sequencer hears first: what a caller asks after it heard of a failure is not planned
        // against a head that still has the failed group.
        core.inbox.group_done(match result {
            Ok(()) => GroupOutcome::Published,
            Err(failure) => GroupOutcome::Failed(failure),
        });
        replies.into_iter().for_each(|reply| reply(result));
    }
    log
}

fn write(core: &Core, log: &mut LogWriter, group: SealedGroup) -> (Result<(), Failure>, Vec<Reply>) {
    let SealedGroup { lsn, builder, room, staged, replies } = group;
    let is_reply_only = builder.is_empty() && !replies.is_empty();
    let result = if is_reply_only {
        Ok(())
    } else if core.health.is_poisoned() {
        Err(Failure::Poisoned)
    } else {
        let bytes = builder.len_bytes();
        // Before, not as an argument: whoever asks what is published does not wait for the sync.
        let durable_lsn = core.published.lock().lsn;
        let begun = Instant::now();
        let result = log.append(lsn, durable_lsn, builder, room).map_err(|error| failure_of(core, &error));
        core.metrics.group_written(bytes, result.is_ok(), begun.elapsed());
        result
    };
    if result.is_ok() && !is_reply_only {
        core.publish(lsn, staged);
    }
    (result, replies)
}

fn failure_of(core: &Core, error: &Error) -> Failure {
    match error {
        Error::StoreFull => {
            tracing::warn!("the disk is full: a group was refused");
            core.health.disk_full(core.clock.now_ms());
            Failure::Full
        }
        Error::OutcomeUnknown | Error::Poisoned => {
            tracing::error!(%error, "a group could not be made durable: the store takes no more writes");
            core.health.poison();
            Failure::Unknown
        }
        error => {
            tracing::error!(%error, "a group could not be written; nothing of it was");
            Failure::NotWritten
        }
    }
}
