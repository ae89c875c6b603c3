//! Properties over any input: what is written is understood, chunks do not matter, nothing panics.

use crate::encode::Client;
use crate::{events_of, generate};
use imapd::proto::ast::CommandBody;
use imapd::proto::{Event, Limits};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that reach deeper than noise: pieces of commands, in any order.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "a ",
        "UID ",
        "FETCH ",
        "SEARCH ",
        "SORT ",
        "THREAD ",
        "REVERSE ",
        "REFS ",
        "PREVIEW ",
        "(LAZY) ",
        "ESEARCH IN (",
        "mailboxes ",
        "CANCELUPDATE ",
        "RETURN (",
        "PARTIAL -1:-2",
        "RELEVANCY ",
        "FUZZY ",
        "CHARSET koi8-r ",
        "$ ",
        "STORE ",
        "APPEND ",
        "LIST ",
        "LOGIN ",
        "ID ",
        "IDLE\r\n",
        "DONE\r\n",
        "CREATE ",
        "STATUS ",
        "SELECT ",
        "AUTHENTICATE ",
        "1:*",
        "2,3 ",
        "BODY[",
        "1.2.",
        "HEADER.FIELDS ",
        "MIME]",
        "<0.1>",
        "(",
        ")",
        "((((",
        "NOT ",
        "OR ",
        "MODSEQ ",
        "\"",
        "\\",
        "\"x\" ",
        "{3}\r\n",
        "{3+}\r\n",
        "{0+}\r\n",
        "{99999+}\r\n",
        "{99999999999999999999+}\r\n",
        "{99999999999999999999}\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "NIL ",
        "INBOX ",
        "&AGE-",
        "\\Seen",
        "FLAGS ",
        "+",
        "*",
        "%",
        "\0",
        "ü",
        "1-Feb-1994 ",
        "CHARSET ",
        "UTF-8 ",
    ];
    let word = proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let noise = vec(any::<u8>(), 0..8);
    vec(prop_oneof![8 => word, 1 => noise], 0..40).prop_map(|parts| parts.concat())
}

fn small_limits() -> Limits {
    Limits { line_bytes: 300, literal_bytes: 50, message_bytes: 100 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_command_is_understood_however_it_is_spelled(command in generate::command(false), seed: u64) {
        let wire = Client::new(seed).command(&command);
        let events = events_of([wire.as_slice()], Limits::default());
        let (last, before) = events.split_last().unwrap();
        prop_assert!(before.iter().all(|event| *event == Event::SendContinue), "{:?}", before);
        prop_assert_eq!(last, &Event::Command(command), "{:?}", String::from_utf8_lossy(&wire));
    }

    #[test]
    fn chunks_do_not_change_the_events(stream in fragments(), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let whole = events_of([stream.as_slice()], small_limits());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let chunks = places.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(&events_of(chunks, small_limits()), &whole);
        prop_assert_eq!(&events_of(stream.chunks(1), small_limits()), &whole);
    }

    #[test]
    fn noise_gets_an_answer(stream: Vec<u8>) {
        let _ = events_of(stream.chunks(7), Limits::default());
    }

    /// A line without a literal never harms the next command.
    #[test]
    fn a_bad_line_costs_itself_only(line in "[ -z|~\u{80}-\u{ff}]{0,80}") {
        let stream = format!("{line}\r\nb NOOP\r\n");
        let events = events_of([stream.as_bytes()], Limits::default());
        let Some(Event::Command(command)) = events.last() else { panic!("{events:?}") };
        prop_assert_eq!(events.len(), 2);
        prop_assert_eq!(&command.body, &CommandBody::Noop);
    }
}
