//! Transcripts, each played whole, a byte at a time and cut at every byte. `C:` is sent by the client
//! with CRLF, `B:` without; `S:` is what the server says after it.
//!
//! The mailboxes of the double: `jones*` does not exist, `full*` is over quota at RCPT, `green*` at
//! commit, `sick*` breaks at commit; everyone else takes mail.

use super::{Action, Limits, Session};
use crate::proto::refusal::Refusal;
use proptest::prelude::*;

/// What a double of `Deliver` saw.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Delivered {
    sender: Option<String>,
    recipients: Vec<String>,
    message: Vec<u8>,
}

#[derive(Default)]
struct Double {
    delivered: Vec<Delivered>,
    message: Option<Vec<u8>>,
    fail_begin: bool,
    fail_write: bool,
}

impl Double {
    /// Plays the parts of the input; what the server said. Stops when the session closes.
    fn play(&mut self, session: &mut Session<()>, parts: &[&[u8]], out: &mut Vec<u8>) -> bool {
        for mut input in parts.iter().copied() {
            loop {
                match session.advance(&mut input, out) {
                    Action::Read => break,
                    Action::Close => return false,
                    action => self.act(session, action, out),
                }
            }
            assert!(input.is_empty(), "input is consumed before more is asked for");
        }
        true
    }

    fn act(&mut self, session: &mut Session<()>, action: Action<'_, ()>, out: &mut Vec<u8>) {
        match action {
            Action::Read | Action::Close => {}
            Action::CheckRecipient { recipient, size_bytes } => {
                let name = recipient.unquoted();
                let verdict = match size_bytes {
                    _ if name.starts_with("jones") => Err(Refusal::NoSuchAccount),
                    Some(1000..) if name.starts_with("full") => Err(Refusal::OverQuota),
                    _ => Ok(()),
                };
                session.recipient_checked(verdict, out);
            }
            Action::Begin if self.fail_begin => session.begun(Err(Refusal::StoreFull), out),
            Action::Begin => {
                assert!(self.message.is_none(), "one message at a time");
                self.message = Some(Vec::new());
                session.begun(Ok(()), out);
            }
            Action::Write(_) if self.fail_write => {
                self.message = None;
                session.write_failed(Refusal::StoreFull);
            }
            Action::Write(bytes) => self.message.as_mut().unwrap().extend_from_slice(bytes),
            Action::Abandon => self.message = None,
            Action::Commit(envelope) => {
                let message = self.message.take().unwrap();
                let recipients: Vec<_> = envelope.recipients.iter().map(|r| r.address.to_string()).collect();
                let verdicts: Vec<_> = recipients
                    .iter()
                    .map(|name| match name {
                        name if name.starts_with("green") => Err(Refusal::OverQuota),
                        name if name.starts_with("sick") => Err(Refusal::Unavailable),
                        _ => Ok(()),
                    })
                    .collect();
                let sender = envelope.sender.map(|sender| sender.to_string());
                self.delivered.push(Delivered { sender, recipients, message });
                session.committed(&verdicts, out);
            }
        }
    }
}

/// A transcript's client bytes and server text.
fn split(transcript: &str) -> (Vec<u8>, String) {
    let (mut client, mut server) = (Vec::new(), String::new());
    for line in transcript.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (side, text) = line.split_once(':').unwrap();
        let text = text.strip_prefix(' ').unwrap_or(text);
        match side {
            "C" => client.extend_from_slice(format!("{text}\r\n").as_bytes()),
            "B" => client.extend_from_slice(text.replace("\\n", "\n").replace("\\r", "\r").as_bytes()),
            "S" => server.push_str(&format!("{text}\r\n")),
            other => panic!("{other}: in a transcript"),
        }
    }
    (client, server)
}

/// Plays a transcript every way it can be cut into two reads, and a byte at a time.
fn check_with(limits: &Limits, fail_begin: bool, fail_write: bool, transcript: &str) -> Vec<Delivered> {
    let (client, server) = split(transcript);
    let mut first = None;
    let cuts = (0..client.len()).map(|at| vec![&client[..at], &client[at..]]);
    for parts in cuts.chain([client.chunks(1).collect()]) {
        let mut double = Double { fail_begin, fail_write, ..Double::default() };
        let mut out = Vec::new();
        let mut session = Session::new("foo.edu", limits.clone(), &mut out);
        double.play(&mut session, &parts, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            server,
            "first read: {:?}",
            parts[0].escape_ascii().to_string()
        );
        assert_eq!(first.get_or_insert_with(|| double.delivered.clone()), &double.delivered);
    }
    first.unwrap_or_default()
}

