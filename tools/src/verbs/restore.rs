//! `mailcask restore`: a whole store from a backup, or one account's mail into a store that lives.
//!
//! Laws
//! - A whole store is made in a new or empty folder; nothing is written over.
//! - Mail that comes back into a living store goes to mailboxes of its own (`Restored/...`), in order, a batch at a time:
//!   run again, it goes on behind what is there, and brings no message twice.
//! - The backup itself is only read.

use super::backup::{disk, existing, rate};
use crate::failure::{FAILED, say, usage};
use crate::output::Output;
use crate::progress::{self, Progress};
use crate::{moment, size, store};
use anyhow::{Context, bail};
use engine::attach::{APPEND_BYTES_MAX, APPEND_MESSAGES_MAX, AccountAgain, Admin, Body, NewMessage, RowInfo};
use engine::backup::{
    Moment, RESTORED, Rate, Restore, Restored, Target, compact_time, open_source, plan, restore, show_time,
};
use engine::mailbox::{Mailbox, Row};
use engine::ops::{Store, StoreOptions};
use engine::sys::clock::{Clock, SystemClock};
use engine::types::{AccountId, MailboxId};
use serde::Serialize;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Bytes of a message that are read at a time.
const CHUNK_BYTES: u64 = 64 * 1024;

/// Make a store from a backup; with --account, bring one account's mail back into a store
#[derive(clap::Args)]
pub struct Args {
    /// The folder with the backups
    src: PathBuf,
    /// As it was then: `2026-11-23 04:00`, `2026-11-23T04:00:05Z`, `2026-11-23 06:00+02:00` (UTC where nothing else
    /// is said) [default: the newest backup]
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<u64>,
    /// The store was stopped before the newest backup and never ran since: UIDs and modseqs go on without a gap
    #[arg(long, conflicts_with_all = ["at", "account"])]
    nothing_since: bool,
    /// Restore copies too that changed since they were made, and what is left of a store that had lost files
    #[arg(long, conflicts_with = "account")]
    damaged_too: bool,
    /// Copy at most that many bytes a second: 10M
    #[arg(long, value_name = "SIZE", value_parser = rate, conflicts_with = "account")]
    rate: Option<u64>,
    /// Bring this account's mail back into the store that is there
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only this mailbox
    #[arg(long, value_name = "MAILBOX", requires = "account")]
    mailbox: Option<String>,
    /// Where to [default: Restored/TIME/...]
    #[arg(long, value_name = "MAILBOX", requires = "account")]
    into: Option<String>,
    /// Make the account again, with its password, when the store has none of that name
    #[arg(long, requires = "account")]
    create: bool,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    match &args.account {
        Some(account) => bring_back(&args, account, dir, output),
        None => whole(&args, dir, output),
    }
}

fn moment_of(args: &Args) -> Moment {
    args.at.map_or(Moment::Newest, Moment::At)
}

