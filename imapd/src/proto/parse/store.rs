//! STORE, flags, and the arguments of COPY and MOVE.

use super::cursor::Cursor;
use super::sequence::sequence_set;
use super::{Parsed, Refusal};
use crate::proto::ast::{CommandBody, SequenceSet, Store, StoreOp};

const SYSTEM_FLAGS: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

/// RFC 3501 section 6.4.6, RFC 7162 section 3.1.3.
pub(super) fn store(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    let set = sequence_set(cursor)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        unchanged_since = Some(unchanged_since_modifier(cursor)?);
        cursor.space()?;
    }
    let op = match cursor.peek() {
        Some(b'+') => StoreOp::Add,
        Some(b'-') => StoreOp::Remove,
        _ => StoreOp::Replace,
    };
    if op != StoreOp::Replace {
        cursor.accept(if op == StoreOp::Add { b'+' } else { b'-' });
    }
    let silent = match cursor.keyword("STORE takes FLAGS, +FLAGS or -FLAGS")?.as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Err(Refusal::bad("STORE takes FLAGS, +FLAGS or -FLAGS, each also .SILENT")),
    };
    cursor.space()?;
    let flags = store_flags(cursor)?;
    Ok(CommandBody::Store(Store { set, uid, unchanged_since, op, silent, flags }))
}

fn unchanged_since_modifier(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    let values = cursor.list(false, |cursor| {
        if cursor.keyword("a STORE modifier is missing")? != "UNCHANGEDSINCE" {
            return Err(Refusal::bad("unknown STORE modifier"));
        }
        cursor.space()?;
        cursor.mod_sequence_valzer()
    })?;
    match values.as_slice() {
        [value] => Ok(*value),
        _ => Err(Refusal::bad("UNCHANGEDSINCE may be given once")),
    }
}

/// `(flag-list / (flag *(SP flag)))`.
fn store_flags(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    if cursor.peek() == Some(b'(') {
        return flag_list(cursor);
    }
    let mut flags = Vec::new();
    loop {
        add_flag(&mut flags, flag(cursor)?);
        if !cursor.space_before_more() {
            return Ok(flags);
        }
    }
}

/// `flag-list`.
pub(super) fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut flags = Vec::new();
    for flag in cursor.list(true, flag)? {
        add_flag(&mut flags, flag);
    }
    Ok(flags)
}

fn add_flag(flags: &mut Vec<String>, flag: String) {
    if !flags.iter().any(|known| known.eq_ignore_ascii_case(&flag)) {
        flags.push(flag);
    }
}

/// `flag`: a system flag in its RFC spelling, or a keyword as sent.
fn flag(cursor: &mut Cursor<'_>) -> Parsed<String> {
    if !cursor.accept(b'\\') {
        return flag_keyword(cursor);
    }
    let name = format!("\\{}", cursor.atom("a flag's name is missing after the backslash")?);
    if name.eq_ignore_ascii_case("\\Recent") {
        return Err(Refusal::bad("\\Recent is set by the server only"));
    }
    let known = SYSTEM_FLAGS.into_iter().find(|flag| flag.eq_ignore_ascii_case(&name));
    known.map(str::to_owned).ok_or_else(|| {
        Refusal::bad("unknown system flag: there are \\Answered \\Flagged \\Deleted \\Seen \\Draft")
    })
}

/// `flag-keyword`.
pub(super) fn flag_keyword(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.atom("a flag is missing or malformed")
}

/// RFC 3501 section 6.4.7, RFC 6851 section 3.
pub(super) fn copy_arguments(cursor: &mut Cursor<'_>) -> Parsed<(SequenceSet, String)> {
    cursor.space()?;
    let set = sequence_set(cursor)?;
    cursor.space()?;
    Ok((set, cursor.mailbox()?))
}
