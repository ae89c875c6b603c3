//! `mailcask account`: who has mail here.

use crate::output::{Output, table};
use crate::{password, size, store};
use anyhow::{Context, bail};
use clap::Subcommand;
use engine::Error;
use engine::attach::Admin;
use engine::ops::{AccountInfo, NewAccount};
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Add, list, change and delete accounts
#[derive(Subcommand)]
pub enum Verb {
    /// Add an account; a password is made up and printed unless one comes on stdin
    Add {
        name: String,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
        /// Most that its mail may take, such as 2G
        #[arg(long, value_name = "SIZE", value_parser = size::parse_quota, default_value = "none")]
        quota: size::Quota,
    },
    /// List the accounts
    List,
    /// Set a new password; made up and printed unless one comes on stdin
    Passwd {
        name: String,
        #[arg(long)]
        password_stdin: bool,
    },
    /// Set or lift the quota
    Quota {
        name: String,
        /// Such as 2G, or none
        #[arg(value_parser = size::parse_quota)]
        size: size::Quota,
    },
    /// Delete an account with all its mail
    Delete {
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show an account and its mailboxes
    Show { name: String },
}

/// An account and the password that was made up for it: shown this once.
#[derive(Serialize)]
struct WithPassword<'a> {
    id: u32,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

pub fn run(verb: Verb, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = match &verb {
        Verb::Add { .. } => store::open_or_create(dir)?,
        _ => store::open(dir)?,
    };
    let admin = admin.as_ref();
    match verb {
        Verb::Add { name, password_stdin, quota } => add(admin, &name, password_stdin, quota, output)?,
        Verb::List => list(admin, output)?,
        Verb::Passwd { name, password_stdin } => passwd(admin, &name, password_stdin, output)?,
        Verb::Quota { name, size } => admin.set_quota(store::account(admin, &name)?, size.0)?,
        Verb::Delete { name, yes } => delete(admin, &name, yes)?,
        Verb::Show { name } => show(admin, &name, output)?,
    }
    admin.close()?;
    Ok(ExitCode::SUCCESS)
}

/// The password from stdin, or a new one and the duty to show it.
fn choose_password(from_stdin: bool) -> anyhow::Result<(String, bool)> {
    if from_stdin { Ok((password::from_stdin()?, false)) } else { Ok((password::generate()?, true)) }
}

fn add(
    admin: &dyn Admin,
    name: &str,
    password_stdin: bool,
    quota: size::Quota,
    output: &Output,
) -> anyhow::Result<()> {
    let (password, made_up) = choose_password(password_stdin)?;
    let new = NewAccount { name, password: Some(&password), quota_bytes: quota.0 };
    let id = match admin.create_account(&new) {
        Err(error @ Error::InvalidName(_)) => return Err(store::refuse(name, &error)),
        created => created?,
    };
    tell(id.0, name, made_up.then_some(password.as_str()), "added", output)
}

fn passwd(admin: &dyn Admin, name: &str, password_stdin: bool, output: &Output) -> anyhow::Result<()> {
    let account = store::account(admin, name)?;
    let (password, made_up) = choose_password(password_stdin)?;
    admin.set_password(account, &password)?;
    tell(account.0, name, made_up.then_some(password.as_str()), "has a new password", output)
}

fn tell(id: u32, name: &str, password: Option<&str>, what: &str, output: &Output) -> anyhow::Result<()> {
    output.data(&WithPassword { id, name, password }, |out| match password {
        Some(password) => writeln!(out, "account {name} {what}; password {password}"),
        None => writeln!(out, "account {name} {what}"),
    })
}

fn list(admin: &dyn Admin, output: &Output) -> anyhow::Result<()> {
    let accounts = admin.accounts()?;
    output.data(&accounts, |out| {
        let rows: Vec<Vec<String>> = accounts.iter().map(row).collect();
        table(out, &["account", "messages", "size", "quota", "mailboxes", ""], &rows)
    })
}

fn row(account: &AccountInfo) -> Vec<String> {
    vec![
        account.name.clone(),
        account.messages.to_string(),
        size::show(account.used_bytes),
        account.quota_bytes.map_or_else(|| "none".to_owned(), size::show),
        account.mailboxes.to_string(),
        if account.read_only { "read-only: damaged".to_owned() } else { String::new() },
    ]
}

fn show(admin: &dyn Admin, name: &str, output: &Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        account: AccountInfo,
        mailbox_list: Vec<engine::attach::MailboxInfo>,
    }
    let id = store::account(admin, name)?;
    let account = admin.accounts()?.into_iter().find(|account| account.id == id);
    let account = account.with_context(|| format!("there is no account {name}"))?;
    let shown = Shown { mailbox_list: admin.mailboxes(id)?, account };
    output.data(&shown, |out| {
        table(out, &["account", "messages", "size", "quota", "mailboxes", ""], &[row(&shown.account)])?;
        writeln!(out)?;
        super::mailbox::write_table(out, &shown.mailbox_list)
    })
}

fn delete(admin: &dyn Admin, name: &str, yes: bool) -> anyhow::Result<()> {
    let account = store::account(admin, name)?;
    if !yes && io::stdin().is_terminal() {
        let mut err = io::stderr().lock();
        write!(err, "Delete account {name} and all its mail? Type its name: ")?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim() != name {
            bail!("nothing was deleted");
        }
    }
    Ok(admin.delete_account(account)?)
}
