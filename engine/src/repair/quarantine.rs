//! What goes to quarantine/, and the record of it: a line of JSON for each row that went.
//!
//! Laws
//! - A file there is durable, name and bytes, before what it was copied from goes.
//! - Nothing there is written over but by the same again, and nothing is removed.
//! - What cannot be read of a file is zeros in its copy, and `NAME.unreadable` says where.
//! - The record has facts of rows; no message's text stands in it.

use crate::accounts::Account;
use crate::error::{Error, Result};
use crate::mailbox::{Mailbox, Row};
use crate::sys::patient::BadPieces;
use crate::txn::Core;
use crate::types::MessageNo;
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

const FOLDER: &str = "quarantine";
const COPY_BYTES: u64 = 1 << 20;

/// The rows that went, in `quarantine/REPAIR-TIME.jsonl`.
pub struct Journal {
    name: String,
    /// Lines that are not durable yet.
    waiting: Vec<u8>,
    written_bytes: u64,
}

impl Journal {
    pub fn new(core: &Core) -> Self {
        Self { name: format!("REPAIR-{}.jsonl", core.clock.now_ms()), waiting: Vec::new(), written_bytes: 0 }
    }

    /// Notes a row that is to go.
    pub fn row(
        &mut self,
        account: &Account,
        mailbox: &Mailbox,
        row: &Row,
        why: &str,
        raw: Option<&str>,
        is_recovered: bool,
    ) {
        let line = json!({
            "account": account.id,
            "account_name": account.name,
            "mailbox": mailbox.header.id,
            "mailbox_name": mailbox.header.name,
            "uid_validity": mailbox.header.uid_validity,
            "uid": row.uid,
            "modseq": row.modseq,
            "message": row.message,
            "email": row.email,
            "thread": row.thread,
            "flags": mailbox.flag_names(&row.flags),
            "internal_date": row.internal_date,
            "save_date_s": row.save_date_s,
            "sent": row.sent,
            "size_bytes": row.size_bytes,
            "why": why,
            "stored_bytes_in": raw,
            "recovered": is_recovered,
        });
        self.waiting.extend_from_slice(line.to_string().as_bytes());
        self.waiting.push(b'\n');
    }

    /// What was noted is durable when this returns.
    pub fn make_durable(&mut self, core: &Core) -> Result<()> {
        let disk = core.log.disk();
        let path = core.log.dir().join(FOLDER).join(&self.name);
        let write = || {
            let file = if disk.exists(&path) { disk.open(&path)? } else { disk.create(&path)? };
            let at = if self.written_bytes == 0 { file.len_bytes()? } else { self.written_bytes };
            file.write_all_at(&self.waiting, at)?;
            file.sync_data()?;
            disk.sync_dir(&core.log.dir().join(FOLDER))?;
            Ok(at)
        };
        let at = write().map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
        self.written_bytes = at + self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// The file's name, if there is one.
    pub fn into_name(self) -> Option<String> {
        (self.written_bytes > 0).then_some(self.name)
    }
}

/// Copies what is stored of a message. `None`: nothing is.
pub fn message(core: &Core, message: MessageNo, why: &str) -> Result<Option<String>> {
    match core.log.quarantine_message(message, why) {
        Ok(path) => Ok(Some(file_name(&path))),
        Err(Error::NoSuchMessage | Error::Corrupt { .. } | Error::Damaged { .. }) => Ok(None),
        Err(Error::Io { source, .. }) if is_gone(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nothing is there: the disk itself is well.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// A name in the quarantine that is not taken.
fn free_name(core: &Core, name: &str) -> PathBuf {
    let folder = core.log.dir().join(FOLDER);
    let numbered = (1..u32::MAX).map(|number| folder.join(format!("{name}.{number}")));
    let mut names = std::iter::once(folder.join(name)).chain(numbered);
    names.find(|path| !core.log.disk().exists(path)).unwrap_or_else(|| folder.join(name))
}

/// Copies a file; its name there, unless it is gone.
pub fn copy(core: &Core, from: &Path) -> Result<Option<String>> {
    let disk = core.log.disk();
    let to = free_name(core, &file_name(from));
    let copy = || -> io::Result<()> {
        let source = disk.open(from)?;
        let len = source.len_bytes()?;
        let target = disk.create(&to)?;
        let (mut at, mut bad) = (0, BadPieces::default());
        while at < len {
            let mut bytes = vec![0; (len - at).min(COPY_BYTES) as usize];
            bad.read(&*source, &mut bytes, at)?;
            target.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        target.sync_data()?;
        if !bad.all().is_empty() {
            let note = disk.create(&free_name(core, &format!("{}.unreadable", file_name(&to))))?;
            note.write_all_at(bad.note().as_bytes(), 0)?;
            note.sync_data()?;
        }
        disk.sync_dir(&core.log.dir().join(FOLDER))
    };
    match copy() {
        Ok(()) => Ok(Some(file_name(&to))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("copying {}", from.display()), error)),
    }
}

/// Moves a file; its name there, unless it is gone.
pub fn take(core: &Core, from: &Path) -> Result<Option<String>> {
    let disk = core.log.disk();
    let to = free_name(core, &file_name(from));
    let moved = || -> io::Result<()> {
        disk.rename(from, &to)?;
        disk.sync_dir(&core.log.dir().join(FOLDER))?;
        from.parent().map_or(Ok(()), |folder| disk.sync_dir(folder))
    };
    match moved() {
        Ok(()) => Ok(Some(file_name(&to))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("moving {}", from.display()), error)),
    }
}
