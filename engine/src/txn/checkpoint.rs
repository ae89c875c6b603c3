//! The checkpoint: what changed in memory goes to the catalog, so that it need not stay pinned and
//! need not be replayed.
//!
//! Laws
//! - Only published state is written, and it was durable in the log before.
//! - An account's rows go in one atomic batch: its account row says as of which group they all are.
//! - Rows count as written, and may be paged out, once they are durable: a full disk costs none of them.
//! - The mark is set after all batches. Rows newer than the mark are right all the same: recovery
//!   applies a transaction only to an account whose row is older than it.
//! - Which rows changed since the last snapshot run is itself kept in the catalog, with the mark. Rows
//!   newer than the mark are of a checkpoint that was cut off: recovery takes all of their account's
//!   rows for changed.

use super::core::Core;
use super::lost::Lost;
use super::numbers::Numbers;
use crate::accounts::Account;
use crate::accounts::object::{self, AccountObject};
use crate::catalog::{Catalog, Change, Kind, Mark, ObjectKey};
use crate::codec::{Decoder, Encoder};
use crate::error::{Error, Result};
use crate::mailbox::{Written, chunk_numbers};
use crate::types::{AccountId, Lsn, MailboxId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Keys of rows put or removed since the last snapshot run.
pub type ChangedKeys = BTreeSet<ObjectKey>;

/// Writes what was published since the last checkpoint. Returns the group it is as of.
pub fn checkpoint(core: &Core, changed: &mut ChangedKeys) -> Result<Lsn> {
    let (lsn, numbers, dirty, deleted, lost) = {
        let mut published = core.published.lock();
        let dirty: Vec<_> = std::mem::take(&mut published.dirty).into_iter().collect();
        let accounts: Vec<Arc<Account>> =
            dirty.iter().filter_map(|id| core.registry.account(*id).ok()).collect();
        let deleted = std::mem::take(&mut published.deleted);
        (published.lsn, published.numbers, accounts, deleted, published.lost.clone())
    };
    let written = write(core, changed, lsn, (numbers, &lost), &dirty, &deleted);
    if written.is_err() {
        let mut published = core.published.lock();
        published.dirty.extend(dirty.iter().map(|account| account.id));
        published.deleted.extend(deleted);
    }
    written.map(|()| lsn)
}

fn write(
    core: &Core,
    changed: &mut ChangedKeys,
    lsn: Lsn,
    (numbers, lost): (Numbers, &Lost),
    dirty: &[Arc<Account>],
    deleted: &BTreeSet<AccountId>,
) -> Result<()> {
    core.catalog.mend()?;
    for id in deleted {
        let mut batch = Batch::new(lsn);
        batch.remove_account(core, *id)?;
        batch.write(core, changed)?;
    }
    let mut written = Vec::new();
    for account in dirty {
        let mut batch = Batch::new(account.last_lsn);
        batch.put_account(core, account)?;
        written.extend(batch.write(core, changed)?);
    }
    expire_deliveries(core, changed, lsn)?;
    let row = encode_store_row(numbers, changed, lost);
    core.catalog.put_all(vec![(ObjectKey::Store, lsn, Some(row))])?;
    core.catalog.set_mark(&Mark { lsn, clean: false, boot_id: core.clock.boot_id() })?;
    written.into_iter().for_each(Written::mark_clean);
    Ok(())
}

fn expire_deliveries(core: &Core, changed: &mut ChangedKeys, lsn: Lsn) -> Result<()> {
    let old = core.deliveries.lock().expire(core.clock.now_ms());
    let mut batch = Batch::new(lsn);
    for (account, day) in old {
        batch.remove(ObjectKey::DeliveryKeys(account, day));
    }
    batch.write(core, changed).map(drop)
}

/// One account's rows, on their way to the catalog.
struct Batch {
    as_of: Lsn,
    puts: Vec<Change>,
    /// Chunks that are clean once the checkpoint is durable.
    written: Vec<Written>,
}

impl Batch {
    fn new(as_of: Lsn) -> Self {
        Self { as_of, puts: Vec::new(), written: Vec::new() }
    }

    fn put(&mut self, key: ObjectKey, value: Vec<u8>) {
        self.puts.push((key, self.as_of, Some(value)));
    }

    fn remove(&mut self, key: ObjectKey) {
        self.puts.push((key, self.as_of, None));
    }

    fn put_account(&mut self, core: &Core, account: &Account) -> Result<()> {
        let old = old_account(core, account.id)?;
        let since = old.as_ref().map_or(Lsn(0), |old| old.account.last_lsn);
        for mailbox in account.mailboxes.values() {
            if mailbox.header.changed_lsn > since {
                let written = mailbox.checkpoint(self.as_of)?;
                self.puts.extend(written.changes);
                self.written.push(written.written);
            }
        }
        let gone = old.iter().flat_map(|old| &old.mailboxes).filter(|id| account.mailbox(**id).is_none());
        for id in gone {
            self.remove_mailbox(core, account.id, *id)?;
        }
        for (day, row) in core.deliveries.lock().changed(account.id, since) {
            self.put(ObjectKey::DeliveryKeys(account.id, day), row);
        }
        self.put(ObjectKey::Account(account.id), object::encode(account));
        Ok(())
    }

    fn remove_mailbox(&mut self, core: &Core, account: AccountId, id: MailboxId) -> Result<()> {
        for chunk_no in old_chunks(core, account, id)? {
            self.remove(ObjectKey::Chunk(account, id, chunk_no));
        }
        self.remove(ObjectKey::Mailbox(account, id));
        Ok(())
    }

    fn remove_account(&mut self, core: &Core, id: AccountId) -> Result<()> {
        // Without a row too: an interrupted checkpoint may have removed it, and the runs still have it.
        let old = old_account(core, id)?;
        for mailbox in old.iter().flat_map(|old| &old.mailboxes) {
            self.remove_mailbox(core, id, *mailbox)?;
        }
        let mut days = Vec::new();
        core.catalog.scan_kind(Kind::DeliveryKeys, &mut |key, _| {
            if matches!(key, ObjectKey::DeliveryKeys(of, _) if of == id) {
                days.push(key);
            }
            Ok(())
        })?;
        days.into_iter().for_each(|key| self.remove(key));
        self.remove(ObjectKey::Account(id));
        Ok(())
    }

    fn write(self, core: &Core, changed: &mut ChangedKeys) -> Result<Vec<Written>> {
        if !self.puts.is_empty() {
            changed.extend(self.puts.iter().map(|(key, _, _)| *key));
            core.catalog.put_all(self.puts)?;
        }
        Ok(self.written)
    }
}

/// The account's row as the catalog has it. One that cannot be read is written over.
fn old_account(core: &Core, id: AccountId) -> Result<Option<AccountObject>> {
    let row = core.catalog.get(&ObjectKey::Account(id));
    unless_corrupt(row.and_then(|row| row.map(|row| object::decode(&row.bytes)).transpose()), None)
}

/// The chunks that the catalog has of a mailbox, as far as its row can be read.
fn old_chunks(core: &Core, account: AccountId, id: MailboxId) -> Result<Vec<u32>> {
    let row = core.catalog.get(&ObjectKey::Mailbox(account, id));
    let numbers = row.and_then(|row| row.map_or_else(|| Ok(Vec::new()), |row| chunk_numbers(&row.bytes)));
    unless_corrupt(numbers, Vec::new())
}

/// What rots in the catalog stops no checkpoint: at worst rows lie there unused.
fn unless_corrupt<T>(read: Result<T>, otherwise: T) -> Result<T> {
    match read {
        Err(Error::Corrupt { .. }) => Ok(otherwise),
        read => read,
    }
}

fn encode_store_row(numbers: Numbers, changed: &ChangedKeys, lost: &Lost) -> Vec<u8> {
    let mut e = Encoder::new();
    e.bytes(&numbers.encode());
    e.uint(changed.len() as u64);
    changed.iter().for_each(|key| e.bytes(&key.to_bytes()));
    if !lost.is_empty() {
        lost.put(&mut e);
    }
    e.into_bytes()
}

/// Removes every row that no account names, right after a checkpoint as of `lsn`. The rows of deliveries are
/// written anew: memory has all of them.
pub fn sweep(core: &Core, changed: &mut ChangedKeys, lsn: Lsn) -> Result<()> {
    let mut wanted = ChangedKeys::from([ObjectKey::Store]);
    let mut batch = Batch::new(lsn);
    for id in core.registry.ids() {
        let account = core.registry.account(id)?;
        let mailboxes: Vec<MailboxId> = account.mailboxes.keys().copied().collect();
        wanted.append(&mut keys_of(&core.catalog, id, &mailboxes)?);
        for (day, row) in core.deliveries.lock().changed(id, Lsn(0)) {
            let key = ObjectKey::DeliveryKeys(id, day);
            wanted.insert(key);
            batch.put(key, row);
        }
    }
    batch.write(core, changed)?;
    let rows = core.catalog.sweep(&|key| wanted.contains(key))?;
    tracing::warn!(rows, "rows of the catalog that nobody named were removed");
    Ok(())
}

/// Every row of an account, as far as the catalog names them.
pub fn keys_of(catalog: &Catalog, id: AccountId, mailboxes: &[MailboxId]) -> Result<ChangedKeys> {
    let mut keys = ChangedKeys::from([ObjectKey::Account(id)]);
    for mailbox in mailboxes {
        let key = ObjectKey::Mailbox(id, *mailbox);
        keys.insert(key);
        let chunks = catalog.get(&key)?.map_or_else(|| Ok(Vec::new()), |row| chunk_numbers(&row.bytes))?;
        keys.extend(chunks.into_iter().map(|number| ObjectKey::Chunk(id, *mailbox, number)));
    }
    Ok(keys)
}

/// The store's counters, which rows the next snapshot run has to hold, and what is lost.
pub fn decode_store_row(bytes: &[u8]) -> Result<(Numbers, ChangedKeys, Lost)> {
    let mut d = Decoder::new(bytes, "the store's row");
    let numbers = Numbers::decode(d.bytes()?)?;
    let mut changed = ChangedKeys::new();
    for _ in 0..d.count(1)? {
        changed.insert(ObjectKey::from_bytes(d.bytes()?)?);
    }
    let lost = if d.is_empty() { Lost::default() } else { Lost::take(&mut d)? };
    d.finish()?;
    Ok((numbers, changed, lost))
}

#[cfg(test)]
mod tests {
    use super::super::lost::Hole;
    use super::*;
    use crate::codec::golden;
    use crate::types::{MessageNo, UidValidity};

    #[test]
    fn the_store_row_is_as_drawn() {
        let drawn = golden(include_str!("../../tests/data/format/drawn/store-object.hex"));
        let numbers = Numbers {
            next_account: AccountId(4),
            next_message: MessageNo(70_000),
            last_uid_validity: UidValidity(1_700_000_000),
        };
        let (account, mailbox) = (AccountId(3), MailboxId(7));
        let changed = ChangedKeys::from([
            ObjectKey::Store,
            ObjectKey::Account(account),
            ObjectKey::Mailbox(account, mailbox),
            ObjectKey::Chunk(account, mailbox, 258),
            ObjectKey::DeliveryKeys(account, 19_675),
        ]);
        assert_eq!(encode_store_row(numbers, &changed, &Lost::default()), drawn);
        assert_eq!(decode_store_row(&drawn).unwrap(), (numbers, changed, Lost::default()));
        assert!((0..drawn.len()).all(|len| decode_store_row(&drawn[..len]).is_err()));
    }

    #[test]
    fn what_is_lost_stands_after_the_rest() {
        let accounts = std::collections::BTreeSet::from([AccountId(3)]);
        let hole = Hole {
            first: Lsn(300),
            last: Lsn(301),
            accounts: accounts.clone(),
            is_everybodys: true,
            what: "a record: rotten".to_owned(),
        };
        let lost = Lost { holes: vec![hole], accounts };
        let (numbers, changed) = (Numbers::default(), ChangedKeys::new());
        let plain = encode_store_row(numbers, &changed, &Lost::default());
        let bytes = encode_store_row(numbers, &changed, &lost);
        let drawn =
            golden("01 ac 02 ad 02 01 03 01 10 61 20 72 65 63 6f 72 64 3a 20 72 6f 74 74 65 6e 01 03");
        assert_eq!(bytes, [plain, drawn].concat());
        assert_eq!(decode_store_row(&bytes).unwrap(), (numbers, changed, lost));
    }
}
