//! imap-codec, which others wrote, as an oracle: what it reads from a command line and writes in
//! its own words must be the same command to us.

use crate::encode::Client;
use crate::{events_of, generate};
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::encode::Encoder;
use imapd::proto::ast::Command;
use imapd::proto::{Event, Limits};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

const COMMANDS: usize = 3000;

/// In its own words, when it knows the command at all.
fn retold(wire: &[u8]) -> Option<Vec<u8>> {
    match CommandCodec::default().decode(wire) {
        Ok((b"", command)) => Some(CommandCodec::default().encode(&command).dump()),
        _ => None,
    }
}

fn understood(wire: &[u8]) -> Event {
    let events = events_of([wire], Limits::default());
    events.into_iter().rfind(|event| *event != Event::SendContinue).unwrap()
}

#[test]
fn imap_codec_retells_every_command_as_we_understand_it() {
    let mut runner = TestRunner::new(Config::default());
    // imap-codec tidies sets when it reads them.
    let strategy = (generate::command(true), proptest::num::u64::ANY);
    let mut retold_of: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..COMMANDS {
        let (command, seed): (Command, u64) = strategy.new_tree(&mut runner).unwrap().current();
        let wire = Client::strict(seed).command(&command);
        if let Some(retold) = retold(&wire) {
            let name = command.body.name();
            let (wire, said) = (String::from_utf8_lossy(&wire), String::from_utf8_lossy(&retold));
            assert_eq!(understood(&retold), Event::Command(command), "{wire:?} was retold as {said:?}");
            *retold_of.entry(name).or_default() += 1;
        }
    }
    // An oracle that knows nothing proves nothing.
    let known = [
        "CAPABILITY",
        "NOOP",
        "LOGOUT",
        "ID",
        "STARTTLS",
        "AUTHENTICATE",
        "LOGIN",
        "SELECT",
        "EXAMINE",
        "CREATE",
        "DELETE",
        "RENAME",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "LIST",
        "LSUB",
        "NAMESPACE",
        "STATUS",
        "IDLE",
        "CHECK",
        "CLOSE",
        "UNSELECT",
        "EXPUNGE",
        "UID EXPUNGE",
        "SEARCH",
        "UID SEARCH",
        "SORT",
        "UID SORT",
        "THREAD",
        "UID THREAD",
        "FETCH",
        "UID FETCH",
        "STORE",
        "UID STORE",
        "COPY",
        "UID COPY",
        "MOVE",
        "UID MOVE",
    ];
    for name in known {
        assert!(retold_of.contains_key(name), "no {name} among {retold_of:?}");
    }
}
