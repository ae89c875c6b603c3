//! SEARCH as its extensions have it: options, sources, charsets (RFC 4466, 4731, 5032, 5182, 5267, 6203,
//! 7377, 8474, 8514, 9394).

use crate::events;
use imapd::proto::Event;
use imapd::proto::ast::*;
use imapd::proto::parse::parse_sequence_set;

fn body(bytes: &[u8]) -> CommandBody {
    let events = crate::events_of([bytes], imapd::proto::Limits::default());
    match events.into_iter().rfind(|event| *event != Event::SendContinue) {
        Some(Event::Command(command)) => command.body,
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes)),
    }
}

fn search(line: &str) -> Search {
    match body(format!("a {line}\r\n").as_bytes()) {
        CommandBody::Search(search) => search,
        other => panic!("{line} is {other:?}"),
    }
}

fn returns(options: &str) -> ReturnOptions {
    search(&format!("SEARCH RETURN ({options}) FUZZY ALL")).returns.unwrap()
}

fn multi(line: &str) -> MultiSearch {
    match body(format!("a {line}\r\n").as_bytes()) {
        CommandBody::MultiSearch(search) => search,
        other => panic!("{line} is {other:?}"),
    }
}

#[test]
fn return_options() {
    let none = ReturnOptions::default();
    assert_eq!(search("SEARCH ALL").returns, None);
    assert_eq!(returns(""), ReturnOptions { all: true, ..none.clone() });
    assert_eq!(returns("MIN COUNT"), ReturnOptions { min: true, count: true, ..none.clone() });
    assert_eq!(returns(" max  all "), ReturnOptions { max: true, all: true, ..none.clone() });
    assert_eq!(returns("SAVE"), ReturnOptions { save: true, ..none.clone() });
    let context = ReturnOptions { update: true, context: true, relevancy: true, ..none.clone() };
    assert_eq!(returns("UPDATE CONTEXT RELEVANCY"), context);
    let partial = |from, to, from_end| Some(PartialRange { from, to, from_end });
    assert_eq!(returns("PARTIAL 1:500").partial, partial(1, 500, false));
    assert_eq!(returns("PARTIAL 500:1 count").partial, partial(500, 1, false));
    assert_eq!(returns("PARTIAL -1:-100").partial, partial(1, 100, true));
    assert_eq!(returns("PARTIAL -1:-100").partial.unwrap().to_string(), "-1:-100");
}

#[test]
fn what_counts_as_returned() {
    // The tables of RFC 5182 section 2.4 and RFC 9394 section 3.2.
    for some in
        ["MIN", "SAVE MIN", "SAVE MAX", "SAVE MIN MAX", "SAVE PARTIAL 1:2", "SAVE PARTIAL 1:2 MIN MAX"]
    {
        assert!(!returns(some).returns_everything(), "{some}");
    }
    for all in
        ["", "SAVE", "SAVE ALL MIN", "SAVE COUNT", "SAVE COUNT MIN MAX", "SAVE PARTIAL 1:2 COUNT", "UPDATE"]
    {
        assert!(returns(all).returns_everything(), "{all}");
    }
    assert!(!returns("SAVE").answers());
    assert!(returns("SAVE MIN").answers() && returns("UPDATE").answers() && returns("").answers());
}

