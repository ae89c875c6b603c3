//! What a FETCH needs, known before the first message is looked at.

use crate::proto::ast::{Fetch, FetchItem, Partial, SectionText};
use engine::mime::{SectionSpec, What};
use std::collections::HashSet;

/// How far a message must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// What the mailbox knows.
    Columns,
    Header,
    /// The whole or its text, in order: it need not be in memory at once.
    Bytes,
    /// Parts: the whole, parsed.
    Parts,
}

/// Whether PREVIEW is asked for (RFC 8970 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preview {
    No,
    /// Only if it is at hand.
    Lazy,
    Yes,
}

/// The items in the order they are answered, each once however often it is asked for.
#[derive(Debug)]
pub struct Plan {
    pub items: Vec<FetchItem>,
    pub need: Need,
    pub sets_seen: bool,
    pub modseq: bool,
    pub preview: Preview,
    /// UID FETCH.
    pub uid: bool,
}

impl Plan {
    pub fn new(fetch: &Fetch) -> Self {
        let mut items = fetch.items.clone();
        if fetch.uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        if fetch.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let (sets_seen, preview) = (items.iter().any(FetchItem::sets_seen), preview(&items));
        let mut told = HashSet::new();
        items.retain(|item| told.insert(item.told()));
        Self {
            need: items.iter().map(need).max().unwrap_or(Need::Columns),
            sets_seen,
            modseq: items.contains(&FetchItem::ModSeq),
            preview,
            uid: fetch.uid,
            items,
        }
    }

    pub fn reads_message(&self) -> bool {
        self.need > Need::Columns || self.preview != Preview::No
    }

    /// The sections that are asked for, RFC822 and the like included, with their partials.
    pub fn sections(&self) -> impl Iterator<Item = (SectionSpec, Option<Partial>)> {
        self.items.iter().filter_map(|item| match item {
            FetchItem::Section(body) => Some(((&body.section).into(), body.partial)),
            FetchItem::Rfc822 => Some((whole(What::All), None)),
            FetchItem::Rfc822Text => Some((whole(What::Text), None)),
            _ => None,
        })
    }
}

fn preview(items: &[FetchItem]) -> Preview {
    match items {
        _ if items.contains(&FetchItem::Preview { lazy: false }) => Preview::Yes,
        _ if items.contains(&FetchItem::Preview { lazy: true }) => Preview::Lazy,
        _ => Preview::No,
    }
}

fn need(item: &FetchItem) -> Need {
    match item {
        FetchItem::EmailId
        | FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::Preview { .. }
        | FetchItem::Rfc822Size
        | FetchItem::SaveDate
        | FetchItem::ThreadId
        | FetchItem::Uid => Need::Columns,
        FetchItem::Envelope | FetchItem::Rfc822Header => Need::Header,
        FetchItem::Rfc822 | FetchItem::Rfc822Text => Need::Bytes,
        FetchItem::Body | FetchItem::BodyStructure => Need::Parts,
        FetchItem::Section(body) => match (&body.section.path[..], &body.section.text) {
            ([], SectionText::All | SectionText::Text) => Need::Bytes,
            ([], SectionText::Mime) | ([_, ..], _) => Need::Parts,
            ([], _) => Need::Header,
        },
    }
}

/// A section of the message itself.
pub fn whole(what: What) -> SectionSpec {
    SectionSpec { path: Vec::new(), what }
}
