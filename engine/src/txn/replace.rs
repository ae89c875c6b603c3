//! An account made again from the log takes the place of the one that readers see.
//!
//! Laws
//! - Only an account that nothing has changed since the log was read is replaced.
//! - What takes its place is all new to the catalog: every row of it is written by the next checkpoint,
//!   under numbers of chunks that no version before it had.

use super::core::Core;
use super::head::Head;
use super::op::Op;
use crate::accounts::Account;
use crate::catalog::ObjectKey;
use crate::error::{Error, Result};
use crate::log::Room;
use crate::mailbox::{Header, Mailbox, decode_header};
use crate::types::{Lsn, MailboxId, ModSeq, Uid, UidSet};
use std::sync::Arc;

/// Copies an account, row by row, so that nothing of it rests on the catalog it came from.
pub fn rebuild(core: &Core, right: &Account) -> Result<Account> {
    let present = core.registry.resident(right.id);
    let mut account = right.clone();
    for mailbox in right.mailboxes.values() {
        let id = mailbox.header.id;
        let in_use = present.as_ref().and_then(|account| account.mailbox(id)).map(|other| &other.header);
        let in_catalog = core.catalog.get(&ObjectKey::Mailbox(right.id, id)).ok().flatten();
        let in_catalog = in_catalog.and_then(|row| decode_header(&row.bytes, &core.pager).ok());
        let numbers = in_use.into_iter().chain(in_catalog.as_ref().map(|other| &other.header));
        let first_chunk_no = numbers.map(|h| h.next_chunk_no).fold(mailbox.header.next_chunk_no, u32::max);
        account.mailboxes.insert(id, Arc::new(rebuild_mailbox(core, mailbox, first_chunk_no)?));
    }
    Ok(account)
}

fn rebuild_mailbox(core: &Core, right: &Mailbox, first_chunk_no: u32) -> Result<Mailbox> {
    let header = &right.header;
    let mut empty = Header::new(header.account, header.id, &header.name, header.uid_validity, ModSeq(0));
    empty.keywords = header.keywords.clone();
    empty.next_chunk_no = first_chunk_no;
    empty.uid_next = Uid(1);
    let mut mailbox = Mailbox::new(empty, core.pager.clone());
    for row in right.rows(&UidSet::from_range(1, u32::MAX)) {
        mailbox.append(row?)?;
    }
    // The counters are those of the rows, whatever the header says of them.
    let (counters, next_chunk_no) = (mailbox.header.counters(), mailbox.header.next_chunk_no);
    mailbox.header = Header { next_chunk_no, ..header.clone() };
    mailbox.header.set_counters(counters);
    Ok(mailbox)
}

/// Puts it in place. `NotPossible` when the account changed after `as_of`, the group up to which the log
/// was read.
pub fn replace(core: &Core, right: Account, as_of: Lsn) -> Result<()> {
    let is_known = core.registry.ids().contains(&right.id);
    core.submit(move |head| {
        head.admit(Room::Shrink)?;
        put(head, right, as_of, is_known)
    })
}

fn put(head: &mut Head, mut right: Account, as_of: Lsn, is_known: bool) -> Result<()> {
    let id = right.id;
    if head.is_leaving(id) || (is_known && !head.core.registry.ids().contains(&id)) {
        return Err(Error::NoSuchAccount);
    }
    match head.account(id) {
        Ok(present) if present.last_lsn > as_of => {
            return Err(Error::NotPossible(format!("account {id} changed meanwhile; run it again")));
        }
        // What cannot be read, or has no row any more, was not changed either.
        Ok(_) | Err(Error::NoSuchAccount | Error::Corrupt { .. }) => {}
        Err(error) => return Err(error),
    }
    let lsn = head.lsn();
    let ids: Vec<MailboxId> = right.mailboxes.keys().copied().collect();
    for id in ids {
        if let Some(mailbox) = right.mailboxes.get_mut(&id) {
            Arc::make_mut(mailbox).header.changed_lsn = lsn;
        }
    }
    let nothing_new =
        Op::Jump { modseq: right.modseq, next_email: right.next_email, next_mailbox: right.next_mailbox };
    head.insert_account(right);
    // A transaction of its own: so it is published, and written by the next checkpoint.
    head.commit(id, vec![nothing_new])
}
