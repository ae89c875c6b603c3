//! `RETURN (..)` (RFC 4466 section 2.6.1), for SEARCH, ESEARCH and SORT.

use super::cursor::Cursor;
use super::{Parsed, Refusal};
use crate::proto::ast::{PartialRange, ReturnOptions, SearchKey};

/// What follows the word RETURN.
pub(super) fn return_options(cursor: &mut Cursor<'_>) -> Parsed<ReturnOptions> {
    cursor.space()?;
    let mut options = ReturnOptions::default();
    let all = cursor.list(true, return_option)?;
    let is_empty = all.is_empty();
    for option in all {
        add(&mut options, option)?;
    }
    options.all |= is_empty;
    if options.all && options.partial.is_some() {
        return Err(Refusal::bad("PARTIAL and ALL exclude each other"));
    }
    Ok(options)
}

/// RFC 6203 section 4: RELEVANCY is of what FUZZY found.
pub(super) fn check_relevancy(options: &ReturnOptions, key: &SearchKey) -> Parsed<()> {
    match options.relevancy && !key.uses_fuzzy() {
        true => Err(Refusal::bad("RELEVANCY needs a FUZZY key")),
        false => Ok(()),
    }
}

enum ReturnOption {
    Min,
    Max,
    All,
    Count,
    Save,
    Relevancy,
    Update,
    Context,
    Partial(PartialRange),
}

fn return_option(cursor: &mut Cursor<'_>) -> Parsed<ReturnOption> {
    Ok(match cursor.keyword("a RETURN option is missing or malformed")?.as_str() {
        "MIN" => ReturnOption::Min,
        "MAX" => ReturnOption::Max,
        "ALL" => ReturnOption::All,
        "COUNT" => ReturnOption::Count,
        "SAVE" => ReturnOption::Save,
        "RELEVANCY" => ReturnOption::Relevancy,
        "UPDATE" => ReturnOption::Update,
        "CONTEXT" => ReturnOption::Context,
        "PARTIAL" => {
            cursor.space()?;
            ReturnOption::Partial(partial_range(cursor)?)
        }
        _ => return Err(Refusal::bad("unknown RETURN option")),
    })
}

fn add(options: &mut ReturnOptions, option: ReturnOption) -> Parsed<()> {
    match option {
        ReturnOption::Min => options.min = true,
        ReturnOption::Max => options.max = true,
        ReturnOption::All => options.all = true,
        ReturnOption::Count => options.count = true,
        ReturnOption::Save => options.save = true,
        ReturnOption::Relevancy => options.relevancy = true,
        ReturnOption::Update => options.update = true,
        ReturnOption::Context => options.context = true,
        ReturnOption::Partial(range) => {
            if options.partial.replace(range).is_some() {
                return Err(Refusal::bad("PARTIAL may be given once"));
            }
        }
    }
    Ok(())
}

/// `partial-range` (RFC 9394 section 4): both ends from the same side, and no `*`.
pub(super) fn partial_range(cursor: &mut Cursor<'_>) -> Parsed<PartialRange> {
    let from_end = cursor.accept(b'-');
    let from = cursor.nz_number()?;
    cursor.expect(b':', "PARTIAL takes a range: 1:100 or -1:-100")?;
    if cursor.accept(b'-') != from_end {
        return Err(Refusal::bad("both ends of a PARTIAL range are counted from the same side"));
    }
    Ok(PartialRange { from, to: cursor.nz_number()?, from_end })
}
