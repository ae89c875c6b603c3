//! Modified UTF-7 (RFC 3501 section 5.1.3).

use imapd::proto::utf7::{decode, decode_pattern, encode};
use proptest::prelude::*;

#[test]
fn the_rfc_example_both_ways() {
    let wire = "~peter/mail/&U,BTFw-/&ZeVnLIqe-";
    assert_eq!(decode(wire.as_bytes()).as_deref(), Some("~peter/mail/台北/日本語"));
    assert_eq!(encode("~peter/mail/台北/日本語"), wire);
    assert_eq!(encode("A&B"), "A&-B");
    assert_eq!(decode(b"A&-B").as_deref(), Some("A&B"));
    assert_eq!(encode("Entwürfe"), "Entw&APw-rfe");
    assert_eq!(encode("😀"), "&2D3eAA-");
    assert_eq!(decode(b"&2D3eAA-").as_deref(), Some("😀"));
}

#[test]
fn raw_utf8_is_taken_as_it_is() {
    assert_eq!(decode("Entwürfe".as_bytes()).as_deref(), Some("Entwürfe"));
}

#[test]
fn what_is_malformed_is_refused() {
    let malformed: [(&[u8], &str); 9] = [
        (b"&", "an open shift"),
        (b"a&b", "an open shift"),
        (b"&AGE-", "ASCII in a shift"),
        (b"&ZeVnLIqe&", "a shift in a shift"),
        (b"&U,BTFw-&ZeVnLIqe-", "two shifts in a row"),
        (b"&AP-", "half a unit"),
        (b"&2D0-", "half a surrogate pair"),
        (b"&APx-", "bits beyond the last unit"),
        (b"\xff", "neither 7-bit nor UTF-8"),
    ];
    for (wire, what) in malformed {
        assert_eq!(decode(wire), None, "{what}");
    }
    assert_eq!(decode_pattern(b"a&b*"), "a&b*");
}

proptest! {
    #[test]
    fn every_name_survives(name: String) {
        let wire = encode(&name);
        prop_assert!(wire.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(decode(wire.as_bytes()), Some(name));
    }

    #[test]
    fn seven_bit_spellings_are_unique(wire in "[&A-Za-z0-9+,/ -]{0,12}") {
        if let Some(name) = decode(wire.as_bytes()) {
            prop_assert_eq!(encode(&name), wire);
        }
    }

    #[test]
    fn any_bytes_get_an_answer(wire: Vec<u8>) {
        let _ = decode(&wire);
        let _ = decode_pattern(&wire);
    }
}