fn whole(args: &Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let folder = existing(&args.src)?;
    let asked =
        Restore { moment: moment_of(args), nothing_since: args.nothing_since, damaged_too: args.damaged_too };
    let (disk, clock): (_, Arc<dyn Clock>) = (disk(), Arc::new(SystemClock));
    let mut rate = Rate::new(args.rate);
    let restored = progress::follow(|work| {
        let into = Target { disk: &disk, clock: &clock, dir, options: StoreOptions::default() };
        restore(&folder, asked, into, &mut rate, work)
    })?;
    output.data(&restored, |out| {
        let Restored { backup, time_ms, accounts, messages, bytes, .. } = &restored;
        writeln!(out, "{}: restored from {backup}, as of {}", dir.display(), show_time(*time_ms))?;
        writeln!(out, "{accounts} accounts, {messages} messages, {}", size::show(*bytes))?;
        match restored.new_uid_validities.as_str() {
            "none" | "0" => Ok(()),
            "all" => writeln!(out, "every mailbox has a new UIDVALIDITY"),
            some => writeln!(out, "{some} mailboxes changed later and have a new UIDVALIDITY"),
        }
    })?;
    restored.damaged.iter().for_each(|damaged| say(damaged));
    if !restored.damaged.is_empty() {
        say("the store was restored with this damage; run `mailcask check --deep`, then `mailcask repair`");
    }
    for lost in &restored.unavailable {
        let (account, mailbox, uids) = (&lost.account, &lost.mailbox, &lost.uids);
        say(&format!("{account}, {mailbox}: UID {uids} are in no backup and are left out"));
    }
    let is_whole = restored.damaged.is_empty() && restored.unavailable.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

#[derive(Default, Serialize)]
struct Brought {
    account: String,
    as_of_ms: u64,
    account_made: bool,
    mailboxes: Vec<String>,
    messages: u64,
    bytes: u64,
    /// Brought by an earlier run.
    there_already: u64,
    damaged: Vec<String>,
    /// What is wrong in the backup: mail may be missing.
    backup_damaged: Vec<String>,
}

fn bring_back(args: &Args, name: &str, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let folder = existing(&args.src)?;
    let plan = plan(&folder, moment_of(args))?;
    let from = open_source(&folder, &plan).context("opening the backup")?;
    let as_of = show_time(plan.time_ms);
    let of = from.account_id(name).with_context(|| format!("there was no account {name} at {as_of}"))?;
    let account = from.account(of)?;
    let mailboxes: Vec<Arc<Mailbox>> = match &args.mailbox {
        Some(wanted) => {
            let found = account.mailbox_named(wanted);
            vec![found.cloned().with_context(|| format!("{name} had no mailbox {wanted} at {as_of}"))?]
        }
        None => account.mailboxes().filter(|mailbox| mailbox.header.exists > 0).cloned().collect(),
    };
    let admin = store::open(dir)?;
    let admin = admin.as_ref();
    let mut brought = Brought {
        account: account.name.to_string(),
        as_of_ms: plan.time_ms,
        backup_damaged: plan.missing.iter().chain(&from.recovery().damage).cloned().collect(),
        ..Brought::default()
    };
    let into = match admin.account_id(name)? {
        Some(into) => into,
        None if args.create => {
            brought.account_made = true;
            let password_hash = account.password_hash.as_deref().map(str::to_owned);
            let quota_bytes = account.quota_bytes;
            let again = AccountAgain { name: account.name.to_string(), password_hash, quota_bytes };
            admin.create_account_again(&again)?
        }
        None => bail!("there is no account {name} in {}; --create makes it again", dir.display()),
    };
    let total: u64 = mailboxes.iter().map(|mailbox| u64::from(mailbox.header.exists)).sum();
    let progress = Progress::new(crate::formats::Total::Files(total))?;
    let mut bringing = Bringing { from, admin, into, progress, brought };
    let outcome = mailboxes.iter().try_for_each(|mailbox| {
        let target = target_name(args, plan.time_ms, &mailbox.header.name);
        bringing.mailbox(mailbox, &target).with_context(|| format!("mailbox {}", mailbox.header.name))
    });
    bringing.progress.finish();
    let brought = bringing.brought;
    outcome.with_context(|| format!("{} messages came back and stay; then", brought.messages))?;
    output.data(&brought, |out| {
        let (messages, bytes) = (brought.messages, size::show(brought.bytes));
        writeln!(out, "{messages} messages ({bytes}) as of {as_of}")?;
        if brought.there_already > 0 {
            writeln!(out, "{} were there already", brought.there_already)?;
        }
        brought.mailboxes.iter().try_for_each(|name| writeln!(out, "{name}"))
    })?;
    admin.close()?;
    for what in &brought.backup_damaged {
        say(&format!("the backup is damaged, mail may be missing: {what}"));
    }
    if !brought.damaged.is_empty() {
        say(&format!("{} messages are damaged in the backup and were left out", brought.damaged.len()));
    }
    let is_whole = brought.damaged.is_empty() && brought.backup_damaged.is_empty();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn target_name(args: &Args, time_ms: u64, name: &str) -> String {
    match (&args.into, &args.mailbox) {
        (Some(into), Some(_)) => into.clone(),
        (Some(into), None) => format!("{into}/{name}"),
        (None, _) => format!("{RESTORED}/{}/{name}", compact_time(time_ms)),
    }
}

struct Bringing<'a> {
    from: Store,
    admin: &'a dyn Admin,
    into: AccountId,
    progress: Progress,
    brought: Brought,
}

impl Bringing<'_> {
    fn mailbox(&mut self, mailbox: &Mailbox, wanted: &str) -> anyhow::Result<()> {
        let uids = mailbox.uids()?;
        let (target, name, there) = self.target(mailbox, wanted)?;
        self.brought.mailboxes.push(name);
        self.brought.there_already += there as u64;
        let mut batch = Vec::new();
        let mut bytes = 0;
        for row in mailbox.rows(&uids).skip(there) {
            let row = row?;
            let Some(message) = self.message(mailbox, &row) else { continue };
            let is_full = batch.len() >= APPEND_MESSAGES_MAX;
            if is_full || (!batch.is_empty() && bytes + u64::from(row.size_bytes) > APPEND_BYTES_MAX) {
                self.append(target, &mut batch, &mut bytes)?;
            }
            bytes += u64::from(row.size_bytes);
            batch.push(message);
        }
        self.append(target, &mut batch, &mut bytes)
    }

    /// `None`: it is damaged, and left out.
    fn message(&mut self, mailbox: &Mailbox, row: &Row) -> Option<NewMessage> {
        let verified = self.from.email(row).and_then(|email| email.verify());
        if let Err(error) = verified {
            let what = format!("{}: UID {}: {error}", mailbox.header.name, row.uid);
            self.progress.note(&what);
            self.brought.damaged.push(what);
            return None;
        }
        let body = Box::new(Stored { store: self.from.clone(), row: row.clone() });
        let flags = mailbox.flag_names(&row.flags).into_iter().map(str::to_owned).collect();
        Some(NewMessage { body, flags, internal_date: Some(row.internal_date) })
    }

    fn append(&mut self, to: MailboxId, batch: &mut Vec<NewMessage>, bytes: &mut u64) -> anyhow::Result<()> {
        if !batch.is_empty() {
            self.admin.append(self.into, to, batch)?;
            self.brought.messages += batch.len() as u64;
            self.brought.bytes += *bytes;
            let position = self.brought.messages + self.brought.there_already;
            self.progress.advance(position, batch.len() as u64);
        }
        batch.clear();
        *bytes = 0;
        Ok(())
    }

    /// The mailbox to fill, and how many rows of the source an earlier run has dealt with: a mailbox of that name when
    /// all in it came from this source in its order, else a new one.
    fn target(&self, mailbox: &Mailbox, wanted: &str) -> anyhow::Result<(MailboxId, String, usize)> {
        for number in 1..1000 {
            let name = if number == 1 { wanted.to_owned() } else { format!("{wanted} ({number})") };
            match store::find_mailbox(self.admin, self.into, &name)? {
                None => {
                    let made = self.admin.create_mailbox(self.into, &name);
                    return Ok((made.map_err(|error| store::refuse(&name, &error))?, name, 0));
                }
                Some(found) => {
                    let mut there = Vec::new();
                    store::each_row(self.admin, self.into, &found, |row| {
                        there.push(row);
                        Ok(())
                    })?;
                    if let Some(dealt_with) = dealt_with(mailbox, &there)? {
                        return Ok((found.id, name, dealt_with));
                    }
                }
            }
        }
        Err(usage(format!("{wanted} and 999 mailboxes like it are in use; choose another with --into")))
    }
}

