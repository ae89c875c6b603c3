//! The summary of one message.
//!
//! Laws
//! - Texts are folded by `text::fold` and so compare by their bytes (RFC 5256 section 7: i;unicode-casemap).
//!   They hold no NUL, so that a shorter one is before a longer one however they are padded.
//! - A text over [`KEY_MAX_BYTES`] is cut there and ends with a digest of the whole: texts that differ stay
//!   different, but from there on their order means nothing.
//! - Addresses are those of ENVELOPE: the first of the field, be it the name of a group (RFC 5957 section 4).

use super::ids::ids;
use super::subject::base_subject;
use crate::mime::address::{self, Address};
use crate::mime::header::{self, unfold};
use crate::text;

/// The longest text that is kept whole.
pub(super) const KEY_MAX_BYTES: usize = 1024;
/// How many references of a message are kept: the last, which are the nearest.
pub(super) const REFERENCES_MAX: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The base subject.
    pub subject: String,
    /// The base subject was taken out of a reply or forward (RFC 5256 section 3).
    pub is_reply_or_forward: bool,
    /// `addr-mailbox` of the first address of From, To, Cc; empty when there is none.
    pub from: String,
    pub to: String,
    pub cc: String,
    /// DISPLAY sort values (RFC 5957 section 3) of the first address of From and To.
    pub display_from: String,
    pub display_to: String,
    /// The number of its Message-ID, 0 when it has none that is valid.
    pub id: u64,
    /// The numbers of its references: those of References, else the first of In-Reply-To.
    pub references: Vec<u64>,
}

impl Summary {
    /// Of a header block: the recipient's prefix and the stored header together.
    #[must_use]
    pub fn of(header: &[u8]) -> Self {
        let mut subject = None;
        let mut id = None;
        let mut parents: [Vec<u64>; 2] = Default::default(); // References, In-Reply-To
        let mut addresses: [Option<Address>; 3] = Default::default(); // From, To, Cc
        for field in header::fields(header) {
            let value = field.value;
            let [references, in_reply_to] = &mut parents;
            let [from, to, cc] = &mut addresses;
            if field.is("Subject") {
                subject = subject.or(Some(value));
            } else if field.is("Message-ID") {
                id = id.or_else(|| Some(ids(value).next().unwrap_or(0)));
            } else if field.is("References") && references.is_empty() {
                *references = ids(value).collect();
            } else if field.is("In-Reply-To") && in_reply_to.is_empty() {
                *in_reply_to = ids(value).take(1).collect();
            } else if field.is("From") {
                first_address(from, value);
            } else if field.is("To") {
                first_address(to, value);
            } else if field.is("Cc") {
                first_address(cc, value);
            }
        }
        let base = base_subject(&text::decode_words(&unfold(subject.unwrap_or_default())));
        let [mut references, in_reply_to] = parents;
        if references.is_empty() {
            references = in_reply_to;
        }
        let excess = references.len().saturating_sub(REFERENCES_MAX);
        references.drain(..excess);
        let [from, to, cc] = addresses.map(Option::unwrap_or_default);
        Self {
            subject: key(&base.text),
            is_reply_or_forward: base.is_reply_or_forward,
            from: mailbox(&from),
            to: mailbox(&to),
            cc: mailbox(&cc),
            display_from: display(&from),
            display_to: display(&to),
            id: id.unwrap_or(0),
            references,
        }
    }
}

/// Several fields of one name count as one (`mime::envelope`).
fn first_address(first: &mut Option<Address>, value: &[u8]) {
    if first.is_none() {
        *first = address::parse(value).into_iter().next();
    }
}

fn mailbox(address: &Address) -> String {
    key(&text::decode_charset(None, address.mailbox.as_deref().unwrap_or_default()))
}

/// RFC 5957 section 3.
fn display(address: &Address) -> String {
    let name = key(&text::decode_words(address.name.as_deref().unwrap_or_default()));
    match (&address.mailbox, &address.host) {
        _ if !name.is_empty() => name,
        (Some(mailbox), Some(host)) => {
            key(&text::decode_charset(None, &[mailbox.as_slice(), b"@", host.as_slice()].concat()))
        }
        _ => mailbox(address),
    }
}

/// A text as it is compared.
fn key(text: &str) -> String {
    let mut folded = text::fold(text);
    folded.retain(|c| c != '\0');
    if folded.len() > KEY_MAX_BYTES {
        let digest = blake3::hash(folded.as_bytes()).to_hex();
        folded.truncate(folded.floor_char_boundary(KEY_MAX_BYTES));
        folded.push_str(digest.get(..32).unwrap_or_default());
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Summary {
        Summary::of(header.as_bytes())
    }

    #[test]
    fn every_field() {
        let s = of(
            "Message-ID: <m@x>\r\nSUBJECT: Re: =?utf-8?q?[liste]_Gr=C3=BC=C3=9Fe?=\r\n\t und\r\n  mehr\r\n\
             From: =?utf-8?q?J=C3=B6rg?= <Joerg@x.example>, b@y\r\nTo: Bob@x.example\r\nCc: list: c@x;\r\n\
             Subject: second\r\nReferences: <a@x>\r\n <b@x>\r\nIn-Reply-To: <c@x>\r\n\r\nFrom: body@x\r\n",
        );
        assert_eq!(
            (s.subject.as_str(), s.is_reply_or_forward),
            (text::fold("Grüße und mehr").as_str(), true)
        );
        assert_eq!((s.from.as_str(), s.to.as_str(), s.cc.as_str()), ("JOERG", "BOB", "LIST"));
        assert_eq!((s.display_from, s.display_to.as_str()), (text::fold("Jörg"), "BOB@X.EXAMPLE"));
        let number = |id: &str| ids(id.as_bytes()).next().unwrap();
        assert_eq!((s.id, s.references), (number("<m@x>"), vec![number("<a@x>"), number("<b@x>")]));
    }

    #[test]
    fn what_is_missing_is_empty() {
        assert_eq!(of(""), Summary::default());
        assert_eq!(of("Subject:\r\nFrom: \r\nMessage-ID: none\r\nReferences: none\r\n"), Summary::default());
        let s = of("References: your mail\r\nIn-Reply-To: Monday's <a@x> <b@x>\r\n");
        assert_eq!(s.references.len(), 1);
        let s = of("From: =?utf-8?q??= <a@b>\r\nTo: undisclosed-recipients:;\r\n");
        assert_eq!((s.display_from.as_str(), s.display_to.as_str()), ("A@B", "UNDISCLOSED-RECIPIENTS"));
        assert_eq!((s.from.as_str(), s.to.as_str()), ("A", "UNDISCLOSED-RECIPIENTS"));
    }

    #[test]
    fn long_texts_stay_different() {
        let long = |tail: &str| of(&format!("Subject: {}{tail}\r\n", "ä".repeat(5000))).subject;
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a"), long("A"));
        assert!(long("a").len() <= KEY_MAX_BYTES + 32);
        let chain: String = (0..3000).map(|n| format!("<{n}@x> ")).collect();
        let s = of(&format!("References: {chain}\r\n"));
        assert_eq!(s.references.len(), REFERENCES_MAX);
        assert_eq!(s.references.last().copied(), ids(b"<2999@x>").next());
    }
}
