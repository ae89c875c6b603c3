//! Framing: the same events whatever the chunks, bounded memory, continuations only where due.

use crate::{events, events_of};
use imapd::proto::ast::CommandBody;
use imapd::proto::parse::Refusal;
use imapd::proto::write::{Code, Status};
use imapd::proto::{Event, Limits, Receiver};

/// Everything the framing knows: pipelined commands, both literals, MULTIAPPEND, a bad command, a
/// too large literal of each kind, an overlong line, IDLE and a bare LF.
fn stream() -> Vec<u8> {
    let overlong = "x".repeat(400);
    [
        "a1 NOOP\r\na2 CAPABILITY\r\n",
        "a3 LOGIN {4}\r\nfred {3+}\r\np{}\r\n",
        "a4 APPEND INBOX (\\Seen) {12+}\r\nA: b\r\n\r\n{9}\n (x) \"01-Jan-2020 00:00:00 +0000\" {3}\r\nabc\r\n",
        "a5 NONSENSE {5+}\r\n\r\nx\r\n {0+}\r\n\r\n",
        "a6 APPEND INBOX {101+}\r\n",
        &"y".repeat(101),
        " {2+}\r\nzz\r\n",
        "a7 APPEND INBOX {101}\r\n",
        &format!("a8 {overlong} {{4+}}\r\n\r\n\r\n{overlong}\r\n"),
        "a9 IDLE\r\nDONE {3+}\r\n",
        "b1 NOOP\nb2 SEARCH SUBJECT {3}\r\n\u{fc}x\r\n\r\nb3 LOGOUT\r\n",
    ]
    .concat()
    .into_bytes()
}

fn limits() -> Limits {
    Limits { line_bytes: 300, literal_bytes: 50, message_bytes: 100 }
}

#[test]
fn split_at_every_byte() {
    let stream = stream();
    let whole = events_of([stream.as_slice()], limits());
    assert_eq!(whole.len(), 22, "{whole:#?}");
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(events_of([head, tail], limits()), whole, "split at {at}");
    }
    for size in [1, 2, 3, 5, 7, 64] {
        assert_eq!(events_of(stream.chunks(size), limits()), whole, "chunks of {size}");
    }
}