/// How many rows of the source come before the next one to bring; `None` when something there did not come from it.
/// Rows that were left out, or removed since, are passed over.
fn dealt_with(mailbox: &Mailbox, there: &[RowInfo]) -> anyhow::Result<Option<usize>> {
    let uids = mailbox.uids()?;
    let mut rows = mailbox.rows(&uids);
    let mut dealt_with = 0;
    for found in there {
        loop {
            let Some(row) = rows.next() else { return Ok(None) };
            let row = row?;
            dealt_with += 1;
            if u64::from(row.size_bytes) == found.size_bytes && row.internal_date == found.internal_date {
                break;
            }
        }
    }
    Ok(Some(dealt_with))
}

/// A message of the backup.
struct Stored {
    store: Store,
    row: Row,
}

impl Body for Stored {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let email = self.store.email(&self.row).map_err(io::Error::other)?;
        Ok(Box::new(Reading { email, at: 0, chunk: Vec::new(), from: 0 }))
    }
}

struct Reading {
    email: engine::ops::Email,
    /// The next byte to ask for.
    at: u64,
    chunk: Vec<u8>,
    from: usize,
}

impl Read for Reading {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.from >= self.chunk.len() {
            self.chunk = self.email.read_range(self.at..self.at + CHUNK_BYTES).map_err(io::Error::other)?;
            self.at += self.chunk.len() as u64;
            self.from = 0;
        }
        let count = self.chunk.get(self.from..).unwrap_or_default().read(out)?;
        self.from += count;
        Ok(count)
    }
}
