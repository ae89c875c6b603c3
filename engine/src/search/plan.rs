//! A key made ready: patterns folded once, flags looked up, the cheapest tests first.

use super::key::{DateIs, DateOf, Key};
use super::run::Context;
use crate::error::{Error, Result};
use crate::mailbox::{Chunk, FlagId, Mailbox, Row};
use crate::text::Pattern;
use crate::types::{EmailId, ModSeq, ThreadId, UidSet, ZonedTime};

/// How deep keys nest. Parsers have narrower limits; this one guards the stack from the rest.
const DEPTH_MAX: usize = 200;

/// A key made ready for one mailbox.
pub enum Test {
    Const(bool),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Uids(UidSet),
    Flag(FlagId),
    Recent,
    Date {
        of: DateOf,
        is: DateIs,
        day: i64,
    },
    /// INTERNALDATE at or before that second.
    NotAfter(i64),
    /// INTERNALDATE at or after it.
    NotBefore(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(ModSeq),
    EmailId(EmailId),
    ThreadId(ThreadId),
    Text(Box<TextTest>),
}

/// A test that the row does not answer.
pub enum TextTest {
    /// `name` in lower case.
    Header {
        name: String,
        pattern: Pattern,
    },
    Body(Pattern),
    Text(Pattern),
}

/// A row, wherever it is.
#[derive(Clone, Copy)]
pub enum Cells<'a> {
    Chunk(&'a Chunk, usize),
    Row(&'a Row),
}

impl Test {
    pub fn new(key: &Key, mailbox: &Mailbox, context: &Context<'_>) -> Result<Self> {
        Self::at_depth(key, mailbox, context, 0)
    }

    fn at_depth(key: &Key, mailbox: &Mailbox, context: &Context<'_>, depth: usize) -> Result<Self> {
        if depth > DEPTH_MAX {
            return Err(Error::Limit(format!("search keys nest deeper than {DEPTH_MAX}")));
        }
        let inner = |key: &Key| Self::at_depth(key, mailbox, context, depth + 1);
        let flag = |name: &str| mailbox.flag_id(name).map_or(Self::Const(false), Self::Flag);
        Ok(match key {
            Key::All | Key::SaveDateSupported => Self::Const(true),
            Key::And(keys) => Self::All(cheapest_first(keys.iter().map(inner).collect::<Result<_>>()?)),
            Key::Or(a, b) => Self::Any(cheapest_first(vec![inner(a)?, inner(b)?])),
            Key::Not(key) => Self::Not(Box::new(inner(key)?)),
            Key::Uids(uids) => Self::Uids(uids.clone()),
            Key::Flag(name) => flag(name),
            Key::Recent => Self::Recent,
            Key::New => Self::All(vec![Self::Recent, Self::Not(Box::new(flag("\\Seen")))]),
            Key::Old => Self::Not(Box::new(Self::Recent)),
            Key::Date { of, is, day } => Self::Date { of: *of, is: *is, day: *day },
            Key::Older(s) => Self::NotAfter(context.now_s - i64::from(*s)),
            Key::Younger(s) => Self::NotBefore(context.now_s - i64::from(*s)),
            Key::Larger(bytes) => Self::Larger(*bytes),
            Key::Smaller(bytes) => Self::Smaller(*bytes),
            Key::ModSeq(modseq) => Self::ModSeq(*modseq),
            Key::EmailId(email) => Self::EmailId(*email),
            Key::ThreadId(thread) => Self::ThreadId(*thread),
            Key::Header { name, string } => Self::Text(Box::new(TextTest::Header {
                name: name.to_ascii_lowercase(),
                pattern: Pattern::new(string),
            })),
            // The empty string is in every text (RFC 3501 section 6.4.4 excepts only HEADER).
            Key::Body(string) | Key::Text(string) if string.is_empty() => Self::Const(true),
            Key::Body(string) => Self::Text(Box::new(TextTest::Body(Pattern::new(string)))),
            Key::Text(string) => Self::Text(Box::new(TextTest::Text(Pattern::new(string)))),
        })
    }

    /// 0 for rows, 1 for headers, 2 for bodies.
    fn cost(&self) -> u8 {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().map(Self::cost).max().unwrap_or(0),
            Self::Not(test) => test.cost(),
            Self::Text(test) if matches!(**test, TextTest::Header { .. }) => 1,
            Self::Text(_) => 2,
            _ => 0,
        }
    }

    /// The UIDs outside of which nothing can match, where the key says so at once.
    pub fn scope(&self) -> Option<UidSet> {
        match self {
            Self::Uids(uids) => Some(uids.clone()),
            Self::All(tests) => tests.iter().filter_map(Self::scope).reduce(|a, b| a.intersect(&b)),
            _ => None,
        }
    }

    /// What the row alone says; None when the text decides.
    pub fn by_row(&self, row: Cells<'_>, recent: &UidSet) -> Option<bool> {
        Some(match self {
            Self::Const(value) => *value,
            Self::All(tests) => return settle(tests, false, |test| test.by_row(row, recent)),
            Self::Any(tests) => return settle(tests, true, |test| test.by_row(row, recent)),
            Self::Not(test) => !test.by_row(row, recent)?,
            Self::Uids(uids) => uids.contains(row.uid()),
            Self::Flag(flag) => row.has_flag(*flag),
            Self::Recent => recent.contains(row.uid()),
            Self::Date { of, is, day } => row.day(*of).is_some_and(|own| match is {
                DateIs::Before => own < *day,
                DateIs::On => own == *day,
                DateIs::Since => own >= *day,
            }),
            Self::NotAfter(second) => row.internal_date().unix_s <= *second,
            Self::NotBefore(second) => row.internal_date().unix_s >= *second,
            Self::Larger(bytes) => row.size_bytes() > *bytes,
            Self::Smaller(bytes) => row.size_bytes() < *bytes,
            Self::ModSeq(modseq) => row.modseq() >= *modseq,
            Self::EmailId(email) => row.email() == *email,
            Self::ThreadId(thread) => row.thread() == *thread,
            Self::Text(_) => return None,
        })
    }

    /// The whole answer, with the texts at hand.
    pub fn decide(
        &self,
        row: &Row,
        recent: &UidSet,
        text: &mut dyn FnMut(&TextTest) -> Result<bool>,
    ) -> Result<bool> {
        match self {
            Self::All(tests) => decide_all(tests, false, &mut |test| test.decide(row, recent, text)),
            Self::Any(tests) => decide_all(tests, true, &mut |test| test.decide(row, recent, text)),
            Self::Not(test) => Ok(!test.decide(row, recent, text)?),
            Self::Text(test) => text(test),
            test => Ok(test.by_row(Cells::Row(row), recent).unwrap_or(false)),
        }
    }
}

fn cheapest_first(mut tests: Vec<Test>) -> Vec<Test> {
    tests.sort_by_key(Test::cost);
    tests
}

/// AND (`decisive` false) and OR (true) over what is known.
fn settle(tests: &[Test], decisive: bool, answer: impl Fn(&Test) -> Option<bool>) -> Option<bool> {
    let mut open = false;
    for test in tests {
        match answer(test) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}

fn decide_all(tests: &[Test], decisive: bool, answer: &mut dyn FnMut(&Test) -> Result<bool>) -> Result<bool> {
    for test in tests {
        if answer(test)? == decisive {
            return Ok(decisive);
        }
    }
    Ok(!decisive)
}

impl Cells<'_> {
    fn uid(self) -> u32 {
        match self {
            Self::Chunk(chunk, i) => chunk.uid(i).0,
            Self::Row(row) => row.uid.0,
        }
    }

    fn has_flag(self, flag: FlagId) -> bool {
        match self {
            Self::Chunk(chunk, i) => chunk.has_flag(i, flag),
            Self::Row(row) => row.flags.contains(flag),
        }
    }

    fn internal_date(self) -> ZonedTime {
        match self {
            Self::Chunk(chunk, i) => chunk.internal_date(i),
            Self::Row(row) => row.internal_date,
        }
    }

    fn day(self, of: DateOf) -> Option<i64> {
        match (of, self) {
            (DateOf::Internal, _) => Some(self.internal_date().local_day()),
            (DateOf::Sent, Self::Chunk(chunk, i)) => chunk.sent(i).map(ZonedTime::local_day),
            (DateOf::Sent, Self::Row(row)) => row.sent.map(ZonedTime::local_day),
            (DateOf::Saved, Self::Chunk(chunk, i)) => Some(ZonedTime::utc(chunk.save_date_s(i)).local_day()),
            (DateOf::Saved, Self::Row(row)) => Some(ZonedTime::utc(row.save_date_s).local_day()),
        }
    }

    fn size_bytes(self) -> u64 {
        u64::from(match self {
            Self::Chunk(chunk, i) => chunk.size_bytes(i),
            Self::Row(row) => row.size_bytes,
        })
    }

    fn modseq(self) -> ModSeq {
        match self {
            Self::Chunk(chunk, i) => chunk.modseq(i),
            Self::Row(row) => row.modseq,
        }
    }

    fn email(self) -> EmailId {
        match self {
            Self::Chunk(chunk, i) => chunk.email(i),
            Self::Row(row) => row.email,
        }
    }

    fn thread(self) -> ThreadId {
        match self {
            Self::Chunk(chunk, i) => chunk.thread(i),
            Self::Row(row) => row.thread,
        }
    }
}
