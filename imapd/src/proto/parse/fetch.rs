//! FETCH (RFC 3501 section 6.4.5, RFC 7162 section 3.1.4).

use super::cursor::Cursor;
use super::sequence::sequence_set;
use super::{Parsed, Refusal};
use crate::proto::ast::{CommandBody, Fetch, FetchItem, Partial, Section, SectionBody, SectionText};

/// More part numbers than this name no part that is kept apart.
const PATH_MAX: usize = 1000;

pub(super) fn fetch(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    let set = sequence_set(cursor)?;
    cursor.space()?;
    let items =
        if cursor.peek() == Some(b'(') { cursor.list(false, fetch_item)? } else { macro_or_item(cursor)? };
    let mut changed_since = None;
    if cursor.space_before_more() {
        changed_since = Some(changed_since_modifier(cursor)?);
    }
    Ok(CommandBody::Fetch(Fetch { set, uid, items, changed_since }))
}

/// ALL, FAST and FULL stand for lists, outside of parentheses only.
fn macro_or_item(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let name = cursor.keyword("a FETCH item is missing")?;
    match name.as_str() {
        "FAST" => Ok(vec![Flags, InternalDate, Rfc822Size]),
        "ALL" => Ok(vec![Flags, InternalDate, Rfc822Size, Envelope]),
        "FULL" => Ok(vec![Flags, InternalDate, Rfc822Size, Envelope, Body]),
        name => named_item(cursor, name).map(|item| vec![item]),
    }
}

fn fetch_item(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    let name = cursor.keyword("a FETCH item is missing or malformed")?;
    named_item(cursor, &name)
}

fn named_item(cursor: &mut Cursor<'_>, name: &str) -> Parsed<FetchItem> {
    let item = match name {
        "BODY" if cursor.peek() == Some(b'[') => FetchItem::Section(section_body(cursor, false)?),
        "BODY.PEEK" => FetchItem::Section(section_body(cursor, true)?),
        "BODY" => FetchItem::Body,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "ENVELOPE" => FetchItem::Envelope,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "MODSEQ" => FetchItem::ModSeq,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "UID" => FetchItem::Uid,
        _ => return Err(Refusal::bad("unknown FETCH item")),
    };
    Ok(item)
}

/// `[section]<first.length>`.
fn section_body(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<SectionBody> {
    cursor.expect(b'[', "a section in brackets is missing")?;
    let section = section(cursor)?;
    cursor.expect(b']', "a section is malformed or not closed")?;
    let partial = if cursor.accept(b'<') { Some(partial(cursor)?) } else { None };
    Ok(SectionBody { section, peek, partial })
}

fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    let mut path = Vec::new();
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        path.push(cursor.nz_number()?);
        if path.len() > PATH_MAX {
            return Err(Refusal::bad("a section has too many part numbers"));
        }
        if !cursor.accept(b'.') {
            return Ok(Section { path, text: SectionText::All });
        }
    }
    if path.is_empty() && cursor.peek() == Some(b']') {
        return Ok(Section::default());
    }
    let text = section_text(cursor, !path.is_empty())?;
    Ok(Section { path, text })
}

fn section_text(cursor: &mut Cursor<'_>, in_part: bool) -> Parsed<SectionText> {
    match cursor.keyword("a section is malformed")?.as_str() {
        "HEADER" => Ok(SectionText::Header),
        "HEADER.FIELDS" => header_list(cursor).map(SectionText::HeaderFields),
        "HEADER.FIELDS.NOT" => header_list(cursor).map(SectionText::HeaderFieldsNot),
        "TEXT" => Ok(SectionText::Text),
        "MIME" if in_part => Ok(SectionText::Mime),
        "MIME" => Err(Refusal::bad("MIME is asked for a part: BODY[1.MIME]")),
        _ => Err(Refusal::bad("unknown section")),
    }
}

fn header_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    cursor.list(false, Cursor::astring_utf8)
}

fn partial(cursor: &mut Cursor<'_>) -> Parsed<Partial> {
    let first_byte = cursor.number()?;
    cursor.expect(b'.', "a partial is <first.length>")?;
    let length_bytes = cursor.nz_number()?;
    cursor.expect(b'>', "a partial is not closed")?;
    Ok(Partial { first_byte, length_bytes })
}

fn changed_since_modifier(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    let values =
        cursor.list(false, |cursor| match cursor.keyword("a FETCH modifier is missing")?.as_str() {
            "CHANGEDSINCE" => {
                cursor.space()?;
                cursor.mod_sequence_valzer()
            }
            "VANISHED" => Err(Refusal::bad("VANISHED needs QRESYNC, which is not supported")),
            _ => Err(Refusal::bad("unknown FETCH modifier")),
        })?;
    match values.as_slice() {
        [value] => Ok(*value),
        _ => Err(Refusal::bad("CHANGEDSINCE may be given once")),
    }
}
