//! SORT, THREAD and PREVIEW as the RFCs' examples have them.

use crate::commands::{body, fetch_items, line};
use engine::search::{SortBy, SortKey, ThreadBy};
use imapd::proto::ast::*;
use imapd::proto::write::{FetchResponse, search};

fn by(by: SortBy) -> SortCriterion {
    SortCriterion::Key(SortKey { by, reverse: false })
}

fn reversed(by: SortBy) -> SortCriterion {
    SortCriterion::Key(SortKey { by, reverse: true })
}

#[test]
fn rfc5256_sort() {
    let sort =
        |uid, by: &[SortCriterion], key| CommandBody::Sort(Sort { uid, returns: None, by: by.to_vec(), key });
    assert_eq!(
        line("A282 SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994"),
        sort(false, &[by(SortBy::Subject)], SearchKey::Since(8797))
    );
    assert_eq!(
        line("A283 SORT (SUBJECT REVERSE DATE) UTF-8 ALL"),
        sort(false, &[by(SortBy::Subject), reversed(SortBy::Date)], SearchKey::All)
    );
    assert_eq!(
        line("A284 SORT (SUBJECT) US-ASCII TEXT \"not in mailbox\""),
        sort(false, &[by(SortBy::Subject)], SearchKey::Text("not in mailbox".into()))
    );
    let every = [
        by(SortBy::Arrival),
        by(SortBy::Cc),
        reversed(SortBy::Size),
        by(SortBy::From),
        by(SortBy::To),
        by(SortBy::Arrival),
    ];
    assert_eq!(
        line("a uid sort ( arrival CC  reverse  size FROM to ARRIVAL ) \"utf-8\" seen draft"),
        sort(true, &every, SearchKey::And(vec![SearchKey::Seen, SearchKey::Draft]))
    );
    // RFC 5957 section 4.
    assert_eq!(
        body("a SORT (DISPLAYFROM REVERSE DISPLAYTO) {5+}\r\nUTF-8 ALL\r\n"),
        sort(false, &[by(SortBy::DisplayFrom), reversed(SortBy::DisplayTo)], SearchKey::All)
    );
}

#[test]
fn rfc5267_and_rfc6203() {
    let sort = |text: &str| match line(text) {
        CommandBody::Sort(sort) => sort,
        other => panic!("{other:?}"),
    };
    let all = ReturnOptions { all: true, ..Default::default() };
    // RFC 5267 section 3.3.
    let sorted = sort("E01 UID SORT RETURN () (REVERSE DATE) UTF-8 UNDELETED UNKEYWORD $Junk");
    assert_eq!((sorted.uid, sorted.returns), (true, Some(all.clone())));
    assert_eq!(sorted.by, [reversed(SortBy::Date)]);
    let keys = vec![SearchKey::Undeleted, SearchKey::Unkeyword("$Junk".into())];
    assert_eq!(sorted.key, SearchKey::And(keys));
    let sorted = sort("B02 UID SORT RETURN (UPDATE COUNT) (SUBJECT) UTF-8 KEYWORD $Junk");
    let returns = ReturnOptions { update: true, count: true, ..Default::default() };
    assert_eq!(sorted.returns, Some(returns));
    // RFC 6203 section 6.
    let sorted = sort("C2 SORT RETURN (RELEVANCY ALL) (RELEVANCY) UTF-8 FUZZY TEXT \"Helo\"");
    assert_eq!(sorted.returns, Some(ReturnOptions { relevancy: true, ..all }));
    assert_eq!(sorted.by, [SortCriterion::Relevancy { reverse: false }]);
    let sorted = sort("C1 SORT (FROM REVERSE RELEVANCY) UTF-8 FUZZY SUBJECT \"Helo\"");
    assert_eq!(sorted.by, [by(SortBy::From), SortCriterion::Relevancy { reverse: true }]);
    let sorted = sort("C3 SORT RETURN (PARTIAL 1:10) (RELEVANCY) UTF-8 FUZZY TEXT \"World\"");
    let window = sorted.returns.and_then(|returns| returns.partial);
    assert_eq!(window, Some(PartialRange { from: 1, to: 10, from_end: false }));
}

#[test]
fn rfc5256_thread() {
    let thread = |uid, by, key| CommandBody::Thread(Thread { uid, by, key });
    assert_eq!(
        line("A283 THREAD ORDEREDSUBJECT UTF-8 SINCE 5-MAR-2000"),
        thread(false, ThreadBy::OrderedSubject, SearchKey::Since(11_021))
    );
    assert_eq!(
        line("A284 THREAD REFERENCES US-ASCII TEXT \"gewp\""),
        thread(false, ThreadBy::References, SearchKey::Text("gewp".into()))
    );
    assert_eq!(line("a UID THREAD refs utf-8 all"), thread(true, ThreadBy::Refs, SearchKey::All));
}

#[test]
fn rfc8970_preview() {
    let preview = |lazy| FetchItem::Preview { lazy };
    assert_eq!(fetch_items("A1 FETCH 1 (PREVIEW)"), [preview(false)]);
    assert_eq!(fetch_items("A1 FETCH 1 PREVIEW"), [preview(false)]);
    assert_eq!(fetch_items("A1 FETCH 1 preview (lazy)"), [preview(true)]);
    assert_eq!(fetch_items("A1 FETCH 1 PREVIEW ( LAZY  LAZY )"), [preview(true)]);
    assert_eq!(fetch_items("B1 FETCH 1:4 (ENVELOPE PREVIEW (LAZY))"), [FetchItem::Envelope, preview(true)]);
    assert_eq!(fetch_items("A1 FETCH 1 (PREVIEW (LAZY) UID)"), [preview(true), FetchItem::Uid]);
    // The list of the FETCH modifiers is not that of PREVIEW.
    for (text, items) in [
        ("a FETCH 1 PREVIEW (CHANGEDSINCE 5)", [preview(false)]),
        ("a FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 5)", [preview(true)]),
    ] {
        let CommandBody::Fetch(fetch) = line(text) else { panic!("{text}") };
        assert_eq!((fetch.items.as_slice(), fetch.changed_since), (&items[..], Some(5)), "{text}");
    }
    let mut out = Vec::new();
    let mut response = FetchResponse::begin(&mut out, 1);
    response.preview(Some("Preview text!"));
    response.preview(Some(""));
    response.preview(Some("Grüße"));
    response.preview(None);
    response.end();
    let expected = "* 1 FETCH (PREVIEW \"Preview text!\" PREVIEW \"\" PREVIEW {7}\r\nGrüße PREVIEW NIL)\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn lists_of_numbers() {
    let sorted = |all: &[u32], modseq| {
        let mut out = Vec::new();
        search::begin_sort(&mut out);
        for part in all.chunks(2) {
            search::numbers(&mut out, part.iter().copied());
        }
        search::end(&mut out, modseq);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(sorted(&[2, 84, 882], None), "* SORT 2 84 882\r\n");
    assert_eq!(sorted(&[], None), "* SORT\r\n");
    // RFC 7162 section 3.1.9.
    assert_eq!(sorted(&[2, 3, 6], Some(917_162_500)), "* SORT 2 3 6 (MODSEQ 917162500)\r\n");
    for number in [0, 1, 9, 10, 11, 99, 100, 101, 4_294_967_294, u32::MAX] {
        assert_eq!(sorted(&[number], Some(u64::MAX)), format!("* SORT {number} (MODSEQ {})\r\n", u64::MAX));
    }
}
