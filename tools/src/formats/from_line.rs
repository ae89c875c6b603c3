//! The `From ` line of an mbox: `From SENDER asctime`, with the dialects that occur in the wild.

use super::date::asctime;
use engine::types::ZonedTime;
use engine::types::civil::{days_of, month_number};

/// True for a line that may begin a message: it says `From ` and has a date behind the sender.
/// The date is asked for because bodies not quoted by their writer have lines like
/// "From here on," too.
#[must_use]
pub fn is_from_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") && date_of(line).is_some()
}

/// The date of a `From ` line. Without a zone it is taken as UTC, as most writers mean it.
#[must_use]
pub fn date_of(line: &[u8]) -> Option<ZonedTime> {
    // Long lines are no From_ lines; looking at the head only keeps this cheap on any input.
    let head = String::from_utf8_lossy(line.get(..512).unwrap_or(line));
    let words: Vec<&str> = head.split_ascii_whitespace().collect();
    let at = words.iter().position(|word| time_of_day(word).is_some())?;
    let second = time_of_day(words.get(at)?)?;
    let day: i64 = words.get(at.checked_sub(1)?)?.parse().ok().filter(|d| (1..=31).contains(d))?;
    let month = month_number(words.get(at.checked_sub(2)?)?.as_bytes())?;
    let rest = words.get(at + 1..)?;
    let year: i64 = rest.iter().take(3).find(|w| w.len() == 4 && !w.starts_with(['+', '-']))?.parse().ok()?;
    let offset_minutes = rest.iter().find_map(|w| zone(w)).unwrap_or(0);
    let days = days_of(year, month, day);
    Some(ZonedTime { unix_s: days * 86_400 + second - i64::from(offset_minutes) * 60, offset_minutes })
}

/// The line that is written before a message.
#[must_use]
pub fn write(sender: &str, at: ZonedTime) -> String {
    let sender = if sender.is_empty() { "MAILER-DAEMON" } else { sender };
    format!("From {sender} {}", asctime(at))
}

/// The sender for a `From ` line: the address of the first Return-Path in the header.
#[must_use]
pub fn sender_of(header: &[u8]) -> String {
    for line in header.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_at_checked(12) else { continue };
        if name.eq_ignore_ascii_case(b"Return-Path:") {
            let value = String::from_utf8_lossy(value);
            let address: String = value
                .trim()
                .trim_start_matches('<')
                .chars()
                .take_while(|c| !c.is_control() && *c != '>')
                .collect();
            // A blank in the address would end it too early for every reader.
            return if address.contains(' ') { String::new() } else { address };
        }
    }
    String::new()
}

/// Seconds into the day of `hh:mm` or `hh:mm:ss`.
fn time_of_day(word: &str) -> Option<i64> {
    let mut parts = word.split(':');
    let mut part = |max: i64| {
        let text = parts.next()?;
        if text.is_empty() || text.len() > 2 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse::<i64>().ok().filter(|&n| n <= max)
    };
    let hour = part(23)?;
    let minute = part(59)?;
    let second = if word.matches(':').count() == 2 { part(60)? } else { 0 };
    (word.matches(':').count() <= 2).then_some(hour * 3600 + minute * 60 + second)
}

/// Minutes of `+hhmm` or `-hhmm`.
fn zone(word: &str) -> Option<i16> {
    let sign: i16 = match word.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: i16 =
        word.get(1..).filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    (digits / 100 < 24 && digits % 100 < 60).then_some(sign * (digits / 100 * 60 + digits % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects() {
        let utc = Some(ZonedTime::utc(1_009_997_700));
        assert_eq!(date_of(b"From Fool@motleyfool.com Wed Jan  2 18:55:00 2002\n"), utc);
        assert_eq!(date_of(b"From a@b  Wed Jan 2 18:55:00 2002\r\n"), utc);
        assert_eq!(date_of(b"From a b c Wed Jan  2 18:55:00 UTC 2002"), utc);
        let zoned = Some(ZonedTime { unix_s: 1_009_997_700, offset_minutes: 60 });
        assert_eq!(date_of(b"From a@b Wed Jan  2 19:55:00 2002 +0100"), zoned);
        assert_eq!(date_of(b"From a@b Wed Jan  2 19:55:00 +0100 2002"), zoned);
        assert_eq!(date_of(b"From - Wed Jan  2 18:55 2002"), utc);
    }

    #[test]
    fn prose_is_not_a_from_line() {
        assert!(!is_from_line(b"From here on, nothing is as it was.\n"));
        assert!(!is_from_line(b"From 10:00 to 11:00 we meet\n"));
        assert!(!is_from_line(b"From: a@b Wed Jan  2 18:55:00 2002\n"));
        assert!(!is_from_line(b"From "));
        assert!(!is_from_line(&[b"From ".as_slice(), &[0xff; 4096]].concat()));
    }

    #[test]
    fn written_and_read_again() {
        let at = ZonedTime::utc(1_700_000_001);
        assert_eq!(date_of(write("a@b", at).as_bytes()), Some(at));
        assert!(write("", at).starts_with("From MAILER-DAEMON Tue Nov 14"));
    }

    #[test]
    fn sender_from_return_path() {
        assert_eq!(
            sender_of(b"Subject: x\r\nReturn-Path: <a@b.example>\r\n\r\nReturn-Path: <no>"),
            "a@b.example"
        );
        assert_eq!(sender_of(b"return-path: plain@b\nX: y\n"), "plain@b");
        assert_eq!(sender_of(b"X: y\n\nReturn-Path: <no@x>\n"), "");
        assert_eq!(sender_of(b"Return-Path: <>\n"), "");
    }
}
