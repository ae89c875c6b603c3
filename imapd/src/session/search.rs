//! SEARCH and UID SEARCH (RFC 3501 section 6.4.4, RFC 7162 section 3.1.5).
//!
//! Laws
//! - The answer is exact for the session's view at the start of the command.
//! - A client that goes away ends the search.

use super::Session;
use super::sink::Out;
use super::stop::{Answer, Done, Stop};
use crate::proto::ast::{Search, SearchKey, SequenceSet};
use crate::proto::write::{self, Code, Status};
use engine::mailbox::Row;
use engine::search::{self, Context, DateIs, DateOf, Key, Messages};
use engine::types::{ModSeq, UidSet};
use engine::{Result as EngineResult, Store};

impl Session {
    /// RFC 3501 section 6.4.4.
    pub(super) fn search(&mut self, search: Search, out: &mut Out) -> Answer {
        self.state.selected()?;
        if search.key.uses_modseq() {
            self.enable_condstore(out)?;
        }
        let store = &self.shared.store;
        let (_, selected) = self.state.selected()?;
        let key = key(&search.key, &|set, uid| selected.messages_or_none(set, uid))?;
        let now_s = i64::try_from(store.now_ms() / 1000).unwrap_or(i64::MAX);
        let context = Context { recent: &selected.recent, now_s, cancel: out.gone() };
        let Some(found) = search::run(&Reader(store), &selected.view, &key, &context)? else {
            return Err(Stop::Gone);
        };
        let mut numbers = Vec::new();
        if search.uid {
            numbers.extend(found.uids.iter());
        } else {
            for row in selected.view.rows(&found.uids) {
                numbers.push(row?.seq);
            }
        }
        write::search(out.buffer(), numbers, found.highest_modseq.map(|modseq| modseq.0));
        if !found.unreadable.is_empty() {
            tracing::error!(messages = found.unreadable.len(), "SEARCH could not read some messages");
            let text = "Some messages could not be read and are left out";
            write::untagged(out.buffer(), Status::No, Some(&Code::Corruption), text);
        }
        Ok(Done::plain())
    }
}

/// A key of the protocol as the engine's; `resolve` says which messages a set means, by number or by
/// UID.
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
        asked => plain_key(asked),
    })
}

/// Reads messages for the search.
struct Reader<'a>(&'a Store);

impl Messages for Reader<'_> {
    fn email_bytes(&self, row: &Row) -> EngineResult<Vec<u8>> {
        self.0.email(row)?.read_all()
    }

    fn header_bytes(&self, row: &Row) -> EngineResult<Vec<u8>> {
        self.0.email(row)?.header()
    }
}

/// The keys that mean the same in every session.
fn plain_key(key: &SearchKey) -> Key {
    let flag = |name: &str| Key::Flag(name.to_owned());
    let date = |of, is, day: &i64| Key::Date { of, is, day: *day };
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
        | SearchKey::Or(..)
        | SearchKey::Not(_)
        | SearchKey::SequenceSet(_)
        | SearchKey::Uid(_) => Key::All,
    }
}
