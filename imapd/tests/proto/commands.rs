//! The command lines in the RFCs' examples, and spellings that real clients use.

use crate::events;
use engine::types::ZonedTime;
use imapd::proto::Event;
use imapd::proto::ast::SeqNumber::{Largest, Number};
use imapd::proto::ast::*;
use imapd::proto::parse::search::parse_keys;

/// The body of the only command in a stream.
pub fn body(stream: &str) -> CommandBody {
    let mut events: Vec<Event> =
        events(stream).into_iter().filter(|event| *event != Event::SendContinue).collect();
    match (events.len(), events.pop()) {
        (1, Some(Event::Command(command))) => command.body,
        (count, last) => panic!("{stream:?} gave {count} events, the last {last:?}"),
    }
}

pub fn line(text: &str) -> CommandBody {
    body(&format!("{text}\r\n"))
}

fn set(text: &str) -> SequenceSet {
    imapd::proto::parse::parse_sequence_set(text).unwrap()
}

fn section(path: &[u32], text: SectionText, peek: bool, partial: Option<(u32, u32)>) -> FetchItem {
    FetchItem::Section(SectionBody {
        section: Section { path: path.to_vec(), text },
        peek,
        partial: partial.map(|(first_byte, length_bytes)| Partial { first_byte, length_bytes }),
    })
}

pub fn fetch_items(text: &str) -> Vec<FetchItem> {
    match line(text) {
        CommandBody::Fetch(fetch) => fetch.items,
        other => panic!("{other:?}"),
    }
}

