//! Command lines into commands (RFC 5321 section 4.1.1, as changed by RFC 2033).
//!
//! Laws
//! - The input is one line without its CRLF: any bytes at all. What cannot be understood is a
//!   `BadCommand` that says which reply it deserves.
//! - Only parameters of the extensions that LHLO names are taken (RFC 5321 section 4.1.1.11).

use super::address::{Address, Path, parse_path};

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Lhlo,
    Mail { sender: Option<Address>, parameters: MailParameters },
    Rcpt { recipient: Address },
    Data,
    Bdat { chunk_bytes: u64, last: bool },
    Rset,
    Noop,
    Vrfy,
    Quit,
}

/// ESMTP parameters of MAIL.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE (RFC 1870): the size the client expects the message to have.
    pub size_bytes: Option<u64>,
    /// SMTPUTF8 (RFC 6531): addresses and headers may be UTF-8.
    pub smtputf8: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCommand {
    /// No verb of this protocol.
    Unknown,
    /// HELO or EHLO: the client believes it speaks SMTP (RFC 2033 section 4.1).
    Smtp,
    /// A verb of SMTP that is not offered here.
    NotImplemented,
    /// The verb is right, its arguments are not; the text is the syntax.
    Arguments(&'static str),
    /// BDAT whose length cannot be read: what follows cannot be told from commands.
    ChunkLength,
    BadSender,
    BadRecipient,
    /// A non-ASCII address without SMTPUTF8 (RFC 6531 section 3.5).
    NotAscii,
    /// A parameter no extension offered here defines.
    UnknownParameter,
}

/// Reads one command line.
///
/// # Errors
/// The reply it deserves is `BadCommand`'s.
pub fn parse(line: &[u8]) -> Result<Command, BadCommand> {
    // Only addresses may hold non-ASCII; anything else is refused by what each verb expects.
    let Ok(line) = std::str::from_utf8(line) else { return Err(undecodable(line)) };
    let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let arguments = arguments.trim_end_matches(' ');
    if arguments.chars().any(|c| c.is_ascii_control()) {
        return Err(bad_arguments(verb));
    }
    match verb.to_ascii_uppercase().as_str() {
        "LHLO" if !arguments.is_empty() => Ok(Command::Lhlo),
        "MAIL" => mail(arguments),
        "RCPT" => rcpt(arguments),
        "DATA" if arguments.is_empty() => Ok(Command::Data),
        "BDAT" => bdat(arguments),
        "RSET" if arguments.is_empty() => Ok(Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "VRFY" if !arguments.is_empty() => Ok(Command::Vrfy),
        "QUIT" if arguments.is_empty() => Ok(Command::Quit),
        _ => Err(bad_arguments(verb)),
    }
}

/// The error for a verb whose arguments are wrong, or which is no verb.
fn bad_arguments(verb: &str) -> BadCommand {
    match verb.to_ascii_uppercase().as_str() {
        "LHLO" => BadCommand::Arguments("LHLO domain"),
        "MAIL" => BadCommand::Arguments("MAIL FROM:<address> [parameters]"),
        "RCPT" => BadCommand::Arguments("RCPT TO:<address>"),
        "DATA" => BadCommand::Arguments("DATA"),
        "BDAT" => BadCommand::ChunkLength,
        "RSET" => BadCommand::Arguments("RSET"),
        "NOOP" => BadCommand::Arguments("NOOP"),
        "VRFY" => BadCommand::Arguments("VRFY string"),
        "QUIT" => BadCommand::Arguments("QUIT"),
        "HELO" | "EHLO" => BadCommand::Smtp,
        "EXPN" | "HELP" | "TURN" | "SEND" | "SOML" | "SAML" | "AUTH" | "STARTTLS" => {
            BadCommand::NotImplemented
        }
        _ => BadCommand::Unknown,
    }
}

/// A line that is not UTF-8: the verb, when it can be read, says what was meant.
fn undecodable(line: &[u8]) -> BadCommand {
    let verb = line.split(|&b| b == b' ').next().and_then(|verb| std::str::from_utf8(verb).ok());
    match verb.map(bad_arguments) {
        Some(BadCommand::Arguments(syntax)) if syntax.starts_with("MAIL") => BadCommand::BadSender,
        Some(BadCommand::Arguments(syntax)) if syntax.starts_with("RCPT") => BadCommand::BadRecipient,
        Some(bad) => bad,
        None => BadCommand::Unknown,
    }
}

/// `FROM:<reverse-path> [parameters]`, RFC 5321 section 4.1.1.2.
fn mail(arguments: &str) -> Result<Command, BadCommand> {
    let path = keyword(arguments, "FROM:").ok_or(bad_arguments("MAIL"))?;
    let Path { address: sender, rest } = parse_path(path).ok_or(BadCommand::BadSender)?;
    let mut parameters = MailParameters::default();
    for (name, value) in split_parameters(rest)? {
        match (name.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => parameters.size_bytes = Some(size(value)?),
            // RFC 6152. What comes is stored as it comes, so both mean the same here.
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => {}
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => {}
            ("SMTPUTF8", None) => parameters.smtputf8 = true,
            _ => return Err(BadCommand::UnknownParameter),
        }
    }
    if !parameters.smtputf8 && sender.as_ref().is_some_and(|sender| !sender.is_ascii()) {
        return Err(BadCommand::NotAscii);
    }
    Ok(Command::Mail { sender, parameters })
}

/// `TO:<forward-path> [parameters]`, RFC 5321 section 4.1.1.3. No extension here has any.
fn rcpt(arguments: &str) -> Result<Command, BadCommand> {
    let path = keyword(arguments, "TO:").ok_or(bad_arguments("RCPT"))?;
    let Path { address, rest } = parse_path(path).ok_or(BadCommand::BadRecipient)?;
    let recipient = address.ok_or(BadCommand::BadRecipient)?;
    match split_parameters(rest)?.next() {
        Some(_) => Err(BadCommand::UnknownParameter),
        None => Ok(Command::Rcpt { recipient }),
    }
}

/// `chunk-size [LAST]`, RFC 3030 section 2.
fn bdat(arguments: &str) -> Result<Command, BadCommand> {
    let (length, marker) = match arguments.split_once(' ') {
        Some((length, marker)) => (length, Some(marker)),
        None => (arguments, None),
    };
    let last = match marker {
        None => false,
        Some(marker) if marker.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(BadCommand::ChunkLength),
    };
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadCommand::ChunkLength);
    }
    let chunk_bytes = length.parse().map_err(|_| BadCommand::ChunkLength)?;
    Ok(Command::Bdat { chunk_bytes, last })
}

