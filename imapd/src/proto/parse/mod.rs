//! Command lines into `ast`, one file a command group (RFC 3501 section 9).
//!
//! Laws
//! - Keywords are case-insensitive. Where Dovecot is lenient so are we: several spaces for one,
//!   spaces inside parentheses and at the end of the line.
//! - Every failure is a `Refusal` that can be written as it is: it names the tag when there is
//!   one, says what to do, and repeats nothing the client sent.
//! - Recursion is bounded by `search::DEPTH_MAX`; nothing here panics on any input.

pub mod append;
mod cursor;
mod fetch;
mod list;
mod login;
mod mailbox;
mod multi;
mod returns;
pub mod search;
mod sequence;
mod sort;
mod store;

use super::ast::{Command, CommandBody};
use super::frame::Piece;
use super::write::{Code, Status};
use cursor::Cursor;
use std::borrow::Cow;

pub use login::decode_base64;
pub use sequence::parse_sequence_set;

/// Why a command was not understood, ready to be written with `write::refusal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `None`: not even a tag was found, the answer is untagged.
    pub tag: Option<String>,
    /// BAD for what breaks the grammar, NO for what is well formed but cannot be.
    pub status: Status,
    pub code: Option<Code>,
    pub text: Cow<'static, str>,
    /// It was a SEARCH with SAVE: NO empties `$` (RFC 5182 section 2.1).
    pub empties_saved: bool,
}

impl Refusal {
    /// A refusal whose tag is filled in later.
    #[must_use]
    pub fn no(code: Option<Code>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: None, status: Status::No, code, text: text.into(), empties_saved: false }
    }

    #[must_use]
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: None, status: Status::Bad, code: None, text: text.into(), empties_saved: false }
    }

    #[must_use]
    pub fn with_tag(self, tag: Option<String>) -> Self {
        Self { tag, ..self }
    }
}

type Parsed<T> = Result<T, Refusal>;

/// A whole command, APPEND excepted.
pub fn command(pieces: &[Piece]) -> Result<Command, Refusal> {
    let mut cursor = Cursor::new(pieces);
    let tag = cursor.tag()?;
    match command_body(&mut cursor) {
        Ok(body) => Ok(Command { tag, body }),
        Err(refusal) => Err(refusal.with_tag(Some(tag))),
    }
}

/// The tag, when the command begins with one.
#[must_use]
pub fn tag(pieces: &[Piece]) -> Option<String> {
    Cursor::new(pieces).tag().ok()
}

fn command_body(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let name = cursor.keyword("a command is missing after the tag")?;
    let body = match name.as_str() {
        "CAPABILITY" => CommandBody::Capability,
        "NOOP" => CommandBody::Noop,
        "LOGOUT" => CommandBody::Logout,
        "STARTTLS" => CommandBody::StartTls,
        "NAMESPACE" => CommandBody::Namespace,
        "IDLE" => CommandBody::Idle,
        "CHECK" => CommandBody::Check,
        "CLOSE" => CommandBody::Close,
        "UNSELECT" => CommandBody::Unselect,
        "EXPUNGE" => CommandBody::Expunge { uids: None },
        "ID" => login::id(cursor)?,
        "LOGIN" => login::login(cursor)?,
        "AUTHENTICATE" => login::authenticate(cursor)?,
        "ENABLE" => login::enable(cursor)?,
        "SELECT" => mailbox::select(cursor)?,
        "EXAMINE" => mailbox::examine(cursor)?,
        "CREATE" => mailbox::create(cursor)?,
        "DELETE" => mailbox::delete(cursor)?,
        "RENAME" => mailbox::rename(cursor)?,
        "SUBSCRIBE" => mailbox::subscribe(cursor)?,
        "UNSUBSCRIBE" => mailbox::unsubscribe(cursor)?,
        "STATUS" => mailbox::status(cursor)?,
        "LIST" => list::list(cursor)?,
        "LSUB" => list::lsub(cursor)?,
        "ESEARCH" => multi::multi_search(cursor)?,
        "CANCELUPDATE" => multi::cancel_update(cursor)?,
        "APPEND" => return Err(Refusal::bad("APPEND needs a message as a literal")),
        "UID" => uid_command(cursor)?,
        name => message_command(cursor, name, false)?,
    };
    cursor.end()?;
    Ok(body)
}

/// RFC 3501 section 6.4.8, RFC 4315 section 2.1.
fn uid_command(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let name = cursor.keyword("a command is missing after UID")?;
    if name == "EXPUNGE" {
        cursor.space()?;
        return Ok(CommandBody::Expunge { uids: Some(sequence::sequence_set(cursor)?) });
    }
    message_command(cursor, &name, true)
}

fn message_command(cursor: &mut Cursor<'_>, name: &str, uid: bool) -> Parsed<CommandBody> {
    match name {
        "FETCH" => fetch::fetch(cursor, uid),
        "STORE" => store::store(cursor, uid),
        "SEARCH" => search::search(cursor, uid),
        "SORT" => sort::sort(cursor, uid),
        "THREAD" => sort::thread(cursor, uid),
        "COPY" => {
            let (set, mailbox) = store::copy_arguments(cursor)?;
            Ok(CommandBody::Copy { set, uid, mailbox })
        }
        "MOVE" => {
            let (set, mailbox) = store::copy_arguments(cursor)?;
            Ok(CommandBody::Move { set, uid, mailbox })
        }
        _ => Err(Refusal::bad("unknown command")),
    }
}
