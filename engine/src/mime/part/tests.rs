use super::*;

/// The tree as text: `multipart/mixed[text/plain "body", ...]`.
fn tree(raw: &str) -> String {
    let root = parse(raw.as_bytes());
    check(&root, 0..raw.len());
    show(&root, raw)
}

fn show(part: &Part, raw: &str) -> String {
    let kind = format!("{}/{}", part.media_type, part.subtype);
    match &part.content {
        Content::Leaf => format!("{kind} {:?}", &raw[part.body.clone()]),
        Content::Message(message) => format!("{kind}<{}>", show(message, raw)),
        Content::Multipart(children) => {
            let children: Vec<String> = children.iter().map(|c| show(c, raw)).collect();
            format!("{kind}[{}]", children.join(", "))
        }
    }
}

/// The second law of the module.
pub(crate) fn check(part: &Part, within: Range<usize>) {
    assert!(within.start <= part.header.start && part.body.end <= within.end, "{part:?} in {within:?}");
    assert_eq!(part.header.end, part.body.start);
    assert!(part.header.start <= part.header.end && part.body.start <= part.body.end);
    match &part.content {
        Content::Leaf => {}
        Content::Message(message) => {
            check(message, part.body.clone());
            assert_eq!((message.header.start, message.body.end), (part.body.start, part.body.end));
        }
        Content::Multipart(children) => {
            assert!(!children.is_empty());
            let mut from = part.body.start;
            for child in children {
                check(child, from..part.body.end);
                from = child.body.end;
            }
        }
    }
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";

#[test]
fn no_mime_at_all() {
    assert_eq!(tree("Subject: x\r\n\r\nbody\r\n"), "text/plain \"body\\r\\n\"");
    assert_eq!(tree("Subject: x\n\nbody"), "text/plain \"body\"");
    assert_eq!(tree("Subject: x"), "text/plain \"\"");
    assert_eq!(tree("\r\nbody"), "text/plain \"body\"");
    assert_eq!(tree(""), "text/plain \"\"");
    assert_eq!(tree("A: b\rC: d\r\rbody"), "text/plain \"\"");
}

#[test]
fn parts_with_preamble_and_epilogue() {
    for eol in ["\r\n", "\n"] {
        let raw = format!(
            "{MIXED}pre\r\n--b\r\nContent-Type: TEXT/Html\r\n\r\none\r\n\r\n--b \t\r\n\r\ntwo\r\n--b--\r\nepi\r\n--b\r\n"
        )
        .replace("\r\n", eol);
        let kept = eol.replace('\r', "\\r").replace('\n', "\\n");
        assert_eq!(tree(&raw), format!("multipart/mixed[text/html \"one{kept}\", text/plain \"two\"]"));
    }
}

#[test]
fn parts_without_header_body_or_blank_line() {
    assert_eq!(
        tree(&format!("{MIXED}--b\r\n--b\r\n\r\n--b\r\nContent-Type: a/b\r\n--b\r\n\r\n\r\n--b--")),
        "multipart/mixed[text/plain \"\", text/plain \"\", a/b \"\", text/plain \"\"]"
    );
}

#[test]
fn missing_end_delimiters() {
    assert_eq!(tree(&format!("{MIXED}--b\r\n\r\none")), "multipart/mixed[text/plain \"one\"]");
    assert_eq!(
        tree(&format!(
            "{MIXED}--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nin\r\n--b\r\n\r\nout\r\n--b--"
        )),
        "multipart/mixed[multipart/alternative[text/plain \"in\"], text/plain \"out\"]"
    );
}

#[test]
fn no_delimiter_leaves_one_empty_child() {
    assert_eq!(tree(&format!("{MIXED}just text\r\n")), "multipart/mixed[text/plain \"\"]");
    assert_eq!(tree(&format!("{MIXED}--b--\r\n")), "multipart/mixed[text/plain \"\"]");
    assert_eq!(tree("Content-Type: multipart/mixed; boundary=b"), "multipart/mixed[text/plain \"\"]");
}

#[test]
fn boundaries_that_are_prefixes() {
    let nested = |outer: &str, inner: &str| {
        format!(
            "Content-Type: multipart/mixed; boundary={outer}\r\n\r\n--{outer}\r\n\
             Content-Type: multipart/alternative; boundary={inner}\r\n\r\n--{inner}\r\n\r\n1\r\n--{inner}\r\n\r\n2\r\n\
             --{inner}--\r\n--{outer}\r\n\r\n3\r\n--{outer}--\r\n"
        )
    };
    let wanted =
        "multipart/mixed[multipart/alternative[text/plain \"1\", text/plain \"2\"], text/plain \"3\"]";
    for (outer, inner) in [("ab", "abab"), ("abab", "ab"), ("same", "same"), ("a", "a--"), ("a--", "a")] {
        if outer == "a--" {
            continue; // `--a--` cannot tell them apart
        }
        assert_eq!(tree(&nested(outer, inner)), wanted, "{outer} {inner}");
    }
}

#[test]
fn multipart_without_boundary_is_text() {
    for params in ["", "; boundary=", "; boundary=\"\"", "; boundary=\" \""] {
        let raw = format!("Content-Type: multipart/mixed{params}\r\n\r\n--\r\n\r\nx");
        assert_eq!(tree(&raw), "text/plain \"--\\r\\n\\r\\nx\"", "{params}");
    }
}

#[test]
fn boundary_in_pieces_and_folded() {
    assert_eq!(
        tree(
            "Content-Type: multipart/mixed;\n boundary*0=\"p \";\n boundary*1=\"q\n r\"\n\n--p q r\n\nx\n--p q r--\n"
        ),
        "multipart/mixed[text/plain \"x\"]"
    );
}

#[test]
fn messages_in_messages() {
    let raw =
        "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntext";
    assert_eq!(tree(raw), "message/rfc822<message/rfc822<text/plain \"text\">>");
    let raw = format!(
        "{MIXED}--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: cut\r\n--b\r\nContent-Type: message/rfc822\r\n--b--"
    );
    assert_eq!(
        tree(&raw),
        "multipart/mixed[message/rfc822<text/plain \"\">, message/rfc822<text/plain \"\">]"
    );
}

#[test]
fn digest_parts_are_messages() {
    let raw = "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\n\r\nx\r\n\
               --b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--";
    assert_eq!(tree(raw), "multipart/digest[message/rfc822<text/plain \"x\">, text/plain \"y\"]");
}

#[test]
fn encoded_messages_are_leaves() {
    let raw = "Content-Type: message/rfc822\nContent-Transfer-Encoding: Base64 (x)\n\nU3ViamVjdDogeAoKeAo=\n";
    assert_eq!(tree(raw), "application/octet-stream \"U3ViamVjdDogeAoKeAo=\\n\"");
}

#[test]
fn depth_and_parts_are_bounded() {
    let depth = |part: &Part| {
        let mut at = part;
        let mut depth = 0;
        loop {
            depth += 1;
            at = match &at.content {
                Content::Leaf => return (depth, format!("{}/{}", at.media_type, at.subtype)),
                Content::Message(message) => message,
                Content::Multipart(children) => &children[0],
            };
        }
    };
    let overflow = (DEPTH_MAX + 1, "application/octet-stream".to_owned());
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(3000);
    assert_eq!(depth(&parse(messages.as_bytes())), overflow);
    let multiparts: String = (0..3000)
        .map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}x\r\n\r\n--b{i}x\r\n"))
        .collect();
    assert_eq!(depth(&parse(multiparts.as_bytes())), overflow);

    let many = format!("{MIXED}{}", "--b\r\n".repeat(3 * PARTS_MAX));
    let Content::Multipart(children) = parse(many.as_bytes()).content else { panic!("no multipart") };
    assert_eq!(children.len(), PARTS_MAX - 1);
}
