//! Commands about the connection and who is on it.

use super::cursor::Cursor;
use super::{Parsed, Refusal};
use crate::proto::ast::{CommandBody, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// RFC 2971 section 3.3: at most 30 pairs.
const ID_PAIRS_MAX: usize = 30;

/// RFC 2971 section 3.1.
pub(super) fn id(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    if cursor.peek() != Some(b'(') {
        return match cursor.nstring_utf8()? {
            None => Ok(CommandBody::Id(None)),
            Some(_) => Err(Refusal::bad("ID takes NIL or a list of fields and values")),
        };
    }
    let pairs = cursor.list(true, |cursor| {
        let field = super::cursor::utf8(cursor.string()?)?;
        cursor.space()?;
        Ok((field, cursor.nstring_utf8()?))
    })?;
    if pairs.len() > ID_PAIRS_MAX {
        return Err(Refusal::bad("ID takes at most 30 fields"));
    }
    Ok(CommandBody::Id(Some(pairs)))
}

/// RFC 3501 section 6.2.3.
pub(super) fn login(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let username = cursor.astring_utf8()?;
    cursor.space()?;
    let password = Secret(cursor.astring()?);
    Ok(CommandBody::Login { username, password })
}

/// RFC 3501 section 6.2.2, RFC 4959 section 3.
pub(super) fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mechanism = cursor.atom("the SASL mechanism is missing")?.to_ascii_uppercase();
    let initial_response = match cursor.space_before_more() {
        true => Some(initial_response(&cursor.atom("the initial response is malformed")?)?),
        false => None,
    };
    Ok(CommandBody::Authenticate { mechanism, initial_response })
}

fn initial_response(text: &str) -> Parsed<Secret> {
    if text == "=" {
        return Ok(Secret(Vec::new()));
    }
    decode_base64(text.as_bytes()).map(Secret)
}

/// A line of a SASL exchange (RFC 3501 section 6.2.2). The caller has looked for `*`.
pub fn decode_base64(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text.trim_ascii_end()).map_err(|_| Refusal::bad("the SASL response is not base64"))
}

/// RFC 5161 section 3.1.
pub(super) fn enable(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mut names = Vec::new();
    loop {
        names.push(cursor.atom("ENABLE takes names of extensions")?.to_ascii_uppercase());
        if !cursor.space_before_more() {
            return Ok(CommandBody::Enable(names));
        }
    }
}
