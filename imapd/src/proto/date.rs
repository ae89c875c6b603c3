//! Dates as IMAP writes them (RFC 3501 section 9: `date`, `date-time`).
//!
//! Laws
//! - `parse_date_time(format_date_time(t)) == Some(t)` for every time whose local year has four
//!   digits.
//! - A day that does not exist (31-Feb) is not a date.

use engine::types::ZonedTime;
use engine::types::civil::{civil, days_of, days_of_existing, month_name, month_number};

const DAY_S: i64 = 86_400;

/// `17-Jul-1996 02:44:25 -0700`, without the quotes. Years beyond four digits are clamped.
#[must_use]
pub fn format_date_time(time: ZonedTime) -> String {
    let earliest = days_of(0, 1, 1) * DAY_S;
    let latest = days_of(10_000, 1, 1) * DAY_S - 1;
    let offset_minutes = i64::from(time.offset_minutes).clamp(-1439, 1439);
    let local_s = time.unix_s.saturating_add(offset_minutes * 60).clamp(earliest, latest);
    let (year, month, day) = civil(local_s.div_euclid(DAY_S));
    let second = local_s.rem_euclid(DAY_S);
    let month = month_name(month).unwrap_or("Jan");
    let sign = if offset_minutes < 0 { '-' } else { '+' };
    let zone = offset_minutes.abs() / 60 * 100 + offset_minutes.abs() % 60;
    format!(
        "{day:2}-{month}-{year:04} {:02}:{:02}:{:02} {sign}{zone:04}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `date-time` without its quotes; the day may also be one digit without the space.
#[must_use]
pub fn parse_date_time(text: &str) -> Option<ZonedTime> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let day = parse_date(words.next()?)?;
    let second = parse_time(words.next()?)?;
    let offset_minutes = parse_zone(words.next()?)?;
    if words.next().is_some() {
        return None;
    }
    let unix_s = day * DAY_S + second - i64::from(offset_minutes) * 60;
    Some(ZonedTime { unix_s, offset_minutes })
}

/// `date-text` (`1-Feb-1994`) as days since 1970-01-01.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let mut fields = text.split('-');
    let (day, month, year) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || !(1..=2).contains(&day.len()) || year.len() != 4 {
        return None;
    }
    let (day, year) = (digits(day)?, digits(year)?);
    days_of_existing(year, month_number(month.as_bytes())?, day)
}

/// `hh:mm:ss` as seconds; a leap second is taken as the second before it.
fn parse_time(text: &str) -> Option<i64> {
    let mut fields = text.split(':').map(|field| (field.len() == 2).then(|| digits(field)).flatten());
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next()??);
    let valid = fields.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    valid.then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// `+hhmm` as minutes.
fn parse_zone(text: &str) -> Option<i16> {
    let (sign, number) = match text.split_at_checked(1)? {
        ("+", number) => (1, number),
        ("-", number) => (-1, number),
        _ => return None,
    };
    let number = (number.len() == 4).then(|| digits(number)).flatten()?;
    let (hours, minutes) = (number / 100, number % 100);
    let valid = hours < 24 && minutes < 60;
    valid.then(|| i16::try_from(sign * (hours * 60 + minutes)).ok()).flatten()
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}
