//! The sidecar of an export: what mail in files cannot say. JSON lines, the mailbox first, then each message.
//!
//! Laws
//! - A line is found by the message's place in the export (its number in an mbox, its file's name), and believed only
//!   where the digest says that it is the same message.
//! - The digest is of the bytes as they were stored. Newlines that a format changed or added are taken back where that
//!   gives the digest again.
//! - A message that could not be exported has a line too, with why.

use super::Incoming;
use super::spool::Form;
use anyhow::{Context, bail};
use engine::attach::{MailboxInfo, RowInfo};
use engine::ops::{Kept, KeptMailbox};
use engine::types::{ModSeq, Uid, UidValidity, ZonedTime};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
/// Its name in a folder, and behind the name of a file.
const NAME: &str = "mailcask.jsonl";

/// Where a message is in an export.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Counted from 1.
    Message(u64),
    /// Its name; of a Maildir, without the flags.
    File(String),
}

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Facts {
    mailcask_sidecar: u32,
    mailbox: String,
    uid_validity: UidValidity,
    uid_next: Uid,
    highest_modseq: ModSeq,
    subscribed: bool,
    special_use: Option<String>,
}

/// Every other line.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Place>,
    uid: Uid,
    modseq: ModSeq,
    flags: Vec<String>,
    internal_date: ZonedTime,
    save_date_s: i64,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

/// Where the sidecar of an export to `out` is.
#[must_use]
pub fn path_of(out: &Path, is_folder: bool) -> PathBuf {
    if is_folder { out.join(NAME) } else { with_suffix(out, &format!(".{NAME}")) }
}

/// The path with something behind its name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

pub struct SidecarWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl SidecarWriter {
    pub fn create(path: PathBuf, mailbox: &MailboxInfo) -> anyhow::Result<Self> {
        let file = File::create_new(&path).with_context(|| format!("creating {}", path.display()))?;
        let mut this = Self { path, out: BufWriter::new(file) };
        this.line(&Facts {
            mailcask_sidecar: VERSION,
            mailbox: mailbox.name.clone(),
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_modseq: mailbox.highest_modseq,
            subscribed: mailbox.subscribed,
            special_use: mailbox.special_use.clone(),
        })?;
        Ok(this)
    }

    pub fn exported(&mut self, row: &RowInfo, at: Place, digest: blake3::Hash) -> anyhow::Result<()> {
        let blake3 = Some(digest.to_hex().to_string());
        self.line(&Line { at: Some(at), blake3, ..line_of(row) })
    }

    pub fn damaged(&mut self, row: &RowInfo, why: &str) -> anyhow::Result<()> {
        self.line(&Line { damaged: Some(why.to_owned()), ..line_of(row) })
    }

    fn line(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut write = || -> std::io::Result<()> {
            serde_json::to_writer(&mut self.out, line)?;
            self.out.write_all(b"\n")
        };
        write().with_context(|| format!("writing {}", self.path.display()))
    }

    pub fn finish(mut self) -> anyhow::Result<()> {
        let end = |out: &mut BufWriter<File>| {
            out.flush()?;
            out.get_ref().sync_all()
        };
        end(&mut self.out).with_context(|| format!("writing {}", self.path.display()))
    }
}

fn line_of(row: &RowInfo) -> Line {
    Line {
        at: None,
        uid: row.uid,
        modseq: row.modseq,
        flags: row.flags.clone(),
        internal_date: row.internal_date,
        save_date_s: row.save_date_s,
        size_bytes: row.size_bytes,
        blake3: None,
        damaged: None,
    }
}

/// A sidecar read again.
pub struct Sidecar {
    facts: Facts,
    lines: HashMap<Place, Line>,
    /// UIDs whose messages could not be exported.
    pub damaged: Vec<Uid>,
    keep_uids: bool,
}

/// What becomes of a message beside which there is a sidecar.
pub enum Verdict {
    Take(Kept),
    /// Taken, but not as the one that was exported.
    TakeChanged(&'static str),
    LeaveOut(&'static str),
}

impl Sidecar {
    /// With `keep_uids`, only what is in it and unchanged is taken, with its numbers.
    pub fn read(path: &Path, keep_uids: bool) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        let mut lines = BufReader::new(file).lines();
        let bad = |number: usize| format!("{}, line {number}", path.display());
        let first = lines.next().transpose().with_context(|| bad(1))?.unwrap_or_default();
        let facts: Facts =
            serde_json::from_str(&first).with_context(|| format!("{} is no sidecar", path.display()))?;
        if facts.mailcask_sidecar != VERSION {
            bail!("{} is a sidecar of version {}", path.display(), facts.mailcask_sidecar);
        }
        let mut this = Self { facts, lines: HashMap::new(), damaged: Vec::new(), keep_uids };
        for (line, number) in lines.zip(2..) {
            let line: Line =
                serde_json::from_str(&line.with_context(|| bad(number))?).with_context(|| bad(number))?;
            this.facts.uid_next = this.facts.uid_next.max(line.uid.next());
            this.facts.highest_modseq = this.facts.highest_modseq.max(line.modseq);
            match line.at.clone() {
                Some(at) => drop(this.lines.insert(at, line)),
                None => this.damaged.push(line.uid),
            }
        }
        Ok(this)
    }

    #[must_use]
    pub fn mailbox(&self) -> &str {
        &self.facts.mailbox
    }

    #[must_use]
    pub fn uid_next(&self) -> Uid {
        self.facts.uid_next
    }

    #[must_use]
    pub fn kept_mailbox(&self, name: &str) -> KeptMailbox {
        KeptMailbox {
            name: name.to_owned(),
            uid_validity: self.facts.uid_validity,
            highest_modseq: self.facts.highest_modseq,
            special_use: self.facts.special_use.clone(),
            subscribed: self.facts.subscribed,
        }
    }

    /// How many messages of the export were not met.
    #[must_use]
    pub fn unmet(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Gives a message what the sidecar says of it.
    pub fn apply(&mut self, message: &mut Incoming) -> anyhow::Result<Verdict> {
        let Some(line) = self.lines.remove(&message.at) else {
            return Ok(self.unknown("it is not in the sidecar"));
        };
        let Some(form) = form_of(message, line.blake3.as_deref())? else {
            return Ok(self.unknown("it is not the message that was exported: its digest is another"));
        };
        message.body.set_form(form);
        message.flags = line.flags;
        message.internal_date = Some(line.internal_date);
        Ok(Verdict::Take(if self.keep_uids {
            Kept { uid: Some(line.uid), modseq: Some(line.modseq), save_date_s: Some(line.save_date_s) }
        } else {
            Kept::default()
        }))
    }

    fn unknown(&self, why: &'static str) -> Verdict {
        if self.keep_uids { Verdict::LeaveOut(why) } else { Verdict::TakeChanged(why) }
    }
}

/// The form in which the message has the digest.
fn form_of(message: &mut Incoming, digest: Option<&str>) -> anyhow::Result<Option<Form>> {
    for form in Form::ALL {
        let found = message.body.digest(form).with_context(|| format!("reading {} again", message.origin))?;
        if digest == Some(found.to_hex().as_str()) {
            return Ok(Some(form));
        }
    }
    Ok(None)
}
