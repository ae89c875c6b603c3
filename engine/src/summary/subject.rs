//! The base subject (RFC 5256 section 2.1).
//!
//! Laws
//! - Exactly that procedure, on the decoded text; its numbers stand at the steps.
//! - Time is linear in the length: blobs are looked at in one run, for what stands after the run decides
//!   about all of them.

/// A subject without what replies, forwards and lists put around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseSubject {
    pub text: String,
    /// Something of a reply or forward was taken away: a `Re:`, a `(fwd)`, a `[fwd: ]`.
    pub is_reply_or_forward: bool,
}

/// The base subject of a decoded, unfolded subject.
#[must_use]
pub fn base_subject(decoded: &str) -> BaseSubject {
    let text = one_space(decoded); // (1)
    let mut rest = text.as_str();
    let mut is_reply_or_forward = false;
    loop {
        rest = without_trailers(rest, &mut is_reply_or_forward); // (2)
        rest = without_leaders(rest, &mut is_reply_or_forward); // (3) to (5)
        let inner = strip_prefix(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']'));
        let Some(inner) = inner else { break }; // (6)
        is_reply_or_forward = true;
        rest = inner;
    }
    BaseSubject { text: rest.to_owned(), is_reply_or_forward } // (7)
}

/// Tabs, line ends and runs of spaces as one space; NUL goes, for no key may hold it.
fn one_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| *c != '\0') {
        let c = if matches!(c, '\t' | '\r' | '\n') { ' ' } else { c };
        if c != ' ' || !out.ends_with(' ') {
            out.push(c);
        }
    }
    out
}

/// Step 2: `subj-trailer`, as often as there is one.
fn without_trailers<'a>(mut rest: &'a str, is_refwd: &mut bool) -> &'a str {
    loop {
        rest = rest.trim_end_matches(' ');
        let Some(head) = strip_suffix(rest, "(fwd)") else { return rest };
        *is_refwd = true;
        rest = head;
    }
}

/// Steps 3 to 5: `subj-leader` and blobs, until neither is left.
fn without_leaders<'a>(mut rest: &'a str, is_refwd: &mut bool) -> &'a str {
    loop {
        rest = rest.trim_start_matches(' ');
        let mut after_blobs = rest;
        let mut last_blob = rest;
        while let Some(after) = strip_blob(after_blobs) {
            last_blob = after_blobs;
            after_blobs = after;
        }
        if let Some(after) = strip_refwd(after_blobs) {
            *is_refwd = true;
            rest = after;
            continue;
        }
        // (4): a blob goes unless nothing would be left.
        return if after_blobs.is_empty() { last_blob } else { after_blobs };
    }
}

/// `subj-refwd` without the blobs before it.
fn strip_refwd(text: &str) -> Option<&str> {
    let after = strip_prefix(text, "re")
        .or_else(|| strip_prefix(text, "fwd"))
        .or_else(|| strip_prefix(text, "fw"))?
        .trim_start_matches(' ');
    strip_blob(after).unwrap_or(after).strip_prefix(':')
}

/// `subj-blob`: brackets without brackets in them, and the blanks after.
fn strip_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    Some(inner.get(end..)?.strip_prefix(']')?.trim_start_matches(' '))
}

/// The words of the grammar ignore case (RFC 5234 section 2.3).
fn strip_prefix<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    if head.eq_ignore_ascii_case(word) { text.get(word.len()..) } else { None }
}

fn strip_suffix<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(word.len())?;
    if text.get(at..)?.eq_ignore_ascii_case(word) { text.get(..at) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (subject, base, is_reply_or_forward) in [
            ("plain", "plain", false),
            ("", "", false),
            ("  a \t b\r\n c  ", "a b c", false),
            ("Re: x", "x", true),
            ("RE:x", "x", true),
            ("re : x", "x", true),
            ("Re[2]: x", "x", true),
            ("Re [2] : x", "x", true),
            ("Fw: x", "x", true),
            ("FWD: x", "x", true),
            ("Fwd[a]: Re: fw: x", "x", true),
            ("Aw: x", "Aw: x", false),
            ("Reply: x", "Reply: x", false),
            ("Re x", "Re x", false),
            ("Re", "Re", false),
            ("Re:", "", true),
            ("Re: Re:  Re:", "", true),
            ("x (fwd)", "x", true),
            ("x (FWD) (fwd)(fwd) ", "x", true),
            ("(fwd)", "", true),
            ("(fwd) x", "(fwd) x", false),
            ("[list] x", "x", false),
            ("[list][other] x", "x", false),
            ("[list] Re: x", "x", true),
            ("Re: [list] x", "x", true),
            ("Re: [list] Re: [b] [c]Fwd: x", "x", true),
            ("[list]", "[list]", false),
            ("Re: [list]", "[list]", true),
            ("[a] [b]", "[b]", false),
            ("[a] [b] (fwd)", "[b]", true),
            ("[not closed x", "[not closed x", false),
            ("[a[b]] x", "[a[b]] x", false),
            ("[] x", "x", false),
            ("[fwd: x]", "x", true),
            ("[FWD:Re: [list] x (fwd)]", "x", true),
            ("[Fwd: [Fwd: x]]", "x", true),
            ("[list] [fwd: x]", "x", true),
            ("[fwd: x] y", "y", false),
            ("[fwd:]", "", true),
            ("[fwd: x", "[fwd: x", false),
            ("Re: [fwd: [list] y] (fwd)", "y", true),
            ("Größe Re: x", "Größe Re: x", false),
            ("é", "é", false),
            ("R\u{e9}: x", "R\u{e9}: x", false),
            ("a\0b", "ab", false),
        ] {
            let base = BaseSubject { text: base.to_owned(), is_reply_or_forward };
            assert_eq!(base_subject(subject), base, "{subject:?}");
        }
    }

    /// Each took quadratic time with a careless reading of the rules.
    #[test]
    fn linear() {
        for piece in ["[a]", "[", "Re: ", "[a]Re:", "(fwd)", "[fwd:", "re[a] ", "]"] {
            let many = piece.repeat(200_000);
            assert!(base_subject(&many).text.len() <= many.len());
            let closed = format!("{many}x{}", "]".repeat(200_000));
            assert!(base_subject(&closed).text.len() <= closed.len());
        }
    }
}
