//! `mailcask export`: a mailbox's messages into files.
//!
//! Laws
//! - A message is written only after the whole of it was checked against its digest. A damaged one is
//!   left out, named (in the sidecar too), and makes the exit status 1; the others are exported.
//! - OUT has its name once it is whole. What an interrupted export leaves is called OUT.part.
//! - Messages appended while the export runs may or may not be in it; every other one is, once.

use crate::failure::{FAILED, say};
use crate::formats::sidecar::{self, SidecarWriter};
use crate::formats::sink::{self, Outgoing, Sink};
use crate::formats::spool::{Form, Spool};
use crate::formats::{Format, Total};
use crate::output::Output;
use crate::progress::Progress;
use crate::{size, store};
use anyhow::{Context, bail};
use clap::ValueEnum;
use engine::Error;
use engine::attach::{Admin, MailboxInfo, RowInfo};
use engine::types::AccountId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Export a mailbox to an mbox file, a Maildir or a folder of .eml files
#[derive(clap::Args)]
pub struct Args {
    /// Whose mail
    #[arg(long, value_name = "NAME")]
    account: String,
    #[arg(long, value_name = "MAILBOX", default_value = "INBOX")]
    mailbox: String,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// Newlines of the exported messages [default: lf for mbox and maildir, crlf for eml]
    #[arg(long, value_enum)]
    eol: Option<Eol>,
    /// Write a sidecar too: UIDs, modseqs, flags, dates and digests, for `import` to give back. Beside an mbox
    /// OUT.mailcask.jsonl, in a folder mailcask.jsonl
    #[arg(long)]
    sidecar: bool,
    /// A new file (mbox) or a new or empty folder
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Eol {
    /// CRLF becomes LF in messages that have nothing else
    Lf,
    /// Byte for byte as stored
    Crlf,
}

#[derive(Default, Serialize)]
struct Summary {
    exported: u64,
    bytes: u64,
    damaged: Vec<Damaged>,
    /// Flags that the format has no place for.
    flags_left_out: BTreeSet<String>,
    seconds: f64,
    messages_per_second: f64,
}

#[derive(Serialize)]
struct Damaged {
    uid: u32,
    why: String,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let admin = store::open(dir)?;
    let admin = admin.as_ref();
    let account = store::account(admin, &args.account)?;
    let mailbox = store::mailbox(admin, account, &args.mailbox)?;
    let lf = match args.eol {
        Some(eol) => eol == Eol::Lf,
        None => args.format != Format::Eml,
    };
    let target = Target::of(&args)?;
    let sink = sink::create(args.format, &args.out, lf)?;
    let sidecar = args.sidecar.then(|| SidecarWriter::create(target.sidecar_part(), &mailbox)).transpose()?;
    let progress = Progress::new(Total::Files(u64::from(mailbox.messages)))?;
    let mut export =
        Export { admin, account, mailbox: &mailbox, sink, sidecar, progress, summary: Summary::default() };
    let outcome = export.run();
    export.progress.finish();
    let part = target.part.display();
    outcome.with_context(|| format!("after {} messages, which are in {part}", export.summary.exported))?;
    let summary = export.finish()?;
    target.give_names(args.sidecar)?;
    tell(&summary, &args.out, output)?;
    admin.close()?;
    Ok(if summary.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn tell(summary: &Summary, out_path: &Path, output: &Output) -> anyhow::Result<()> {
    output.data(summary, |out| {
        writeln!(
            out,
            "{} messages ({}) exported to {} in {:.1} s, {:.0} messages/s",
            summary.exported,
            size::show(summary.bytes),
            out_path.display(),
            summary.seconds,
            summary.messages_per_second
        )
    })?;
    if !summary.flags_left_out.is_empty() {
        let flags: Vec<&str> = summary.flags_left_out.iter().map(String::as_str).collect();
        say(&format!("the format has no place for these flags: {}", flags.join(" ")));
    }
    if !summary.damaged.is_empty() {
        say(&format!("{} messages are damaged and were left out", summary.damaged.len()));
    }
    Ok(())
}

/// Where the export goes, and what it is called until it is whole.
struct Target {
    out: PathBuf,
    part: PathBuf,
    is_folder: bool,
}

impl Target {
    fn of(args: &Args) -> anyhow::Result<Self> {
        let is_folder = args.format.is_folder();
        let this = Self { out: args.out.clone(), part: sink::part_of(&args.out), is_folder };
        let sidecar = sidecar::path_of(&this.out, is_folder);
        for taken in [&sidecar, &sink::part_of(&sidecar)] {
            if args.sidecar && taken.symlink_metadata().is_ok() {
                bail!("{} exists already; name a new file or folder to export to", taken.display());
            }
        }
        Ok(this)
    }

    /// A folder's is in it, and becomes whole with it.
    fn sidecar_part(&self) -> PathBuf {
        if self.is_folder {
            sidecar::path_of(&self.part, true)
        } else {
            sink::part_of(&sidecar::path_of(&self.out, false))
        }
    }

    fn give_names(&self, has_sidecar: bool) -> anyhow::Result<()> {
        if has_sidecar && !self.is_folder {
            sink::give_name(&self.sidecar_part(), &sidecar::path_of(&self.out, false))?;
        }
        sink::give_name(&self.part, &self.out)
    }
}

struct Export<'a> {
    admin: &'a dyn Admin,
    account: AccountId,
    mailbox: &'a MailboxInfo,
    sink: Box<dyn Sink>,
    sidecar: Option<SidecarWriter>,
    progress: Progress,
    summary: Summary,
}

impl Export<'_> {
    fn run(&mut self) -> anyhow::Result<()> {
        store::each_row(self.admin, self.account, self.mailbox, |row| self.one(row))
    }

    fn one(&mut self, row: RowInfo) -> anyhow::Result<()> {
        let mut body = Spool::default();
        match self.admin.read(self.account, self.mailbox.id, row.uid, &mut body) {
            Ok(_) => {}
            // Another session expunged it meanwhile.
            Err(Error::NoSuchMessage | Error::Expunged) => return Ok(()),
            Err(error @ (Error::Damaged { .. } | Error::Corrupt { .. })) => {
                self.progress.note(&format!("UID {}: left out: {error}", row.uid));
                if let Some(sidecar) = &mut self.sidecar {
                    sidecar.damaged(&row, &error.to_string())?;
                }
                self.summary.damaged.push(Damaged { uid: row.uid.0, why: error.to_string() });
                return Ok(());
            }
            Err(error) => return Err(error).with_context(|| format!("reading UID {}", row.uid)),
        }
        self.summary.bytes += body.size_bytes();
        let digest = self.sidecar.is_some().then(|| body.digest(Form::EXACT)).transpose()?;
        let message =
            Outgoing { body: &mut body, flags: &row.flags, internal_date: row.internal_date, uid: row.uid };
        let put = self.sink.put(message)?;
        if let (Some(sidecar), Some(digest)) = (&mut self.sidecar, digest) {
            sidecar.exported(&row, put.at, digest)?;
        } else {
            self.summary.flags_left_out.extend(put.left_out);
        }
        self.summary.exported += 1;
        self.progress.advance(self.summary.exported, 1);
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Summary> {
        if let Some(sidecar) = self.sidecar {
            sidecar.finish()?;
        }
        self.sink.finish()?;
        Ok(Summary {
            seconds: self.progress.elapsed().as_secs_f64(),
            messages_per_second: self.progress.per_second(),
            ..self.summary
        })
    }
}
