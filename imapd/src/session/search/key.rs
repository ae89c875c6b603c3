//! Keys of the protocol as the engine's.

use crate::proto::ast::{SearchKey, SequenceSet};
use crate::proto::object_id;
use engine::search::{DateIs, DateOf, Key};
use engine::types::{ModSeq, UidSet};

/// `resolve` says which messages a set means, by number or by UID.
pub fn key<E>(
    asked: &SearchKey,
    resolve: &dyn Fn(&SequenceSet, bool) -> Result<UidSet, E>,
) -> Result<Key, E> {
    Ok(match asked {
        SearchKey::SequenceSet(set) => Key::Uids(resolve(set, false)?),
        SearchKey::Uid(set) => Key::Uids(resolve(set, true)?),
        SearchKey::And(keys) => {
            Key::And(keys.iter().map(|asked| key(asked, resolve)).collect::<Result<_, E>>()?)
        }
        SearchKey::Or(left, right) => Key::or(key(left, resolve)?, key(right, resolve)?),
        SearchKey::Not(asked) => Key::not(key(asked, resolve)?),
        SearchKey::Fuzzy(asked) => Key::Fuzzy(Box::new(key(asked, resolve)?)),
        asked => plain_key(asked),
    })
}

/// The keys that mean the same in every session.
fn plain_key(key: &SearchKey) -> Key {
    let flag = |name: &str| Key::Flag(name.to_owned());
    let date = |of, is, day: &i64| Key::Date { of, is, day: *day };
    let none = || Key::not(Key::All);
    match key {
        SearchKey::Answered => flag("\\Answered"),
        SearchKey::Deleted => flag("\\Deleted"),
        SearchKey::Draft => flag("\\Draft"),
        SearchKey::Flagged => flag("\\Flagged"),
        SearchKey::Seen => flag("\\Seen"),
        SearchKey::Keyword(name) => flag(name),
        SearchKey::Unanswered => Key::not(flag("\\Answered")),
        SearchKey::Undeleted => Key::not(flag("\\Deleted")),
        SearchKey::Undraft => Key::not(flag("\\Draft")),
        SearchKey::Unflagged => Key::not(flag("\\Flagged")),
        SearchKey::Unseen => Key::not(flag("\\Seen")),
        SearchKey::Unkeyword(name) => Key::not(flag(name)),
        SearchKey::Recent => Key::Recent,
        SearchKey::New => Key::New,
        SearchKey::Old => Key::Old,
        SearchKey::Before(day) => date(DateOf::Internal, DateIs::Before, day),
        SearchKey::On(day) => date(DateOf::Internal, DateIs::On, day),
        SearchKey::Since(day) => date(DateOf::Internal, DateIs::Since, day),
        SearchKey::SentBefore(day) => date(DateOf::Sent, DateIs::Before, day),
        SearchKey::SentOn(day) => date(DateOf::Sent, DateIs::On, day),
        SearchKey::SentSince(day) => date(DateOf::Sent, DateIs::Since, day),
        SearchKey::SavedBefore(day) => date(DateOf::Saved, DateIs::Before, day),
        SearchKey::SavedOn(day) => date(DateOf::Saved, DateIs::On, day),
        SearchKey::SavedSince(day) => date(DateOf::Saved, DateIs::Since, day),
        SearchKey::SaveDateSupported => Key::SaveDateSupported,
        SearchKey::Older(seconds) => Key::Older(*seconds),
        SearchKey::Younger(seconds) => Key::Younger(*seconds),
        SearchKey::EmailId(id) => object_id::email(id).map_or_else(none, Key::EmailId),
        SearchKey::ThreadId(id) => object_id::thread(id).map_or_else(none, Key::ThreadId),
        SearchKey::Larger(bytes) => Key::Larger(*bytes),
        SearchKey::Smaller(bytes) => Key::Smaller(*bytes),
        SearchKey::ModSeq { at_least, .. } => Key::ModSeq(ModSeq(*at_least)),
        SearchKey::Bcc(string) => Key::header("Bcc", string),
        SearchKey::Cc(string) => Key::header("Cc", string),
        SearchKey::From(string) => Key::header("From", string),
        SearchKey::Subject(string) => Key::header("Subject", string),
        SearchKey::To(string) => Key::header("To", string),
        SearchKey::Header(name, string) => Key::header(name, string),
        SearchKey::Body(string) => Key::Body(string.clone()),
        SearchKey::Text(string) => Key::Text(string.clone()),
        // Those made of other keys and of sets are not plain; `key` has taken them.
        SearchKey::All
        | SearchKey::And(_)
        | SearchKey::Fuzzy(_)
        | SearchKey::Or(..)
        | SearchKey::Not(_)
        | SearchKey::SequenceSet(_)
        | SearchKey::Uid(_) => Key::All,
    }
}