fn refused(event: Option<&Event>) -> &Refusal {
    match event {
        Some(Event::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_too_large_synchronizing_message_is_refused_unread() {
    let events = events("a APPEND INBOX {52428801}\r\nb NOOP\r\n");
    let refusal = refused(events.first());
    assert_eq!((refusal.tag.as_deref(), refusal.status), (Some("a"), Status::No));
    assert_eq!(refusal.code, Some(Code::TooBig));
    assert!(matches!(&events[1], Event::Command(command) if command.tag == "b"));
}

#[test]
fn a_too_large_message_that_comes_anyway_is_read_and_dropped() {
    let mut receiver = Receiver::new(limits());
    receiver.push(b"a APPEND INBOX {10000000+}\r\n");
    let chunk = [b'x'; 10_000];
    for _ in 0..1000 {
        assert_eq!(receiver.next(), Event::NeedBytes);
        assert!(!receiver.has_buffered(), "held in memory");
        receiver.push(&chunk);
    }
    assert_eq!(receiver.next(), Event::NeedBytes, "the command has not ended");
    receiver.push(b"\r\n");
    assert_eq!(refused(Some(&receiver.next())).code, Some(Code::TooBig));
    assert_eq!(receiver.next(), Event::NeedBytes);
}

#[test]
fn a_too_large_argument_is_refused_unread_too() {
    let refused_code = |stream: &str| refused(events(stream).first()).code.clone();
    assert_eq!(refused_code("a LOGIN {65537}\r\n"), Some(Code::TooBig));
    let long = "x".repeat(40_000);
    let two = format!("a LOGIN {{40000+}}\r\n{long} {{40000+}}\r\n{long}\r\n");
    assert_eq!(refused_code(&two), Some(Code::TooBig));
}

#[test]
fn a_refused_append_waits_for_the_end_of_what_is_on_its_way() {
    let mut receiver = Receiver::new(Limits::default());
    receiver.push(b"a APPEND nowhere {3+}\r\nabc {3+}\r\ndef\r\nb NOOP\r\n");
    assert!(matches!(receiver.next(), Event::AppendMessage(_)));
    receiver.refuse(Refusal::no(Some(Code::TryCreate), "no such mailbox"));
    let event = receiver.next();
    assert_eq!(refused(Some(&event)).tag.as_deref(), Some("a"));
    assert_eq!(refused(Some(&event)).code, Some(Code::TryCreate));
    assert!(matches!(receiver.next(), Event::Command(command) if command.tag == "b"));
}

#[test]
fn a_refused_append_that_waits_is_answered_at_once() {
    let mut receiver = Receiver::new(Limits::default());
    receiver.push(b"a APPEND nowhere {3}\r\n");
    assert!(matches!(receiver.next(), Event::AppendMessage(message) if message.synchronizing));
    receiver.refuse(Refusal::no(Some(Code::TryCreate), "no such mailbox"));
    assert!(matches!(receiver.next(), Event::Refused(_)));
    receiver.push(b"b NOOP\r\n");
    assert!(matches!(receiver.next(), Event::Command(command) if command.tag == "b"));
}

#[test]
fn an_append_can_be_given_up_in_the_middle_of_a_message() {
    let mut receiver = Receiver::new(Limits::default());
    receiver.push(b"a APPEND INBOX {6+}\r\nabc");
    assert!(matches!(receiver.next(), Event::AppendMessage(_)));
    receiver.accept_literal();
    assert_eq!(receiver.next(), Event::MessageBytes(b"abc".to_vec()));
    receiver.refuse(Refusal::no(None, "the disk is full"));
    assert_eq!(receiver.next(), Event::NeedBytes);
    receiver.push(b"def {2}\r\n");
    assert!(matches!(receiver.next(), Event::Refused(_)), "the client waits: tell it now");
    receiver.push(b"b NOOP\r\n");
    assert!(matches!(receiver.next(), Event::Command(command) if command.tag == "b"));
}

#[test]
fn an_unanswered_message_announcement_reads_nothing() {
    let mut receiver = Receiver::new(Limits::default());
    receiver.push(b"a APPEND INBOX {3+}\r\nabc\r\n");
    assert!(matches!(receiver.next(), Event::AppendMessage(_)));
    assert_eq!(receiver.next(), Event::NeedBytes);
    receiver.accept_literal();
    assert_eq!(receiver.next(), Event::MessageBytes(b"abc".to_vec()));
}

#[test]
fn a_message_of_no_bytes_cancels_the_append() {
    // RFC 3502 section 6.3.11: MUST return a NO.
    let events = events("a APPEND INBOX {3+}\r\nabc {0+}\r\n\r\nb NOOP\r\n");
    let refusal = refused(events.get(3));
    assert_eq!((refusal.tag.as_deref(), refusal.status), (Some("a"), Status::No));
    assert!(matches!(&events[4], Event::Command(command) if command.tag == "b"));
}

#[test]
fn the_line_limit_is_exact_and_costs_one_command() {
    let events_with = |spaces: usize| events(&format!("a NOOP{}\r\nb NOOP\r\n", " ".repeat(spaces)));
    let fits = events_with(64 * 1024 - "a NOOP".len());
    assert!(matches!(&fits[0], Event::Command(command) if command.body == CommandBody::Noop));
    let over = events_with(64 * 1024 - "a NOOP".len() + 1);
    let refusal = refused(over.first());
    assert_eq!((refusal.tag.as_deref(), refusal.status), (Some("a"), Status::Bad));
    assert!(matches!(&over[1], Event::Command(command) if command.tag == "b"));
}

#[test]
fn an_endless_line_is_not_held() {
    let mut receiver = Receiver::new(Limits::default());
    receiver.push(b"a SEARCH TEXT ");
    for _ in 0..1000 {
        receiver.push(&[b'x'; 10_000]);
        assert_eq!(receiver.next(), Event::NeedBytes);
    }
    receiver.push(b"\r\nb NOOP\r\n");
    assert_eq!(refused(Some(&receiver.next())).tag.as_deref(), Some("a"));
    assert!(matches!(receiver.next(), Event::Command(command) if command.tag == "b"));
}

#[test]
fn an_overlong_answer_to_a_challenge_is_refused_untagged() {
    let stream = format!("a AUTHENTICATE PLAIN\r\n{}\r\nb NOOP\r\n", "A".repeat(70_000));
    let events = events(&stream);
    assert_eq!(refused(events.get(1)).tag, None);
    assert!(matches!(&events[2], Event::Command(command) if command.tag == "b"));
}

#[test]
fn a_size_beyond_64_bits_is_lost_only_when_the_client_does_not_wait() {
    let events = events("a LOGIN {99999999999999999999}\r\nb LOGIN {99999999999999999999+}\r\n");
    assert_eq!(refused(events.first()).tag.as_deref(), Some("a"));
    assert!(matches!(&events[1], Event::Lost(refusal) if refusal.tag.as_deref() == Some("b")));
}
