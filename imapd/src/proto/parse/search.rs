//! SEARCH keys (RFC 3501 section 6.4.4, RFC 7162 section 3.1.5).

use super::cursor::{Cursor, utf8};
use super::sequence::{begins_sequence_set, sequence_set};
use super::{Parsed, Refusal, store};
use crate::proto::ast::{CommandBody, Search, SearchKey};
use crate::proto::date;
use crate::proto::write::Code;

/// How deep NOT, OR and parentheses may nest.
pub const DEPTH_MAX: usize = 100;

/// The charsets a client may name. UTF-8 holds the other.
const CHARSETS: [&str; 2] = ["US-ASCII", "UTF-8"];

/// `[CHARSET x] key key ..`: the keys of a text that is not a command, as `mailcask search` takes
/// them. There are no literals in it; quoted strings may hold UTF-8.
pub fn parse_keys(text: &str) -> Result<SearchKey, Refusal> {
    let mut cursor = Cursor::from_text(text);
    cursor.skip_spaces();
    let key = charset_and_keys(&mut cursor)?;
    cursor.end()?;
    Ok(key)
}

pub(super) fn search(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    Ok(CommandBody::Search(Search { uid, key: charset_and_keys(cursor)? }))
}

fn charset_and_keys(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let mut keys = Vec::new();
    if !begins_key(cursor) {
        let name = cursor.keyword("a SEARCH key is missing or malformed")?;
        match name.as_str() {
            "CHARSET" => charset(cursor)?,
            "RETURN" => return Err(Refusal::bad("SEARCH RETURN needs ESEARCH, which is not supported")),
            name => keys.push(named_key(cursor, name, 0)?),
        }
    }
    while keys.is_empty() || cursor.space_before_more() {
        keys.push(search_key(cursor, 0)?);
    }
    Ok(all_of(keys))
}

/// Without the name of a key: a set or a list.
fn begins_key(cursor: &Cursor<'_>) -> bool {
    cursor.peek() == Some(b'(') || begins_sequence_set(cursor)
}

/// RFC 3501 section 6.4.4: NO with BADCHARSET for one we do not know.
fn charset(cursor: &mut Cursor<'_>) -> Parsed<()> {
    cursor.space()?;
    let name = cursor.astring()?;
    if !CHARSETS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) {
        let code = Code::BadCharset(CHARSETS.to_vec());
        return Err(Refusal::no(Some(code), "the charset is not known; use UTF-8"));
    }
    cursor.space()
}

fn all_of(mut keys: Vec<SearchKey>) -> SearchKey {
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => key,
        (_, last) => SearchKey::And(keys.into_iter().chain(last).collect()),
    }
}

fn search_key(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
    if depth > DEPTH_MAX {
        return Err(Refusal::bad("SEARCH keys are nested too deeply"));
    }
    if begins_sequence_set(cursor) {
        return sequence_set(cursor).map(SearchKey::SequenceSet);
    }
    if cursor.peek() == Some(b'(') {
        return cursor.list(false, |cursor| search_key(cursor, depth + 1)).map(all_of);
    }
    let name = cursor.keyword("a SEARCH key is missing or malformed")?;
    named_key(cursor, &name, depth)
}

fn named_key(cursor: &mut Cursor<'_>, name: &str, depth: usize) -> Parsed<SearchKey> {
    if let Some(key) = flag_key(name) {
        return Ok(key);
    }
    match name {
        "NOT" => {
            cursor.space()?;
            Ok(SearchKey::Not(Box::new(search_key(cursor, depth + 1)?)))
        }
        "OR" => {
            cursor.space()?;
            let left = Box::new(search_key(cursor, depth + 1)?);
            cursor.space()?;
            Ok(SearchKey::Or(left, Box::new(search_key(cursor, depth + 1)?)))
        }
        _ => key_with_argument(cursor, name),
    }
}

/// Keys without an argument.
fn flag_key(name: &str) -> Option<SearchKey> {
    Some(match name {
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Answered,
        "DELETED" => SearchKey::Deleted,
        "DRAFT" => SearchKey::Draft,
        "FLAGGED" => SearchKey::Flagged,
        "NEW" => SearchKey::New,
        "OLD" => SearchKey::Old,
        "RECENT" => SearchKey::Recent,
        "SEEN" => SearchKey::Seen,
        "UNANSWERED" => SearchKey::Unanswered,
        "UNDELETED" => SearchKey::Undeleted,
        "UNDRAFT" => SearchKey::Undraft,
        "UNFLAGGED" => SearchKey::Unflagged,
        "UNSEEN" => SearchKey::Unseen,
        _ => return None,
    })
}

fn key_with_argument(cursor: &mut Cursor<'_>, name: &str) -> Parsed<SearchKey> {
    let key = match name {
        "BCC" => SearchKey::Bcc(text(cursor)?),
        "BODY" => SearchKey::Body(text(cursor)?),
        "CC" => SearchKey::Cc(text(cursor)?),
        "FROM" => SearchKey::From(text(cursor)?),
        "SUBJECT" => SearchKey::Subject(text(cursor)?),
        "TEXT" => SearchKey::Text(text(cursor)?),
        "TO" => SearchKey::To(text(cursor)?),
        "HEADER" => SearchKey::Header(text(cursor)?, text(cursor)?),
        "BEFORE" => SearchKey::Before(day(cursor)?),
        "ON" => SearchKey::On(day(cursor)?),
        "SINCE" => SearchKey::Since(day(cursor)?),
        "SENTBEFORE" => SearchKey::SentBefore(day(cursor)?),
        "SENTON" => SearchKey::SentOn(day(cursor)?),
        "SENTSINCE" => SearchKey::SentSince(day(cursor)?),
        "LARGER" => SearchKey::Larger(size(cursor)?),
        "SMALLER" => SearchKey::Smaller(size(cursor)?),
        "KEYWORD" => SearchKey::Keyword(keyword(cursor)?),
        "UNKEYWORD" => SearchKey::Unkeyword(keyword(cursor)?),
        "MODSEQ" => modseq(cursor)?,
        "UID" => {
            cursor.space()?;
            SearchKey::Uid(sequence_set(cursor)?)
        }
        _ => return Err(Refusal::bad("unknown SEARCH key")),
    };
    Ok(key)
}

fn text(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    cursor.astring_utf8()
}

fn size(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    cursor.number64()
}

fn keyword(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    store::flag_keyword(cursor)
}

/// `date`, with or without quotes.
fn day(cursor: &mut Cursor<'_>) -> Parsed<i64> {
    let date = text(cursor)?;
    date::parse_date(&date).ok_or_else(|| Refusal::bad("a date is written as 1-Feb-1994"))
}

/// `MODSEQ ["/flags/\\seen" all] n`.
fn modseq(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    cursor.space()?;
    let mut entry = None;
    if cursor.peek() == Some(b'"') {
        entry = Some(utf8(cursor.string()?)?);
        cursor.space()?;
        let kind = cursor.keyword("the entry type of MODSEQ is missing")?;
        if !matches!(kind.as_str(), "PRIV" | "SHARED" | "ALL") {
            return Err(Refusal::bad("the entry type of MODSEQ is priv, shared or all"));
        }
        cursor.space()?;
    }
    Ok(SearchKey::ModSeq { entry, at_least: cursor.mod_sequence_valzer()? })
}
