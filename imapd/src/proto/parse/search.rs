//! SEARCH and its keys (RFC 3501 section 6.4.4, RFC 4466 section 2.6.1, RFC 5032, RFC 6203, RFC 7162
//! section 3.1.5, RFC 8474 section 6, RFC 8514 section 4.3).

use super::cursor::{Cursor, utf8};
use super::returns::{check_relevancy, return_options};
use super::sequence::{begins_sequence_set, sequence_set};
use super::{Parsed, Refusal, store};
use crate::proto::ast::{CommandBody, ReturnOptions, Search, SearchKey};
use crate::proto::date;
use crate::proto::write::{Code, Status};
use engine::text::{decode_charset, is_known_charset};

/// How deep NOT, OR and parentheses may nest.
pub const DEPTH_MAX: usize = 100;

/// RFC 8474 section 7.
const OBJECT_ID_BYTES_MAX: usize = 255;

/// What BADCHARSET names: all others that `engine::text` decodes are understood too.
const CHARSETS: [&str; 8] =
    ["US-ASCII", "UTF-8", "ISO-8859-1", "ISO-8859-15", "WINDOWS-1252", "KOI8-R", "ISO-2022-JP", "GB18030"];

/// `[CHARSET x] key key ..`: the keys of a text that is not a command, as `mailcask search` takes
/// them. There are no literals in it; quoted strings may hold UTF-8.
pub fn parse_keys(text: &str) -> Result<SearchKey, Refusal> {
    let mut cursor = Cursor::from_text(text);
    cursor.skip_spaces();
    let key = charset_and_keys(&mut cursor)?;
    cursor.end()?;
    if key.any(&|key| matches!(key, SearchKey::SequenceSet(set) | SearchKey::Uid(set) if set.saved)) {
        return Err(Refusal::bad("$ is what a session has saved, and there is none"));
    }
    Ok(key)
}

pub(super) fn search(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    let returns = optional_returns(cursor)?;
    let key = program(cursor, returns.as_ref())?;
    Ok(CommandBody::Search(Search { uid, returns, key }))
}

/// `[RETURN (..) SP]`.
pub(super) fn optional_returns(cursor: &mut Cursor<'_>) -> Parsed<Option<ReturnOptions>> {
    if !cursor.accept_keyword("RETURN") {
        return Ok(None);
    }
    let returns = return_options(cursor)?;
    cursor.space()?;
    Ok(Some(returns))
}

/// `search-program`, and whether the options fit it.
pub(super) fn program(cursor: &mut Cursor<'_>, returns: Option<&ReturnOptions>) -> Parsed<SearchKey> {
    fitting(cursor, returns, charset_and_keys)
}

/// A search program whose RETURN options fit it.
fn fitting<'a>(
    cursor: &mut Cursor<'a>,
    returns: Option<&ReturnOptions>,
    program: impl FnOnce(&mut Cursor<'a>) -> Parsed<SearchKey>,
) -> Parsed<SearchKey> {
    let saves = returns.is_some_and(|returns| returns.save);
    let key = program(cursor).map_err(|refusal| {
        let empties_saved = saves && refusal.status == Status::No;
        Refusal { empties_saved, ..refusal }
    })?;
    if let Some(returns) = returns {
        check_relevancy(returns, &key)?;
    }
    Ok(key)
}

/// `charset 1*(SP search-key)` after a space, and whether the options fit it: SORT and THREAD always name
/// the charset (RFC 5256 section 5).
pub(super) fn criteria(cursor: &mut Cursor<'_>, returns: Option<&ReturnOptions>) -> Parsed<SearchKey> {
    fitting(cursor, returns, |cursor| {
        cursor.space()?;
        let charset = Charset::parse(cursor)?;
        cursor.space()?;
        keys(cursor, &charset)
    })
}

fn charset_and_keys(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let mut charset = Charset::default();
    if cursor.accept_keyword("CHARSET") {
        cursor.space()?;
        charset = Charset::parse(cursor)?;
        cursor.space()?;
    }
    keys(cursor, &charset)
}

/// `search-key *(SP search-key)`.
pub(super) fn keys(cursor: &mut Cursor<'_>, charset: &Charset) -> Parsed<SearchKey> {
    let mut keys = Vec::new();
    while keys.is_empty() || cursor.space_before_more() {
        keys.push(search_key(cursor, charset, 0)?);
    }
    Ok(all_of(keys))
}

/// How the strings of a search are spelled: what CHARSET named, else UTF-8.
#[derive(Debug, Default)]
pub(super) struct Charset(Option<Vec<u8>>);

impl Charset {
    /// RFC 3501 section 6.4.4: NO with BADCHARSET for one we do not know.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let name = cursor.astring()?;
        if !is_known_charset(&name) {
            let code = Code::BadCharset(CHARSETS.to_vec());
            return Err(Refusal::no(Some(code), "the charset is not known; use UTF-8"));
        }
        let is_utf8 = ["US-ASCII", "UTF-8"].iter().any(|same| name.eq_ignore_ascii_case(same.as_bytes()));
        Ok(Self((!is_utf8).then_some(name)))
    }

    fn text(&self, bytes: Vec<u8>) -> Parsed<String> {
        match &self.0 {
            None => utf8(bytes),
            Some(name) => Ok(decode_charset(Some(name), &bytes).into_owned()),
        }
    }
}

