//! `mailcask import`: mail from files into a mailbox.
//!
//! Laws
//! - A batch is one commit, all of it or none; batches go in the order of the source.
//! - While one batch is committed the next one is read; no more than three are held.
//! - A message that the store will not take (too large, a flag that is none) is named and left out, and
//!   the exit status says so; any other failure ends the import and says how far it came.

use crate::failure::FAILED;
use crate::formats::{Format, Incoming, Source, detect};
use crate::output::Output;
use crate::progress::Progress;
use crate::{size, store};
use anyhow::Context;
use engine::Error;
use engine::attach::{APPEND_BYTES_MAX, APPEND_MESSAGES_MAX, Admin, NewMessage};
use engine::types::{AccountId, MailboxId};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Import an mbox (also .gz), a Maildir with its flags, or a folder of .eml files
#[derive(clap::Args)]
pub struct Args {
    /// Whose mail it becomes
    #[arg(long, value_name = "NAME")]
    account: String,
    /// The mailbox, made when it does not exist
    #[arg(long, value_name = "MAILBOX", default_value = "INBOX")]
    mailbox: String,
    /// What PATH is, when that is not plain from it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// An mbox file, a Maildir, a folder of .eml files or one .eml file. Messages with LF newlines alone
    /// are stored with CRLF; all others byte for byte
    path: PathBuf,
}

/// Messages read together, and how far the source was read with them.
#[derive(Default)]
struct Batch {
    messages: Vec<NewMessage>,
    /// Where each came from, and its size there.
    origins: Vec<(String, u64)>,
    bytes: u64,
    position: u64,
}

#[derive(Default, Serialize)]
struct Summary {
    mailbox: String,
    imported: u64,
    bytes: u64,
    /// Files or mbox entries without a byte in them.
    empty: u64,
    refused: Vec<Refused>,
    seconds: f64,
    messages_per_second: f64,
}

#[derive(Serialize)]
struct Refused {
    message: String,
    why: String,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    // Both before anything is made: a mistyped path leaves no mailbox behind.
    let source = detect::open(&args.path, args.format, engine::mime::date::parse_rfc5322)?;
    let admin = store::open(dir)?;
    let admin = admin.as_ref();
    let account = store::account(admin, &args.account)?;
    let mailbox = target(admin, account, &args.mailbox)?;

    let mut import = Import {
        admin,
        account,
        mailbox,
        progress: Progress::new(source.total())?,
        summary: Summary::default(),
    };
    let outcome = import.run(source);
    import.progress.finish();
    let summary = import.summary(args.mailbox);
    outcome.with_context(|| format!("{} messages are imported and stay; then", summary.imported))?;
    output.data(&summary, |out| {
        writeln!(
            out,
            "{} messages ({}) imported into {} in {:.1} s, {:.0} messages/s",
            summary.imported,
            size::show(summary.bytes),
            summary.mailbox,
            summary.seconds,
            summary.messages_per_second
        )?;
        if summary.empty > 0 {
            writeln!(out, "{} empty ones left out", summary.empty)?;
        }
        Ok(())
    })?;
    admin.close()?;
    if summary.refused.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    crate::failure::say(&format!("{} messages were not imported", summary.refused.len()));
    Ok(ExitCode::from(FAILED))
}

fn target(admin: &dyn Admin, account: AccountId, name: &str) -> anyhow::Result<MailboxId> {
    if let Some(found) = store::find_mailbox(admin, account, name)? {
        return Ok(found.id);
    }
    match admin.create_mailbox(account, name) {
        Err(error @ Error::InvalidName(_)) => Err(store::refuse(name, &error)),
        created => Ok(created?),
    }
}

struct Import<'a> {
    admin: &'a dyn Admin,
    account: AccountId,
    mailbox: MailboxId,
    progress: Progress,
    summary: Summary,
}

impl Import<'_> {
    fn run(&mut self, source: Box<dyn Source>) -> anyhow::Result<()> {
        let (to_commit, batches) = sync_channel(1);
        let reader = thread::Builder::new()
            .name("reader".into())
            .spawn(move || read_batches(source, &to_commit))
            .context("starting a thread")?;
        let committed = self.commit_all(&batches);
        // Dropping the receiver ends a reader that would go on.
        drop(batches);
        let read = reader.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))?;
        committed?;
        self.summary.empty = read?;
        Ok(())
    }

    fn commit_all(&mut self, batches: &Receiver<Batch>) -> anyhow::Result<()> {
        for mut batch in batches {
            let before = self.summary.imported;
            match self.admin.append(self.account, self.mailbox, &mut batch.messages) {
                Ok(appended) => {
                    self.summary.imported += appended.uids.len();
                    self.summary.bytes += batch.bytes;
                }
                Err(error) if is_about_one(&error) => self.one_by_one(&mut batch)?,
                Err(error) => {
                    let (first, _) = batch.origins.into_iter().next().unwrap_or_default();
                    return Err(error).with_context(|| format!("from {first} on"));
                }
            }
            self.progress.advance(batch.position, self.summary.imported - before);
        }
        Ok(())
    }

    /// A batch that was refused for one of its messages: finds out for which.
    fn one_by_one(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        for (message, (origin, size_bytes)) in batch.messages.iter_mut().zip(&batch.origins) {
            match self.admin.append(self.account, self.mailbox, std::slice::from_mut(message)) {
                Ok(appended) => {
                    self.summary.imported += appended.uids.len();
                    self.summary.bytes += size_bytes;
                }
                Err(error) if is_about_one(&error) => {
                    self.progress.note(&format!("{origin}: not imported: {error}"));
                    self.summary.refused.push(Refused { message: origin.clone(), why: error.to_string() });
                }
                Err(error) => return Err(error).with_context(|| format!("from {origin} on")),
            }
        }
        Ok(())
    }

    fn summary(self, mailbox: String) -> Summary {
        Summary {
            mailbox,
            seconds: self.progress.elapsed().as_secs_f64(),
            messages_per_second: self.progress.per_second(),
            ..self.summary
        }
    }
}

/// Errors that one message causes and the next one may not.
fn is_about_one(error: &Error) -> bool {
    matches!(error, Error::Limit(_) | Error::InvalidName(_))
}

/// Reads the source into batches until it ends or nobody takes them; answers the number of empty ones.
fn read_batches(mut source: Box<dyn Source>, to_commit: &SyncSender<Batch>) -> anyhow::Result<u64> {
    let mut empty = 0;
    let mut batch = Batch::default();
    loop {
        let next = source.next();
        let ended = !matches!(next, Ok(Some(_)));
        let failed = match next {
            Ok(Some(message)) if message.body.size_bytes() == 0 => {
                empty += 1;
                None
            }
            Ok(Some(message)) => {
                batch.add(message);
                None
            }
            Ok(None) => None,
            Err(error) => Some(error),
        };
        // What was read whole before a bad place is still good.
        if !batch.messages.is_empty() && (ended || batch.is_full()) {
            batch.position = source.position();
            if to_commit.send(std::mem::take(&mut batch)).is_err() {
                return Ok(empty);
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if ended {
            return Ok(empty);
        }
    }
}

impl Batch {
    fn add(&mut self, message: Incoming) {
        let size_bytes = message.body.size_bytes();
        self.bytes += size_bytes;
        self.origins.push((message.origin, size_bytes));
        self.messages.push(NewMessage {
            body: Box::new(message.body),
            flags: message.flags,
            internal_date: message.internal_date,
        });
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= APPEND_MESSAGES_MAX || self.bytes >= APPEND_BYTES_MAX
    }
}