fn search_key(text: &str) -> SearchKey {
    match line(text) {
        CommandBody::Search(search) => search.key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc3501_section_6_1_and_6_2() {
    assert_eq!(line("abcd CAPABILITY"), CommandBody::Capability);
    assert_eq!(line("a002 NOOP"), CommandBody::Noop);
    assert_eq!(line("A023 LOGOUT"), CommandBody::Logout);
    assert_eq!(line("a002 STARTTLS"), CommandBody::StartTls);
    let login = CommandBody::Login { username: "SMITH".into(), password: Secret(b"SESAME".to_vec()) };
    assert_eq!(line("a001 LOGIN SMITH SESAME"), login);
    let login = CommandBody::Login { username: "FRED FOOBAR".into(), password: Secret(b"fat man".to_vec()) };
    assert_eq!(body("A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n"), login);
    assert_eq!(body("A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\n"), login);
    assert_eq!(body("A001 LOGIN \"FRED FOOBAR\" {7+}\r\nfat man\r\n"), login);
}

#[test]
fn rfc4959_initial_response() {
    let authenticate = |mechanism: &str, initial: Option<&[u8]>| CommandBody::Authenticate {
        mechanism: mechanism.to_owned(),
        initial_response: initial.map(|bytes| Secret(bytes.to_vec())),
    };
    assert_eq!(line("A01 AUTHENTICATE PLAIN"), authenticate("PLAIN", None));
    let plain = authenticate("PLAIN", Some(b"test\0test\0test"));
    assert_eq!(line("C01 authenticate plain dGVzdAB0ZXN0AHRlc3Q="), plain);
    assert_eq!(line("D01 AUTHENTICATE EXTERNAL ="), authenticate("EXTERNAL", Some(b"")));
}

#[test]
fn rfc3501_section_6_3() {
    let select = |mailbox: &str, condstore| CommandBody::Select { mailbox: mailbox.to_owned(), condstore };
    assert_eq!(line("A142 SELECT INBOX"), select("INBOX", false));
    assert_eq!(line("A142 SELECT \"iNbOx\""), select("INBOX", false));
    assert_eq!(line("A142 SELECT INBOX (CONDSTORE)"), select("INBOX", true));
    let examine = CommandBody::Examine { mailbox: "blurdybloop".into(), condstore: false };
    assert_eq!(line("A932 EXAMINE blurdybloop"), examine);
    let create = |mailbox: &str, uses: &[&str]| CommandBody::Create {
        mailbox: mailbox.to_owned(),
        special_use: uses.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(line("A003 CREATE owatagusiam/"), create("owatagusiam/", &[]));
    assert_eq!(line("t3 CREATE Everything (USE (\\All))"), create("Everything", &["\\All"]));
    assert_eq!(line("t3 CREATE X (USE (\\Sent \\Trash))"), create("X", &["\\Sent", "\\Trash"]));
    assert_eq!(line("A685 DELETE foo/bar"), CommandBody::Delete { mailbox: "foo/bar".into() });
    let rename = CommandBody::Rename { from: "blurdybloop".into(), to: "sarasoon".into() };
    assert_eq!(line("A683 RENAME blurdybloop sarasoon"), rename);
    let subscribe = CommandBody::Subscribe { mailbox: "#news.comp.mail.mime".into() };
    assert_eq!(line("A002 SUBSCRIBE #news.comp.mail.mime"), subscribe);
    let unsubscribe = CommandBody::Unsubscribe { mailbox: "台北".into() };
    assert_eq!(line("A002 UNSUBSCRIBE &U,BTFw-"), unsubscribe);
    assert_eq!(line("A002 NAMESPACE"), CommandBody::Namespace);
    assert_eq!(line("A002 IDLE"), CommandBody::Idle);
    assert_eq!(
        line("t1 ENABLE condstore X-Good"),
        CommandBody::Enable(vec!["CONDSTORE".into(), "X-GOOD".into()])
    );
}

#[test]
fn list_and_its_special_use_options() {
    let list = |reference: &str, pattern: &str, only_special_use, return_special_use| {
        let (reference, pattern) = (reference.to_owned(), pattern.to_owned());
        CommandBody::List(List { reference, pattern, only_special_use, return_special_use })
    };
    assert_eq!(line("A101 LIST \"\" \"\""), list("", "", false, false));
    assert_eq!(line("A202 LIST ~/Mail/ %"), list("~/Mail/", "%", false, false));
    assert_eq!(line("A1 list \"\" *"), list("", "*", false, false));
    assert_eq!(line("A1 LIST \"\" [Gmail]/%"), list("", "[Gmail]/%", false, false));
    assert_eq!(body("A1 LIST {0+}\r\n {1+}\r\n*\r\n"), list("", "*", false, false));
    assert_eq!(line("t1 LIST \"\" \"%\" RETURN (SPECIAL-USE)"), list("", "%", false, true));
    assert_eq!(line("t2 LIST (SPECIAL-USE) \"\" \"*\""), list("", "*", true, false));
    let both = list("", "*", true, true);
    assert_eq!(line("t2 LIST (special-use) \"\" \"*\" RETURN (CHILDREN SPECIAL-USE)"), both);
    let lsub = CommandBody::Lsub { reference: "#news.".into(), pattern: "comp.mail.*".into() };
    assert_eq!(line("A002 LSUB \"#news.\" \"comp.mail.*\""), lsub);
}

#[test]
fn status_items() {
    use StatusItem::{HighestModSeq, Messages, Size, UidNext};
    let status = |mailbox: &str, items: &[StatusItem]| CommandBody::Status {
        mailbox: mailbox.to_owned(),
        items: items.to_vec(),
    };
    assert_eq!(
        line("A042 STATUS blurdybloop (UIDNEXT MESSAGES)"),
        status("blurdybloop", &[UidNext, Messages])
    );
    assert_eq!(line("A042 STATUS b ( size  HighestModSeq )"), status("b", &[Size, HighestModSeq]));
    let all =
        "A1 STATUS b (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE APPENDLIMIT MAILBOXID)";
    assert_eq!(line(all), status("b", &StatusItem::ALL));
}

#[test]
fn rfc2971_id() {
    assert_eq!(line("a023 ID NIL"), CommandBody::Id(None));
    let pairs = vec![("name".to_owned(), Some("sodr".to_owned())), ("os".to_owned(), None)];
    assert_eq!(line("a023 ID (\"name\" \"sodr\" \"os\" NIL)"), CommandBody::Id(Some(pairs)));
    assert_eq!(line("a023 ID ()"), CommandBody::Id(Some(Vec::new())));
}

#[test]
fn rfc3501_section_6_4() {
    assert_eq!(line("FXXZ CHECK"), CommandBody::Check);
    assert_eq!(line("A341 CLOSE"), CommandBody::Close);
    assert_eq!(line("A341 UNSELECT"), CommandBody::Unselect);
    assert_eq!(line("A202 EXPUNGE"), CommandBody::Expunge { uids: None });
    let uids = Some(set("3000:3002"));
    assert_eq!(line("A003 UID EXPUNGE 3000:3002"), CommandBody::Expunge { uids });
    let copy = |uid| CommandBody::Copy { set: set("2:4"), uid, mailbox: "MEETING".into() };
    assert_eq!(line("A003 COPY 2:4 MEETING"), copy(false));
    assert_eq!(line("A003 uid copy 2:4 MEETING"), copy(true));
    let moved = CommandBody::Move { set: set("42:69"), uid: true, mailbox: "foo".into() };
    assert_eq!(line("a UID MOVE 42:69 foo"), moved);
}

#[test]
fn sequence_sets_resolve_as_the_grammar_says() {
    assert_eq!(set("2,4:7,9,12:*").resolve(Some(15)), [(2, 2), (4, 7), (9, 9), (12, 15)]);
    assert_eq!(set("*:4,5:7").resolve(Some(10)), [(4, 10)]);
    assert_eq!(set("3291:*").resolve(Some(100)), [(100, 3291)]);
    assert_eq!(set("4:2").resolve(Some(10)), [(2, 4)]);
    assert_eq!(set("*").resolve(None), []);
    assert_eq!(set("1:*,7").resolve(None), [(7, 7)]);
    assert_eq!(set("1:4294967295,4294967295").resolve(None), [(1, u32::MAX)]);
    assert_eq!(set("2,4:7,*").largest_number(), Some(7));
    assert_eq!(set("*").largest_number(), None);
    assert!(set("1:*").has_star() && !set("1:2").has_star());
    // RFC 5182 section 3.
    assert!(set("$").saved && set("$").ranges.is_empty() && set("1:3,$").saved && !set("1").saved);
    assert_eq!(set("1:*,3").ranges, [(Number(1), Largest), (Number(3), Number(3))]);
    assert_eq!(set("2,4:7,9,12:*").to_string(), "2,4:7,9,12:*");
}

#[test]
fn rfc3501_section_6_4_5_fetch() {
    use FetchItem::*;
    let names = vec!["DATE".to_owned(), "FROM".to_owned()];
    assert_eq!(
        line("A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])"),
        CommandBody::Fetch(Fetch {
            set: set("2:4"),
            uid: false,
            items: vec![Flags, section(&[], SectionText::HeaderFields(names.clone()), false, None)],
            changed_since: None,
            partial: None,
        })
    );
    assert_eq!(fetch_items("a FETCH 1 ALL"), [Flags, InternalDate, Rfc822Size, Envelope]);
    assert_eq!(fetch_items("a fetch 1 fast"), [Flags, InternalDate, Rfc822Size]);
    assert_eq!(fetch_items("a FETCH 1 FULL"), [Flags, InternalDate, Rfc822Size, Envelope, Body]);
    let everything = "a FETCH 1 (BODY BODYSTRUCTURE ENVELOPE FLAGS INTERNALDATE MODSEQ RFC822 \
                      RFC822.HEADER RFC822.SIZE RFC822.TEXT UID)";
    let items = [
        Body,
        BodyStructure,
        Envelope,
        Flags,
        InternalDate,
        ModSeq,
        Rfc822,
        Rfc822Header,
        Rfc822Size,
        Rfc822Text,
        Uid,
    ];
    assert_eq!(fetch_items(everything), items);
    assert_eq!(fetch_items("a FETCH 1 body[]"), [section(&[], SectionText::All, false, None)]);
    assert_eq!(
        fetch_items("a FETCH 1 BODY[]<0.2048>"),
        [section(&[], SectionText::All, false, Some((0, 2048)))]
    );
    assert_eq!(
        fetch_items("a FETCH 1 BODY.PEEK[4.2.2.1]"),
        [section(&[4, 2, 2, 1], SectionText::All, true, None)]
    );
    assert_eq!(fetch_items("a FETCH 1 BODY[4.1.MIME]"), [section(&[4, 1], SectionText::Mime, false, None)]);
    assert_eq!(
        fetch_items("a FETCH 1 BODY[4.2.HEADER]"),
        [section(&[4, 2], SectionText::Header, false, None)]
    );
    assert_eq!(fetch_items("a FETCH 1 BODY[TEXT]"), [section(&[], SectionText::Text, false, None)]);
    let not = SectionText::HeaderFieldsNot(names);
    assert_eq!(
        fetch_items("a FETCH 1 BODY.PEEK[3.HEADER.FIELDS.NOT (DATE FROM)]<5.1>"),
        [section(&[3], not, true, Some((5, 1)))]
    );
}

#[test]
fn only_reading_a_body_without_peek_sets_seen() {
    let sets = |text: &str| fetch_items(text).iter().any(FetchItem::sets_seen);
    for text in ["BODY[]", "BODY[1.MIME]", "BODY[HEADER]", "RFC822", "RFC822.TEXT"] {
        assert!(sets(&format!("a FETCH 1 {text}")), "{text}");
    }
    for text in ["BODY.PEEK[]", "RFC822.HEADER", "RFC822.SIZE", "FULL", "BODYSTRUCTURE", "BODY"] {
        assert!(!sets(&format!("a FETCH 1 {text}")), "{text}");
    }
}

#[test]
fn partials_end_where_the_text_ends() {
    let range = |first_byte, length_bytes, text| Partial { first_byte, length_bytes }.range(text);
    assert_eq!(range(0, 10, 5), 0..5);
    assert_eq!(range(3, 1, 5), 3..4);
    assert_eq!(range(9, 10, 5), 5..5);
    assert_eq!(range(u32::MAX, u32::MAX, u64::MAX), 4_294_967_295..8_589_934_590);
}

#[test]
fn literals_inside_a_section() {
    let fields = |names: &[&str]| SectionText::HeaderFields(names.iter().map(ToString::to_string).collect());
    assert_eq!(
        body("a FETCH 1 (UID BODY.PEEK[HEADER.FIELDS ({4+}\r\nDate \"From\")]<0.9>)\r\n"),
        CommandBody::Fetch(Fetch {
            set: set("1"),
            uid: false,
            items: vec![FetchItem::Uid, section(&[], fields(&["Date", "From"]), true, Some((0, 9)))],
            changed_since: None,
            partial: None,
        })
    );
}

#[test]
fn rfc7162_condstore() {
    let CommandBody::Fetch(fetch) = line("s100 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)") else { panic!() };
    assert_eq!((fetch.uid, fetch.changed_since), (true, Some(12345)));
    let store = |uid, unchanged_since, op, silent, flags: &[&str]| {
        CommandBody::Store(Store {
            set: set("6,4,8"),
            uid,
            unchanged_since,
            op,
            silent,
            flags: flags.iter().map(ToString::to_string).collect(),
        })
    };
    assert_eq!(
        line("a103 UID STORE 6,4,8 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)"),
        store(true, Some(12_121_230_045), StoreOp::Add, true, &["\\Deleted"])
    );
    assert_eq!(
        line("a STORE 6,4,8 -FLAGS \\sEEN $MDNSent"),
        store(false, None, StoreOp::Remove, false, &["\\Seen", "$MDNSent"])
    );
    assert_eq!(line("a STORE 6,4,8 flags ()"), store(false, None, StoreOp::Replace, false, &[]));
    assert_eq!(line("a STORE 6,4,8 FLAGS (x X x)"), store(false, None, StoreOp::Replace, false, &["x"]));
    let entry = Some("/flags/\\draft".to_owned());
    assert_eq!(
        search_key("a SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338"),
        SearchKey::ModSeq { entry, at_least: 620_162_338 }
    );
    let key = search_key("t SEARCH OR NOT MODSEQ 720162338 LARGER 50000");
    assert!(key.uses_modseq());
}

#[test]
fn rfc3501_section_6_4_4_search() {
    use SearchKey::*;
    assert_eq!(
        search_key("A282 SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
        And(vec![Flagged, Since(8797), Not(Box::new(From("Smith".into())))])
    );
    assert_eq!(search_key("A284 SEARCH CHARSET UTF-8 TEXT {6+}\r\nпри"), Text("при".into()));
    assert_eq!(
        search_key("a SEARCH OR (SEEN 1:3) ( UID 5 KEYWORD $Junk ) HEADER X-Foo \"\""),
        And(vec![
            Or(
                Box::new(And(vec![Seen, SequenceSet(set("1:3"))])),
                Box::new(And(vec![Uid(set("5")), Keyword("$Junk".into())]))
            ),
            Header("X-Foo".into(), String::new()),
        ])
    );
    assert_eq!(search_key("a UID SEARCH *"), SequenceSet(set("*")));
    assert_eq!(search_key("a SEARCH SENTON \"1-Jan-1970\""), SentOn(0));
    let flags = "a SEARCH ALL ANSWERED DELETED DRAFT FLAGGED NEW OLD RECENT SEEN UNANSWERED UNDELETED UNDRAFT \
                 UNFLAGGED UNSEEN";
    let keys = [
        All, Answered, Deleted, Draft, Flagged, New, Old, Recent, Seen, Unanswered, Undeleted, Undraft,
        Unflagged, Unseen,
    ];
    assert_eq!(search_key(flags), And(keys.to_vec()));
    let rest = "a SEARCH BCC a BODY b CC c SUBJECT d TO e BEFORE 1-Jan-1970 ON 2-Jan-1970 SENTBEFORE 3-Jan-1970 \
                SENTSINCE 4-Jan-1970 LARGER 1 SMALLER 2 UNKEYWORD k";
    let keys = [
        Bcc("a".into()),
        Body("b".into()),
        Cc("c".into()),
        Subject("d".into()),
        To("e".into()),
        Before(0),
        On(1),
        SentBefore(2),
        SentSince(3),
        Larger(1),
        Smaller(2),
        Unkeyword("k".into()),
    ];
    assert_eq!(search_key(rest), And(keys.to_vec()));
}

#[test]
fn search_keys_of_a_text() {
    assert_eq!(parse_keys(" subject \"Grüße\" "), Ok(SearchKey::Subject("Grüße".into())));
    assert_eq!(parse_keys("charset utf-8 unseen"), Ok(SearchKey::Unseen));
    assert_eq!(parse_keys("from Müller"), Ok(SearchKey::From("Müller".into())));
    for bad in [
        "",
        "subject",
        "subject \"x",
        "nonsense",
        "(",
        "all)",
        "or seen",
        "text {3}",
        "return () all",
        "not $",
        "uid 1,$",
    ] {
        assert!(parse_keys(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn leniency_that_dovecot_has_too() {
    assert_eq!(line("a  NOOP  "), CommandBody::Noop);
    assert_eq!(body("a NOOP\n"), CommandBody::Noop);
    assert_eq!(fetch_items("a FETCH 1  ( FLAGS   UID )  "), [FetchItem::Flags, FetchItem::Uid]);
    let login = CommandBody::Login { username: "a]b".into(), password: Secret("pä\"ss".into()) };
    assert_eq!(line("a LOGIN  a]b  \"pä\\\"ss\""), login);
    assert_eq!(line("] NOOP"), CommandBody::Noop);
}

#[test]
fn appends_stream_and_multiappend_goes_on() {
    // RFC 3502 section 6.3.11, shortened.
    let stream = "A003 APPEND saved-messages (\\Seen) {5}\r\nhello (\\Seen $x) \" 7-Feb-1994 22:43:04 -0800\" {3+}\r\na\0b\r\nn NOOP\r\n";
    let events = events(stream);
    let first = &events[0];
    let Event::AppendMessage(message) = first else { panic!("{first:?}") };
    assert_eq!(
        (message.tag.as_str(), message.mailbox.as_str(), message.index),
        ("A003", "saved-messages", 0)
    );
    assert_eq!((message.size_bytes, message.synchronizing, message.internal_date), (5, true, None));
    assert_eq!(message.flags, ["\\Seen"]);
    assert_eq!(events[1], Event::MessageBytes(b"hello".to_vec()));
    assert_eq!(events[2], Event::MessageEnd);
    let Event::AppendMessage(message) = &events[3] else { panic!("{:?}", events[3]) };
    assert_eq!((message.index, message.synchronizing), (1, false));
    assert_eq!(message.flags, ["\\Seen", "$x"]);
    assert_eq!(message.internal_date, Some(ZonedTime { unix_s: 760_689_784, offset_minutes: -480 }));
    assert_eq!(events[4], Event::MessageBytes(b"a\0b".to_vec()));
    assert_eq!(events[5..7], [Event::MessageEnd, Event::AppendEnd]);
    assert!(matches!(&events[7], Event::Command(command) if command.body == CommandBody::Noop));
}

#[test]
fn append_to_a_mailbox_named_by_a_literal() {
    let events = events("a APPEND {5}\r\nINBOX {2}\r\nhi\r\n");
    assert_eq!(events[0], Event::SendContinue);
    assert!(matches!(&events[1], Event::AppendMessage(message) if message.mailbox == "INBOX"));
    assert_eq!(events.last(), Some(&Event::AppendEnd));
}

#[test]
fn idle_and_authenticate_ask_for_a_line() {
    let events = events("a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\ndGVzdAB0ZXN0AHRlc3Q=\r\nc NOOP\r\n");
    assert_eq!(events[1], Event::Line(b"DONE".to_vec()));
    assert_eq!(events[3], Event::Line(b"dGVzdAB0ZXN0AHRlc3Q=".to_vec()));
    assert!(matches!(&events[4], Event::Command(command) if command.tag == "c"));
}
