//! What a header says of the thread a message belongs to.
//!
//! Laws
//! - The root reference is the first id of References, else of In-Reply-To, else the message's own
//!   Message-ID (`ThreadId` in `docs/architecture.md`): it needs no other message.
//! - An id is what stands between angle brackets, without blanks; case counts. Words outside of
//!   brackets (`Your message of Tuesday`) are no id, or strangers would share a thread.

use super::date;
use super::header;
use crate::types::ZonedTime;

/// The message's own Message-ID with its brackets. One without brackets is taken as it is.
#[must_use]
pub fn message_id(header: &[u8]) -> Option<Vec<u8>> {
    let field = header::first(header, "Message-ID")?;
    first_id(field.value).or_else(|| {
        let value = header::unfold(field.value);
        (!value.is_empty()).then(|| value.into_owned())
    })
}

/// The id that the messages of a thread have in common. None: a thread of its own.
#[must_use]
pub fn root_reference(header: &[u8]) -> Option<Vec<u8>> {
    let first_of = |name| header::fields(header).filter(|f| f.is(name)).find_map(|f| first_id(f.value));
    first_of("References").or_else(|| first_of("In-Reply-To")).or_else(|| message_id(header))
}

/// The Date field (RFC 5322 section 3.6.1).
#[must_use]
pub fn sent(header: &[u8]) -> Option<ZonedTime> {
    header::fields(header).filter(|f| f.is("Date")).find_map(|f| date::parse_rfc5322(f.value))
}

/// The first `<...>` that holds something, blanks and folding taken out.
fn first_id(value: &[u8]) -> Option<Vec<u8>> {
    value.split(|&b| b == b'<').skip(1).find_map(|rest| {
        let end = memchr::memchr(b'>', rest)?;
        let inner: Vec<u8> = rest.get(..end)?.iter().copied().filter(|b| *b > b' ').collect();
        (!inner.is_empty()).then(|| [b"<", &*inner, b">"].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots() {
        let root = |header: &str| root_reference(header.as_bytes()).map(|r| String::from_utf8(r).unwrap());
        assert_eq!(
            root("Message-ID: <m@x>\r\nReferences: <>\r\n <a@\r\n x> <b@x>\r\nIn-Reply-To: <c@x>\r\n\r\n")
                .as_deref(),
            Some("<a@x>")
        );
        assert_eq!(root("Message-ID: <m@x>\nIn-Reply-To: Joe's of <c@x>\n").as_deref(), Some("<c@x>"));
        assert_eq!(root("Message-ID: <m@x>\nIn-Reply-To: your mail of Monday\n").as_deref(), Some("<m@x>"));
        assert_eq!(root("Message-ID: bare@x\n").as_deref(), Some("bare@x"));
        assert_eq!(root("Subject: none\n"), None);
        assert_eq!(root("References: <unclosed\nMessage-ID:\n"), None);
    }

    #[test]
    fn sent_skips_what_is_no_date() {
        let header = b"Date: soon\nDate: Mon, 15 May 2024 15:32:36 +0530\n";
        assert_eq!(sent(header).map(|d| d.offset_minutes), Some(330));
        assert_eq!(sent(b"Subject: x\n"), None);
    }
}
