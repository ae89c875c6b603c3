//! ENVELOPE (RFC 3501 section 7.4.2).
//!
//! Laws
//! - Strings are unfolded and trimmed, otherwise as they came: encoded words, raw 8-bit.
//! - An absent Date, Subject, In-Reply-To or Message-ID is NIL, an empty one the empty string.
//! - Several fields of one name: of strings the first counts; addresses are joined, so that no
//!   sender can show one reader another From than the next (as in Dovecot).
//! - Sender and Reply-To come from From when absent or empty.

use super::address::{self, Address};
use super::header::{self, unfold};

/// None and an empty list are NIL. `sender` and `reply_to` are already filled from `from`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    pub date: Option<Vec<u8>>,
    pub subject: Option<Vec<u8>>,
    pub from: Vec<Address>,
    pub sender: Vec<Address>,
    pub reply_to: Vec<Address>,
    pub to: Vec<Address>,
    pub cc: Vec<Address>,
    pub bcc: Vec<Address>,
    pub in_reply_to: Option<Vec<u8>>,
    pub message_id: Option<Vec<u8>>,
}

/// The ENVELOPE of a raw header block.
#[must_use]
pub fn parse(header: &[u8]) -> Envelope {
    let mut envelope = Envelope::default();
    for field in header::fields(header) {
        let string = match field.name.to_ascii_lowercase().as_slice() {
            b"date" => &mut envelope.date,
            b"subject" => &mut envelope.subject,
            b"in-reply-to" => &mut envelope.in_reply_to,
            b"message-id" => &mut envelope.message_id,
            name => {
                let list = match name {
                    b"from" => &mut envelope.from,
                    b"sender" => &mut envelope.sender,
                    b"reply-to" => &mut envelope.reply_to,
                    b"to" => &mut envelope.to,
                    b"cc" => &mut envelope.cc,
                    b"bcc" => &mut envelope.bcc,
                    _ => continue,
                };
                list.extend(address::parse(field.value));
                continue;
            }
        };
        if string.is_none() {
            *string = Some(unfold(field.value).into_owned());
        }
    }
    if envelope.sender.is_empty() {
        envelope.sender = envelope.from.clone();
    }
    if envelope.reply_to.is_empty() {
        envelope.reply_to = envelope.from.clone();
    }
    envelope
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: Option<&str>, mailbox: &str, host: &str) -> Address {
        let bytes = |s: &str| s.as_bytes().to_vec();
        Address { name: name.map(bytes), route: None, mailbox: Some(bytes(mailbox)), host: Some(bytes(host)) }
    }

    #[test]
    fn every_field() {
        let e = parse(
            b"Message-ID: <msg@id>\r\nIn-Reply-To: <reply@to.id>\r\nDate: Sat, 01 Feb 2007 01:02:03 +0200\r\n\
              Subject: =?utf-8?q?a?=\r\n  b \r\nFrom: From Real <fromuser@fromdomain.org>\r\nSubject: second\r\n\
              To: To <t@d>\r\nTo: u@d\r\nCc: c@d\r\nBcc:\r\nSender: \r\n\r\nFrom: body@d\r\n",
        );
        assert_eq!(e.message_id.as_deref(), Some(&b"<msg@id>"[..]));
        assert_eq!(e.in_reply_to.as_deref(), Some(&b"<reply@to.id>"[..]));
        assert_eq!(e.date.as_deref(), Some(&b"Sat, 01 Feb 2007 01:02:03 +0200"[..]));
        assert_eq!(e.subject.as_deref(), Some(&b"=?utf-8?q?a?=  b"[..]));
        let from = vec![address(Some("From Real"), "fromuser", "fromdomain.org")];
        assert_eq!((&e.from, &e.sender, &e.reply_to), (&from, &from, &from));
        assert_eq!(e.to, [address(Some("To"), "t", "d"), address(None, "u", "d")]);
        assert_eq!((e.cc, e.bcc), (vec![address(None, "c", "d")], vec![]));
    }

    #[test]
    fn absent_and_empty() {
        let e = parse(b"Subject:\r\n\r\n");
        assert_eq!((e.subject, e.date), (Some(Vec::new()), None));
        assert_eq!(parse(b""), Envelope::default());
    }
}
