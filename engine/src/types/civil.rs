//! Days of the Gregorian calendar, proleptic: before 1582 it is reckoned as after.
//!
//! Law: `civil(days_of(y, m, d)) == (y, m, d)` for every day that exists.

pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Days since 1970-01-01 of a year, month and day, both from 1. A day past the end of its month is one
/// of the next.
#[must_use]
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years counted from March, so that the leap day is the last: days before a month follow from
    // 153 days in each five months.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The same, of a day that exists.
#[must_use]
pub fn days_of_existing(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_of(year, month, day);
    (civil(days).2 == day).then_some(days)
}

/// Year, month and day of a day since 1970-01-01.
#[must_use]
pub fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The number of a month, from 1, by its name of three letters in any case.
#[must_use]
pub fn month_number(name: &[u8]) -> Option<i64> {
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    i64::try_from(index).ok().map(|index| index + 1)
}

/// The name of a month by its number.
#[must_use]
pub fn month_name(month: i64) -> Option<&'static str> {
    usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        assert_eq!((days_of(1970, 1, 1), days_of(2000, 2, 29)), (0, 11_016));
        for days in days_of(1800, 1, 1)..days_of(2200, 1, 1) {
            let (year, month, day) = civil(days);
            assert_eq!(days_of_existing(year, month, day), Some(days));
        }
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        for (year, month, day) in [(2023, 2, 29), (1900, 2, 29), (2024, 4, 31), (2024, 13, 1), (2024, 1, 0)] {
            assert_eq!(days_of_existing(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(days_of_existing(2000, 2, 29).is_some());
    }

    #[test]
    fn months_have_names() {
        assert_eq!((month_number(b"feB"), month_number(b"Fe"), month_name(2)), (Some(2), None, Some("Feb")));
        assert_eq!((month_name(0), month_name(13)), (None, None));
    }
}
