//! APPEND up to each of its literals (RFC 3501 section 6.3.11, RFC 3502).

use super::cursor::Cursor;
use super::{Parsed, Refusal, store};
use crate::proto::date;
use crate::proto::frame::Piece;
use engine::types::ZonedTime;

/// What a client says of a message before its literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageArguments {
    pub flags: Vec<String>,
    pub internal_date: Option<ZonedTime>,
}

/// Whether the literal announced after these pieces is a message: the command is APPEND, and its
/// mailbox has been given, be it as a literal.
#[must_use]
pub fn message_follows(pieces: &[Piece]) -> bool {
    let mut cursor = Cursor::new(pieces);
    let is_append = cursor.tag().is_ok()
        && cursor.space().is_ok()
        && cursor.keyword("").is_ok_and(|name| name == "APPEND")
        && cursor.space().is_ok();
    is_append && !cursor.at_end()
}

/// `tag APPEND mailbox [flags] [date]`, before the first message.
pub fn first(pieces: &[Piece]) -> Result<(String, String, MessageArguments), Refusal> {
    let mut cursor = Cursor::new(pieces);
    let tag = cursor.tag()?;
    let mut rest = || {
        cursor.space()?;
        cursor.keyword("a command is missing after the tag")?;
        cursor.space()?;
        let mailbox = cursor.mailbox()?;
        Ok((mailbox, arguments(&mut cursor)?))
    };
    match rest() {
        Ok((mailbox, arguments)) => Ok((tag, mailbox, arguments)),
        Err(refusal) => Err(Refusal::with_tag(refusal, Some(tag))),
    }
}

/// ` [flags] [date]` between two messages (RFC 3502 section 6.3.11).
pub fn further(pieces: &[Piece]) -> Result<MessageArguments, Refusal> {
    arguments(&mut Cursor::new(pieces))
}

/// Nothing but the line end after the last message.
pub fn end(pieces: &[Piece]) -> Result<(), Refusal> {
    Cursor::new(pieces).end()
}

/// `[SP flag-list] [SP date-time] SP`, before a literal.
fn arguments(cursor: &mut Cursor<'_>) -> Parsed<MessageArguments> {
    let mut flags = Vec::new();
    let mut internal_date = None;
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        flags = store::flag_list(cursor)?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        let text = super::cursor::utf8(cursor.string()?)?;
        let time = date::parse_date_time(&text);
        internal_date = Some(time.ok_or_else(|| Refusal::bad("the date of APPEND is not a date-time"))?);
        cursor.space()?;
    }
    if !cursor.at_end() {
        return Err(Refusal::bad("APPEND takes a mailbox, flags, a date and a message as a literal"));
    }
    Ok(MessageArguments { flags, internal_date })
}
