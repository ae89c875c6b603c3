//! `mailcask mailbox`: an account's mailboxes.

use crate::output::{Output, table};
use crate::{size, store};
use clap::Subcommand;
use engine::Error;
use engine::attach::{Admin, MailboxInfo};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// List, create and delete mailboxes
#[derive(Subcommand)]
pub enum Verb {
    /// List an account's mailboxes
    List { account: String },
    /// Create a mailbox; levels are separated by /
    Create { account: String, name: String },
    /// Delete a mailbox with its messages
    Delete { account: String, name: String },
}

pub fn run(verb: Verb, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir)?;
    let admin = admin.as_ref();
    match verb {
        Verb::List { account } => list(admin, &account, output)?,
        Verb::Create { account, name } => create(admin, &account, &name)?,
        Verb::Delete { account, name } => {
            let account = store::account(admin, &account)?;
            admin.delete_mailbox(account, store::mailbox(admin, account, &name)?.id)?;
        }
    }
    admin.close()?;
    Ok(ExitCode::SUCCESS)
}

fn list(admin: &dyn Admin, account: &str, output: &Output) -> anyhow::Result<()> {
    let mailboxes = admin.mailboxes(store::account(admin, account)?)?;
    output.data(&mailboxes, |out| write_table(out, &mailboxes))
}

fn create(admin: &dyn Admin, account: &str, name: &str) -> anyhow::Result<()> {
    let account = store::account(admin, account)?;
    match admin.create_mailbox(account, name) {
        Err(error @ Error::InvalidName(_)) => Err(store::refuse(name, &error)),
        created => created.map(drop).map_err(Into::into),
    }
}

pub fn write_table(out: &mut dyn Write, mailboxes: &[MailboxInfo]) -> io::Result<()> {
    let rows: Vec<Vec<String>> = mailboxes
        .iter()
        .map(|mailbox| {
            vec![
                mailbox.name.clone(),
                mailbox.messages.to_string(),
                mailbox.unseen.to_string(),
                size::show(mailbox.size_bytes),
                mailbox.uid_validity.to_string(),
                mailbox.uid_next.to_string(),
                mailbox.special_use.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(out, &["mailbox", "messages", "unseen", "size", "uidvalidity", "uidnext", "use"], &rows)
}
