//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE and STATUS (RFC 3501 sections 6.3.3 to 6.3.7 and
//! 6.3.10).
//!
//! Laws
//! - Names are looked up in the account's latest published version, never in the session.
//! - STATUS loads no message: it is answered from the mailbox's header.

use super::Session;
use super::sink::Out;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::StatusItem;
use crate::proto::write::{self, Code, Status};
use engine::Error;
use engine::mailbox::names::{self, DELIMITER};
use engine::mailbox::{Mailbox, SpecialUse};
use std::sync::Arc;

impl Session {
    /// The account as it is now.
    pub(super) fn account(&mut self) -> Result<Arc<engine::accounts::Account>, Stop> {
        let login = self.state.login()?;
        Ok(self.shared.store.account(login.account)?)
    }

    /// A mailbox of the account as it is now.
    pub(super) fn mailbox_named(&mut self, name: &str) -> Result<Arc<Mailbox>, Stop> {
        let account = self.account()?;
        Ok(Arc::clone(account.mailbox_named(name).ok_or(Error::NoSuchMailbox)?))
    }

    /// RFC 3501 section 6.3.3, with the special use of RFC 6154 section 3 and MAILBOXID of RFC 8474
    /// section 4.1. A trailing delimiter only
    /// says that names will be made below; every mailbox here can have those.
    pub(super) fn create(&mut self, name: &str, special_use: &[String]) -> Answer {
        let account = self.state.login()?.account;
        let special_use = match special_use {
            [] => None,
            [one] => {
                Some(SpecialUse::parse(one).ok_or_else(|| Stop::no(Code::UseAttr, "No such special use"))?)
            }
            _ => return Err(Stop::no(Code::UseAttr, "A mailbox has one special use")),
        };
        let name = name.strip_suffix(DELIMITER).unwrap_or(name);
        let id = self.shared.store.create_mailbox(account, name, special_use)?;
        Ok(Done::with(Code::MailboxId(id)))
    }

    /// RFC 3501 section 6.3.4. A session that deletes the mailbox it has selected leaves it first;
    /// others that have it selected are told BYE when they look at it next.
    pub(super) fn delete(&mut self, name: &str, out: &mut Out) -> Answer {
        let account = self.account()?;
        let Some(mailbox) = account.mailbox_named(name) else {
            return Err(match account.mailboxes().any(|other| names::is_below(&other.header.name, name)) {
                true => Stop::no(Code::Cannot, "That is a level with mailboxes below it, not a mailbox"),
                false => Error::NoSuchMailbox.into(),
            });
        };
        let id = mailbox.header.id;
        self.shared.store.delete_mailbox(account.id, id)?;
        if matches!(self.state.selected(), Ok((_, selected)) if selected.mailbox == id) {
            self.state.deselect();
            write::untagged(out.buffer(), Status::Ok, Some(&Code::Closed), "The selected mailbox is deleted");
        }
        Ok(Done::plain())
    }

    /// RFC 3501 section 6.3.5. Sessions that have it selected go on: they know it by its id.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Answer {
        let mailbox = self.mailbox_named(from)?;
        let to = to.strip_suffix(DELIMITER).unwrap_or(to);
        self.shared.store.rename_mailbox(mailbox.header.account, mailbox.header.id, to)?;
        Ok(Done::plain())
    }

    /// RFC 3501 sections 6.3.6 and 6.3.7. A name need not exist to be subscribed.
    pub(super) fn subscribe(&mut self, name: &str, on: bool) -> Answer {
        let account = self.state.login()?.account;
        let name = name.strip_suffix(DELIMITER).unwrap_or(name);
        self.shared.store.subscribe(account, name, on)?;
        Ok(Done::plain())
    }

    /// RFC 3501 section 6.3.10, RFC 7162 section 3.1.7, RFC 7889, RFC 8438, RFC 8474
    /// section 4.3. Asking for HIGHESTMODSEQ enables
    /// CONDSTORE.
    pub(super) fn status(&mut self, name: &str, items: &[StatusItem], out: &mut Out) -> Answer {
        let mailbox = self.mailbox_named(name)?;
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore(out)?;
        }
        let mut values = Vec::with_capacity(items.len());
        for &item in items {
            values.push((item, self.status_value(&mailbox, item)?));
        }
        write::status(out.buffer(), name, &values);
        Ok(Done::plain())
    }

    fn status_value(&self, mailbox: &Mailbox, item: StatusItem) -> Result<u64, Stop> {
        let header = &mailbox.header;
        Ok(match item {
            StatusItem::Messages => u64::from(header.exists),
            StatusItem::Recent => u64::from(self.recent_count(mailbox)?),
            StatusItem::UidNext => u64::from(header.uid_next.0),
            StatusItem::UidValidity => u64::from(header.uid_validity.0),
            StatusItem::Unseen => u64::from(header.unseen),
            StatusItem::HighestModSeq => header.highest_modseq.0,
            StatusItem::Size => header.size_bytes,
            // The same for every mailbox, as the capability says.
            StatusItem::AppendLimit => self.shared.max_literal_bytes,
            StatusItem::MailboxId => u64::from(header.id.0),
        })
    }

    /// Messages that no session was told of as recent yet.
    fn recent_count(&self, mailbox: &Mailbox) -> Result<u32, Stop> {
        let header = &mailbox.header;
        let told = self.shared.store.recent_uid(header.account, header.id)?;
        Ok(header.exists.saturating_sub(mailbox.rank(told)?))
    }
}
