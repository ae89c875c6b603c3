//! Reverse-path and forward-path (RFC 5321 section 4.1.2; non-ASCII by RFC 6531 section 3.3).
//!
//! Laws
//! - `Address` holds the local part unquoted; `Display` quotes it again when the wire needs that, so
//!   two spellings of one address are equal and print alike.
//! - No control character gets into an `Address`: it can stand in a header, a reply and a log line.
//! - Laxer than the grammar where real senders are: dots anywhere in a local part, `_` in a domain,
//!   no domain at all (`<postmaster>`, `<bob>`); a source route is read and ignored (appendix C).

use std::fmt;

/// Longest address taken. The RFC asks for 256; VERP and SRS senders go past that.
pub const MAX_ADDRESS_BYTES: usize = 512;

/// A mailbox as named in an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    local: String,
    domain: Option<String>,
}

impl Address {
    /// Local part without quoting, and the domain: what accounts are looked up by.
    #[must_use]
    pub fn unquoted(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{}@{domain}", self.local),
            None => self.local.clone(),
        }
    }

    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.as_deref().is_none_or(str::is_ascii)
    }
}

impl fmt::Display for Address {
    /// The form for the wire and for headers, without angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        match &self.domain {
            Some(domain) => write!(f, "@{domain}"),
            None => Ok(()),
        }
    }
}

/// A path at the front of a string.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// `None` is the null reverse-path, `<>`.
    pub address: Option<Address>,
    /// What follows the closing bracket.
    pub rest: &'a str,
}

/// Parses `<...>` at the front of `text`. `None`: not a path.
#[must_use]
pub fn parse_path(text: &str) -> Option<Path<'_>> {
    let mut rest = text.strip_prefix('<')?;
    if let Some(rest) = rest.strip_prefix('>') {
        return Some(Path { address: None, rest });
    }
    if rest.starts_with('@') {
        rest = skip_source_route(rest)?;
    }
    let (local, rest) = if rest.starts_with('"') { quoted_string(rest)? } else { dot_string(rest)? };
    let (domain, rest) = match rest.strip_prefix('@') {
        Some(rest) => domain(rest).map(|(domain, rest)| (Some(domain.to_owned()), rest))?,
        None => (None, rest),
    };
    let rest = rest.strip_prefix('>')?;
    let address = Address { local, domain };
    let length = text.len().saturating_sub(rest.len());
    (length <= MAX_ADDRESS_BYTES).then_some(Path { address: Some(address), rest })
}

/// `@one,@two:` before the mailbox.
fn skip_source_route(mut text: &str) -> Option<&str> {
    loop {
        let (_, rest) = domain(text.strip_prefix('@')?)?;
        if let Some(rest) = rest.strip_prefix(':') {
            return Some(rest);
        }
        text = rest.strip_prefix(',')?;
    }
}

fn dot_string(text: &str) -> Option<(String, &str)> {
    let (local, rest) = span(text, |c| is_atext(c) || c == '.')?;
    Some((local.to_owned(), rest))
}

/// Text in double quotes at the front of `text`, unquoted.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut content = String::new();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => content.push(chars.next().filter(|c| matches!(c, ' '..='~'))?),
            c if c.is_control() => return None,
            c => content.push(c),
        }
    }
    Some((content, chars.as_str()))
}

/// A domain or an address literal (`[192.0.2.1]`, `[IPv6:...]`).
fn domain(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        let close = text.find(']')?.checked_add(1)?;
        let (literal, rest) = text.split_at_checked(close)?;
        let content = literal.strip_prefix('[')?.strip_suffix(']')?;
        let plain = !content.is_empty() && content.chars().all(|c| matches!(c, '!'..='Z' | '^'..='~'));
        return plain.then_some((literal, rest));
    }
    span(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') || is_utf8_non_ascii(c))
}

/// The longest front of `text` that `allowed` holds for; `None` when empty.
fn span(text: &str, allowed: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !allowed(c)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(front, _)| !front.is_empty())
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_non_ascii(c)
}

fn is_utf8_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control()
}

fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> Option<(String, String)> {
        let path = parse_path(text)?;
        let address = path.address?;
        Some((address.unquoted(), address.to_string()))
    }

    fn same(text: &str) -> Option<(String, String)> {
        Some((text.to_owned(), text.to_owned()))
    }

    #[test]
    fn plain_addresses() {
        assert_eq!(address("<pat@foo.edu>"), same("pat@foo.edu"));
        assert_eq!(address("<pat+lists/rust@foo.edu>"), same("pat+lists/rust@foo.edu"));
        assert_eq!(address("<Postmaster>"), same("Postmaster"));
        assert_eq!(address("<u@[192.0.2.1]>"), same("u@[192.0.2.1]"));
        assert_eq!(address("<u@[IPv6:2001:db8::1]>"), same("u@[IPv6:2001:db8::1]"));
        assert_eq!(address("<grün@münchen.example>"), same("grün@münchen.example"));
        assert_eq!(address("<@a.example,@b.example:c@d.example>"), same("c@d.example"));
    }

    #[test]
    fn quoting_is_undone_and_put_back_only_where_needed() {
        assert_eq!(address(r#"<"pat"@foo.edu>"#), same("pat@foo.edu"));
        let spaced = Some(("pat smith@foo.edu".into(), r#""pat smith"@foo.edu"#.into()));
        assert_eq!(address(r#"<"pat smith"@foo.edu>"#), spaced);
        let at = Some((r#"a@b"\c@foo.edu"#.into(), r#""a@b\"\\c"@foo.edu"#.into()));
        assert_eq!(address(r#"<"a@b\"\\\c"@foo.edu>"#), at);
        assert_eq!(address("<a..b.@foo.jp>"), Some(("a..b.@foo.jp".into(), r#""a..b."@foo.jp"#.into())));
        assert_eq!(address(r#"<""@foo.edu>"#), Some(("@foo.edu".into(), r#"""@foo.edu"#.into())));
    }

    #[test]
    fn the_null_path_and_what_follows() {
        assert_eq!(parse_path("<> SIZE=1"), Some(Path { address: None, rest: " SIZE=1" }));
    }

    #[test]
    fn what_is_no_path() {
        let long = format!("<{}@x>", "a".repeat(MAX_ADDRESS_BYTES));
        let bad = [
            "",
            "<",
            "pat@foo.edu",
            "<pat@foo.edu",
            "<pat@>",
            "<@foo.edu>",
            "<pat smith@foo.edu>",
            "<pat@foo@bar>",
            "<\"pat@foo.edu>",
            "<\"pat\\",
            "<a\u{7f}b@x>",
            "<\"a\tb\"@x>",
            "<a\u{85}b@x>",
            "<u@[]>",
            "<u@[a b]>",
            "<u@x\0>",
            "<@a,@b>",
            &long,
        ];
        for text in bad {
            assert_eq!(parse_path(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_what_is_read_prints_the_same_address(text in "<[ -~ü\\\\\"@.]{0,30}>") {
            if let Some(Path { address: Some(address), .. }) = parse_path(&text) {
                let printed = format!("<{address}>");
                prop_assert_eq!(parse_path(&printed), Some(Path { address: Some(address), rest: "" }));
            }
        }
    }
}
