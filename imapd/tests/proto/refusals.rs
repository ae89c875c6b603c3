//! Commands that are not understood: the answer names the tag, says what to do, repeats nothing.

use crate::events;
use imapd::proto::Event;
use imapd::proto::parse::Refusal;
use imapd::proto::write::{self, Code, Status};

fn refusal(stream: &str) -> Refusal {
    match events(stream).as_slice() {
        [Event::Refused(refusal)] => refusal.clone(),
        other => panic!("{stream:?} gave {other:?}"),
    }
}

#[test]
fn what_breaks_the_grammar_is_a_tagged_bad() {
    let lines = [
        "",
        " ",
        "XYZZY",
        "CAPABILITY now",
        "UID",
        "UID NOOP",
        "LOGIN",
        "LOGIN a",
        "LOGIN a b c",
        "LOGIN \"a b",
        "LOGIN \"a\"b c",
        "LOGIN a b{3",
        "AUTHENTICATE",
        "AUTHENTICATE PLAIN !",
        "AUTHENTICATE PLAIN YQ",
        "ENABLE",
        "ID",
        "ID x",
        "ID (\"a\")",
        "ID (\"a\" \"b\"",
        "SELECT",
        "SELECT INBOX x",
        "SELECT INBOX ()",
        "SELECT INBOX (QRESYNC (1 2))",
        "SELECT (x)",
        "CREATE x (USE)",
        "CREATE x (USE (Sent))",
        "CREATE x (COLOUR (\\Red))",
        "RENAME a",
        "LIST",
        "LIST \"\"",
        "LIST \"\" (a b)",
        "LIST (SUBSCRIBED) \"\" *",
        "LIST \"\" * RETURN",
        "LIST \"\" * RETURN (STATUS)",
        "STATUS a",
        "STATUS a ()",
        "STATUS a (COLOUR)",
        "STATUS a MESSAGES",
        "EXPUNGE 1",
        "UID EXPUNGE",
        "COPY 1",
        "COPY 0 a",
        "COPY 1: a",
        "COPY 1,, a",
        "COPY 4294967296 a",
        "COPY $ a",
        "MOVE x a",
        "STORE 1 FLAGS",
        "STORE 1 COLOUR x",
        "STORE 1 +FLAGS \\",
        "STORE 1 FLAGS \\Recent",
        "STORE 1 FLAGS \\Foo",
        "STORE 1 FLAGS (a",
        "STORE 1 FLAGS a]b",
        "STORE 1 (UNCHANGEDSINCE) FLAGS x",
        "STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) FLAGS x",
        "STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS x",
        "FETCH 1",
        "FETCH 1 ()",
        "FETCH 1 COLOUR",
        "FETCH 1 (FLAGS",
        "FETCH 1 (ALL)",
        "FETCH 1 BODY[",
        "FETCH 1 BODY[0]",
        "FETCH 1 BODY[1.]",
        "FETCH 1 BODY[MIME]",
        "FETCH 1 BODY[HEADER.FIELDS]",
        "FETCH 1 BODY[HEADER.FIELDS ()]",
        "FETCH 1 BODY[]<0>",
        "FETCH 1 BODY[]<0.0>",
        "FETCH 1 BODY[]<-1.5>",
        "FETCH 1 BODY.PEEK",
        "FETCH 1 FLAGS UID",
        "FETCH 1 FLAGS (CHANGEDSINCE)",
        "FETCH 1 FLAGS (VANISHED)",
        "UID FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)",
        "SEARCH",
        "SEARCH ()",
        "SEARCH COLOUR",
        "SEARCH SUBJECT",
        "SEARCH NOT",
        "SEARCH OR SEEN",
        "SEARCH ON yesterday",
        "SEARCH LARGER x",
        "SEARCH UID",
        "SEARCH MODSEQ \"/flags/x\" 5",
        "SEARCH CHARSET",
        "SEARCH CHARSET UTF-8",
        "SEARCH (SEEN",
        "SEARCH RETURN (ALL) SEEN",
        "APPEND",
        "APPEND INBOX",
        "APPEND INBOX \"text\"",
        "IDLE now",
        "FETCH 1 FLAGS\r",
        "NOOP\0",
        "LOGIN a \"\0\"",
        "NOOP \r",
    ];
    for line in lines {
        let refusal = refusal(&format!("a7 {line}\r\n"));
        assert_eq!(
            (refusal.tag.as_deref(), refusal.status),
            (Some("a7"), Status::Bad),
            "{line:?}: {refusal:?}"
        );
        assert!(!refusal.text.is_empty());
    }
}

#[test]
fn without_a_tag_the_answer_is_untagged() {
    for line in ["", "+ NOOP", "a+b NOOP", "(a) NOOP", "\"a\" NOOP", "{5}x NOOP", "\u{fc} NOOP"] {
        let refusal = refusal(&format!("{line}\r\n"));
        assert_eq!((refusal.tag, refusal.status), (None, Status::Bad), "{line:?}");
    }
    let mut out = Vec::new();
    write::refusal(&mut out, &refusal("\r\n"));
    assert!(out.starts_with(b"* BAD "), "{out:?}");
    assert!(out.ends_with(b"\r\n"));
}

#[test]
fn what_is_well_formed_but_cannot_be_is_a_no() {
    let charset = refusal("A1 SEARCH CHARSET KLINGON TEXT {3+}\r\nabc\r\n");
    assert_eq!((charset.status, charset.tag.as_deref()), (Status::No, Some("A1")));
    assert_eq!(charset.code, Some(Code::BadCharset(vec!["US-ASCII", "UTF-8"])));
    let name = refusal("A2 SELECT &AGE-\r\n");
    assert_eq!((name.status, name.code), (Status::No, Some(Code::Cannot)));
}

#[test]
fn deep_nesting_is_refused_not_recursed() {
    for opening in ["NOT ", "(", "OR SEEN "] {
        let line = format!("a SEARCH {}\r\n", opening.repeat(5000));
        assert_eq!(refusal(&line).status, Status::Bad);
    }
    let parts = "1.".repeat(20_000);
    assert_eq!(refusal(&format!("a FETCH 1 BODY[{parts}1]\r\n")).status, Status::Bad);
}

#[test]
fn appends_that_break_the_grammar() {
    for arguments in [
        "INBOX (\\Recent)",
        "INBOX (a",
        "INBOX \"yesterday\"",
        "INBOX x",
        "INBOX \"1-Feb-1994 00:00:00 +0000\" ()",
        "(x) y",
    ] {
        // The client waits: refused at once, and it sends its next command.
        let refusal = refusal(&format!("a APPEND {arguments} {{5}}\r\n"));
        assert_eq!((refusal.tag.as_deref(), refusal.status), (Some("a"), Status::Bad), "{arguments}");
    }
    let events = events("a APPEND INBOX {3+}\r\nabc trailing\r\nb APPEND INBOX{3+}\r\nabc\r\n");
    assert!(matches!(events.get(3), Some(Event::Refused(refusal)) if refusal.tag.as_deref() == Some("a")));
    assert!(matches!(events.get(4), Some(Event::Refused(refusal)) if refusal.tag.as_deref() == Some("b")));
}

#[test]
fn secrets_are_not_in_debug() {
    let all = format!("{:?}", events("a LOGIN fred hunter2\r\nb AUTHENTICATE PLAIN aHVudGVyMg==\r\n"));
    assert!(all.contains("fred") && !all.contains("hunter2") && !all.contains("104, 117"), "{all}");
}
