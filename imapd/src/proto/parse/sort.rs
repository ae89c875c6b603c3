//! SORT and THREAD (RFC 5256 section 5, RFC 5267 section 5, RFC 5957 section 5, RFC 6203 section 7).

use super::cursor::Cursor;
use super::{Parsed, Refusal, search};
use crate::proto::ast::{CommandBody, SORT_KEYS, Sort, SortCriterion, THREAD_ALGORITHMS, Thread};
use engine::search::SortKey;

/// RFC 5256 BASE.6.4.SORT; RETURN is RFC 5267 section 3.
pub(super) fn sort(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    let returns = search::optional_returns(cursor)?;
    let by = cursor.list(false, sort_criterion)?;
    let key = search::criteria(cursor, returns.as_ref())?;
    let by_relevancy = by.iter().any(|criterion| matches!(criterion, SortCriterion::Relevancy { .. }));
    if by_relevancy && !key.uses_fuzzy() {
        return Err(Refusal::bad("RELEVANCY needs a FUZZY key"));
    }
    Ok(CommandBody::Sort(Sort { uid, returns, by, key }))
}

/// RFC 5256 BASE.6.4.THREAD.
pub(super) fn thread(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<CommandBody> {
    cursor.space()?;
    let name = cursor.atom("a threading algorithm is missing")?;
    let known = THREAD_ALGORITHMS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
    let Some((_, by)) = known else {
        return Err(Refusal::bad("THREAD knows ORDEREDSUBJECT, REFERENCES and REFS"));
    };
    Ok(CommandBody::Thread(Thread { uid, by, key: search::criteria(cursor, None)? }))
}

/// `["REVERSE" SP] sort-key`.
fn sort_criterion(cursor: &mut Cursor<'_>) -> Parsed<SortCriterion> {
    let mut name = cursor.keyword("a sort criterion is missing or malformed")?;
    let reverse = name == "REVERSE";
    if reverse {
        cursor.space()?;
        name = cursor.keyword("a sort criterion is missing after REVERSE")?;
    }
    if name == "RELEVANCY" {
        return Ok(SortCriterion::Relevancy { reverse });
    }
    let known = SORT_KEYS.into_iter().find(|(known, _)| *known == name);
    let (_, by) = known.ok_or_else(|| Refusal::bad("unknown sort criterion"))?;
    Ok(SortCriterion::Key(SortKey { by, reverse }))
}