fn all_of(mut keys: Vec<SearchKey>) -> SearchKey {
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => key,
        (_, last) => SearchKey::And(keys.into_iter().chain(last).collect()),
    }
}

fn search_key(cursor: &mut Cursor<'_>, charset: &Charset, depth: usize) -> Parsed<SearchKey> {
    if depth > DEPTH_MAX {
        return Err(Refusal::bad("SEARCH keys are nested too deeply"));
    }
    if begins_sequence_set(cursor) {
        return sequence_set(cursor).map(SearchKey::SequenceSet);
    }
    if cursor.peek() == Some(b'(') {
        return cursor.list(false, |cursor| search_key(cursor, charset, depth + 1)).map(all_of);
    }
    let name = cursor.keyword("a SEARCH key is missing or malformed")?;
    named_key(cursor, charset, &name, depth)
}

fn named_key(cursor: &mut Cursor<'_>, charset: &Charset, name: &str, depth: usize) -> Parsed<SearchKey> {
    if let Some(key) = flag_key(name) {
        return Ok(key);
    }
    match name {
        "NOT" => {
            cursor.space()?;
            Ok(SearchKey::Not(Box::new(search_key(cursor, charset, depth + 1)?)))
        }
        "OR" => {
            cursor.space()?;
            let left = Box::new(search_key(cursor, charset, depth + 1)?);
            cursor.space()?;
            Ok(SearchKey::Or(left, Box::new(search_key(cursor, charset, depth + 1)?)))
        }
        "FUZZY" => {
            cursor.space()?;
            Ok(SearchKey::Fuzzy(Box::new(search_key(cursor, charset, depth + 1)?)))
        }
        _ => key_with_argument(cursor, charset, name),
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
        "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        "SEEN" => SearchKey::Seen,
        "UNANSWERED" => SearchKey::Unanswered,
        "UNDELETED" => SearchKey::Undeleted,
        "UNDRAFT" => SearchKey::Undraft,
        "UNFLAGGED" => SearchKey::Unflagged,
        "UNSEEN" => SearchKey::Unseen,
        _ => return None,
    })
}

fn key_with_argument(cursor: &mut Cursor<'_>, charset: &Charset, name: &str) -> Parsed<SearchKey> {
    let key = match name {
        "BCC" => SearchKey::Bcc(text(cursor, charset)?),
        "BODY" => SearchKey::Body(text(cursor, charset)?),
        "CC" => SearchKey::Cc(text(cursor, charset)?),
        "FROM" => SearchKey::From(text(cursor, charset)?),
        "SUBJECT" => SearchKey::Subject(text(cursor, charset)?),
        "TEXT" => SearchKey::Text(text(cursor, charset)?),
        "TO" => SearchKey::To(text(cursor, charset)?),
        "HEADER" => SearchKey::Header(text(cursor, charset)?, text(cursor, charset)?),
        "BEFORE" => SearchKey::Before(day(cursor)?),
        "ON" => SearchKey::On(day(cursor)?),
        "SINCE" => SearchKey::Since(day(cursor)?),
        "SAVEDBEFORE" => SearchKey::SavedBefore(day(cursor)?),
        "SAVEDON" => SearchKey::SavedOn(day(cursor)?),
        "SAVEDSINCE" => SearchKey::SavedSince(day(cursor)?),
        "SENTBEFORE" => SearchKey::SentBefore(day(cursor)?),
        "SENTON" => SearchKey::SentOn(day(cursor)?),
        "SENTSINCE" => SearchKey::SentSince(day(cursor)?),
        "LARGER" => SearchKey::Larger(size(cursor)?),
        "SMALLER" => SearchKey::Smaller(size(cursor)?),
        "KEYWORD" => SearchKey::Keyword(keyword(cursor)?),
        "UNKEYWORD" => SearchKey::Unkeyword(keyword(cursor)?),
        "OLDER" => SearchKey::Older(interval(cursor)?),
        "YOUNGER" => SearchKey::Younger(interval(cursor)?),
        "EMAILID" => SearchKey::EmailId(object_id(cursor)?),
        "THREADID" => SearchKey::ThreadId(object_id(cursor)?),
        "MODSEQ" => modseq(cursor)?,
        "UID" => {
            cursor.space()?;
            SearchKey::Uid(sequence_set(cursor)?)
        }
        _ => return Err(Refusal::bad("unknown SEARCH key")),
    };
    Ok(key)
}

fn text(cursor: &mut Cursor<'_>, charset: &Charset) -> Parsed<String> {
    cursor.space()?;
    charset.text(cursor.astring()?)
}

/// Seconds (RFC 5032 section 4).
fn interval(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    cursor.space()?;
    cursor.nz_number()
}

/// `objectid` (RFC 8474 section 7).
fn object_id(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    let id = cursor.atom("an object identifier is missing")?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match id.len() <= OBJECT_ID_BYTES_MAX && id.bytes().all(is_part) {
        true => Ok(id),
        false => Err(Refusal::bad("an object identifier is letters, digits, - and _, at most 255")),
    }
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
    cursor.space()?;
    let date = cursor.astring_utf8()?;
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
