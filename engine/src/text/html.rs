//! The text of HTML as its reader sees it.
//!
//! Laws
//! - Out: tags and their attributes, comments, `script`, `style`, `title`, `template`, and elements
//!   hidden by `hidden`, `display:none` or `visibility:hidden`.
//! - A run of blanks is one space (no-break spaces count as blanks); a block tag or `br` is one line end,
//!   CR LF, however many there are; a table cell is set off by a space. In `pre` line ends count.
//! - An inline tag is nothing: `quill<b>wort</b>` is one word.
//! - What is no HTML (a lone `<`, an unknown entity) stays. Time is linear in the length.

use mail_parser::decoders::html::add_html_token;
use memchr::memmem;

/// The longest name of an entity, with some room.
const ENTITY_BYTES_MAX: usize = 40;

/// The visible text of an HTML document or a piece of one.
#[must_use]
pub fn to_text(html: &str) -> String {
    let mut reader = Reader {
        html,
        at: 0,
        out: Visible::default(),
        hidden: None,
        pre_depth: 0,
        quotes_are_closed: true,
        tags_are_closed: true,
        unclosed: Vec::new(),
    };
    reader.run();
    reader.out.text
}

/// Text with the blanks that may follow held back.
#[derive(Default)]
struct Visible {
    text: String,
    pending: Blank,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blank {
    #[default]
    None,
    Space,
    LineEnd,
}

impl Visible {
    fn blank(&mut self, blank: Blank) {
        if !self.text.is_empty() {
            self.pending = self.pending.max(blank);
        }
    }

    fn push(&mut self, c: char) {
        match std::mem::take(&mut self.pending) {
            Blank::None => {}
            Blank::Space => self.text.push(' '),
            Blank::LineEnd => self.text.push_str("\r\n"),
        }
        self.text.push(c);
    }
}

struct Reader<'a> {
    html: &'a str,
    at: usize,
    out: Visible,
    /// The hidden element we are in, and how many of its name are open.
    hidden: Option<(String, usize)>,
    pre_depth: usize,
    /// False once a quote in a tag was seen to be never closed.
    quotes_are_closed: bool,
    /// False once there is no `>` left.
    tags_are_closed: bool,
    /// Elements whose end tag was looked for in vain.
    unclosed: Vec<&'static str>,
}

