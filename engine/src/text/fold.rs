//! Case folding after i;unicode-casemap (RFC 5051): per code point the simple title case, then its
//! recursive canonical decomposition.
//!
//! Laws
//! - Context-free: `fold(ab) = fold(a) fold(b)`. So no reordering of marks, and no
//!   `str::to_lowercase`, whose final sigma looks at its neighbours.
//! - A letter and its simple title case fold to the same.
//! - Not idempotent: `ǰ` has no simple title case and decomposes to a small j. So what is folded is
//!   not folded again.

use unicode_normalization::char::decompose_canonical;

/// The folded form of a text.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    fold_into(text, &mut out);
    out
}

/// Appends the folded form.
pub fn fold_into(text: &str, out: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        // Most text is ASCII: whole runs of it at once.
        let run = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        let (ascii, tail) = rest.split_at(run);
        let from = out.len();
        out.push_str(ascii);
        if let Some(added) = out.get_mut(from..) {
            added.make_ascii_uppercase();
        }
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            fold_char(c, out);
        }
        rest = chars.as_str();
    }
}

fn fold_char(c: char, out: &mut String) {
    decompose_canonical(simple_titlecase(c), |d| out.push(d));
}

/// Simple_Titlecase_Mapping of the Unicode Character Database. The standard library has only the
/// full upper case, which differs where it is several characters, and for the letters that have a
/// title case of their own.
fn simple_titlecase(c: char) -> char {
    match c {
        '\u{1C4}'..='\u{1C6}' => '\u{1C5}',
        '\u{1C7}'..='\u{1C9}' => '\u{1C8}',
        '\u{1CA}'..='\u{1CC}' => '\u{1CB}',
        '\u{1F1}'..='\u{1F3}' => '\u{1F2}',
        // Georgian has capitals, but no title case.
        '\u{10D0}'..='\u{10FF}' => c,
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => plus(c, 8),
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => plus(c, 9),
        _ => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => c, // ß, ligatures: no simple mapping
            }
        }
    }
}

fn plus(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same() {
        for (a, b) in [
            ("Straße", "STRAßE"),
            ("ΟΔΟΣ", "οδος"),
            ("οδος", "οδοσ"),
            ("É", "e\u{301}"),
            ("ǆ", "ǅ"),
            ("ᾳ", "ᾼ"),
            ("ᾀ", "ᾈ"),
            ("한", "\u{1112}\u{1161}\u{11AB}"),
            ("Å", "\u{212B}"),
            ("ﬁx", "ﬁX"),
            ("дом", "ДОМ"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
    }

    #[test]
    fn not_the_same() {
        for (a, b) in [("ß", "ss"), ("ﬁ", "fi"), ("e", "é"), ("i", "ı\u{307}"), ("ა", "Ა")] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
    }

    /// Every code point is found by its title case, which is its own title case.
    #[test]
    fn a_letter_and_its_title_case_fold_alike() {
        for c in '\0'..=char::MAX {
            let title = simple_titlecase(c);
            assert_eq!(simple_titlecase(title), title, "U+{:04X}", u32::from(c));
            assert_eq!(fold(&c.to_string()), fold(&title.to_string()), "U+{:04X}", u32::from(c));
        }
    }

    proptest! {
        #[test]
        fn context_free(a in ".*", b in "\\PC*") {
            prop_assert_eq!(fold(&format!("{a}{b}")), fold(&a) + &fold(&b));
        }
    }
}
