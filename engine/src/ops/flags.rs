//! STORE (RFC 3501 section 6.4.6) with UNCHANGEDSINCE (RFC 7162 section 3.1.3).

use super::Store;
use super::stage::FlagNumbers;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{FlagId, Mailbox, RowFlags};
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, ModSeq, Uid, UidSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum FlagOp {
    Add,
    Remove,
    Replace,
}

#[derive(Debug, Clone)]
pub struct FlagChange {
    pub op: FlagOp,
    /// System flags and keywords, without \Recent.
    pub flags: Vec<String>,
    pub unchanged_since: Option<ModSeq>,
}

#[derive(Debug, Clone, Default)]
pub struct FlagsChanged {
    /// Messages whose flags are different now.
    pub changed: UidSet,
    /// Messages left alone because they changed since (MODIFIED).
    pub modified: UidSet,
    /// The modseq of the changed ones; zero when none changed.
    pub modseq: ModSeq,
}

impl Store {
    /// Changes flags of the messages that are still there.
    pub fn change_flags(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        change: FlagChange,
    ) -> Result<FlagsChanged> {
        // What is paged out comes in here, so that the sequencer reads no disk.
        self.mailbox(account, mailbox)?.warm(uids)?;
        let uids = uids.clone();
        self.core().submit(move |head| {
            let of = head.writable(account, Room::Shrink)?;
            let within = of.mailbox(mailbox).ok_or(Error::NoSuchMailbox)?;
            let mut numbers = FlagNumbers::of(within);
            // A keyword to be taken away need not exist.
            let known =
                |name: &&str| change.op != FlagOp::Remove || within.header.keywords.id(name).is_some();
            let flags = numbers.give_all(change.flags.iter().map(String::as_str).filter(known))?;
            let (set, clear) = set_and_clear(within, change.op, flags);
            let mut result = select(within, &uids, &set, &clear, change.unchanged_since)?;
            if result.changed.is_empty() {
                return Ok(result);
            }
            let modseq = of.modseq.next();
            result.modseq = modseq;
            let mut ops = numbers.new;
            ops.push(Op::Flags { mailbox, uids: result.changed.clone(), set, clear, modseq });
            head.commit(account, ops)?;
            Ok(result)
        })
    }
}

/// Replacing is setting some and clearing all others that the mailbox has.
fn set_and_clear(within: &Mailbox, op: FlagOp, flags: Vec<FlagId>) -> (Vec<FlagId>, Vec<FlagId>) {
    match op {
        FlagOp::Add => (flags, Vec::new()),
        FlagOp::Remove => (Vec::new(), flags),
        FlagOp::Replace => {
            let keywords = (0..within.header.keywords.len()).filter_map(FlagId::keyword);
            let all = FlagId::SYSTEM.into_iter().chain(keywords);
            let clear = all.filter(|flag| !flags.contains(flag)).collect();
            (flags, clear)
        }
    }
}

/// Which messages change, and which are left alone because they changed since.
fn select(
    within: &Mailbox,
    uids: &UidSet,
    set: &[FlagId],
    clear: &[FlagId],
    unchanged_since: Option<ModSeq>,
) -> Result<FlagsChanged> {
    let mut result = FlagsChanged::default();
    let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(result) };
    for chunk in within.chunks(Uid(first), Uid(last)) {
        let chunk = chunk?;
        for row in chunk.indices_of(uids) {
            let uid: Uid = chunk.uid(row);
            if unchanged_since.is_some_and(|limit| chunk.modseq(row) > limit) {
                result.modified.insert_uid(uid);
                continue;
            }
            let flags: RowFlags = chunk.flags(row);
            let differs = set.iter().any(|flag| !flags.contains(*flag))
                || clear.iter().any(|flag| flags.contains(*flag));
            if differs {
                result.changed.insert_uid(uid);
            }
        }
    }
    Ok(result)
}
