//! `mailcask import`: mail from files into a mailbox.
//!
//! Laws
//! - A batch is one commit, all of it or none; batches go in the order of the source.
//! - While one batch is committed the next one is read; no more than three are held.
//! - Beside a sidecar of the export, a message gets what that says of it, once its digest is the one it had. With
//!   --keep-uids the mailbox is a new one, and only such messages come into it; it has its name once all are there.
//! - A message that the store will not take (too large, a flag that is none) is named and left out, and
//!   the exit status says so; any other failure ends the import and says how far it came.

use crate::failure::FAILED;
use crate::formats::sidecar::{self, Sidecar, Verdict};
use crate::formats::{Format, Incoming, Source, detect};
use crate::output::Output;
use crate::progress::Progress;
use crate::{size, store};
use anyhow::{Context, bail};
use engine::Error;
use engine::attach::{APPEND_BYTES_MAX, APPEND_MESSAGES_MAX, Admin, NewMessage};
use engine::ops::Kept;
use engine::types::{AccountId, MailboxId, Uid};
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
    /// The mailbox, made when it does not exist [default: INBOX; with --keep-uids the one that was exported]
    #[arg(long, value_name = "MAILBOX")]
    mailbox: Option<String>,
    /// The sidecar of the export, where it is not beside PATH: flags and dates come from it
    #[arg(long, value_name = "FILE")]
    sidecar: Option<PathBuf>,
    /// Give the messages the UIDs and modseqs that the sidecar says, in a new mailbox with its UIDVALIDITY
    #[arg(long)]
    keep_uids: bool,
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
    kept: Vec<Kept>,
    /// What is to be said of messages, and whether they were left out.
    notes: Vec<(String, &'static str, bool)>,
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
    /// With a sidecar: messages that are not as they were exported, or not in it.
    changed: u64,
    /// With a sidecar: messages in it that were not met.
    unmet: u64,
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
    let sidecar = find_sidecar(&args)?;
    let admin = store::open(dir)?;
    let admin = admin.as_ref();
    let account = store::account(admin, &args.account)?;
    let (name, mailbox) = target(admin, account, &args, sidecar.as_ref())?;
    let kept =
        sidecar.as_ref().filter(|_| args.keep_uids).map(|kept| (kept.kept_mailbox(&name), kept.uid_next()));

    let mut import = Import {
        admin,
        account,
        mailbox,
        progress: Progress::new(source.total())?,
        summary: Summary::default(),
    };
    let outcome = import.run(source, sidecar);
    import.progress.finish();
    let summary = import.summary(name);
    outcome.with_context(|| match &kept {
        None => format!("{} messages are imported and stay; then", summary.imported),
        Some((kept, _)) => format!(
            "{} messages are in {}, which the next try begins anew; then",
            summary.imported,
            kept.working_name()
        ),
    })?;
    if let Some((kept, uid_next)) = kept {
        let finished = admin.finish_kept_mailbox(account, mailbox, &kept, uid_next);
        finished.with_context(|| format!("all the mail is in {}; then", kept.working_name()))?;
    }
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
        if summary.changed > 0 {
            writeln!(
                out,
                "{} are not as they were exported, and have only what their file says",
                summary.changed
            )?;
        }
        if summary.unmet > 0 {
            writeln!(out, "{} of the sidecar were not there", summary.unmet)?;
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

/// The one that was said, or the one beside PATH.
fn find_sidecar(args: &Args) -> anyhow::Result<Option<Sidecar>> {
    let beside = sidecar::path_of(&args.path, args.path.is_dir());
    let path = match &args.sidecar {
        Some(path) => path,
        None if beside.exists() => &beside,
        None if args.keep_uids => {
            bail!("--keep-uids needs the sidecar of the export: there is no {}", beside.display())
        }
        None => return Ok(None),
    };
    Sidecar::read(path, args.keep_uids).map(Some)
}

/// The mailbox that the mail goes to, and its name.
fn target(
    admin: &dyn Admin,
    account: AccountId,
    args: &Args,
    sidecar: Option<&Sidecar>,
) -> anyhow::Result<(String, MailboxId)> {
    let kept = sidecar.filter(|_| args.keep_uids);
    let name = args.mailbox.as_deref().unwrap_or(kept.map_or("INBOX", Sidecar::mailbox)).to_owned();
    let found = store::find_mailbox(admin, account, &name)?;
    let created = match (found, kept) {
        (Some(found), Some(_)) if found.uid_next > Uid(1) => {
            bail!(
                "{name} exists already and has given UIDs: they can be kept in a new mailbox only (--mailbox NAME)"
            )
        }
        (Some(found), None) => return Ok((name, found.id)),
        (_, Some(sidecar)) => admin.create_kept_mailbox(account, &sidecar.kept_mailbox(&name)),
        (None, None) => admin.create_mailbox(account, &name),
    };
    match created {
        Err(error @ Error::InvalidName(_)) => Err(store::refuse(&name, &error)),
        created => Ok((name, created?)),
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
    fn run(&mut self, source: Box<dyn Source>, sidecar: Option<Sidecar>) -> anyhow::Result<()> {
        let (to_commit, batches) = sync_channel(1);
        let reader = thread::Builder::new()
            .name("reader".into())
            .spawn(move || read_batches(source, sidecar, &to_commit))
            .context("starting a thread")?;
        let committed = self.commit_all(&batches);
        // Dropping the receiver ends a reader that would go on.
        drop(batches);
        let read = reader.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))?;
        committed?;
        (self.summary.empty, self.summary.unmet) = read?;
        Ok(())
    }

    fn commit_all(&mut self, batches: &Receiver<Batch>) -> anyhow::Result<()> {
        for mut batch in batches {
            let before = self.summary.imported;
            self.tell_notes(&mut batch);
            if batch.messages.is_empty() {
                continue;
            }
            match self.admin.append_kept(self.account, self.mailbox, &mut batch.messages, &batch.kept) {
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

    fn tell_notes(&mut self, batch: &mut Batch) {
        for (message, why, is_left_out) in batch.notes.drain(..) {
            if is_left_out {
                self.progress.note(&format!("{message}: not imported: {why}"));
                self.summary.refused.push(Refused { message, why: why.to_owned() });
            } else {
                self.progress.note(&format!("{message}: {why}"));
                self.summary.changed += 1;
            }
        }
    }

    /// A batch that was refused for one of its messages: finds out for which.
    fn one_by_one(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        let items = batch.messages.iter_mut().zip(&batch.kept).zip(&batch.origins);
        for ((message, kept), (origin, size_bytes)) in items {
            let (message, kept) = (std::slice::from_mut(message), std::slice::from_ref(kept));
            match self.admin.append_kept(self.account, self.mailbox, message, kept) {
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

/// Reads the source into batches until it ends or nobody takes them; answers the number of empty ones, and of those
/// that the sidecar has beside them.
fn read_batches(
    mut source: Box<dyn Source>,
    mut sidecar: Option<Sidecar>,
    to_commit: &SyncSender<Batch>,
) -> anyhow::Result<(u64, u64)> {
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
            Ok(Some(message)) => batch.add(message, sidecar.as_mut()).err(),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        // What was read whole before a bad place is still good.
        if !batch.is_empty() && (ended || batch.is_full()) {
            batch.position = source.position();
            if to_commit.send(std::mem::take(&mut batch)).is_err() {
                return Ok((empty, 0));
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if ended {
            return Ok((empty, sidecar.map_or(0, |sidecar| sidecar.unmet())));
        }
    }
}

impl Batch {
    fn add(&mut self, mut message: Incoming, sidecar: Option<&mut Sidecar>) -> anyhow::Result<()> {
        let kept = match sidecar.map(|sidecar| sidecar.apply(&mut message)).transpose()? {
            None => Kept::default(),
            Some(Verdict::Take(kept)) => kept,
            Some(Verdict::TakeChanged(why)) => {
                self.notes.push((message.origin.clone(), why, false));
                Kept::default()
            }
            Some(Verdict::LeaveOut(why)) => {
                self.notes.push((message.origin, why, true));
                return Ok(());
            }
        };
        self.kept.push(kept);
        let size_bytes = message.body.size_bytes();
        self.bytes += size_bytes;
        self.origins.push((message.origin, size_bytes));
        self.messages.push(NewMessage {
            body: Box::new(message.body),
            flags: message.flags,
            internal_date: message.internal_date,
        });
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.notes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= APPEND_MESSAGES_MAX || self.bytes >= APPEND_BYTES_MAX
    }
}
