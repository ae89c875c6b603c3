//! Delivery of one message to many (RFC 2033): stored once, with a verdict for each recipient.
//!
//! Laws
//! - Each recipient is a sub-transaction of one group: one that is refused refuses nobody else.
//! - Refused by all: the message is not stored.
//! - The same (sender, recipient, bytes) within seven days is answered as delivered, without a copy:
//!   an MTA had lost the first reply.

use super::Store;
use super::append::check_room_for;
use super::stage::HeaderFacts;
use crate::error::{Error, Result};
use crate::log::{Room, StagedMessage};
use crate::mailbox::{MAX_PREFIX_BYTES, Row};
use crate::txn::deliveries;
use crate::txn::head::Head;
use crate::txn::op::{DeliveryKey, Op};
use crate::types::{AccountId, MailboxId, MessageNo, Uid, ZonedTime};
use std::future::Future;
use std::sync::Arc;

/// Someone a message is for.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Recipient {
    pub account: AccountId,
    /// The mailbox of that name if there is one, else INBOX.
    pub detail: Option<String>,
    /// The address as it was given: for Delivered-To and for knowing a retry again.
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Delivered {
    pub mailbox: MailboxId,
    pub uid: Uid,
    /// This delivery had been made before; no second copy was stored.
    pub is_duplicate: bool,
}

/// What is prepared for a recipient outside of the sequencer.
struct Prepared {
    to: Recipient,
    key: DeliveryKey,
    prefix: Arc<[u8]>,
    size_bytes: u32,
}

impl Store {
    /// One verdict for each recipient, in their order. Returns when all are durable.
    pub fn deliver(
        &self,
        message: &StagedMessage,
        sender: &str,
        recipients: Vec<Recipient>,
    ) -> Vec<Result<Delivered>> {
        let count = recipients.len();
        let verdicts = self.core().submit(self.delivery(message, sender, recipients));
        verdicts.unwrap_or_else(|error| same_for_all(&error, count))
    }

    /// The same without a thread that waits for the disk. Under way when this returns: dropping the
    /// future does not stop it.
    pub fn deliver_async(
        &self,
        message: &StagedMessage,
        sender: &str,
        recipients: Vec<Recipient>,
    ) -> impl Future<Output = Vec<Result<Delivered>>> + Send + use<> {
        let count = recipients.len();
        let verdicts = self.core().submit_async(self.delivery(message, sender, recipients));
        async move { verdicts.await.unwrap_or_else(|error| same_for_all(&error, count)) }
    }

    /// What the sequencer has to do, with all that can be done before prepared.
    fn delivery(
        &self,
        message: &StagedMessage,
        sender: &str,
        recipients: Vec<Recipient>,
    ) -> impl FnOnce(&mut Head) -> Result<Vec<Result<Delivered>>> + Send + use<> {
        let prepared: Vec<Result<Prepared>> =
            recipients.into_iter().map(|to| self.prepare(message, sender, to)).collect();
        let facts = self.inner.header_facts(message);
        let message = message.clone();
        move |head| {
            head.admit(Room::Append)?;
            Ok(deliver_all(head, &message, facts, prepared))
        }
    }

    fn prepare(&self, message: &StagedMessage, sender: &str, to: Recipient) -> Result<Prepared> {
        let prefix = trace_header(sender, &to.address)?;
        let size_bytes = self.inner.served_size(message, prefix.len())?;
        let key = deliveries::key(sender, &to.address, &message.digest);
        Ok(Prepared { to, key, prefix, size_bytes })
    }
}

/// The group as a whole was refused: everyone hears the same.
fn same_for_all(error: &Error, count: usize) -> Vec<Result<Delivered>> {
    let again = |error: &Error| match error {
        Error::StoreFull => Error::StoreFull,
        Error::Poisoned => Error::Poisoned,
        Error::Closed => Error::Closed,
        // Nothing was written: who hears that the outcome is unknown would wait for a restart in vain.
        Error::Io { context, source } => {
            Error::io(context.clone(), std::io::Error::new(source.kind(), source.to_string()))
        }
        Error::Corrupt { what, why } => Error::corrupt(what.clone(), why.clone()),
        Error::Limit(which) => Error::Limit(which.clone()),
        _ => Error::OutcomeUnknown,
    };
    (0..count).map(|_| Err(again(error))).collect()
}

/// Return-Path (RFC 5321 section 4.4) and Delivered-To (RFC 9228), as they stand before the message.
fn trace_header(sender: &str, address: &str) -> Result<Arc<[u8]>> {
    let header = format!("Return-Path: <{sender}>\r\nDelivered-To: {address}\r\n");
    let lines_are_whole = ![sender, address].iter().any(|text| text.contains(['\r', '\n', '\0']));
    if !lines_are_whole || header.len() > MAX_PREFIX_BYTES {
        return Err(Error::InvalidName("an address is too long or has line breaks".into()));
    }
    Ok(header.into_bytes().into())
}

fn deliver_all(
    head: &mut Head,
    message: &StagedMessage,
    facts: HeaderFacts,
    prepared: Vec<Result<Prepared>>,
) -> Vec<Result<Delivered>> {
    let accounts: Vec<AccountId> = prepared.iter().flatten().map(|one| one.to.account).collect();
    let mut stored = None;
    prepared
        .into_iter()
        .map(|one| {
            let delivered = deliver_one(head, message, facts, one?, &accounts, &mut stored)?;
            head.core.metrics.delivered(delivered.is_duplicate);
            Ok(delivered)
        })
        .collect()
}

fn deliver_one(
    head: &mut Head,
    message: &StagedMessage,
    facts: HeaderFacts,
    one: Prepared,
    accounts: &[AccountId],
    stored: &mut Option<MessageNo>,
) -> Result<Delivered> {
    let account = one.to.account;
    let time_ms = head.now_ms();
    let now_s = i64::try_from(time_ms / 1000).unwrap_or(i64::MAX);
    let of = head.writable(account, Room::Append)?;
    let exceeds = of.would_exceed_quota(u64::from(one.size_bytes));
    let detail = one.to.detail.as_deref().and_then(|name| of.mailbox_named(name));
    let into = detail.or_else(|| of.mailbox_named("INBOX")).ok_or(Error::NoSuchMailbox)?;
    let (mailbox, uid) = (into.header.id, into.header.uid_next);
    let (email, modseq) = (of.next_email, of.modseq.next());
    if let Some(to) = head.find_delivery(account, &one.key, time_ms) {
        tracing::info!(account = account.0, "a delivery was made before: answered without a second copy");
        return Ok(Delivered { mailbox: to.mailbox, uid: to.uid, is_duplicate: true });
    }
    if exceeds {
        return Err(Error::OverQuota);
    }
    check_room_for(uid, email, 1)?;
    let number = *stored.get_or_insert_with(|| head.store_message(message, accounts));
    let row = Row {
        uid,
        modseq,
        message: number,
        email,
        thread: facts.thread,
        size_bytes: one.size_bytes,
        internal_date: ZonedTime::utc(now_s),
        save_date_s: now_s,
        sent: facts.sent,
        flags: [].into_iter().collect(),
        prefix: one.prefix,
    };
    let delivered = Op::Delivered { key: one.key, mailbox, uid, time_ms };
    head.commit(account, vec![Op::Append { mailbox, row }, delivered])?;
    Ok(Delivered { mailbox, uid, is_duplicate: false })
}
