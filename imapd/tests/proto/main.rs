//! The wire language against the RFCs' own examples, against imap-codec (written by others), and against whatever bytes proptest thinks of. A failing property prints the input
//! it shrank to and keeps its seed in `proptest-regressions`.
#![allow(clippy::unwrap_used)]

mod commands;
mod dates;
mod encode;
mod frames;
mod generate;
mod names;
mod oracle;

mod random;
mod refusals;
mod responses;
mod searches;
mod sorts;
mod structures;
mod threads;

use imapd::proto::ast::CommandBody;
use imapd::proto::{Event, Limits, Receiver};

/// Every event of a stream that comes in these chunks. Messages are accepted, the bytes of a
/// message are joined, and IDLE and AUTHENTICATE ask for their line.
pub fn events_of<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Vec<Event> {
    let mut receiver = Receiver::new(limits);
    let mut events = Vec::new();
    for chunk in chunks {
        receiver.push(chunk);
        loop {
            match receiver.next() {
                Event::NeedBytes => break,
                Event::MessageBytes(bytes) => {
                    assert!(!bytes.is_empty(), "an empty chunk");
                    match events.last_mut() {
                        Some(Event::MessageBytes(before)) => before.extend_from_slice(&bytes),
                        _ => events.push(Event::MessageBytes(bytes)),
                    }
                }
                event => {
                    react(&mut receiver, &event);
                    let lost = matches!(event, Event::Lost(_));
                    events.push(event);
                    if lost {
                        return events;
                    }
                }
            }
        }
    }
    events
}

fn react(receiver: &mut Receiver, event: &Event) {
    match event {
        Event::AppendMessage(_) => receiver.accept_literal(),
        Event::Command(command) => {
            if matches!(command.body, CommandBody::Idle | CommandBody::Authenticate { .. }) {
                receiver.expect_line();
            }
        }
        _ => {}
    }
}

pub fn events(stream: &str) -> Vec<Event> {
    events_of([stream.as_bytes()], Limits::default())
}
