//! Responses, byte for byte as the RFCs' examples have them.

use engine::mailbox::SpecialUse;
use engine::types::ZonedTime;
use imapd::proto::ast::{Partial, Section, SectionText, StatusItem};
use imapd::proto::write::{self, Attribute, Code, FetchResponse, Rfc822, Status};

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn fetched(write: impl FnOnce(&mut FetchResponse<'_>)) -> String {
    written(|out| {
        let mut response = FetchResponse::begin(out, 12);
        write(&mut response);
        response.end();
    })
}

#[test]
fn status_responses() {
    let tagged = |status, code: Option<Code>, text: &str| {
        written(|out| write::tagged(out, "A142", status, code.as_ref(), text))
    };
    assert_eq!(
        tagged(Status::Ok, Some(Code::ReadWrite), "SELECT completed"),
        "A142 OK [READ-WRITE] SELECT completed\r\n"
    );
    assert_eq!(tagged(Status::No, Some(Code::TryCreate), "x"), "A142 NO [TRYCREATE] x\r\n");
    assert_eq!(tagged(Status::Bad, None, "x"), "A142 BAD x\r\n");
    let untagged = |status, code: Option<Code>, text: &str| {
        written(|out| write::untagged(out, status, code.as_ref(), text))
    };
    assert_eq!(untagged(Status::Bye, None, "Autologout"), "* BYE Autologout\r\n");
    assert_eq!(untagged(Status::PreAuth, None, "hi"), "* PREAUTH hi\r\n");
    assert_eq!(
        untagged(Status::Ok, Some(Code::UidValidity(3_857_529_045)), "UIDs valid"),
        "* OK [UIDVALIDITY 3857529045] UIDs valid\r\n"
    );
    let flags = vec!["\\Deleted".to_owned(), "\\Seen".to_owned()];
    assert_eq!(
        untagged(Status::Ok, Some(Code::PermanentFlags(flags, true)), "Limited"),
        "* OK [PERMANENTFLAGS (\\Deleted \\Seen \\*)] Limited\r\n"
    );
    assert_eq!(
        untagged(Status::Ok, Some(Code::PermanentFlags(Vec::new(), false)), "No"),
        "* OK [PERMANENTFLAGS ()] No\r\n"
    );
    let names = vec!["IMAP4rev1".to_owned(), "AUTH=PLAIN".to_owned()];
    assert_eq!(
        untagged(Status::Ok, Some(Code::Capability(names)), "ready"),
        "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n"
    );
    let charsets = Code::BadCharset(vec!["US-ASCII", "UTF-8"]);
    assert_eq!(tagged(Status::No, Some(charsets), "x"), "A142 NO [BADCHARSET (US-ASCII UTF-8)] x\r\n");
    assert_eq!(
        tagged(Status::Ok, Some(Code::HighestModSeq(715_194_045_007)), "x"),
        "A142 OK [HIGHESTMODSEQ 715194045007] x\r\n"
    );
}

#[test]
fn a_text_stays_one_line_and_is_never_a_code() {
    let text = |text: &str| written(|out| write::tagged(out, "a", Status::Ok, None, text));
    assert_eq!(text("two\r\nlines \u{fc}"), "a OK two  lines ??\r\n");
    assert_eq!(text("[ALERT] no"), "a OK -[ALERT] no\r\n");
    assert_eq!(text(""), "a OK -\r\n");
}

#[test]
fn continuations() {
    assert_eq!(written(|out| write::continuation(out, "idling")), "+ idling\r\n");
    assert_eq!(written(|out| write::challenge(out, b"")), "+ \r\n");
    assert_eq!(written(|out| write::challenge(out, b"Username:")), "+ VXNlcm5hbWU6\r\n");
}

#[test]
fn uid_sets_keep_their_order() {
    let code = |code: Code| written(|out| write::tagged(out, "A004", Status::Ok, Some(&code), "Done"));
    // RFC 4315 section 3.
    let copy = Code::CopyUid { uid_validity: 38505, from: vec![304, 319, 320], to: vec![3956, 3957, 3958] };
    assert_eq!(code(copy), "A004 OK [COPYUID 38505 304,319:320 3956:3958] Done\r\n");
    let append = Code::AppendUid { uid_validity: 38505, uids: vec![3955] };
    assert_eq!(code(append), "A004 OK [APPENDUID 38505 3955] Done\r\n");
    // Not 3:5: the pairs would be lost.
    let copy = Code::CopyUid { uid_validity: 1, from: vec![5, 4, 3], to: vec![1, 2, 3] };
    assert_eq!(code(copy), "A004 OK [COPYUID 1 5,4,3 1:3] Done\r\n");
    assert_eq!(code(Code::Modified(vec![7, 9])), "A004 OK [MODIFIED 7,9] Done\r\n");
    assert_eq!(code(Code::Modified(vec![u32::MAX])), "A004 OK [MODIFIED 4294967295] Done\r\n");
}

#[test]
fn mailbox_data() {
    let list = |attributes: &[Attribute], delimiter, name: &str| {
        written(|out| write::list(out, attributes, delimiter, name))
    };
    assert_eq!(list(&[Attribute::NoSelect], Some('/'), ""), "* LIST (\\Noselect) \"/\" \"\"\r\n");
    assert_eq!(list(&[], None, "INBOX"), "* LIST () NIL INBOX\r\n");
    let both = [Attribute::HasNoChildren, Attribute::For(SpecialUse::Sent)];
    assert_eq!(
        list(&both, Some('/'), "Gesendet/für \"dich\""),
        "* LIST (\\HasNoChildren \\Sent) \"/\" \"Gesendet/f&APw-r \\\"dich\\\"\"\r\n"
    );
    assert_eq!(list(&[], Some('\\'), "nil"), "* LIST () \"\\\\\" \"nil\"\r\n");
    assert_eq!(written(|out| write::lsub(out, &[], Some('.'), "#news.a")), "* LSUB () \".\" #news.a\r\n");
    let values = [
        (StatusItem::Messages, 231),
        (StatusItem::UidNext, 44292),
        (StatusItem::Size, 8_589_934_592),
        (StatusItem::AppendLimit, 257_890),
        (StatusItem::MailboxId, 7),
    ];
    assert_eq!(
        written(|out| write::status(out, "blurdybloop", &values)),
        "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 SIZE 8589934592 APPENDLIMIT 257890 MAILBOXID (F7))\r\n"
    );
    let search = written(|out| {
        write::search::begin(out);
        write::search::numbers(out, 2..=3);
        write::search::numbers(out, u32::MAX..=u32::MAX);
        write::search::end(out, Some(917_162_500));
        write::search::begin(out);
        write::search::end(out, None);
    });
    assert_eq!(search, "* SEARCH 2 3 4294967295 (MODSEQ 917162500)\r\n* SEARCH\r\n");
    assert_eq!(written(|out| write::flags(out, &["\\Seen", "x"])), "* FLAGS (\\Seen x)\r\n");
    assert_eq!(written(|out| write::exists(out, 23)), "* 23 EXISTS\r\n");
    assert_eq!(written(|out| write::recent(out, 5)), "* 5 RECENT\r\n");
    assert_eq!(written(|out| write::expunge(out, 44)), "* 44 EXPUNGE\r\n");
    assert_eq!(
        written(|out| write::capability(out, &["IMAP4rev1", "IDLE"])),
        "* CAPABILITY IMAP4rev1 IDLE\r\n"
    );
    assert_eq!(written(|out| write::enabled(out, &[])), "* ENABLED\r\n");
    assert_eq!(written(|out| write::namespace(out, "", '/')), "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    assert_eq!(written(|out| write::id(out, &[])), "* ID NIL\r\n");
    assert_eq!(
        written(|out| write::id(out, &[("name", Some("x")), ("os", None)])),
        "* ID (\"name\" \"x\" \"os\" NIL)\r\n"
    );
}

#[test]
fn fetch_items() {
    let items = fetched(|response| {
        response.flags(&["\\Seen", "$x"]);
        response.uid(7);
        response.rfc822_size(4286);
        response.modseq(624_140_003);
        response.internal_date(ZonedTime { unix_s: 837_596_665, offset_minutes: -420 });
    });
    let expected = "* 12 FETCH (FLAGS (\\Seen $x) UID 7 RFC822.SIZE 4286 MODSEQ (624140003) \
                    INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n";
    assert_eq!(items, expected);
}

#[test]
fn fetch_bodies_are_literals() {
    let section = |path: &[u32], text| Section { path: path.to_vec(), text };
    let fields = SectionText::HeaderFieldsNot(vec!["DATE".to_owned(), "a b".to_owned()]);
    let partial = Some(Partial { first_byte: 5, length_bytes: 9 });
    let bodies = fetched(|response| {
        response.section(&section(&[], SectionText::All), None, Some(b"a\r\n"));
        response.section(&section(&[1, 2], fields), partial, Some(b""));
        response.section(&section(&[3], SectionText::Mime), None, None);
        response.rfc822(Rfc822::Header, b"x");
        response.section_header(&section(&[], SectionText::Text), partial, 2);
        response.out().extend_from_slice(b"zz");
        response.uid(1);
    });
    let expected = "* 12 FETCH (BODY[] {3}\r\na\r\n BODY[1.2.HEADER.FIELDS.NOT (DATE \"a b\")]<5> {0}\r\n \
                    BODY[3.MIME] NIL RFC822.HEADER {1}\r\nx BODY[TEXT]<5> {2}\r\nzz UID 1)\r\n";
    assert_eq!(bodies, expected);
}

#[test]
fn strings_are_quoted_where_that_is_possible() {
    let string = |bytes: &[u8]| {
        let mut out = Vec::new();
        write::string(&mut out, bytes);
        out
    };
    assert_eq!(string(b"a \"b\" \\"), b"\"a \\\"b\\\" \\\\\"");
    assert_eq!(string(b""), b"\"\"");
    assert_eq!(string(b"a\r\nb"), b"{4}\r\na\r\nb");
    assert_eq!(string(b"a\0"), b"{2}\r\na\0");
    assert_eq!(string("ü".as_bytes()), "{2}\r\nü".as_bytes());
    assert!(string(&[b'x'; 1001]).starts_with(b"{1001}\r\n"));
    assert_eq!(written(|out| write::nstring(out, None)), "NIL");
}