#[test]
fn keys_of_the_extensions() {
    use SearchKey::*;
    let key = |line: &str| search(&format!("UID SEARCH {line}")).key;
    assert_eq!(key("OLDER 3600 YOUNGER 1"), And(vec![Older(3600), Younger(1)]));
    assert_eq!(key("SAVEDBEFORE 1-Jan-1970 SAVEDON 2-Jan-1970"), And(vec![SavedBefore(0), SavedOn(1)]));
    assert_eq!(key("SAVEDSINCE 1-Feb-1970 SAVEDATESUPPORTED"), And(vec![SavedSince(31), SaveDateSupported]));
    assert_eq!(key("EMAILID M6d99ac3275bb4e"), EmailId("M6d99ac3275bb4e".into()));
    assert_eq!(key("THREADID T-_1"), ThreadId("T-_1".into()));
    // RFC 6203 section 3: FUZZY is of the key that follows.
    assert_eq!(
        key("FUZZY (SUBJECT IMAP FROM Crispin) SEEN"),
        And(vec![Fuzzy(Box::new(And(vec![Subject("IMAP".into()), From("Crispin".into())]))), Seen,])
    );

    assert_eq!(key("UID $ SMALLER 4096"), And(vec![Uid(saved()), Smaller(4096)]));
    assert_eq!(
        key("(OR $ 1,3000:3021) NOT $"),
        And(vec![
            Or(
                Box::new(SequenceSet(saved())),
                Box::new(SequenceSet(parse_sequence_set("1,3000:3021").unwrap()))
            ),
            Not(Box::new(SequenceSet(saved()))),
        ])
    );
}

fn saved() -> SequenceSet {
    parse_sequence_set("$").unwrap()
}

#[test]
fn strings_are_in_the_charset_named() {
    let text = |bytes: &[u8]| match body(bytes) {
        CommandBody::Search(search) => search.key,
        other => panic!("{other:?}"),
    };
    let latin = text(b"a SEARCH RETURN () CHARSET ISO-8859-1 SUBJECT {4}\r\ncaf\xe9\r\n");
    assert_eq!(latin, SearchKey::Subject("café".into()));
    let russian = text(b"a SEARCH CHARSET koi8-r TEXT {6+}\r\n\xd0\xd2\xc9\xd7\xc5\xd4\r\n");
    assert_eq!(russian, SearchKey::Text("привет".into()));
    let japanese = text(b"a SEARCH CHARSET \"ISO-2022-JP\" BODY \"\x1b$B%F%9%H\x1b(B\"\r\n");
    assert_eq!(japanese, SearchKey::Body("テスト".into()));
    let refused =
        crate::events_of([&b"a SEARCH CHARSET UTF-8 TEXT {1+}\r\n\xff\r\n"[..]], Default::default());
    assert!(matches!(refused.last(), Some(Event::Refused(_))), "{refused:?}");
}

#[test]
fn rfc7377_sources() {
    let all = ReturnOptions { all: true, ..ReturnOptions::default() };
    let plain = multi("ESEARCH unseen");
    assert_eq!(
        plain,
        MultiSearch { sources: vec![Source::Selected], returns: all.clone(), key: SearchKey::Unseen }
    );
    let two = multi("ESEARCH IN (mailboxes \"folder1\" subtree \"folder2\") unseen");
    let one = |name: &str| vec![name.to_owned()];
    assert_eq!(two.sources, [Source::Mailboxes(one("folder1")), Source::Subtree(one("folder2"))]);
    assert_eq!(two.returns, all);
    let many = multi(
        "ESEARCH IN (inboxes personal subscribed selected subtree-one (a inBox &APw-)) RETURN (COUNT) 1:5",
    );
    let names = ["a", "INBOX", "ü"].map(str::to_owned).to_vec();
    assert_eq!(
        many.sources,
        [Source::Inboxes, Source::Personal, Source::Subscribed, Source::Selected, Source::SubtreeOne(names)]
    );
    assert!(many.returns.count && !many.returns.all);
    assert!(multi("ESEARCH IN (selected) RETURN (SAVE) ALL").returns.save);
}

#[test]
fn rfc5267_cancelupdate_and_rfc9394_fetch() {
    let cancel = body(b"a CANCELUPDATE \"B01\" {3+}\r\nB02\r\n");
    assert_eq!(cancel, CommandBody::CancelUpdate(vec!["B01".into(), "B02".into()]));
    let events = events("101 UID FETCH 25900:26600 (UID FLAGS) (PARTIAL -1:-30 CHANGEDSINCE 98305)\r\n");
    let Some(Event::Command(Command { body: CommandBody::Fetch(fetch), .. })) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(fetch.partial, Some(PartialRange { from: 1, to: 30, from_end: true }));
    assert_eq!(fetch.changed_since, Some(98305));
}
