//! FETCH (RFC 3501 section 6.4.5, RFC 7162 section 3.1.4, RFC 8970 section 6, RFC 9394 section 3.3).

use super::cursor::Cursor;
use super::returns::partial_range;
use super::sequence::sequence_set;
use super::{Parsed, Refusal};
use crate::proto::ast::{
    CommandBody, Fetch, FetchItem, Partial, PartialRange, Section, SectionBody, SectionText,
};

/// More part numbers than this name no part that is kept apart.
const PATH_MAX: usize = 1000;

pub(super) fn fetch(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    let set = sequence_set(cursor)?;
    cursor.space()?;
    let items =
        if cursor.peek() == Some(b'(') { cursor.list(false, fetch_item)? } else { macro_or_item(cursor)? };
    let mut fetch = Fetch { set, uid, items, changed_since: None, partial: None };
    if cursor.space_before_more() {
        for modifier in cursor.list(false, modifier)? {
            add_modifier(&mut fetch, modifier)?;
        }
    }
    Ok(CommandBody::Fetch(fetch))
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
        "EMAILID" => FetchItem::EmailId,
        "ENVELOPE" => FetchItem::Envelope,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "MODSEQ" => FetchItem::ModSeq,
        "PREVIEW" => FetchItem::Preview { lazy: preview_modifiers(cursor)? },
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "SAVEDATE" => FetchItem::SaveDate,
        "THREADID" => FetchItem::ThreadId,
        "UID" => FetchItem::Uid,
        _ => return Err(Refusal::bad("unknown FETCH item")),
    };
    Ok(item)
}

/// `[SP "(" "LAZY" ")"]`; whether it is there. Any other list behind PREVIEW is that of the FETCH
/// modifiers.
fn preview_modifiers(cursor: &mut Cursor<'_>) -> Parsed<bool> {
    let mut ahead = cursor.clone();
    ahead.skip_spaces();
    let is_list = ahead.accept(b'(');
    ahead.skip_spaces();
    let is_lazy = |name: Parsed<String>| name.is_ok_and(|name| name == "LAZY");
    if !is_list || !is_lazy(ahead.keyword("a PREVIEW modifier is missing")) {
        return Ok(false);
    }
    cursor.space()?;
    cursor.list(false, |cursor| match cursor.keyword("a PREVIEW modifier is malformed")?.as_str() {
        "LAZY" => Ok(()),
        _ => Err(Refusal::bad("unknown PREVIEW modifier")),
    })?;
    Ok(true)
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

/// `fetch-modifier` (RFC 4466 section 2.5).
enum Modifier {
    ChangedSince(u64),
    Partial(PartialRange),
}

fn modifier(cursor: &mut Cursor<'_>) -> Parsed<Modifier> {
    match cursor.keyword("a FETCH modifier is missing")?.as_str() {
        "CHANGEDSINCE" => {
            cursor.space()?;
            cursor.mod_sequence_valzer().map(Modifier::ChangedSince)
        }
        "PARTIAL" => {
            cursor.space()?;
            partial_range(cursor).map(Modifier::Partial)
        }
        "VANISHED" => Err(Refusal::bad("VANISHED needs QRESYNC, which is not supported")),
        _ => Err(Refusal::bad("unknown FETCH modifier")),
    }
}

fn add_modifier(fetch: &mut Fetch, modifier: Modifier) -> Parsed<()> {
    let twice = match modifier {
        Modifier::ChangedSince(modseq) => fetch.changed_since.replace(modseq).is_some(),
        Modifier::Partial(_) if !fetch.uid => return Err(Refusal::bad("PARTIAL is for UID FETCH")),
        Modifier::Partial(range) => fetch.partial.replace(range).is_some(),
    };
    if twice { Err(Refusal::bad("a FETCH modifier may be given once")) } else { Ok(()) }
}
