//! The numbers of many messages, as the command's answer has them: sequence numbers or UIDs.
//!
//! Laws
//! - Right for the view at the time it was made, and for the messages it was made for.

use crate::session::stop::Stop;
use engine::mailbox::View;
use engine::types::{Uid, UidSet};

/// A run of UIDs that are all there, and the sequence number of its first.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    first: u32,
    last: u32,
    seq: u32,
}

pub enum Numbers {
    Uids,
    Sequence(Vec<Run>),
}

impl Numbers {
    /// Of messages that are all in the view; `uid`: the command is a UID command.
    pub fn new(view: &View, uids: &UidSet, uid: bool) -> Result<Self, Stop> {
        if uid {
            return Ok(Self::Uids);
        }
        let mut runs = Vec::with_capacity(uids.ranges().len());
        for &(first, last) in uids.ranges() {
            if let Some(seq) = view.seq_of(Uid(first))? {
                runs.push(Run { first, last, seq });
            }
        }
        Ok(Self::Sequence(runs))
    }

    pub fn is_uid(&self) -> bool {
        matches!(self, Self::Uids)
    }

    /// None for a message that it was not made for.
    pub fn of(&self, uid: u32) -> Option<u32> {
        match self {
            Self::Uids => Some(uid),
            Self::Sequence(runs) => {
                let after = runs.partition_point(|run| run.first <= uid);
                let run = runs.get(after.checked_sub(1)?)?;
                (uid <= run.last).then(|| run.seq + (uid - run.first))
            }
        }
    }
}
