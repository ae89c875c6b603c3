//! Dates (RFC 3501 section 9).

use engine::types::ZonedTime;
use imapd::proto::date::{format_date_time, parse_date, parse_date_time};
use proptest::prelude::*;

#[test]
fn the_rfc_examples() {
    let time = parse_date_time("17-Jul-1996 02:44:25 -0700").unwrap();
    assert_eq!(time, ZonedTime { unix_s: 837_596_665, offset_minutes: -420 });
    assert_eq!(format_date_time(time), "17-Jul-1996 02:44:25 -0700");
    let time = parse_date_time(" 7-Feb-1994 22:43:04 -0800").unwrap();
    assert_eq!(format_date_time(time), " 7-Feb-1994 22:43:04 -0800");
    assert_eq!(parse_date_time("7-feb-1994 22:43:04 -0800"), Some(time));
    assert_eq!(parse_date("1-Feb-1994"), Some(8797));
    assert_eq!(parse_date("29-Feb-2000"), Some(11_016));
    assert_eq!(time.local_day(), 8803);
}

#[test]
fn dates_that_do_not_exist() {
    for text in [
        "",
        "1-Feb",
        "0-Feb-1994",
        "30-Feb-1994",
        "29-Feb-1900",
        "32-Jan-1994",
        "1-Foo-1994",
        "1-Feb-94",
        "1-Feb-19945",
        "001-Feb-1994",
        "1-Feb-1994-",
        "+1-Feb-1994",
        "--1994",
        "é-Feb-1994",
    ] {
        assert_eq!(parse_date(text), None, "{text:?}");
    }
    for text in [
        "1-Feb-1994",
        "1-Feb-1994 24:00:00 +0000",
        "1-Feb-1994 00:60:00 +0000",
        "1-Feb-1994 00:00:61 +0000",
        "1-Feb-1994 00:00:00",
        "1-Feb-1994 00:00:00 0000",
        "1-Feb-1994 00:00:00 +2400",
        "1-Feb-1994 00:00:00 +0060",
        "1-Feb-1994 00:00:00 +00000",
        "1-Feb-1994 0:00:00 +0000",
        "1-Feb-1994 00:00:00:00 +0000",
        "1-Feb-1994 00:00:00 é",
        "1-Feb-1994 00:00:00 +0000 x",
    ] {
        assert_eq!(parse_date_time(text), None, "{text:?}");
    }
}

proptest! {
    // The years 0000 to 9999, in any zone.
    #[test]
    fn every_time_survives(unix_s in -62_167_132_800_i64..253_402_214_400, offset_minutes in -1439_i16..=1439) {
        let time = ZonedTime { unix_s, offset_minutes };
        let text = format_date_time(time);
        prop_assert_eq!(text.len(), "17-Jul-1996 02:44:25 -0700".len());
        prop_assert_eq!(parse_date_time(&text), Some(time));
        prop_assert_eq!(parse_date(text[..11].trim_start()), Some(time.local_day()));
    }

    #[test]
    fn any_time_is_written(unix_s: i64, offset_minutes: i16) {
        let text = format_date_time(ZonedTime { unix_s, offset_minutes });
        prop_assert!(parse_date_time(&text).is_some(), "{}", text);
    }

    #[test]
    fn any_text_gets_an_answer(text: String) {
        let _ = parse_date_time(&text);
        let _ = parse_date(&text);
    }
}
