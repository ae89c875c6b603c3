//! What was read of one message, and the sections in it.
//!
//! Laws
//! - A message over `HELD_BYTES` of which only the whole or its text is asked is never held whole: it
//!   is read through once to see that it is sound, then sent range by range.
//! - What cannot be read is known before the response begins; so no announced literal is cut short.

use super::plan::{Need, Plan};
use crate::proto::ast::Partial;
use engine::mailbox::Row;
use engine::mime::{Part, SectionSpec, What, section};
use engine::ops::Email;
use engine::{Error, Store};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

/// Larger messages are sent in ranges where that is possible.
const HELD_BYTES: u64 = 256 << 10;
/// Bytes read and sent at once.
pub const RANGE_BYTES: u64 = 128 << 10;

pub enum Source {
    Nothing,
    Header(Vec<u8>),
    Whole { raw: Vec<u8>, tree: OnceCell<Part> },
    Large { email: Email, header: Vec<u8> },
}

/// The bytes of a section.
pub enum Text<'a> {
    /// There is no such part.
    Nil,
    Bytes(Cow<'a, [u8]>),
    /// To be read from the message, range by range.
    Range(Range<u64>),
}

impl Source {
    /// Reads what the plan needs.
    pub fn load(store: &Store, row: &Row, plan: &Plan) -> Result<Self, Error> {
        if plan.need == Need::Columns {
            return Ok(Self::Nothing);
        }
        let email = store.email(row)?;
        match plan.need {
            Need::Columns => Ok(Self::Nothing),
            Need::Header => Ok(Self::Header(email.header()?)),
            Need::Bytes if email.size_bytes() > HELD_BYTES => Self::large(email, plan),
            Need::Bytes | Need::Parts => Ok(Self::Whole { raw: email.read_all()?, tree: OnceCell::new() }),
        }
    }

    /// Reads through what will be sent, so that damage is found before the first byte goes out.
    fn large(email: Email, plan: &Plan) -> Result<Self, Error> {
        let header = email.header()?;
        let source = Self::Large { email, header };
        for (spec, partial) in plan.sections() {
            if let (Text::Range(range), Self::Large { email, .. }) = (source.section(&spec, partial), &source)
            {
                for part in ranges(range) {
                    email.read_range(part)?;
                }
            }
        }
        Ok(source)
    }

    /// The header block of the message.
    pub fn header(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Nothing => Cow::Borrowed(&[]),
            Self::Header(header) | Self::Large { header, .. } => Cow::Borrowed(header),
            Self::Whole { raw, tree } => {
                let header = tree.get_or_init(|| engine::mime::parse(raw)).header.clone();
                Cow::Borrowed(raw.get(header).unwrap_or_default())
            }
        }
    }

    /// The parsed message, where the plan needs it.
    pub fn parts(&self) -> Option<(&[u8], &Part)> {
        match self {
            Self::Whole { raw, tree } => Some((raw, tree.get_or_init(|| engine::mime::parse(raw)))),
            _ => None,
        }
    }

    /// A section, cut to the partial.
    pub fn section(&self, spec: &SectionSpec, partial: Option<Partial>) -> Text<'_> {
        let text = match (self, &spec.what) {
            (Self::Whole { raw, .. }, What::All) if spec.path.is_empty() => Some(Cow::Borrowed(&raw[..])),
            (Self::Whole { .. }, _) => self.parts().and_then(|(raw, tree)| section::resolve(tree, raw, spec)),
            (Self::Large { email, .. }, What::All) => return range(0..email.size_bytes(), partial),
            (Self::Large { email, header }, What::Text) => {
                return range(header.len() as u64..email.size_bytes(), partial);
            }
            (Self::Large { header, .. } | Self::Header(header), _) => {
                section::resolve_in_header(header, spec)
            }
            (Self::Nothing, _) => None,
        };
        match text {
            None => Text::Nil,
            Some(text) => Text::Bytes(cut(text, partial)),
        }
    }
}

/// A range in steps that are read and sent at once.
pub fn ranges(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = range;
    std::iter::successors(Some(start), |at| at.checked_add(RANGE_BYTES))
        .take_while(move |at| *at < end)
        .map(move |at| at..at.saturating_add(RANGE_BYTES).min(end))
}

fn range(text: Range<u64>, partial: Option<Partial>) -> Text<'static> {
    let Some(partial) = partial else { return Text::Range(text) };
    let within = partial.range(text.end.saturating_sub(text.start));
    Text::Range(text.start + within.start..text.start + within.end)
}

fn cut(text: Cow<'_, [u8]>, partial: Option<Partial>) -> Cow<'_, [u8]> {
    let Some(partial) = partial else { return text };
    let within = partial.range(text.len() as u64);
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let within = at(within.start)..at(within.end);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(within).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(within).unwrap_or_default().to_vec()),
    }
}
