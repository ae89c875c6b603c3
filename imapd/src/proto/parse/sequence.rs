//! `sequence-set` (RFC 3501 section 9), with the `$` of RFC 5182 section 3 wherever a range may be.

use super::cursor::Cursor;
use super::{Parsed, Refusal};
use crate::proto::ast::{SeqNumber, SequenceSet};

/// A sequence set that is the whole text.
pub fn parse_sequence_set(text: &str) -> Result<SequenceSet, Refusal> {
    let mut cursor = Cursor::from_text(text);
    let set = sequence_set(&mut cursor)?;
    cursor.end()?;
    Ok(set)
}

pub(super) fn sequence_set(cursor: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    let mut set = SequenceSet::from(Vec::new());
    loop {
        if cursor.accept(b'$') {
            set.saved = true;
        } else {
            let first = seq_number(cursor)?;
            let last = if cursor.accept(b':') { seq_number(cursor)? } else { first };
            set.ranges.push((first, last));
        }
        if !cursor.accept(b',') {
            return Ok(set);
        }
    }
}

pub(super) fn begins_sequence_set(cursor: &Cursor<'_>) -> bool {
    begins_number(cursor) || cursor.peek() == Some(b'$')
}

fn begins_number(cursor: &Cursor<'_>) -> bool {
    cursor.peek().is_some_and(|byte| byte.is_ascii_digit() || byte == b'*')
}

fn seq_number(cursor: &mut Cursor<'_>) -> Parsed<SeqNumber> {
    if cursor.accept(b'*') {
        return Ok(SeqNumber::Largest);
    }
    if !begins_number(cursor) {
        return Err(Refusal::bad("a message set is missing or malformed"));
    }
    cursor.nz_number().map(SeqNumber::Number)
}
