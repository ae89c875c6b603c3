//! The store in this process, as an `Admin`.

use super::admin::{AccountAgain, Admin, Delivery, Destination, Held, MailboxInfo, NewMessage, RowInfo};
use crate::check::CheckReport;
use crate::error::{Error, Result};
use crate::indexer::IndexStats;
use crate::log::{MessageStager, Pin, Pinned};
use crate::mailbox::{Mailbox, Row, View};
use crate::ops::{
    AccountInfo, AppendItem, Appended, Delivered, Kept, KeptMailbox, NewAccount, Recipient, Stats, Store,
};
use crate::repair::{Plan, Repaired};
use crate::search::{Context, Found, Key, Progress};
use crate::txn::compact::{CompactOptions, CompactReport};
use crate::types::{AccountId, MailboxId, Uid, UidSet, ZonedTime};
use crate::work::Work;
use std::io::{Read, Write};
use std::sync::atomic::AtomicBool;

/// Bytes of a message that are held while it is read or staged.
const CHUNK_BYTES: usize = 64 * 1024;
/// Rows in one answer.
const ROWS_PAGE: usize = 512;

#[derive(Clone)]
pub struct Local {
    store: Store,
}

impl Local {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Streams one message of an append into the log's staging.
    pub(super) fn stage(
        &self,
        body: &mut dyn Read,
        flags: Vec<String>,
        internal_date: Option<ZonedTime>,
    ) -> Result<AppendItem> {
        let mut stager = self.store.stager();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left_bytes = self.store.options().max_message_bytes;
        loop {
            let count = body.read(&mut chunk).map_err(|e| Error::io("reading a message to append", e))?;
            if count == 0 {
                break;
            }
            left_bytes = self.take(left_bytes, count)?;
            stager.write(chunk.get(..count).unwrap_or_default())?;
        }
        Ok(AppendItem { message: stager.finish()?, flags, internal_date })
    }

    /// The same as `pin`, for one who keeps the pin elsewhere.
    pub(super) fn hold(&self) -> Result<(Pin, Pinned)> {
        self.store.pin()
    }

    pub(super) fn append_staged(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        items: Vec<(AppendItem, Kept)>,
    ) -> Result<Appended> {
        self.store.append_kept(account, mailbox, items)
    }

    /// A message that grows past the limit is refused before it is all staged.
    fn take(&self, left_bytes: u64, count: usize) -> Result<u64> {
        left_bytes.checked_sub(count as u64).ok_or_else(|| {
            Error::Limit(format!("a message has at most {} bytes", self.store.options().max_message_bytes))
        })
    }

    fn row(&self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<Row> {
        self.store.mailbox(account, mailbox)?.by_uid(uid)?.ok_or(Error::NoSuchMessage)
    }
}

impl Admin for Local {
    fn accounts(&self) -> Result<Vec<AccountInfo>> {
        self.store.accounts()
    }

    fn account_id(&self, name: &str) -> Result<Option<AccountId>> {
        Ok(self.store.account_id(name))
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountId> {
        self.store.create_account(new)
    }

    fn delete_account(&self, account: AccountId) -> Result<()> {
        self.store.delete_account(account)
    }

    fn set_password(&self, account: AccountId, password: &str) -> Result<()> {
        self.store.set_password(account, Some(password))
    }

    fn set_quota(&self, account: AccountId, quota_bytes: Option<u64>) -> Result<()> {
        self.store.set_quota(account, quota_bytes)
    }

    fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxInfo>> {
        let account = self.store.account(account)?;
        let subscriptions = account.subscriptions();
        Ok(account
            .mailboxes()
            .map(|mailbox| mailbox_info(mailbox, subscriptions.contains(&*mailbox.header.name)))
            .collect())
    }

    fn create_mailbox(&self, account: AccountId, name: &str) -> Result<MailboxId> {
        self.store.create_mailbox(account, name, None)
    }

    fn delete_mailbox(&self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        self.store.delete_mailbox(account, mailbox)
    }

    fn append(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
    ) -> Result<Appended> {
        self.append_kept(account, mailbox, messages, &[])
    }

    fn append_kept(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: &mut [NewMessage],
        kept: &[Kept],
    ) -> Result<Appended> {
        let mut items = Vec::with_capacity(messages.len());
        for (at, message) in messages.iter_mut().enumerate() {
            let mut body = message.body.open().map_err(|e| Error::io("reading a message to append", e))?;
            let item = self.stage(&mut body, message.flags.clone(), message.internal_date)?;
            items.push((item, kept.get(at).copied().unwrap_or_default()));
        }
        self.append_staged(account, mailbox, items)
    }

    fn create_kept_mailbox(&self, account: AccountId, kept: &KeptMailbox) -> Result<MailboxId> {
        self.store.create_kept_mailbox(account, kept)
    }

    fn finish_kept_mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        kept: &KeptMailbox,
        uid_next: Uid,
    ) -> Result<()> {
        self.store.finish_kept_mailbox(account, mailbox, kept, uid_next)
    }

