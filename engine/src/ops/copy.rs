//! COPY (RFC 3501 section 6.4.7) and MOVE (RFC 6851), all or nothing.
//!
//! Law: a copy names the same stored message and keeps its EmailId; no message is written.

use super::Store;
use super::append::check_room_for;
use super::stage::FlagNumbers;
use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{Mailbox, Row};
use crate::txn::op::Op;
use crate::types::{AccountId, MailboxId, ModSeq, Uid, UidSet, UidValidity};

/// COPYUID (RFC 4315): the n-th of `from` became the n-th of `to`.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: UidValidity,
    pub from: Vec<Uid>,
    pub to: Vec<Uid>,
    pub modseq: ModSeq,
}

impl Store {
    /// Copies messages; `Expunged` when one of them is gone, and then none is copied.
    pub fn copy(&self, account: AccountId, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        self.transfer(account, from, uids, to, false)
    }

    /// Moves messages in one transaction; `Expunged` when one of them is gone.
    pub fn move_messages(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: &UidSet,
        to: MailboxId,
    ) -> Result<Copied> {
        self.transfer(account, from, uids, to, true)
    }

    fn transfer(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: &UidSet,
        to: MailboxId,
        is_move: bool,
    ) -> Result<Copied> {
        if uids.is_empty() {
            return Ok(Copied::default());
        }
        self.mailbox(account, from)?.warm(uids)?;
        let uids = uids.clone();
        self.core().submit(move |head| {
            let now_s = i64::try_from(head.now_ms() / 1000).unwrap_or(i64::MAX);
            let of = head.writable(account, Room::Append)?;
            let source = of.mailbox(from).ok_or(Error::NoSuchMailbox)?;
            let target = of.mailbox(to).ok_or(Error::NoSuchMailbox)?;
            let (mut ops, copied) = plan(of, source, target, &uids, now_s, is_move)?;
            if is_move {
                ops.push(Op::Expunge { mailbox: from, uids, modseq: copied.modseq });
            }
            head.commit(account, ops)?;
            Ok(copied)
        })
    }
}

fn plan(
    of: &Account,
    source: &Mailbox,
    target: &Mailbox,
    uids: &UidSet,
    now_s: i64,
    is_move: bool,
) -> Result<(Vec<Op>, Copied)> {
    let rows: Vec<Row> = source.rows(uids).collect::<Result<_>>()?;
    if rows.len() as u64 != uids.len() {
        return Err(Error::Expunged);
    }
    // A copy counts against the quota like an append; a move takes as much as it gives.
    if !is_move && of.would_exceed_quota(rows.iter().map(|row| u64::from(row.size_bytes)).sum()) {
        return Err(Error::OverQuota);
    }
    check_room_for(target.header.uid_next, of.next_email, rows.len())?;
    let modseq = of.modseq.next();
    let mut numbers = FlagNumbers::of(target);
    let mut copied = Copied { uid_validity: target.header.uid_validity, modseq, ..Copied::default() };
    let mut appends = Vec::with_capacity(rows.len());
    let mut uid = target.header.uid_next;
    for row in rows {
        copied.from.push(row.uid);
        copied.to.push(uid);
        let names = source.flag_names(&row.flags);
        let flags = numbers.give_all(names)?.into_iter().collect();
        let row = Row { uid, modseq, flags, save_date_s: now_s, ..row };
        appends.push(Op::Append { mailbox: target.header.id, row });
        uid = uid.next();
    }
    let mut ops = numbers.new;
    ops.extend(appends);
    Ok((ops, copied))
}
