//! Numbers of things as people say them.

/// `1 message`, `2 messages`; for words whose plural has an s more.
#[must_use]
pub fn show(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| show(n, "step")), ["0 steps", "1 step", "2 steps"]);
    }
}
