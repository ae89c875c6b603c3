//! What FETCH asks for (RFC 3501 section 6.4.5, RFC 7162 section 3.1.4, RFC 8474 section 5, RFC 8514
//! section 4.2, RFC 8970, RFC 9394 section 3.3).

use super::{PartialRange, SequenceSet};
use engine::mime::{SectionSpec, What};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub set: SequenceSet,
    pub uid: bool,
    /// In the order asked for; macros (ALL, FAST, FULL) are already expanded. UID FETCH does not
    /// add `Uid`: the session answers it whether it was asked for or not.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE: the session adds MODSEQ to the answer.
    pub changed_since: Option<u64>,
    /// PARTIAL, of UID FETCH only: of the messages of the set, before CHANGEDSINCE.
    pub partial: Option<PartialRange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchItem {
    Body,
    BodyStructure,
    EmailId,
    Envelope,
    Flags,
    InternalDate,
    ModSeq,
    /// `lazy`: only if it is at hand.
    Preview {
        lazy: bool,
    },
    Rfc822,
    Rfc822Header,
    Rfc822Size,
    Rfc822Text,
    SaveDate,
    Section(SectionBody),
    ThreadId,
    Uid,
}

impl FetchItem {
    /// Whether fetching it sets \Seen: everything that reads a body without PEEK.
    #[must_use]
    pub fn sets_seen(&self) -> bool {
        match self {
            Self::Rfc822 | Self::Rfc822Text => true,
            Self::Section(body) => !body.peek,
            _ => false,
        }
    }

    /// The same item for all that have the same answer: PEEK and LAZY are not told.
    #[must_use]
    pub fn told(&self) -> Self {
        match self {
            Self::Section(body) => Self::Section(SectionBody { peek: true, ..body.clone() }),
            Self::Preview { .. } => Self::Preview { lazy: false },
            item => item.clone(),
        }
    }
}

/// `BODY[section]<partial>` or `BODY.PEEK[section]<partial>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SectionBody {
    pub section: Section,
    pub peek: bool,
    pub partial: Option<Partial>,
}

/// The text inside the brackets: part numbers, then what of that part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Section {
    /// Numbers from 1; empty means the message itself.
    pub path: Vec<u32>,
    pub text: SectionText,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum SectionText {
    /// Nothing after the part numbers: the part's body, or the whole message.
    #[default]
    All,
    Header,
    /// Names as sent: the response repeats them.
    HeaderFields(Vec<String>),
    HeaderFieldsNot(Vec<String>),
    Text,
    /// Only after part numbers.
    Mime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partial {
    pub first_byte: u32,
    /// Never zero.
    pub length_bytes: u32,
}

impl Partial {
    /// The bytes meant, of a text of that length: RFC 3501 section 6.4.5 truncates, and answers
    /// the empty string beyond the end.
    #[must_use]
    pub fn range(self, text_bytes: u64) -> std::ops::Range<u64> {
        let start = u64::from(self.first_byte).min(text_bytes);
        let end = start.saturating_add(u64::from(self.length_bytes)).min(text_bytes);
        start..end
    }
}

/// What the engine resolves.
impl From<&Section> for SectionSpec {
    fn from(section: &Section) -> Self {
        let what = match &section.text {
            SectionText::All => What::All,
            SectionText::Header => What::Header,
            SectionText::HeaderFields(names) => What::HeaderFields(names.clone()),
            SectionText::HeaderFieldsNot(names) => What::HeaderFieldsNot(names.clone()),
            SectionText::Text => What::Text,
            SectionText::Mime => What::Mime,
        };
        Self { path: section.path.clone(), what }
    }
}