    fn rows(&self, account: AccountId, mailbox: MailboxId, from: Uid) -> Result<Vec<RowInfo>> {
        let mailbox = self.store.mailbox(account, mailbox)?;
        let wanted = UidSet::from_range(from.0.max(1), u32::MAX);
        let row_info = |row: Row| RowInfo {
            uid: row.uid,
            modseq: row.modseq,
            flags: mailbox.flag_names(&row.flags).into_iter().map(str::to_owned).collect(),
            internal_date: row.internal_date,
            save_date_s: row.save_date_s,
            size_bytes: u64::from(row.size_bytes),
        };
        mailbox.rows(&wanted).take(ROWS_PAGE).map(|row| row.map(row_info)).collect()
    }

    fn read(&self, account: AccountId, mailbox: MailboxId, uid: Uid, out: &mut dyn Write) -> Result<u64> {
        let row = self.row(account, mailbox, uid)?;
        let unread = |error| self.store.why_unread(account, mailbox, &row, error);
        let email = self.store.email(&row).map_err(unread)?;
        email.verify()?;
        let size_bytes = email.size_bytes();
        let mut at = 0;
        while at < size_bytes {
            let end = size_bytes.min(at + CHUNK_BYTES as u64);
            let bytes = email.read_range(at..end)?;
            out.write_all(&bytes).map_err(|e| Error::io("writing a message out", e))?;
            at = end;
        }
        Ok(size_bytes)
    }

    fn search(&self, account: AccountId, mailbox: MailboxId, key: &Key) -> Result<Found> {
        let view = View::open(self.store.mailbox(account, mailbox)?);
        let now_s = i64::try_from(self.store.now_ms() / 1000).unwrap_or(i64::MAX);
        let cancel = AtomicBool::new(false);
        let context =
            Context { recent: &UidSet::new(), now_s, cancel: &cancel, progress: &Progress::default() };
        self.store.search(account, &view, key, &context)?.ok_or(Error::Closed)
    }

    fn stats(&self) -> Result<Stats> {
        self.store.stats()
    }

    fn reindex(&self, account: AccountId) -> Result<()> {
        self.store.reindex(account)
    }

    fn index_stats(&self, account: AccountId) -> Result<IndexStats> {
        self.store.index_stats(Some(account))
    }

    fn check(&self, deep: bool, work: &mut Work<'_>) -> Result<CheckReport> {
        self.store.check_told(deep, work)
    }

    fn repair_plan(&self, work: &mut Work<'_>) -> Result<Plan> {
        self.store.repair_plan(work)
    }

    fn repair(&self, plan: &Plan, work: &mut Work<'_>) -> Result<Repaired> {
        self.store.repair(plan, work)
    }

    fn compact(&self, options: CompactOptions, work: &mut Work<'_>) -> Result<CompactReport> {
        self.store.compact_told(options, work)
    }

    fn pin(&self) -> Result<Held> {
        let (pin, pinned) = self.hold()?;
        Ok(Held { pinned, _by: Box::new(pin) })
    }

    fn create_account_again(&self, again: &AccountAgain) -> Result<AccountId> {
        self.store.create_account_again(&again.name, again.password_hash.clone(), again.quota_bytes)
    }

    fn destination(&self, address: &str) -> Result<Option<Destination>> {
        let Some(route) = self.store.route(address) else { return Ok(None) };
        let account = self.store.account(route.account)?;
        Ok(Some(Destination { route, quota_bytes: account.quota_bytes, used_bytes: account.used_bytes() }))
    }

    fn begin_delivery(&self) -> Result<Box<dyn Delivery>> {
        let left_bytes = self.store.options().max_message_bytes;
        Ok(Box::new(LocalDelivery { local: self.clone(), stager: self.store.stager(), left_bytes }))
    }

    fn close(&self) -> Result<()> {
        self.store.close()
    }
}

struct LocalDelivery {
    local: Local,
    stager: MessageStager,
    left_bytes: u64,
}

impl Delivery for LocalDelivery {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.left_bytes = self.local.take(self.left_bytes, bytes.len())?;
        self.stager.write(bytes)
    }

    fn deliver(self: Box<Self>, sender: &str, recipients: Vec<Recipient>) -> Result<Vec<Result<Delivered>>> {
        let message = self.stager.finish()?;
        Ok(self.local.store.deliver(&message, sender, recipients))
    }
}

fn mailbox_info(mailbox: &Mailbox, subscribed: bool) -> MailboxInfo {
    let header = &mailbox.header;
    MailboxInfo {
        id: header.id,
        name: header.name.to_string(),
        special_use: header.special_use.map(|special_use| special_use.attribute().to_owned()),
        subscribed,
        messages: header.exists,
        unseen: header.unseen,
        size_bytes: header.size_bytes,
        uid_validity: header.uid_validity,
        uid_next: header.uid_next,
        highest_modseq: header.highest_modseq,
    }
}
