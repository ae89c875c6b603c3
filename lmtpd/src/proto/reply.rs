//! Replies: three digits, an enhanced status code (RFC 2034, RFC 3463), one line of text.
//!
//! Laws
//! - Every 2yz, 4yz and 5yz reply but the greeting and those to LHLO has an enhanced code whose
//!   class is the reply's first digit (RFC 2034 section 4).
//! - Text comes from this program or from an `Address`, which holds no control characters: a reply
//!   is always one line.

use super::command::BadCommand;
use std::borrow::Cow;

/// RFC 5321 section 4.5.3.1.5. An address may be as long: its reply is cut, not its code.
const LINE_MAX_BYTES: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: &'static str,
    text: Cow<'static, str>,
}

impl Reply {
    #[must_use]
    pub fn new(code: u16, enhanced: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(enhanced.is_empty() || enhanced.starts_with(&code.to_string()[..1]));
        Self { code, enhanced, text: text.into() }
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        let space = if self.enhanced.is_empty() { "" } else { " " };
        let line = format!("{} {}{space}{}", self.code, self.enhanced, self.text);
        let end = line.floor_char_boundary(LINE_MAX_BYTES - 2);
        out.extend_from_slice(line.get(..end).unwrap_or(&line).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 5321 section 3.1; LMTP in the text tells a misled client what this is.
    #[must_use]
    pub fn greeting(hostname: &str) -> Self {
        Self::new(220, "", format!("{hostname} LMTP Mailcask ready"))
    }

    /// RFC 5321 section 4.1.1.4.
    #[must_use]
    pub fn start_mail_input() -> Self {
        Self::new(354, "", "start mail input; end with <CRLF>.<CRLF>")
    }

    #[must_use]
    pub fn ok() -> Self {
        Self::new(250, "2.0.0", "OK")
    }

    /// RFC 5321 section 4.1.1: a command out of order.
    #[must_use]
    pub fn bad_sequence(text: &'static str) -> Self {
        Self::new(503, "5.5.1", text)
    }

    #[must_use]
    pub fn line_too_long() -> Self {
        Self::new(500, "5.5.2", "line too long")
    }

    #[must_use]
    pub fn bare_lf() -> Self {
        Self::new(500, "5.5.2", "lines end in CRLF, not LF")
    }

    /// Said before closing: a limit, a time-out, a shutdown (RFC 5321 section 3.8).
    #[must_use]
    pub fn closing(enhanced: &'static str, text: &'static str) -> Self {
        Self::new(421, enhanced, text)
    }
}

impl From<BadCommand> for Reply {
    fn from(bad: BadCommand) -> Self {
        match bad {
            BadCommand::Unknown => Self::new(500, "5.5.2", "command not recognized"),
            BadCommand::Smtp => Self::new(500, "5.5.1", "this is LMTP: say LHLO"),
            BadCommand::NotImplemented => Self::new(502, "5.5.1", "command not implemented"),
            BadCommand::Arguments(syntax) => Self::new(501, "5.5.4", format!("syntax: {syntax}")),
            BadCommand::ChunkLength => Self::new(501, "5.5.4", "syntax: BDAT octets [LAST]; closing"),
            BadCommand::BadSender => Self::new(501, "5.1.7", "bad sender address"),
            BadCommand::BadRecipient => Self::new(501, "5.1.3", "bad recipient address"),
            BadCommand::NotAscii => Self::new(553, "5.6.7", "non-ASCII address without SMTPUTF8"),
            BadCommand::UnknownParameter => Self::new(555, "5.5.4", "parameter not recognized"),
        }
    }
}

/// The reply to LHLO: the extensions offered (RFC 2033 section 5, RFC 1870, 2034, 2920, 3030, 6152,
/// 6531).
pub fn write_lhlo(hostname: &str, max_message_bytes: u64, out: &mut Vec<u8>) {
    let text = format!(
        "250-{hostname}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE {max_message_bytes}\r\n\
         250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n"
    );
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_line_of_at_most_512_bytes() {
        for filler in ["x", "ü", "語"] {
            let mut out = Vec::new();
            Reply::new(550, "5.1.1", filler.repeat(600)).write(&mut out);
            let line = String::from_utf8(out).unwrap();
            assert!(line.starts_with("550 5.1.1 ") && line.ends_with("\r\n"));
            assert!((509..=512).contains(&line.len()), "{}", line.len());
        }
    }
}
