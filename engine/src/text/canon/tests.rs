use super::*;

fn texts(raw: &str, field: &Field) -> Vec<String> {
    canon(raw.as_bytes()).into_iter().filter(|c| c.field == *field).map(|c| c.text).collect()
}

fn bodies(raw: &str) -> Vec<String> {
    texts(raw, &Field::Body)
}

#[test]
fn header_with_names_and_fields() {
    let raw = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n folded\r\nno field\r\nX-Empty:\r\n\r\nbody\r\n";
    assert_eq!(texts(raw, &Field::HeaderBlock), ["Subject: Grüße folded\r\nno field\r\nX-Empty: \r\n"]);
    assert_eq!(texts(raw, &Field::Header("subject".to_owned())), ["Grüße folded"]);
    assert_eq!(texts(raw, &Field::Header("x-empty".to_owned())), [""]);
    assert_eq!(texts(raw, &Field::Header(String::new())), Vec::<String>::new());
    assert_eq!(bodies(raw), ["body\r\n"]);
}

#[test]
fn addresses_are_found_plain() {
    let from = |value: &str| texts(&format!("From: {value}\n\n"), &Field::Header("from".to_owned()));
    assert_eq!(
        from("<user-from (comment)@ (comment) domain.org>").concat().lines().last(),
        Some("user-from@domain.org")
    );
    assert_eq!(
        texts("From: <a (b)@ c>\nTo: x\n\n", &Field::HeaderBlock),
        ["From: <a (b)@ c>\r\na@c\r\nTo: x\r\n"]
    );
    assert_eq!(from("Joe <joe@x>"), ["Joe <joe@x>"]);
    assert_eq!(from("joe at x (Joe)"), ["joe at x (Joe)"]);
}

#[test]
fn bodies_are_decoded() {
    let one = |header: &str, body: &str| bodies(&format!("{header}\r\n\r\n{body}")).concat();
    assert_eq!(one("Content-Transfer-Encoding: base64", "w6k="), "é");
    assert_eq!(
        one("Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: quoted-printable", "=C4"),
        "д"
    );
    assert_eq!(one("Content-Type: text/plain; format=flowed", "a \r\nb\r\n"), "a b\r\n");
    assert_eq!(one("Content-Type: text/plain; format=\"Flowed\"; DelSp=Yes", "a \r\nb\r\n"), "ab\r\n");
    assert_eq!(one("Content-Type: Text/HTML", "<p>a<p>b&amp;"), "a\r\nb&");
    assert_eq!(one("Content-Type: text/x-own", "<p>"), "<p>");
    assert_eq!(one("Content-Type: image/png", "text"), "");
    assert_eq!(one("Content-Type: multipart/mixed", "readable"), "readable");
    assert_eq!(one("Content-Type: multipart/mixed; boundary=b", "readable"), "readable");
}

const NESTED: &str = "Subject: out\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\
    Content-Type: text/plain; name*=utf-8''r%C3%A9.txt\nX-Part: part\n\nplain\n--b\n\
    Content-Type: image/png\nContent-Disposition: attachment; filename=\"=?utf-8?q?f=C3=A9?=.png\"\n\npixels\n--b\n\
    Content-Type: message/rfc822\n\nSubject: in\n\ninner\n--b\n\
    Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaGlkZGVuCgp0ZXh0Cg==\n--b\n\
    Content-Type: message/delivery-status\n\nStatus: 5.1.1\n--b--\nepilogue\n";

#[test]
fn nested_messages_and_part_headers() {
    assert_eq!(
        bodies(NESTED),
        ["plain", "Subject: in\r\n", "inner", "Subject: hidden\r\n", "text\n", "Status: 5.1.1"]
    );
    let headers = texts(NESTED, &Field::PartHeader).concat();
    for wanted in
        ["X-Part: part\r\n", "ré.txt", "filename=\"fé.png\"", "Content-Type: message/delivery-status"]
    {
        assert!(headers.contains(wanted), "{wanted} in {headers}");
    }
    assert_eq!(texts(NESTED, &Field::Header("subject".to_owned())), ["out"]);
    let everything = canon(NESTED.as_bytes()).into_iter().map(|c| c.text).collect::<String>();
    for out in ["preamble", "epilogue", "pixels"] {
        assert!(!everything.contains(out), "{out}");
    }
}

#[test]
fn what_is_too_deep_for_parts_is_still_text() {
    let raw = "Content-Type: message/rfc822\r\n\r\n".repeat(500) + "Subject: needle\r\n\r\nhaystack\r\n";
    let all = bodies(&raw).concat();
    assert!(all.contains("Subject: needle") && all.contains("haystack"));
}

#[test]
fn the_header_alone_gives_the_same_header() {
    let end = header::block_bytes(NESTED.as_bytes());
    let alone = canon_header(&NESTED.as_bytes()[..end]);
    assert_eq!(canon(NESTED.as_bytes())[..alone.len()], alone[..]);
    assert_eq!(alone[0].text, header_block(&NESTED.as_bytes()[..end]));
    for one in &alone[1..] {
        let Field::Header(name) = &one.field else { panic!("{one:?}") };
        assert!(alone[0].text.contains(&one.text), "{name}");
        let of_that_name = alone.iter().filter(|c| c.field == one.field).map(|c| c.text.clone());
        let texts: Vec<String> = of_that_name.collect();
        assert_eq!(canon_fields(&NESTED.as_bytes()[..end], name), texts, "{name}");
    }
}
