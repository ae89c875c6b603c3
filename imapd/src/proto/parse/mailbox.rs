//! Commands about whole mailboxes (RFC 3501 section 6.3).

use super::cursor::Cursor;
use super::{Parsed, Refusal};
use crate::proto::ast::{CommandBody, StatusItem};

/// RFC 3501 section 6.3.1.
pub(super) fn select(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let (mailbox, condstore) = select_arguments(cursor)?;
    Ok(CommandBody::Select { mailbox, condstore })
}

/// RFC 3501 section 6.3.2.
pub(super) fn examine(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let (mailbox, condstore) = select_arguments(cursor)?;
    Ok(CommandBody::Examine { mailbox, condstore })
}

/// The name, and RFC 4466 section 2.4's parameters, of which RFC 7162 section 3.1.8 defines one.
fn select_arguments(cursor: &mut Cursor<'_>) -> Parsed<(String, bool)> {
    cursor.space()?;
    let mailbox = cursor.mailbox()?;
    if !cursor.space_before_more() {
        return Ok((mailbox, false));
    }
    cursor.list(false, |cursor| match cursor.keyword("a SELECT parameter is missing")?.as_str() {
        "CONDSTORE" => Ok(()),
        "QRESYNC" => Err(Refusal::bad("QRESYNC is not supported; CONDSTORE is")),
        _ => Err(Refusal::bad("unknown SELECT parameter")),
    })?;
    Ok((mailbox, true))
}

/// RFC 3501 section 6.3.3, RFC 6154 section 3.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mailbox = one_mailbox(cursor)?;
    if !cursor.space_before_more() {
        return Ok(CommandBody::Create { mailbox, special_use: Vec::new() });
    }
    let uses =
        cursor.list(false, |cursor| match cursor.keyword("a CREATE parameter is missing")?.as_str() {
            "USE" => {
                cursor.space()?;
                cursor.list(true, use_attribute)
            }
            _ => Err(Refusal::bad("unknown CREATE parameter")),
        })?;
    Ok(CommandBody::Create { mailbox, special_use: uses.into_iter().flatten().collect() })
}

fn use_attribute(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.expect(b'\\', "a special use begins with a backslash")?;
    Ok(format!("\\{}", cursor.atom("a special use is missing after the backslash")?))
}

/// RFC 3501 section 6.3.4.
pub(super) fn delete(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(CommandBody::Delete { mailbox: one_mailbox(cursor)? })
}

/// RFC 3501 section 6.3.5.
pub(super) fn rename(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let from = one_mailbox(cursor)?;
    let to = one_mailbox(cursor)?;
    Ok(CommandBody::Rename { from, to })
}

/// RFC 3501 section 6.3.6.
pub(super) fn subscribe(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(CommandBody::Subscribe { mailbox: one_mailbox(cursor)? })
}

/// RFC 3501 section 6.3.7.
pub(super) fn unsubscribe(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(CommandBody::Unsubscribe { mailbox: one_mailbox(cursor)? })
}

/// RFC 3501 section 6.3.10, RFC 7162 section 3.1.7, RFC 7889 section 3.1, RFC 8438 section 2.
pub(super) fn status(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mailbox = one_mailbox(cursor)?;
    cursor.space()?;
    let items = cursor.list(false, |cursor| {
        let name = cursor.keyword("a STATUS item is missing")?;
        let item = StatusItem::ALL.into_iter().find(|item| item.name() == name);
        item.ok_or_else(|| Refusal::bad("unknown STATUS item"))
    })?;
    Ok(CommandBody::Status { mailbox, items })
}

fn one_mailbox(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    cursor.mailbox()
}
