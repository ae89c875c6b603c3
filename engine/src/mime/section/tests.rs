use super::super::part;
use super::*;

/// `1.2.HEADER.FIELDS (a b)` in IMAP's words.
fn spec(text: &str) -> SectionSpec {
    let (head, names) = text.split_once(" (").unwrap_or((text, ""));
    let names: Vec<String> = names.trim_end_matches(')').split_whitespace().map(str::to_owned).collect();
    let digits = head.split('.').take_while(|s| s.parse::<u32>().is_ok());
    let path: Vec<u32> = digits.map(|s| s.parse().unwrap()).collect();
    let what = match head.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "" => What::All,
        "HEADER" => What::Header,
        "HEADER.FIELDS" => What::HeaderFields(names),
        "HEADER.FIELDS.NOT" => What::HeaderFieldsNot(names),
        "TEXT" => What::Text,
        "MIME" => What::Mime,
        other => panic!("{other}"),
    };
    SectionSpec { path, what }
}

fn section(raw: &str, text: &str) -> Option<String> {
    let root = part::parse(raw.as_bytes());
    resolve(&root, raw.as_bytes(), &spec(text)).map(|b| String::from_utf8(b.into_owned()).unwrap())
}

/// Checks sections; `-` is NIL.
fn expect(raw: &str, sections: &[(&str, &str)]) {
    for (name, wanted) in sections {
        let wanted = (*wanted != "-").then(|| (*wanted).to_owned());
        assert_eq!(section(raw, name), wanted, "BODY[{name}]");
    }
}

#[test]
fn a_plain_message_has_part_1() {
    expect(
        "Subject: x\r\nTo: a\r\n\r\nbody\r\n",
        &[
            ("", "Subject: x\r\nTo: a\r\n\r\nbody\r\n"),
            ("HEADER", "Subject: x\r\nTo: a\r\n\r\n"),
            ("TEXT", "body\r\n"),
            ("1", "body\r\n"),
            ("1.MIME", "Subject: x\r\nTo: a\r\n\r\n"),
            ("1.HEADER", "-"),
            ("1.TEXT", "-"),
            ("1.1", "-"),
            ("2", "-"),
            ("0", "-"),
            ("MIME", "-"),
        ],
    );
}

#[test]
fn header_fields() {
    let raw = "From: a\r\nSubject: x\r\n y\r\nX: 1\r\nsubject: z\r\n\r\nbody";
    expect(
        raw,
        &[
            ("HEADER.FIELDS (SUBJECT Nope)", "Subject: x\r\n y\r\nsubject: z\r\n\r\n"),
            ("HEADER.FIELDS.NOT (Subject from)", "X: 1\r\n\r\n"),
            ("HEADER.FIELDS.NOT (nope)", "From: a\r\nSubject: x\r\n y\r\nX: 1\r\nsubject: z\r\n\r\n"),
            ("HEADER.FIELDS (nope)", "\r\n"),
            ("1.HEADER.FIELDS (From)", "-"),
        ],
    );
    // RFC 3501 section 6.4.5: no empty line where the message has none.
    expect(
        "Subject: x",
        &[("HEADER.FIELDS (subject)", "Subject: x"), ("HEADER.FIELDS (to)", ""), ("TEXT", "")],
    );
    for name in ["HEADER", "HEADER.FIELDS (x)", "HEADER.FIELDS.NOT (x)"] {
        let header = resolve_in_header(&raw.as_bytes()[..raw.len() - 4], &spec(name)).unwrap();
        assert_eq!(section(raw, name).unwrap().as_bytes(), &*header);
    }
    assert_eq!(resolve_in_header(raw.as_bytes(), &spec("TEXT")), None);
}

/// What imaptest's `fetch-body-mime` asks, on a message of the same shape.
#[test]
fn nested_multipart_and_message() {
    let outer = "From: o\n\n".replace("\n\n", "\nContent-Type: multipart/mixed; boundary=\"foo\n bar\"\n\n");
    let inner_text = "pre\n--sub\nContent-Type: text/html\n\n<p>\n\n--sub\nContent-Type: text/plain\n\nplain\n\n--sub--\nepi\n";
    let inner_header = "From: i\nSubject: s\nContent-Type: multipart/alternative; boundary=sub\n\n";
    let raw = format!(
        "{outer}pre\n\n--foo bar\nContent-Type: text/x-own\n\nhello\n\n--foo bar\nContent-Type: message/rfc822\nX: y\n\n\
         {inner_header}{inner_text}\n--foo bar--\nepi\n"
    );
    expect(
        &raw,
        &[
            ("HEADER", &outer),
            ("1", "hello\n"),
            ("1.MIME", "Content-Type: text/x-own\n\n"),
            ("2", &format!("{inner_header}{inner_text}")),
            ("2.MIME", "Content-Type: message/rfc822\nX: y\n\n"),
            ("2.HEADER", inner_header),
            ("2.HEADER.FIELDS (from X)", "From: i\n\n"),
            ("2.TEXT", inner_text),
            ("2.1.MIME", "Content-Type: text/html\n\n"),
            ("2.1", "<p>\n"),
            ("2.2", "plain\n"),
            ("2.3", "-"),
            ("2.1.1", "-"),
            ("2.1.TEXT", "-"),
            ("3", "-"),
        ],
    );
}

/// imaptest's `fetch-body-message-rfc822-mime` and `-x2`.
#[test]
fn messages_as_the_message() {
    let digest = "Subject: d\nContent-Type: multipart/digest; boundary=foo\n\n";
    let digest_text =
        "--foo \n\nFrom: m1\n\nm1 body\n\n--foo \nX-Mime: m2\n\nFrom: m2\n\nm2 body\n\n--foo--\n\nepi\n";
    expect(
        &format!("From: o\nContent-Type: message/rfc822\n\n{digest}{digest_text}"),
        &[
            ("1", &format!("{digest}{digest_text}")),
            ("1.HEADER", digest),
            ("1.TEXT", digest_text),
            ("1.1", "From: m1\n\nm1 body\n"),
            ("1.1.MIME", "\n"),
            ("1.1.HEADER", "From: m1\n\n"),
            ("1.1.TEXT", "m1 body\n"),
            ("1.1.1", "m1 body\n"),
            ("1.2.MIME", "X-Mime: m2\n\n"),
            ("1.2.TEXT", "m2 body\n"),
        ],
    );
    let (a, b) = ("From: a\nContent-Type: message/rfc822\n\n", "From: b\nContent-Type: message/rfc822\n\n");
    expect(
        &format!("{a}{b}From: c\n\nHello\n"),
        &[
            ("1", &format!("{b}From: c\n\nHello\n")),
            ("1.HEADER", b),
            ("1.TEXT", "From: c\n\nHello\n"),
            ("1.1", "From: c\n\nHello\n"),
            ("1.1.HEADER", "From: c\n\n"),
            ("1.1.1", "Hello\n"),
            ("1.1.1.1", "-"),
        ],
    );
}
