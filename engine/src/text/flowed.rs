//! format=flowed (RFC 3676): paragraphs put together again.
//!
//! Laws
//! - A line that ends in a space continues in the next one of the same quote depth; with
//!   DelSp=yes that space goes. The signature separator `-- ` never continues.
//! - Space-stuffing goes. Quote marks stay at the beginning of a paragraph and go within it.

/// The text with its paragraphs joined; line ends as they were.
pub fn join(text: &str, delete_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None; // quote depth of the paragraph that goes on
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        let line_end = line.get(content.len()..).unwrap_or_default();
        let unquoted = content.trim_start_matches('>');
        let depth = content.len() - unquoted.len();
        let unstuffed = unquoted.strip_prefix(' ').unwrap_or(unquoted);
        let is_separator = unstuffed == "-- ";
        match open {
            Some(quoted) if quoted == depth && !is_separator => {}
            was_open => {
                if was_open.is_some() {
                    out.push_str("\r\n"); // the paragraph before ended without a fixed line
                }
                out.extend(std::iter::repeat_n('>', depth));
                if depth > 0 && !unstuffed.is_empty() {
                    out.push(' ');
                }
            }
        }
        if unstuffed.ends_with(' ') && !is_separator && !line_end.is_empty() {
            out.push_str(if delete_space {
                unstuffed.strip_suffix(' ').unwrap_or(unstuffed)
            } else {
                unstuffed
            });
            open = Some(depth);
        } else {
            out.push_str(unstuffed);
            out.push_str(line_end);
            open = None;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn paragraphs() {
        for (text, joined) in [
            ("one \r\ntwo \r\nthree\r\nfour\r\n", "one two three\r\nfour\r\n"),
            ("a\r\n-- \r\nsig\r\n", "a\r\n-- \r\nsig\r\n"),
            ("a \r\n-- \r\nsig", "a \r\n-- \r\nsig"),
            (" >not a quote\r\n From here\r\n", ">not a quote\r\nFrom here\r\n"),
            ("> q1 \r\n> q2\r\n>> deep \r\nflat", "> q1 q2\r\n>> deep \r\nflat"),
            ("open ", "open "),
            ("", ""),
        ] {
            assert_eq!(join(text, false), joined, "{text:?}");
        }
        assert_eq!(join("hy \nphen\n", true), "hyphen\n");
    }
}
