//! Where exported messages go.
//!
//! Laws
//! - Nothing that exists is written over: a target that is there already is refused.
//! - The target has its name once it is whole; an export that was interrupted leaves a `.part`.
//! - A message is handed over whole and verified, so a damaged one leaves nothing behind.

use super::Format;
use super::eml::EmlWriter;
use super::from_line;
use super::maildir::MaildirWriter;
use super::mbox_write::Quoter;
use super::sidecar::{Place, with_suffix};
use super::spool::Spool;
use anyhow::{Context, bail};
use engine::types::{Uid, ZonedTime};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A message on its way out of the store.
pub struct Outgoing<'a> {
    pub body: &'a mut Spool,
    pub flags: &'a [String],
    pub internal_date: ZonedTime,
    pub uid: Uid,
}

/// A message that was written.
pub struct Put {
    pub at: Place,
    /// The flags that the format has no place for.
    pub left_out: Vec<String>,
}

pub trait Sink {
    /// Writes one message.
    fn put(&mut self, message: Outgoing<'_>) -> anyhow::Result<Put>;
    fn finish(self: Box<Self>) -> anyhow::Result<()>;
}

/// What is written until all of it is there.
#[must_use]
pub fn part_of(out: &Path) -> PathBuf {
    with_suffix(out, ".part")
}

/// Gives what is whole its name.
pub fn give_name(part: &Path, out: &Path) -> anyhow::Result<()> {
    let rename = || -> io::Result<()> {
        fs::rename(part, out)?;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    rename().with_context(|| format!("giving {} its name", out.display()))
}

/// Makes the target for an export, under the name of `part_of`. `lf`: CRLF becomes LF where it is all that a message has.
pub fn create(format: Format, out: &Path, lf: bool) -> anyhow::Result<Box<dyn Sink>> {
    let empty_dir = out.is_dir() && fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    let taken =
        out.symlink_metadata().is_ok() && !(empty_dir && matches!(format, Format::Maildir | Format::Eml));
    if taken {
        bail!("{} exists already; name a new file or folder to export to", out.display());
    }
    let part = &part_of(out);
    if part.symlink_metadata().is_ok() {
        bail!("{} is of an export that was interrupted; remove it", part.display());
    }
    Ok(match format {
        Format::Mbox => Box::new(MboxWriter::create(part, lf)?),
        Format::Mboxo => bail!("mboxo cannot be written without loss; use --format mbox"),
        Format::Maildir => Box::new(MaildirWriter::create(part, lf)?),
        Format::Eml => Box::new(EmlWriter::create(part, lf)?),
    })
}

/// An mboxrd. Flags go into no header: the messages stay as they are.
struct MboxWriter {
    path: PathBuf,
    file: BufWriter<File>,
    lf: bool,
    written: u64,
}

impl MboxWriter {
    fn create(path: &Path, lf: bool) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(256 * 1024, file), lf, written: 0 })
    }

    fn write(&mut self, message: &mut Outgoing<'_>) -> io::Result<()> {
        let newline = if self.lf { "\n" } else { "\r\n" };
        let sender = from_line::sender_of(message.body.head());
        let line = from_line::write(&sender, message.internal_date);
        write!(self.file, "{line}{newline}")?;
        let mut quoter = Quoter::new(&mut self.file);
        let ends_line = message.body.write_to(&mut quoter, self.lf)?;
        quoter.finish()?;
        if !ends_line {
            // An mbox cannot say that a message's last line has no newline.
            self.file.write_all(newline.as_bytes())?;
        }
        self.file.write_all(newline.as_bytes())
    }
}

impl Sink for MboxWriter {
    fn put(&mut self, mut message: Outgoing<'_>) -> anyhow::Result<Put> {
        self.write(&mut message).with_context(|| format!("writing {}", self.path.display()))?;
        self.written += 1;
        Ok(Put { at: Place::Message(self.written), left_out: message.flags.to_vec() })
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        let end = |file: &mut BufWriter<File>| -> io::Result<()> {
            file.flush()?;
            file.get_ref().sync_all()
        };
        end(&mut self.file).with_context(|| format!("writing {}", self.path.display()))
    }
}

/// Makes a folder's files durable, all at once.
pub fn sync_folder(dir: &Path) -> anyhow::Result<()> {
    let sync = || -> io::Result<()> { Ok(rustix::fs::syncfs(File::open(dir)?)?) };
    sync().with_context(|| format!("syncing {}", dir.display()))
}

/// Gives a file the message's date; dates before 1970 stay away from it.
pub fn set_modified(file: &File, at: ZonedTime) -> io::Result<()> {
    match u64::try_from(at.unix_s).ok().and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s))) {
        Some(at) => file.set_modified(at),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_mbox_of_two() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out.mbox");
        let mut sink = create(Format::Mbox, &out, true).unwrap();
        for (uid, text) in [(1, "Return-Path: <a@b>\r\n\r\nFrom x\r\n"), (2, "A: no newline")] {
            let mut body = Spool::default();
            body.write_all(text.as_bytes()).unwrap();
            let internal_date = ZonedTime::utc(1_009_997_700);
            sink.put(Outgoing { body: &mut body, flags: &[], internal_date, uid: Uid(uid) }).unwrap();
        }
        sink.finish().unwrap();
        assert!(!out.exists());
        give_name(&part_of(&out), &out).unwrap();
        let expected = "From a@b Wed Jan  2 18:55:00 2002\nReturn-Path: <a@b>\n\n>From x\n\n\
                        From MAILER-DAEMON Wed Jan  2 18:55:00 2002\nA: no newline\n\n";
        assert_eq!(fs::read_to_string(&out).unwrap(), expected);
        assert!(create(Format::Mbox, &out, true).is_err(), "an existing file is not written over");
    }
}
