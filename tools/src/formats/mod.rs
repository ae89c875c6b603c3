//! Mail as files: mbox, Maildir and folders of .eml, read and written one message at a time.
//!
//! Laws
//! - Bounded memory: a message is held in a [`spool::Spool`] (memory up to a limit, then an unnamed
//!   temporary file); no folder's messages are ever held together.
//! - Nothing is decoded: a message's bytes come and go as they are. The one change made is that of
//!   newlines (`eol`), and it can be undone exactly.
//! - What was read of a message before an error is never handed on as a message.

pub mod date;
pub mod detect;
pub mod eml;
pub mod eol;
pub mod from_line;
pub mod maildir;
pub mod mbox_read;
pub mod mbox_write;
pub mod sidecar;
pub mod sink;
pub mod spool;

use engine::types::ZonedTime;
use sidecar::Place;
use spool::Spool;

/// A message on its way into the store.
pub struct Incoming {
    pub body: Spool,
    pub flags: Vec<String>,
    pub internal_date: Option<ZonedTime>,
    pub at: Place,
    /// Where it came from, for error messages: `mail.mbox, message 17`.
    pub origin: String,
}

/// Messages out of a file or folder, in order.
pub trait Source: Send {
    /// The next message; `None` at the end.
    fn next(&mut self) -> anyhow::Result<Option<Incoming>>;
    /// How far the source is read, in the unit of [`Source::total`].
    fn position(&self) -> u64;
    /// Bytes of a file, or files of a folder.
    fn total(&self) -> Total;
}

/// What a progress bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    Bytes(u64),
    Files(u64),
}

/// The formats that `--format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One file, messages behind `From ` lines; `>From ` quoted and unquoted as in mboxrd
    #[value(alias = "mboxrd")]
    Mbox,
    /// As mbox, but `>From ` lines are left as they are when read
    Mboxo,
    /// A Maildir, with its flags
    Maildir,
    /// A folder of .eml files, one message each
    Eml,
}

impl Format {
    /// Whether it is a folder of files.
    #[must_use]
    pub fn is_folder(self) -> bool {
        matches!(self, Self::Maildir | Self::Eml)
    }
}
