//! Message-IDs as numbers.
//!
//! Laws
//! - An id is what stands between `<` and the next `>`, as in `mime::thread`; quoting and folding do not
//!   count (RFC 5256 section 3: `<"a"@b>` is `<a@b>`), case does.
//! - The number is the first 8 bytes of the id's BLAKE3, never 0: of ten million ids two are alike with a
//!   chance of 3 in a million. Who makes two alike on purpose puts messages into one thread, which a false
//!   References field does at less cost.

/// The numbers of the ids of a field value, in order.
pub(super) fn ids(value: &[u8]) -> impl Iterator<Item = u64> + '_ {
    value.split(|b| *b == b'<').skip(1).filter_map(|rest| {
        let end = memchr::memchr(b'>', rest)?;
        let id = normal(rest.get(..end)?);
        (!id.is_empty()).then(|| number(&id))
    })
}

/// Without blanks, line ends, and the quoting of quoted strings.
fn normal(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut is_quoted = false;
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => out.extend(bytes.next()),
            0..=b' ' if !(is_quoted && byte == b' ') => {}
            _ => out.push(byte),
        }
    }
    out
}

fn number(id: &[u8]) -> u64 {
    let digest = blake3::hash(id);
    let mut first = [0; 8];
    first.copy_from_slice(digest.as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
    u64::from_le_bytes(first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_id() {
        let all = |value: &str| ids(value.as_bytes()).collect::<Vec<_>>();
        let plain = all("<a.b@c>");
        assert_eq!(plain.len(), 1);
        for same in
            ["<\"a.b\"@c>", "< a.b@c >", "<a.b@\r\n c>", "text <a.b@c> text", "<<a.b@c>>", "<\"a\\.b\"@c>"]
        {
            assert_eq!(all(same), plain, "{same}");
        }
        for other in ["<A.b@c>", "<a.b@C>", "<\"a .b\"@c>", "<a.b>", "<\\a.b@c>"] {
            assert_ne!(all(other), plain, "{other}");
            assert_eq!(all(other).len(), 1, "{other}");
        }
        for none in ["", "a.b@c", "<>", "< >", "<\"\">", "<a.b@c", "a.b@c>"] {
            assert_eq!(all(none), Vec::<u64>::new(), "{none}");
        }
        assert_eq!(all("<a@b><c@d> junk <a@b>").len(), 3);
        assert_eq!(all("<unclosed <a.b@c>"), plain);
    }
}