/// Their content is no text.
const RAW: [&str; 4] = ["script", "style", "title", "template"];

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    fn run(&mut self) {
        while !self.rest().is_empty() {
            let rest = self.rest();
            let stop = memchr::memchr2(b'<', b'&', rest.as_bytes()).unwrap_or(rest.len());
            let (text, _) = rest.split_at(stop);
            text.chars().for_each(|c| self.push(c));
            self.at += stop;
            match self.rest().as_bytes().first() {
                Some(b'<') => self.markup(),
                Some(_) => self.entity(),
                None => {}
            }
        }
    }

    fn push(&mut self, c: char) {
        if self.hidden.is_some() {
            return;
        }
        match c {
            '\n' if self.pre_depth > 0 => self.out.blank(Blank::LineEnd),
            ' ' | '\t' | '\r' | '\n' | '\u{c}' | '\u{a0}' => self.out.blank(Blank::Space),
            _ => self.out.push(c),
        }
    }

    /// `&name;`, `&#233;`, `&#xe9;`
    fn entity(&mut self) {
        let rest = self.rest();
        let window = rest.as_bytes().get(..ENTITY_BYTES_MAX).unwrap_or(rest.as_bytes());
        let end = window.iter().skip(1).position(|b| !b.is_ascii_alphanumeric() && *b != b'#');
        let end = end.map(|e| e + 1).filter(|e| window.get(*e) == Some(&b';'));
        let Some(token) = end.and_then(|end| rest.get(..=end)) else {
            self.push('&');
            self.at += 1;
            return;
        };
        let mut decoded = String::new();
        add_html_token(&mut decoded, token.as_bytes(), false);
        decoded.chars().for_each(|c| self.push(c));
        self.at += token.len();
    }

    fn markup(&mut self) {
        let rest = self.rest();
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = memmem::find(comment.as_bytes(), b"-->").map(|e| 4 + e + 3);
            // A comment that is never closed hides the rest, as in a browser.
            self.at += end.unwrap_or(rest.len());
            return;
        }
        let after = rest.as_bytes().get(1).copied().unwrap_or(b' ');
        match after {
            b'!' | b'?' => self.at += memchr::memchr(b'>', rest.as_bytes()).map_or(rest.len(), |e| e + 1),
            b'/' => self.tag(2, Self::end_tag),
            _ if after.is_ascii_alphabetic() => self.tag(1, Self::start_tag),
            _ => {
                self.push('<');
                self.at += 1;
            }
        }
    }

    /// Cuts a tag out and hands name and attributes on.
    fn tag(&mut self, name_at: usize, handle: fn(&mut Self, &str, &str)) {
        let rest = self.rest();
        let Some(end) = self.tag_end(rest) else {
            self.push('<'); // never closed: no tag
            self.at += 1;
            return;
        };
        let inner = rest.get(name_at..end).unwrap_or_default();
        let name_len = inner.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(inner.len());
        let (name, attributes) = inner.split_at(name_len);
        let name = name.to_ascii_lowercase();
        self.at += end + 1;
        handle(self, &name, attributes);
    }

    /// Offset of the `>` that ends the tag `rest` begins with; quotes may hold others. What is looked
    /// for in vain is not looked for again, or the time would be quadratic.
    fn tag_end(&mut self, rest: &str) -> Option<usize> {
        if self.quotes_are_closed {
            match tag_end_beyond_quotes(rest.as_bytes()) {
                Some(end) => return Some(end),
                None => self.quotes_are_closed = false,
            }
        }
        if self.tags_are_closed {
            let end = memchr::memchr(b'>', rest.as_bytes());
            self.tags_are_closed = end.is_some();
            return end;
        }
        None
    }

    fn start_tag(&mut self, name: &str, attributes: &str) {
        if let Some(raw) = RAW.iter().find(|raw| **raw == name) {
            self.skip_raw(raw);
            return;
        }
        self.breaks(name);
        if name == "pre" {
            self.pre_depth += 1;
        }
        if is_void(name) || attributes.ends_with('/') {
            return;
        }
        match &mut self.hidden {
            Some((hidden, depth)) if hidden == name => {
                // `<p hidden>..<p>`: the second ends the first.
                if end_tag_is_optional(name) { self.hidden = None } else { *depth += 1 }
            }
            Some(_) => {}
            None => {}
        }
        if self.hidden.is_none() && is_hidden(attributes) {
            self.hidden = Some((name.to_owned(), 1));
        }
    }

    fn end_tag(&mut self, name: &str, _attributes: &str) {
        if let Some((hidden, depth)) = &mut self.hidden
            && hidden == name
        {
            *depth -= 1;
            if *depth == 0 {
                self.hidden = None;
            }
        }
        if name == "pre" {
            self.pre_depth = self.pre_depth.saturating_sub(1);
        }
        self.breaks(name);
    }

    fn breaks(&mut self, name: &str) {
        if self.hidden.is_some() {
            return;
        }
        match name {
            "td" | "th" => self.out.blank(Blank::Space),
            _ if is_block(name) => self.out.blank(Blank::LineEnd),
            _ => {}
        }
    }

    /// Past the end tag of an element that is no text. One that never ends is text after all.
    fn skip_raw(&mut self, name: &'static str) {
        if self.unclosed.contains(&name) {
            return;
        }
        let bytes = self.rest().as_bytes();
        let mut from = 0;
        while let Some(at) = bytes.get(from..).and_then(|rest| memmem::find(rest, b"</")) {
            from += at + 2;
            let candidate = bytes.get(from..from + name.len()).unwrap_or_default();
            if candidate.eq_ignore_ascii_case(name.as_bytes()) {
                self.at += from - 2; // the end tag itself is read next
                return;
            }
        }
        self.unclosed.push(name);
    }
}

