//! A moment as people write it.

use engine::types::civil::days_of_existing;

/// Milliseconds since 1970 of `2026-11-23`, `2026-11-23 04:00`, `2026-11-23T04:00:05.250Z`, `2026-11-23 06:00+02:00`. UTC
/// where no offset is given; a day is its beginning, a minute its beginning, a second its end.
pub fn parse(text: &str) -> Result<u64, String> {
    parse_ms(text.trim()).ok_or_else(|| {
        "give a time such as `2026-11-23 04:00` (UTC), 2026-11-23T04:00:05Z or 2026-11-23T06:00:05+02:00"
            .to_owned()
    })
}

fn parse_ms(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let days = days_of_existing(year, month, day)?;
    let (time, offset_minutes) = zone(time)?;
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let ms_of_minute = parts.next().map_or(Some(0), second_ms)?;
    if hour > 23 || minute > 59 {
        return None;
    }
    let minutes = days * 1440 + hour * 60 + minute - offset_minutes;
    u64::try_from(minutes * 60_000 + ms_of_minute).ok()
}

/// Digits only, so many.
fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn second_ms(text: &str) -> Option<i64> {
    let (second, fraction) = text.split_once('.').map_or((text, None), |(s, f)| (s, Some(f)));
    let second = number(second, 2).filter(|second| *second < 60)?;
    let Some(fraction) = fraction else { return Some(second * 1000 + 999) };
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let three: String = fraction.chars().chain("00".chars()).take(3).collect();
    Some(second * 1000 + three.parse::<i64>().ok()?)
}

/// The time without its zone, and that in minutes.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(utc) = time.strip_suffix(['Z', 'z']) {
        return Some((utc, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (time, zone) = time.split_at_checked(at)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minutes = hours * 60 + minutes;
    Some((time.trim_end(), if zone.starts_with('-') { -minutes } else { minutes }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let four = 1_795_406_400_000;
        for (text, ms) in [
            ("2026-11-23 04:00", four),
            ("2026-11-23T04:00Z", four),
            ("2026-11-23 06:00+02:00", four),
            ("2026-11-22T22:30:00.000-05:30", four),
            ("2026-11-23 04:00:05", four + 5_999),
            ("2026-11-23T04:00:05.25Z", four + 5_250),
            ("2026-11-23", four - 4 * 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-13-01",
            "2026-02-30",
            "2026-11-23 24:00",
            "2026-11-23 4:00",
            "2026-11-23 04:00:60",
            "23.11.2026",
            "2026-11-23 04:00+2",
            "é-11-23",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
