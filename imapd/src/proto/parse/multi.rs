//! ESEARCH (RFC 7377 section 4) and CANCELUPDATE (RFC 5267 section 5).

use super::cursor::{Cursor, utf8};
use super::search::{optional_returns, program};
use super::{Parsed, Refusal};
use crate::proto::ast::{CommandBody, MultiSearch, ReturnOptions, Source};

pub(super) fn multi_search(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mut sources = vec![Source::Selected];
    if cursor.accept_keyword("IN") {
        cursor.space()?;
        sources = cursor.list(false, source)?;
        cursor.space()?;
    }
    // No result option is ALL (section 2.1).
    let returns = optional_returns(cursor)?.unwrap_or(ReturnOptions { all: true, ..Default::default() });
    if returns.save && sources.iter().any(|source| *source != Source::Selected) {
        return Err(Refusal::bad("SAVE is for the selected mailbox alone"));
    }
    let key = program(cursor, Some(&returns))?;
    Ok(CommandBody::MultiSearch(MultiSearch { sources, returns, key }))
}

/// `filter-mailboxes` of RFC 5465 section 8, with RFC 7377's changes. No scope option is defined.
fn source(cursor: &mut Cursor<'_>) -> Parsed<Source> {
    if cursor.peek() == Some(b'(') {
        return Err(Refusal::bad("unknown scope option; none is supported"));
    }
    Ok(match cursor.keyword("a source of ESEARCH is missing or malformed")?.as_str() {
        "SELECTED" => Source::Selected,
        "SELECTED-DELAYED" => return Err(Refusal::bad("ESEARCH takes selected, not selected-delayed")),
        "INBOXES" => Source::Inboxes,
        "PERSONAL" => Source::Personal,
        "SUBSCRIBED" => Source::Subscribed,
        "SUBTREE" => Source::Subtree(mailboxes(cursor)?),
        "SUBTREE-ONE" => Source::SubtreeOne(mailboxes(cursor)?),
        "MAILBOXES" => Source::Mailboxes(mailboxes(cursor)?),
        _ => return Err(Refusal::bad("unknown source of ESEARCH")),
    })
}

/// `one-or-more-mailbox`.
fn mailboxes(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        cursor.list(false, Cursor::mailbox)
    } else {
        Ok(vec![cursor.mailbox()?])
    }
}

/// RFC 5267 section 4.3.5: one or more tags, as strings.
pub(super) fn cancel_update(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mut tags = Vec::new();
    cursor.space()?;
    while tags.is_empty() || cursor.space_before_more() {
        tags.push(utf8(cursor.string()?)?);
    }
    Ok(CommandBody::CancelUpdate(tags))
}