/// The `>` outside of quoted values; None when it or a closing quote is missing.
fn tag_end_beyond_quotes(tag: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr3(b'>', b'"', b'\'', tag.get(at..)?)?;
        let quote = *tag.get(at)?;
        if quote == b'>' {
            return Some(at);
        }
        // A quote opens a value only after an equals sign.
        if tag.get(..at)?.trim_ascii_end().ends_with(b"=") {
            at += memchr::memchr(quote, tag.get(at + 1..)?)? + 1;
        }
        at += 1;
    }
}

fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "source"
            | "track"
            | "wbr"
    )
}

fn end_tag_is_optional(name: &str) -> bool {
    matches!(name, "p" | "li" | "td" | "th" | "tr" | "dt" | "dd" | "option")
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "br"
            | "center"
            | "dd"
            | "details"
            | "dir"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "li"
            | "main"
            | "menu"
            | "nav"
            | "ol"
            | "option"
            | "p"
            | "pre"
            | "section"
            | "summary"
            | "table"
            | "tbody"
            | "tfoot"
            | "thead"
            | "tr"
            | "ul"
    )
}

fn is_hidden(attributes: &str) -> bool {
    let mut rest = attributes.trim_ascii_start();
    while !rest.is_empty() {
        let name_len = rest
            .bytes()
            .position(|b| b == b'=' || b.is_ascii_whitespace() || b == b'/')
            .unwrap_or(rest.len());
        let (name, tail) = rest.split_at(name_len);
        let (value, tail) = match tail.trim_ascii_start().strip_prefix('=') {
            Some(value) => split_value(value.trim_ascii_start()),
            None => ("", tail),
        };
        if name.eq_ignore_ascii_case("hidden") || (name.eq_ignore_ascii_case("style") && hides(value)) {
            return true;
        }
        rest = tail.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if name_len == 0 && value.is_empty() {
            // Nothing was taken: step over one character.
            let mut chars = rest.chars();
            chars.next();
            rest = chars.as_str();
        }
    }
    false
}

/// An attribute's value and what follows it.
fn split_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    text.split_at(text.bytes().position(|b| b.is_ascii_whitespace()).unwrap_or(text.len()))
}

fn hides(style: &str) -> bool {
    let style: String = style.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    style.contains("display:none") || style.contains("visibility:hidden")
}

#[cfg(test)]
mod tests {
    use super::to_text;
    use proptest::prelude::*;

    #[test]
    fn what_a_reader_sees() {
        for (html, text) in [
            ("<p>One\r\n two</p><p>three</P>", "One two\r\nthree"),
            ("quill<b class='x>y'>wort</b>", "quillwort"),
            ("a<br>b<br/><br>c", "a\r\nb\r\nc"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", "a b\r\nc"),
            ("a&nbsp;&amp;&#233;&#xE9;&eacute; &nosuch; & &", "a &ééé &nosuch; & &"),
            ("a<!-- x > y -->b<!doctype html>c<?php x?>d", "abcd"),
            ("<head><title>T</title><style>p{}</style></head><SCRIPT>if (a<b) {}</script >x", "x"),
            ("<div style=\"Display : none\">in <div>deep</div> in</div>out", "out"),
            ("<span hidden>in</span>a<span style='visibility:hidden'>in</span>b", "ab"),
            ("<p style=display:none>in<p>out", "out"),
            ("<img alt=x style='display:none'>seen", "seen"),
            ("<pre>a\n b</pre>", "a\r\nb"),
            ("1 < 2 <3", "1 < 2 <3"),
            ("<a href=\"never closed>x</a>", "x"),
            ("<a title=\"it's\">x</a> it's <b>y</b>", "x it's y"),
            ("open <b", "open <b"),
            ("<script>never closed", "never closed"),
            ("gone <!-- never closed", "gone"),
            ("", ""),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }

    #[test]
    fn linear() {
        // Each took quadratic time with a careless reader.
        for piece in ["<a b=\"", "<script>", "<!", "</", "&", "<p style=", "<x y='>", "<a", "<a '", "<!-"] {
            assert!(!to_text(&("x".to_owned() + &piece.repeat(300_000))).is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text(html in "(<|>|&|;|\"|'|=|/|!|-|a|p|style|hidden|script|é| |#){0,60}") {
            let text = to_text(&html);
            prop_assert!(!text.starts_with(char::is_whitespace) && !text.ends_with('\n'));
        }
    }
}
