//! Civil dates, as `From ` lines write them (asctime, UTC).

use engine::types::ZonedTime;
use engine::types::civil::{civil, month_name};

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// `Wed Jan  2 18:55:00 2002`, in UTC.
#[must_use]
pub fn asctime(at: ZonedTime) -> String {
    let days = at.unix_s.div_euclid(86_400);
    let second = at.unix_s.rem_euclid(86_400);
    let (year, month, day) = civil(days);
    format!(
        "{} {} {day:>2} {:02}:{:02}:{:02} {year:04}",
        usize::try_from(days.rem_euclid(7)).ok().and_then(|day| WEEKDAYS.get(day)).unwrap_or(&"???"),
        month_name(month).unwrap_or("???"),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        assert_eq!(asctime(ZonedTime::utc(1_009_997_700)), "Wed Jan  2 18:55:00 2002");
        assert_eq!(asctime(ZonedTime::utc(-1)), "Wed Dec 31 23:59:59 1969");
    }
}
