//! Sizes as people write them.

/// The most that an account's mail may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota(pub Option<u64>);

/// Reads `123`, `10k`, `10M`, `2G`, `1GiB`: factors of 1024. `none` is no limit.
pub fn parse_quota(text: &str) -> Result<Quota, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Quota(None));
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("give a size such as 500M or 2G, or `none`".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "give a size such as 500M or 2G, or `none`".to_owned())?;
    number
        .checked_mul(1 << shift)
        .map(|bytes| Quota(Some(bytes)))
        .ok_or_else(|| "that is more than any disk".to_owned())
}

/// `1.2 MiB`.
#[must_use]
pub fn show(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_quota("10k"), Ok(Quota(Some(10_240))));
        assert_eq!(parse_quota("1GiB"), Ok(Quota(Some(1 << 30))));
        assert_eq!(parse_quota("7"), Ok(Quota(Some(7))));
        assert_eq!(parse_quota("none"), Ok(Quota(None)));
        for bad in ["", "k", "-1", "1.5G", "99999999999T", "10x"] {
            assert!(parse_quota(bad).is_err(), "{bad}");
        }
    }
}
