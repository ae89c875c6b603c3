//! The store that a verb works on.

use crate::failure::usage;
use anyhow::{Context, bail};
use engine::attach::{Admin, MailboxInfo, open_admin};
use engine::ops::StoreOptions;
use engine::types::{AccountId, Uid};
use std::path::Path;

/// The file that every store has.
const FORMAT: &str = "FORMAT";

/// An existing store. A mistyped `--store` must not make an empty one.
pub fn open(dir: &Path) -> anyhow::Result<Box<dyn Admin>> {
    if !dir.join(FORMAT).exists() {
        bail!("there is no store in {}; `mailcask serve` or `mailcask account add` makes one", dir.display());
    }
    open_or_create(dir)
}

/// A store, made when there is none.
pub fn open_or_create(dir: &Path) -> anyhow::Result<Box<dyn Admin>> {
    open_admin(dir, StoreOptions::default()).with_context(|| format!("the store in {}", dir.display()))
}

pub fn account(admin: &dyn Admin, name: &str) -> anyhow::Result<AccountId> {
    admin.account_id(name)?.with_context(|| format!("there is no account {name}"))
}

/// Names compare as IMAP compares them: INBOX in any case, others exactly.
fn is_named(mailbox: &MailboxInfo, name: &str) -> bool {
    mailbox.name == name || (name.eq_ignore_ascii_case("INBOX") && mailbox.name == "INBOX")
}

pub fn find_mailbox(
    admin: &dyn Admin,
    account: AccountId,
    name: &str,
) -> anyhow::Result<Option<MailboxInfo>> {
    Ok(admin.mailboxes(account)?.into_iter().find(|mailbox| is_named(mailbox, name)))
}

pub fn mailbox(admin: &dyn Admin, account: AccountId, name: &str) -> anyhow::Result<MailboxInfo> {
    find_mailbox(admin, account, name)?.with_context(|| format!("there is no mailbox {name}"))
}

/// Runs over the rows of a mailbox, some at a time.
pub fn each_row(
    admin: &dyn Admin,
    account: AccountId,
    mailbox: &MailboxInfo,
    mut each: impl FnMut(engine::attach::RowInfo) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut from = Uid(1);
    loop {
        let rows = admin.rows(account, mailbox.id, from)?;
        let Some(last) = rows.last().map(|row| row.uid) else { return Ok(()) };
        rows.into_iter().try_for_each(&mut each)?;
        from = last.next();
    }
}

/// Says that an argument cannot be what it is.
pub fn refuse(what: &str, error: &engine::Error) -> anyhow::Error {
    usage(format!("{what}: {error}"))
}
