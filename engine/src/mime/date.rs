//! The Date field (RFC 5322 section 3.3, obsolete forms of section 4.3, and what else is sent).
//!
//! Laws
//! - Day, month and year must be there and be a day of the calendar, or it is no date. A time that
//!   is missing or impossible counts as 00:00:00, a zone that is missing, unknown or impossible as
//!   UTC: SEARCH's dates are days as written (RFC 3501 section 6.4.4), and those are still known.
//! - A leap second is the second before it.

use super::header::unfold;
use crate::types::ZonedTime;
use crate::types::civil::{days_of_existing, month_number};

/// A raw Date value: `Thu, 9 May 2024 10:00:00 +0200`, asctime's `Thu May  9 10:00:00 2024`, and
/// RFC 3339's `2024-05-09T10:00:00Z`.
#[must_use]
pub fn parse_rfc5322(value: &[u8]) -> Option<ZonedTime> {
    let value = unfold(value);
    let text = without_comments(&value);
    let mut date = Pieces::default();
    for token in text.split(|b| matches!(b, b' ' | b'\t' | b',')).filter(|t| !t.is_empty()) {
        date.take(token);
    }
    date.finish()
}

#[derive(Default)]
struct Pieces {
    day: Option<i64>,
    month: Option<i64>,
    year: Option<i64>,
    time_s: Option<i64>,
    zone_minutes: Option<i16>,
}

impl Pieces {
    fn take(&mut self, token: &[u8]) {
        if token.contains(&b':') {
            // RFC 3339 has date, time and zone in one word.
            match memchr::memchr2(b'T', b't', token) {
                Some(t) if self.iso_date(token.get(..t).unwrap_or_default()) => {
                    self.time_and_zone(token.get(t + 1..).unwrap_or_default());
                }
                _ => self.time_and_zone(token),
            }
        } else if matches!(token.first(), Some(b'+' | b'-')) {
            self.zone_minutes = self.zone_minutes.or(numeric_zone(token));
        } else if token.contains(&b'-') {
            if !self.iso_date(token) {
                token.split(|b| *b == b'-').for_each(|word| self.word(word)); // 9-May-2024
            }
        } else {
            self.word(token);
        }
    }

    fn word(&mut self, word: &[u8]) {
        if let Some(value) = number(word) {
            if self.day.is_none() && word.len() <= 2 {
                self.day = Some(value);
            } else if self.year.is_none() {
                self.year = Some(full_year(value, word.len()));
            }
        } else if let (None, Some(month)) = (self.month, word.get(..3).and_then(month_number)) {
            self.month = Some(month);
        } else if self.time_s.is_some() && self.zone_minutes.is_none() {
            self.zone_minutes = named_zone(word);
        }
    }

