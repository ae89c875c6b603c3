//! PREVIEW (RFC 8970 section 3): the beginning of a message's text, for a list of messages.
//!
//! Laws
//! - At most [`CHARS_MAX`] characters, valid UTF-8, blanks and controls collapsed to single spaces; never an
//!   error: a message without text has an empty preview.
//! - The first plain text that has words, else the first HTML; attachments are not asked.
//! - What was quoted, who is said to have written it, and the signature are left out, unless nothing else
//!   is there.
//! - A function of the bytes alone, which may be cut anywhere: what is cut off is not previewed.

use super::{canon, encoding};
use crate::mime::header;
use crate::mime::param;
use crate::mime::part::{self, Content, Part};

/// RFC 8970 section 3.3.
const CHARS_MAX: usize = 200;
/// How much of a part is decoded: HTML has long heads.
const PART_BYTES_MAX: usize = 256 << 10;

/// The preview of a message, or of the beginning of one.
#[must_use]
pub fn preview(raw: &[u8]) -> String {
    let root = part::parse(raw);
    ["plain", "html"].into_iter().find_map(|subtype| first_of(raw, &root, subtype)).unwrap_or_default()
}

/// The preview of the first text part of that subtype that has one, in the order they are read.
fn first_of(raw: &[u8], root: &Part, subtype: &str) -> Option<String> {
    let mut next = vec![root];
    while let Some(part) = next.pop() {
        match &part.content {
            Content::Multipart(children) => next.extend(children.iter().rev()),
            Content::Message(message) => next.push(message),
            Content::Leaf if part.is_text() && part.subtype == subtype => {
                let found = leaf(raw, part).filter(|text| !text.is_empty());
                if found.is_some() {
                    return found;
                }
            }
            Content::Leaf => {}
        }
    }
    None
}

fn leaf(raw: &[u8], part: &Part) -> Option<String> {
    let header = raw.get(part.header.clone())?;
    let disposition = header::first(header, "Content-Disposition").and_then(|f| param::disposition(f.value));
    if disposition.is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"attachment")) {
        return None;
    }
    let content_type = header::first(header, "Content-Type").and_then(|f| param::content_type(f.value));
    let transfer =
        header::first(header, "Content-Transfer-Encoding").and_then(|f| param::first_token(f.value));
    let body = beginning(raw.get(part.body.clone())?);
    let bytes = encoding::decode(&transfer.unwrap_or_default(), body);
    let text = canon::text_of(part, content_type.as_ref(), without_cut_tag(part, &bytes));
    let lines: Vec<&str> = text.lines().collect();
    let own = collapsed(&own_words(&lines));
    Some(if own.is_empty() { collapsed(&lines) } else { own })
}

/// Whole lines, so that no encoding is cut within one.
fn beginning(body: &[u8]) -> &[u8] {
    let Some(head) = body.get(..PART_BYTES_MAX) else { return body };
    let end = memchr::memrchr(b'\n', head).map_or(head.len(), |lf| lf + 1);
    head.get(..end).unwrap_or(head)
}

/// HTML that was cut within a tag: what is left of the tag is no text.
fn without_cut_tag<'a>(part: &Part, bytes: &'a [u8]) -> &'a [u8] {
    match memchr::memrchr2(b'<', b'>', bytes) {
        Some(at) if part.subtype == "html" && bytes.get(at) == Some(&b'<') => {
            bytes.get(..at).unwrap_or_default()
        }
        _ => bytes,
    }
}

/// The lines that the sender wrote.
fn own_words<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let is_quoted = |line: &str| line.starts_with('>');
    let end = lines.iter().position(|line| matches!(*line, "-- " | "--")).unwrap_or(lines.len());
    let lines = lines.get(..end).unwrap_or_default();
    let mut own: Vec<&str> = Vec::new();
    let mut was_quoted = false;
    for line in lines {
        if is_quoted(line) {
            if !was_quoted {
                drop_attribution(&mut own);
            }
            was_quoted = true;
        } else if !line.trim().is_empty() || !was_quoted {
            own.push(line);
            was_quoted = false;
        }
    }
    own
}

/// Takes away `On Monday, Joe` `wrote:` before a quotation: the paragraph before it, of two lines at most,
/// if it ends with a colon.
fn drop_attribution(own: &mut Vec<&str>) {
    let said = own.iter().rposition(|line| !line.trim().is_empty());
    let Some(said) = said.filter(|at| own.get(*at).is_some_and(|line| line.trim_end().ends_with(':'))) else {
        return;
    };
    let paragraph =
        own.get(..said).unwrap_or_default().iter().rev().take_while(|line| !line.trim().is_empty());
    let before = paragraph.count();
    if before < 2 {
        own.truncate(said - before);
    }
}