fn check(transcript: &str) -> Vec<Delivered> {
    check_with(&Limits::default(), false, false, transcript)
}

const HELLO: &str = "
    S: 220 foo.edu LMTP Mailcask ready
    C: LHLO foo.edu
    S: 250-foo.edu
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-SIZE 52428800
    S: 250-ENHANCEDSTATUSCODES
    S: 250 CHUNKING
";

fn after_hello(transcript: &str) -> Vec<Delivered> {
    check(&format!("{HELLO}{transcript}"))
}

#[test]
fn the_example_of_rfc_2033() {
    let delivered = after_hello(
        "C: MAIL FROM:<chris@bar.com>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@foo.edu>
         S: 250 2.1.5 <pat@foo.edu> OK
         C: RCPT TO:<jones@foo.edu>
         S: 550 5.1.1 <jones@foo.edu> no such account
         C: RCPT TO:<green@foo.edu>
         S: 250 2.1.5 <green@foo.edu> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         C: Blah blah blah...
         C: ...etc. etc. etc.
         C: .
         S: 250 2.0.0 <pat@foo.edu> delivered
         S: 552 5.2.2 <green@foo.edu> over quota
         C: QUIT
         S: 221 2.0.0 closing connection
         C: NOOP",
    );
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].sender.as_deref(), Some("chris@bar.com"));
    assert_eq!(delivered[0].recipients, ["pat@foo.edu", "green@foo.edu"]);
    // The client of the example stuffs no dots: the first of the second line goes.
    assert_eq!(delivered[0].message, b"Blah blah blah...\r\n..etc. etc. etc.\r\n");
}

#[test]
fn one_account_named_twice_is_two_replies() {
    let delivered = after_hello(
        "C: MAIL FROM:<>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@foo.edu>
         S: 250 2.1.5 <pat@foo.edu> OK
         C: RCPT TO:<pat@foo.edu>
         S: 250 2.1.5 <pat@foo.edu> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         C: .
         S: 250 2.0.0 <pat@foo.edu> delivered
         S: 250 2.0.0 <pat@foo.edu> delivered",
    );
    let twice = vec!["pat@foo.edu".to_owned(); 2];
    assert_eq!(delivered, [Delivered { sender: None, recipients: twice, message: Vec::new() }]);
}

#[test]
fn commands_out_of_order_change_nothing() {
    let delivered = check(&format!(
        "S: 220 foo.edu LMTP Mailcask ready
         C: MAIL FROM:<a@b>
         S: 503 5.5.1 say LHLO first
         C: RCPT TO:<a@b>
         S: 503 5.5.1 RCPT comes after MAIL and before any text
         C: DATA
         S: 503 5.5.1 DATA comes after MAIL and RCPT
         C: RSET
         S: 250 2.0.0 OK
         C: MAIL FROM:<a@b>
         S: 503 5.5.1 say LHLO first
         {}
         C: DATA
         S: 503 5.5.1 DATA comes after MAIL and RCPT
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: MAIL FROM:<c@d>
         S: 503 5.5.1 a transaction is open; RSET ends it
         C: DATA
         S: 503 5.5.1 no recipient was accepted
         C: RCPT TO:<jones@d>
         S: 550 5.1.1 <jones@d> no such account
         C: DATA
         S: 503 5.5.1 no recipient was accepted
         C: RSET
         S: 250 2.0.0 OK
         C: RCPT TO:<a@b>
         S: 503 5.5.1 RCPT comes after MAIL and before any text",
        HELLO.replace("S: 220 foo.edu LMTP Mailcask ready", "")
    ));
    assert_eq!(delivered, []);
}

#[test]
fn other_commands_and_errors() {
    after_hello(
        "C: EHLO x
         S: 500 5.5.1 this is LMTP: say LHLO
         C: HELP
         S: 502 5.5.1 command not implemented
         C: NOOP whatever
         S: 250 2.0.0 OK
         C: VRFY pat
         S: 252 2.0.0 cannot verify; RCPT tells
         C: VRFY
         S: 501 5.5.4 syntax: VRFY string
         C: FOO
         S: 500 5.5.2 command not recognized
         B: NOOP\\n
         S: 500 5.5.2 lines end in CRLF, not LF
         C: MAIL FROM:<a@b> FOO=bar
         S: 555 5.5.4 parameter not recognized
         C: MAIL FROM:<gr\u{fc}n@b>
         S: 553 5.6.7 non-ASCII address without SMTPUTF8
         C: MAIL FROM:<a@b
         S: 501 5.1.7 bad sender address
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<gr\u{fc}n@b>
         S: 553 5.6.7 non-ASCII address without SMTPUTF8
         C: RCPT TO:<a b@c>
         S: 501 5.1.3 bad recipient address",
    );
}