    fn iso_date(&mut self, token: &[u8]) -> bool {
        let mut parts = token.split(|b| *b == b'-');
        let (Some(y), Some(m), Some(d), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let (4, Some(y), Some(m), Some(d)) = (y.len(), number(y), number(m), number(d)) else { return false };
        self.year = Some(y);
        self.month = Some(m);
        self.day = Some(d);
        true
    }

    /// `10:00:00`, `10:00`, `10:00:00+0200`, `10:00:00.5Z`.
    fn time_and_zone(&mut self, token: &[u8]) {
        let end = token.iter().position(|b| !matches!(b, b'0'..=b'9' | b':' | b'.')).unwrap_or(token.len());
        let (time, zone) = token.split_at_checked(end).unwrap_or((token, &[]));
        if self.time_s.is_none() {
            self.time_s = Some(time_s(time).unwrap_or(0));
        }
        match zone.first() {
            Some(b'+' | b'-') => self.zone_minutes = numeric_zone(zone),
            Some(_) => self.zone_minutes = named_zone(zone),
            None => {}
        }
    }

    fn finish(self) -> Option<ZonedTime> {
        let days = days_of_existing(self.year?, self.month?, self.day?)?;
        let offset_minutes = self.zone_minutes.unwrap_or(0);
        let unix_s = days * 86_400 + self.time_s.unwrap_or(0) - i64::from(offset_minutes) * 60;
        Some(ZonedTime { unix_s, offset_minutes })
    }
}

/// RFC 5322 section 4.3: two digits below 50 are of this century, other two and three digits count
/// from 1900.
fn full_year(value: i64, digits: usize) -> i64 {
    match digits {
        0..=2 if value < 50 => 2000 + value,
        0..=3 => 1900 + value,
        _ => value,
    }
}

fn number(word: &[u8]) -> Option<i64> {
    let digits_only = (1..=6).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    digits_only.then(|| word.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
}

fn time_s(time: &[u8]) -> Option<i64> {
    let whole = time.split(|b| *b == b'.').next()?;
    let mut parts = whole.split(|b| *b == b':').map(number);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let possible = hour < 24 && minute < 60 && second <= 60;
    possible.then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// `+0200`, `+02:00`, `+02`.
fn numeric_zone(zone: &[u8]) -> Option<i16> {
    let (sign, rest) = match zone.split_first()? {
        (b'-', rest) => (-1, rest),
        (_, rest) => (1, rest),
    };
    let digits: Vec<u8> = rest.iter().copied().filter(|b| *b != b':').collect();
    let value = number(&digits)?;
    let (hours, minutes) = if digits.len() <= 2 { (value, 0) } else { (value / 100, value % 100) };
    (hours < 24 && minutes < 60).then(|| i16::try_from(sign * (hours * 60 + minutes)).ok())?
}

/// RFC 5322 section 4.3. Single letters were used with both signs: UTC, but for Z that is right.
fn named_zone(zone: &[u8]) -> Option<i16> {
    let name = zone.to_ascii_uppercase();
    if let Some(offset) = name.strip_prefix(b"GMT").or(name.strip_prefix(b"UTC")).filter(|o| !o.is_empty()) {
        return numeric_zone(offset);
    }
    let hours = match &*name {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        b"UT" | b"GMT" | b"UTC" | b"Z" => 0,
        _ => return None,
    };
    Some(hours * 60)
}

fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut depth = 0_usize;
    let mut out = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                out.push(b' ');
            }
            _ if depth == 0 => out.push(byte),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<(i64, i16)> {
        parse_rfc5322(value.as_bytes()).map(|d| (d.unix_s, d.offset_minutes))
    }

    #[test]
    fn forms_that_mean_the_same_moment() {
        let moment = 1_715_241_600; // 2024-05-09T08:00:00Z
        for (value, offset) in [
            ("Thu, 9 May 2024 10:00:00 +0200", 120),
            (" Thu,9 May 2024 10:00:00 +0200 (CEST (summer))\r\n", 120),
            ("9 May 24 10:00 +0200", 120),
            ("9-MAY-2024 10:00:00 +02:00", 120),
            ("Thu, 9 May 2024 10:00:00 GMT+0200", 120),
            ("2024-05-09T10:00:00.25+02:00", 120),
            ("2024-05-09T08:00:00Z", 0),
            ("Thu May  9 08:00:00 2024", 0),
            ("Thu, 09 May 2024 04:00:00 EDT", -240),
            ("Thu, 9 May 2024 08:00:00 A", 0),
            ("9 May 124 8:0:0 XYZ", 0),
        ] {
            assert_eq!(parsed(value), Some((moment, offset)), "{value}");
        }
    }

    #[test]
    fn the_day_is_kept_when_the_time_is_not_possible() {
        let day = |value: &str| parse_rfc5322(value.as_bytes()).map(ZonedTime::local_day);
        let ninth = days_of_existing(2024, 5, 9);
        assert_eq!(day("Thu, 9 May 2024 25:61:61 +9999"), ninth);
        assert_eq!(day("Thu, 9 May 2024"), ninth);
        assert_eq!(day("Thu, 9 May 2024 23:59:60 -1200"), ninth);
        assert_eq!(day("Thu, 9 May 2024 10:00:00 +0560"), ninth);
        assert_eq!(day("1 Jan 10000 00:00:00 +0000"), days_of_existing(10_000, 1, 1));
    }

    #[test]
    fn no_dates() {
        for value in
            ["", " ", "Not supplied", "Thu, 9", "32 Jan 2024 10:00:00 +0000", "30 Feb 2024", "((((", "-"]
        {
            assert_eq!(parsed(value), None, "{value}");
        }
    }

    #[test]
    fn days() {
        assert_eq!(days_of_existing(1970, 1, 1), Some(0));
        assert_eq!(days_of_existing(2000, 3, 1), Some(11_017));
        assert_eq!(days_of_existing(1969, 12, 31), Some(-1));
        assert_eq!(days_of_existing(2024, 2, 29), Some(19_782));
        assert_eq!((days_of_existing(2023, 2, 29), days_of_existing(2024, 13, 1)), (None, None));
    }
}
