//! Following the log from one backup through the next ones.
//!
//! Law: a history is followed from group to group; where it cannot be, that is said, and nothing is guessed.

use super::description::Description;
use super::folder::Folder;
use crate::error::Result;
use crate::log::{Chain, Cut, HistoryGroup, StoreFile, read_history};
use crate::ops::Later;
use crate::types::Lsn;
use std::ops::ControlFlow;

/// How a moment after a backup is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing happened since.
    Base,
    /// The last group up to it.
    Group(Cut),
    /// Groups are missing; the last one before them.
    Hole(Option<Cut>),
    /// The store lost what happened after the last group, and went on at this time.
    Lost(Option<Cut>, u64),
    /// By then the history had gone another way: it did not come from here.
    Fork,
}

fn follow(
    folder: &Folder,
    backup: &Description,
    after: Lsn,
    each: &mut dyn FnMut(&HistoryGroup<'_>) -> Result<ControlFlow<()>>,
) -> Result<Chain> {
    let is_it = |file: &StoreFile, folder: &str, name: &str| file.folder == folder && file.name == name;
    let path = |file: &StoreFile| {
        let mut files = backup.files.iter();
        files
            .find(|copied| is_it(&copied.file, &file.folder, &file.name))
            .map(|copied| folder.path_of(copied))
    };
    read_history(&*folder.disk, backup.store_id, &backup.image()?.history(), &path, after, each)
}

/// Finds the last group up to a moment in the log of the backup after it.
pub(super) fn reach(folder: &Folder, next: &Description, after: Lsn, at_ms: u64) -> Result<Reached> {
    let (mut last, mut lost_until_ms) = (None, None);
    let chain = follow(folder, next, after, &mut |group| {
        if group.cut.time_ms > at_ms {
            lost_until_ms = group.follows_loss.then_some(group.cut.time_ms);
            return Ok(ControlFlow::Break(()));
        }
        last = Some(group.cut);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(match (chain, lost_until_ms, last) {
        (Chain::Hole(_), _, last) => Reached::Hole(last),
        (Chain::Fork { time_ms }, _, _) if time_ms <= at_ms => Reached::Fork,
        (Chain::Fork { time_ms }, _, last) | (Chain::Whole(_), Some(time_ms), last) => {
            Reached::Lost(last, time_ms)
        }
        (Chain::Whole(_), None, Some(cut)) => Reached::Group(cut),
        (Chain::Whole(_), None, None) => Reached::Base,
    })
}

/// What the later backups tell of the time after a group.
pub(super) fn told_later(folder: &Folder, backups: &[&Description], after: Lsn) -> Result<Later> {
    let mut later = Later::default();
    let mut last = after;
    for backup in backups {
        let chain = follow(folder, backup, last, &mut |group| {
            later.all_changed |= group.follows_loss;
            for (account, payload) in &group.txns {
                if let Some(account) = account {
                    later.note(*account, payload)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        later.all_changed |= chain != Chain::Whole(backup.lsn);
        last = backup.lsn;
    }
    Ok(later)
}