/// What follows `FROM:` or `TO:`. A space after the colon is no grammar but common.
fn keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (front, rest) = arguments.trim_start_matches(' ').split_at_checked(keyword.len())?;
    front.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// `name[=value]` words after a path; each follows a space.
fn split_parameters(rest: &str) -> Result<impl Iterator<Item = (&str, Option<&str>)>, BadCommand> {
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(BadCommand::Arguments("a space between path and parameters"));
    }
    let words = rest.split(' ').filter(|word| !word.is_empty());
    Ok(words.map(|word| match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    }))
}

/// RFC 1870 section 4: at most 20 digits, of which not all fit 64 bits; past that is just too big.
fn size(value: &str) -> Result<u64, BadCommand> {
    if value.is_empty() || value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadCommand::Arguments("SIZE=octets"));
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mail_of(line: &str) -> (Option<String>, MailParameters) {
        match parse(line.as_bytes()) {
            Ok(Command::Mail { sender, parameters }) => (sender.map(|s| s.to_string()), parameters),
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn mail_and_its_parameters() {
        let none = MailParameters::default();
        assert_eq!(mail_of("MAIL FROM:<a@b>"), (Some("a@b".into()), none));
        assert_eq!(mail_of("mail from: <>  "), (None, none));
        let sized = MailParameters { size_bytes: Some(4096), smtputf8: false };
        assert_eq!(mail_of("MAIL FROM:<a@b> BODY=8bitmime SIZE=4096"), (Some("a@b".into()), sized));
        let utf8 = MailParameters { size_bytes: None, smtputf8: true };
        assert_eq!(mail_of("MAIL FROM:<ü@b> SMTPUTF8"), (Some("ü@b".into()), utf8));
        assert_eq!(mail_of("MAIL FROM:<a@b> SIZE=99999999999999999999").1.size_bytes, Some(u64::MAX));
    }

    #[test]
    fn bdat_lengths() {
        assert_eq!(parse(b"BDAT 0 last"), Ok(Command::Bdat { chunk_bytes: 0, last: true }));
        assert_eq!(
            parse(b"BDAT 18446744073709551615"),
            Ok(Command::Bdat { chunk_bytes: u64::MAX, last: false })
        );
        for line in
            ["BDAT", "BDAT x", "BDAT +1", "BDAT -1", "BDAT 1 2", "BDAT 1 LAST x", "BDAT 18446744073709551616"]
        {
            assert_eq!(parse(line.as_bytes()), Err(BadCommand::ChunkLength), "{line}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        use BadCommand::*;
        let cases: [(&[u8], BadCommand); 21] = [
            (b"", Unknown),
            (b"FOO bar", Unknown),
            (b"\xff\xfe", Unknown),
            (b"EHLO x", Smtp),
            (b"HELO", Smtp),
            (b"HELP", NotImplemented),
            (b"LHLO", Arguments("LHLO domain")),
            (b"LHLO a\rb", Arguments("LHLO domain")),
            (b"DATA now", Arguments("DATA")),
            (b"MAIL", Arguments("MAIL FROM:<address> [parameters]")),
            (b"MAIL TO:<a@b>", Arguments("MAIL FROM:<address> [parameters]")),
            (b"MAIL FROM:a@b", BadSender),
            (b"MAIL FROM:<\xff@b>", BadSender),
            (b"MAIL FROM:<\xc3\xbc@b>", NotAscii),
            (b"MAIL FROM:<a@b>SIZE=1", Arguments("a space between path and parameters")),
            (b"MAIL FROM:<a@b> SIZE=-1", Arguments("SIZE=octets")),
            (b"MAIL FROM:<a@b> BODY=BINARYMIME", UnknownParameter),
            (b"MAIL FROM:<a@b> SMTPUTF8=yes", UnknownParameter),
            (b"RCPT TO:<>", BadRecipient),
            (b"RCPT TO:<\xff@b>", BadRecipient),
            (b"RCPT TO:<a@b> NOTIFY=NEVER", UnknownParameter),
        ];
        for (line, bad) in cases {
            assert_eq!(parse(line), Err(bad), "{}", line.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(verb in "(MAIL FROM:|RCPT TO:|BDAT |LHLO |)", rest in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut line = verb.into_bytes();
            line.extend(rest);
            let _ = parse(&line);
        }
    }
}