#[test]
fn quoted_and_non_ascii_addresses() {
    let delivered = after_hello(
        "C: MAIL FROM:<\"gr\u{fc}n \\\" x\"@b> SMTPUTF8 BODY=8BITMIME SIZE=20
         S: 250 2.1.0 sender OK
         C: RCPT TO:<\"pat+caf\u{e9}\"@foo.edu>
         S: 250 2.1.5 <pat+caf\u{e9}@foo.edu> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         C: Subject: \u{fc}
         C: .
         S: 250 2.0.0 <pat+caf\u{e9}@foo.edu> delivered",
    );
    assert_eq!(delivered[0].sender.as_deref(), Some("\"gr\u{fc}n \\\" x\"@b"));
    assert_eq!(delivered[0].message, "Subject: \u{fc}\r\n".as_bytes());
}

/// SMTP smuggling: what other servers may take for an end is text here.
#[test]
fn nothing_but_crlf_dot_crlf_ends_the_text() {
    let delivered = after_hello(
        "C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         B: one\\n.\\nMAIL FROM:<x@y>\\r\\ntwo\\n.\\r\\nthree\\r.\\r\\nfour\\r\\n.\\n
         B: five\\r\\n.\\rsix\\r\\n.\\r\\n
         S: 250 2.0.0 <pat@b> delivered
         C: QUIT
         S: 221 2.0.0 closing connection",
    );
    let text: &[u8] = b"one\n.\nMAIL FROM:<x@y>\r\ntwo\n.\r\nthree\r.\r\nfour\r\n\nfive\r\n\rsix\r\n";
    assert_eq!(delivered[0].message, text);
    assert_eq!(delivered.len(), 1);
}

#[test]
fn chunks() {
    let delivered = after_hello(
        "C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: RCPT TO:<sick@b>
         S: 250 2.1.5 <sick@b> OK
         C: BDAT 9
         B: a\\r\\n.\\r\\nb\\r\\n
         S: 250 2.0.0 9 octets received
         C: DATA
         S: 503 5.5.1 DATA after BDAT; RSET ends the transaction
         C: RCPT TO:<late@b>
         S: 503 5.5.1 RCPT comes after MAIL and before any text
         C: bdat 0
         S: 250 2.0.0 9 octets received
         C: BDAT 3 LAST
         B: x\\r\\n
         S: 250 2.0.0 <pat@b> delivered
         S: 451 4.3.0 <sick@b> local error; try again later
         C: BDAT 2 LAST
         B: y\\n
         S: 503 5.5.1 BDAT comes after MAIL and RCPT",
    );
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].message, b"a\r\n.\r\nb\r\nx\r\n");
}

#[test]
fn rset_and_lhlo_forget_chunks() {
    let delivered = after_hello(
        "C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: BDAT 4
         B: old.
         S: 250 2.0.0 4 octets received
         C: RSET
         S: 250 2.0.0 OK
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: BDAT 0 LAST
         S: 250 2.0.0 <pat@b> delivered",
    );
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].message, b"");
}

/// RFC 2033 section 4.3: no accepted RCPT, no reply to BDAT LAST; but one to any other BDAT.
#[test]
fn chunks_without_a_recipient_are_read_and_dropped() {
    let delivered = after_hello(
        "C: BDAT 6
         B: QUIT\\r\\n
         S: 503 5.5.1 BDAT comes after MAIL and RCPT
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<jones@b>
         S: 550 5.1.1 <jones@b> no such account
         C: BDAT 6
         B: QUIT\\r\\n
         S: 503 5.5.1 no recipient was accepted
         C: BDAT 6 LAST
         B: QUIT\\r\\n
         C: NOOP
         S: 250 2.0.0 OK
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK",
    );
    assert_eq!(delivered, []);
}

#[test]
fn an_unreadable_chunk_length_ends_the_session() {
    after_hello(
        "C: BDAT many
         S: 501 5.5.4 syntax: BDAT octets [LAST]; closing
         C: RSET",
    );
}

#[test]
fn too_big_is_told_at_mail_at_the_dot_and_at_the_chunk() {
    let limits = Limits { max_message_bytes: 10, ..Limits::default() };
    let hello = HELLO.replace("52428800", "10");
    let transcript = format!(
        "{hello}
         C: MAIL FROM:<a@b> SIZE=11
         S: 552 5.3.4 message too big
         C: MAIL FROM:<a@b> SIZE=10
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: RCPT TO:<tim@b>
         S: 250 2.1.5 <tim@b> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         C: 123456789
         C: .
         S: 552 5.3.4 <pat@b> message too big
         S: 552 5.3.4 <tim@b> message too big
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: BDAT 10
         B: 0123456789
         S: 250 2.0.0 10 octets received
         C: BDAT 1
         B: x
         S: 552 5.3.4 message too big
         C: BDAT 1 LAST
         B: x
         S: 552 5.3.4 <pat@b> message too big
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         C: ..345678
         C: .
         S: 250 2.0.0 <pat@b> delivered"
    );
    let delivered = check_with(&limits, false, false, &transcript);
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].message, b".345678\r\n");
}

