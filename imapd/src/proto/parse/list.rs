//! LIST and LSUB (RFC 3501 sections 6.3.8 and 6.3.9, RFC 6154 section 2).

use super::cursor::Cursor;
use super::{Parsed, Refusal};
use crate::proto::ast::{CommandBody, List};
use crate::proto::utf7;

pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mut only_special_use = false;
    if cursor.peek() == Some(b'(') {
        only_special_use = !cursor.list(true, selection_option)?.is_empty();
        cursor.space()?;
    }
    let (reference, pattern) = reference_and_pattern(cursor)?;
    let mut return_special_use = false;
    if cursor.space_before_more() {
        if cursor.keyword("an argument of LIST is malformed")? != "RETURN" {
            return Err(Refusal::bad("too many arguments for LIST"));
        }
        cursor.space()?;
        return_special_use = cursor.list(true, return_option)?.contains(&ReturnOption::SpecialUse);
    }
    Ok(CommandBody::List(List { reference, pattern, only_special_use, return_special_use }))
}

pub(super) fn lsub(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let (reference, pattern) = reference_and_pattern(cursor)?;
    Ok(CommandBody::Lsub { reference, pattern })
}

fn reference_and_pattern(cursor: &mut Cursor<'_>) -> Parsed<(String, String)> {
    let reference = utf7::decode_pattern(&cursor.astring()?);
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        return Err(Refusal::bad("LIST takes one pattern; LIST-EXTENDED is not supported"));
    }
    Ok((reference, cursor.list_mailbox()?))
}

fn selection_option(cursor: &mut Cursor<'_>) -> Parsed<()> {
    match cursor.keyword("a LIST selection option is missing")?.as_str() {
        "SPECIAL-USE" => Ok(()),
        _ => Err(Refusal::bad("unknown LIST selection option; SPECIAL-USE is supported")),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum ReturnOption {
    SpecialUse,
    /// RFC 3348's attributes are always given.
    Children,
}

fn return_option(cursor: &mut Cursor<'_>) -> Parsed<ReturnOption> {
    match cursor.keyword("a LIST return option is missing")?.as_str() {
        "SPECIAL-USE" => Ok(ReturnOption::SpecialUse),
        "CHILDREN" => Ok(ReturnOption::Children),
        _ => Err(Refusal::bad("unknown LIST return option; SPECIAL-USE and CHILDREN are supported")),
    }
}
