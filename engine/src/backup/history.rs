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
    /// The next backup is of another history.
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
    let mut last = None;
    let chain = follow(folder, next, after, &mut |group| {
        if group.cut.time_ms > at_ms {
            return Ok(ControlFlow::Break(()));
        }
        last = Some(group.cut);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(match (chain, last) {
        (Chain::Whole(_), Some(cut)) => Reached::Group(cut),
        (Chain::Whole(_), None) => Reached::Base,
        (Chain::Hole(_), last) => Reached::Hole(last),
        (Chain::Fork(_), Some(cut)) => Reached::Group(cut),
        (Chain::Fork(_), None) => Reached::Fork,
    })
}

/// What the later backups tell of the time after a group.
pub(super) fn told_later(folder: &Folder, backups: &[&Description], after: Lsn) -> Result<Later> {
    let mut later = Later::default();
    let mut last = after;
    for backup in backups {
        let chain = follow(folder, backup, last, &mut |group| {
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