#[test]
fn a_quota_hint_with_size() {
    after_hello(
        "C: MAIL FROM:<a@b> SIZE=1000
         S: 250 2.1.0 sender OK
         C: RCPT TO:<full@b>
         S: 552 5.2.2 <full@b> over quota
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK",
    );
}

#[test]
fn a_store_that_takes_nothing_answers_data_and_chunks() {
    let transcript = format!(
        "{HELLO}
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: DATA
         S: 452 4.3.1 no space left; try again later
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: BDAT 6
         B: QUIT\\r\\n
         S: 452 4.3.1 no space left; try again later
         C: BDAT 6 LAST
         B: QUIT\\r\\n
         S: 452 4.3.1 <pat@b> no space left; try again later
         C: NOOP
         S: 250 2.0.0 OK"
    );
    assert_eq!(check_with(&Limits::default(), true, false, &transcript), []);
}

#[test]
fn a_store_that_fails_in_the_text_answers_every_recipient() {
    let transcript = format!(
        "{HELLO}
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: RCPT TO:<tim@b>
         S: 250 2.1.5 <tim@b> OK
         C: DATA
         S: 354 start mail input; end with <CRLF>.<CRLF>
         C: text
         C: .
         S: 452 4.3.1 <pat@b> no space left; try again later
         S: 452 4.3.1 <tim@b> no space left; try again later
         C: NOOP
         S: 250 2.0.0 OK"
    );
    assert_eq!(check_with(&Limits::default(), false, true, &transcript), []);
}

#[test]
fn limits_of_recipients_lines_and_errors() {
    let limits = Limits { max_recipients: 1, max_line_bytes: 20, max_bad_commands: 2, ..Limits::default() };
    let transcript = format!(
        "{HELLO}
         C: MAIL FROM:<a@b>
         S: 250 2.1.0 sender OK
         C: RCPT TO:<pat@b>
         S: 250 2.1.5 <pat@b> OK
         C: RCPT TO:<tim@b>
         S: 452 4.5.3 too many recipients
         C: NOOP 34567890123456
         S: 500 5.5.2 line too long
         C: FOO
         S: 500 5.5.2 command not recognized
         S: 421 4.7.0 too many bad commands
         C: NOOP"
    );
    check_with(&limits, false, false, &transcript);
}

proptest! {
    /// Pieces of the protocol and noise in any order: no panic, and never more 250s for a message
    /// than recipients it was delivered to.
    #[test]
    fn no_input_panics(pieces in proptest::collection::vec(piece(), 0..40), cut in 1usize..64) {
        let bytes: Vec<u8> = pieces.concat();
        let mut out = Vec::new();
        let limits = Limits { max_message_bytes: 100, max_line_bytes: 60, ..Limits::default() };
        let mut session = Session::new("x", limits, &mut out);
        let mut double = Double::default();
        let parts: Vec<&[u8]> = bytes.chunks(cut).collect();
        double.play(&mut session, &parts, &mut out);
        let said = String::from_utf8(out).unwrap();
        let given = said.lines().filter(|line| line.ends_with("delivered")).count();
        let taken: usize = double.delivered.iter().map(|d| {
            d.recipients.iter().filter(|name| !name.starts_with("green") && !name.starts_with("sick")).count()
        }).sum();
        prop_assert_eq!(given, taken);
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "LHLO x\r\n",
        "MAIL FROM:<a@b>\r\n",
        "MAIL FROM:<> SIZE=5 SMTPUTF8\r\n",
        "RCPT TO:<pat@b>\r\n",
        "RCPT TO:<green@b>\r\n",
        "RCPT TO:<jones@b>\r\n",
        "DATA\r\n",
        "BDAT 5\r\n12345",
        "BDAT 3 LAST\r\nabc",
        "BDAT 0 LAST\r\n",
        "RSET\r\n",
        "text\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "..\r\n",
        "\n",
        "QUIT",
    ];
    let known: Vec<Vec<u8>> = known.iter().map(|s| s.as_bytes().to_vec()).collect();
    prop_oneof![6 => proptest::sample::select(known), 1 => proptest::collection::vec(any::<u8>(), 0..70)]
}