/// Runs of blanks and controls as one space; what nobody sees goes.
fn collapsed(lines: &[&str]) -> String {
    let mut out = String::new();
    let mut chars = 0;
    let mut space = false;
    for c in lines.iter().flat_map(|line| line.chars().chain(['\n'])) {
        if c.is_whitespace() || c.is_control() {
            space = chars > 0;
            continue;
        }
        // Soft hyphen, grapheme joiner, zero width space, byte order mark: mailers pad with them.
        if matches!(c, '\u{AD}' | '\u{34F}' | '\u{200B}' | '\u{FEFF}') {
            continue;
        }
        let needed = 1 + usize::from(space);
        if chars + needed > CHARS_MAX {
            break;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        out.push(c);
        chars += needed;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str) -> String {
        preview(raw.replace('\n', "\r\n").as_bytes())
    }

    #[test]
    fn plain_text() {
        assert_eq!(
            of("Subject: x\n\n  Hello \t Joe,\n\n\nall\u{a0}is well.\n-- \nAnn\n"),
            "Hello Joe, all is well."
        );
        assert_eq!(of("Subject: x\n\n"), "");
        assert_eq!(of(""), "");
        assert_eq!(
            of(
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nR3LDvMOfZQ==\n"
            ),
            "Grüße"
        );
        assert_eq!(of("Content-Type: text/plain; format=flowed\n\none \ntwo\n"), "one two");
        assert_eq!(of("Content-Type: image/png\n\nabc\n"), "");
    }

    #[test]
    fn what_was_quoted_is_left_out_if_anything_is_left() {
        let header = "Subject: x\n\n";
        for (body, expected) in [
            ("On Monday, Joe wrote:\n> hello\n> you\n\nYes.\n", "Yes."),
            ("On Monday,\nJoe wrote:\n\n> hello\nYes.\n> more\nNo.\n", "Yes. No."),
            ("Hi all,\n\nJoe wrote:\n> hello\n\nYes.\n", "Hi all, Yes."),
            ("one\ntwo\nthree:\n> hello\n", "one two three:"),
            ("> hello\n", "> hello"),
            ("Joe wrote:\n> hello\n", "Joe wrote: > hello"),
            ("-- \nonly a signature\n", "-- only a signature"),
        ] {
            assert_eq!(of(&format!("{header}{body}")), expected, "{body:?}");
        }
    }

    #[test]
    fn parts() {
        let multipart = |parts: &[&str]| {
            let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
            of(&format!("Content-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n"))
        };
        let html = "Content-Type: text/html\n\n<title>no</title><p>rich <b>te</b>xt</p>";
        let plain = "Content-Type: text/plain\n\nplain text\n";
        let attached = "Content-Type: text/plain\nContent-Disposition: attachment; filename=a\n\nattached";
        assert_eq!(multipart(&[html, plain]), "plain text");
        assert_eq!(multipart(&[attached, html]), "rich text");
        assert_eq!(multipart(&["\n \n", html]), "rich text");
        assert_eq!(multipart(&[attached]), "");
        assert_eq!(multipart(&["Content-Type: message/rfc822\n\nSubject: in\n\ninner text"]), "inner text");
    }

    #[test]
    fn two_hundred_characters() {
        for letter in ['a', 'ß', '漢', '🎉'] {
            let text = String::from(letter).repeat(300);
            let header = "Content-Type: text/plain; charset=utf-8\n\n";
            assert_eq!(of(&format!("{header}{text}")), String::from(letter).repeat(200));
            assert_eq!(of(&format!("{header}{}", format!("{letter} ").repeat(300))).chars().count(), 199);
        }
        let long = format!("Content-Type: text/html\n\n{}x", "<p>".repeat(200_000));
        assert_eq!(of(&long), "");
    }

    /// Broken mail, whole and cut anywhere: our own, and the corpus beside the repository where there is one.
    #[test]
    fn odd_mail() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![here.join("tests/data/mime"), here.join("../../shared/corpus/torture")];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let raw = std::fs::read(&path).unwrap();
                for cut in [raw.len(), raw.len() / 2, raw.len() / 3] {
                    let text = preview(&raw[..cut]);
                    assert!(
                        text.chars().count() <= CHARS_MAX && !text.contains(char::is_control),
                        "{path:?}"
                    );
                }
                seen += 1;
            }
        }
        assert!(seen >= 10);
    }
}
