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
        "COPY $x a",
        "COPY $: a",
        "COPY 1:$ a",
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
        "SORT",
        "SORT SUBJECT UTF-8 ALL",
        "SORT () UTF-8 ALL",
        "SORT (SUBJECT)",
        "SORT (SUBJECT) UTF-8",
        "SORT (SUBJECT)UTF-8 ALL",
        "SORT (COLOUR) UTF-8 ALL",
        "SORT (REVERSE) UTF-8 ALL",
        "SORT (REVERSE REVERSE DATE) UTF-8 ALL",
        "SORT (SUBJECT UTF-8 ALL",
        "SORT (RELEVANCY) UTF-8 ALL",
        "SORT RETURN (RELEVANCY) (DATE) UTF-8 ALL",
        "SORT RETURN (COLOUR) (DATE) UTF-8 ALL",
        "SORT RETURN (ALL)(DATE) UTF-8 ALL",
        "SORT RETURN (ALL PARTIAL 1:2) (DATE) UTF-8 ALL",
        "SORT RETURN (ALL) UTF-8 ALL",
        "SORT (SUBJECT) UTF-8 COLOUR",
        "UID SORT",
        "THREAD",
        "THREAD REFERENCES",
        "THREAD REFERENCES UTF-8",
        "THREAD COLOURS UTF-8 ALL",
        "THREAD (REFS) UTF-8 ALL",
        "UID THREAD ORDEREDSUBJECT UTF-8 OR SEEN",
        "FETCH 1 PREVIEW (FAST)",
        "FETCH 1 PREVIEW ()",
        "FETCH 1 PREVIEW (LAZY FAST)",
        "FETCH 1 (PREVIEW (CHANGEDSINCE 5))",
        "FETCH 1 PREVIEW (LAZY",
        "SEARCH RETURN",
        "SEARCH RETURN SEEN",
        "SEARCH RETURN (ALL)",
        "SEARCH RETURN (ALL SEEN",
        "SEARCH RETURN (COLOUR) SEEN",
        "SEARCH RETURN (ALL PARTIAL 1:2) SEEN",
        "SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) SEEN",
        "SEARCH RETURN (PARTIAL) SEEN",
        "SEARCH RETURN (PARTIAL 1) SEEN",
        "SEARCH RETURN (PARTIAL 0:5) SEEN",
        "SEARCH RETURN (PARTIAL 1:*) SEEN",
        "SEARCH RETURN (PARTIAL 1:-5) SEEN",
        "SEARCH RETURN (PARTIAL -1:5) SEEN",
        "SEARCH RETURN (RELEVANCY) TEXT x",
        "SEARCH RETURN (RELEVANCY ALL) NOT SEEN",
        "SEARCH $Junk",
        "SEARCH FUZZY",
        "SEARCH OLDER",
        "SEARCH OLDER 0",
        "SEARCH YOUNGER 4294967296",
        "SEARCH SAVEDON",
        "SEARCH SAVEDSINCE 30-Feb-2020",
        "SEARCH EMAILID",
        "SEARCH EMAILID a.b",
        "SEARCH THREADID \"T1\"",
        "FETCH 1 FLAGS (PARTIAL 1:5)",
        "UID FETCH 1 FLAGS (PARTIAL 1:5 PARTIAL 1:5)",
        "UID FETCH 1 FLAGS (PARTIAL)",
        "UID FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 1)",
        "ESEARCH",
        "ESEARCH IN SEEN",
        "ESEARCH IN () SEEN",
        "ESEARCH IN (everywhere) SEEN",
        "ESEARCH IN (selected-delayed) SEEN",
        "ESEARCH IN (mailboxes) SEEN",
        "ESEARCH IN (mailboxes ()) SEEN",
        "ESEARCH IN (personal (depth 3)) SEEN",
        "ESEARCH IN (personal)",
        "ESEARCH IN (personal) RETURN (SAVE) SEEN",
        "ESEARCH IN (selected personal) RETURN (SAVE) SEEN",
        "UID ESEARCH SEEN",
        "CANCELUPDATE",
        "CANCELUPDATE a",
        "CANCELUPDATE \"a",
        "STATUS a (MAILBOXID MAILBOX)",
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
    assert!(matches!(charset.code, Some(Code::BadCharset(known)) if known.contains(&"UTF-8")));
    assert!(!charset.empties_saved);
    // RFC 5182 section 2.1.
    assert!(refusal("A1 SEARCH RETURN (SAVE) CHARSET KLINGON ALL\r\n").empties_saved);
    assert!(!refusal("A1 SEARCH RETURN (SAVE) COLOUR\r\n").empties_saved);
    for line in ["SORT (DATE) KLINGON ALL", "UID THREAD REFS KLINGON ALL", "SORT (DATE) {3+}\r\nabc ALL"] {
        let charset = refusal(&format!("A1 {line}\r\n"));
        assert_eq!((charset.status, charset.tag.as_deref()), (Status::No, Some("A1")), "{line}");
        assert!(matches!(charset.code, Some(Code::BadCharset(_))), "{line}");
    }
    let name = refusal("A2 SELECT &AGE-\r\n");
    assert_eq!((name.status, name.code), (Status::No, Some(Code::Cannot)));
}

#[test]
fn deep_nesting_is_refused_not_recursed() {
    for opening in ["NOT ", "(", "OR SEEN "] {
        for command in ["SEARCH", "SORT (DATE) UTF-8", "THREAD REFS UTF-8"] {
            let line = format!("a {command} {}\r\n", opening.repeat(5000));
            assert_eq!(refusal(&line).status, Status::Bad);
        }
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
