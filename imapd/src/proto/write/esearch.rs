//! ESEARCH responses (RFC 4466 section 2.6.2), item by item.
//!
//! Laws
//! - `begin`, items, `end`; what is long may be written in pieces by `number::ranges` and
//!   `number::ordered` after `name`, so that a response of any size needs a bounded buffer.

use super::number::{number, ordered, ranges};
use super::string::{mailbox, string};
use crate::proto::ast::PartialRange;
use std::io::Write as _;

/// Which command, and which mailbox, a response is about (RFC 7377 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correlator<'a> {
    pub tag: &'a str,
    /// The name and its UIDVALIDITY, in answer to ESEARCH.
    pub mailbox: Option<(&'a str, u32)>,
}

/// `* ESEARCH (TAG "A282") UID`.
pub fn begin(out: &mut Vec<u8>, correlator: Correlator<'_>, uid: bool) {
    out.extend_from_slice(b"* ESEARCH (TAG ");
    string(out, correlator.tag.as_bytes());
    if let Some((name, uid_validity)) = correlator.mailbox {
        out.extend_from_slice(b" MAILBOX ");
        mailbox(out, name);
        out.extend_from_slice(b" UIDVALIDITY ");
        number(out, u64::from(uid_validity));
    }
    out.extend_from_slice(if uid { b") UID" } else { b")" });
}

pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The name of an item whose value is written next.
pub fn name(out: &mut Vec<u8>, name: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
}

/// MIN, MAX, COUNT and MODSEQ.
pub fn value(out: &mut Vec<u8>, item: &str, value: u64) {
    name(out, item);
    number(out, value);
}

/// `PARTIAL (1:500`: the results follow, or `NIL`, then `)` (RFC 9394 section 4).
pub fn partial(out: &mut Vec<u8>, range: PartialRange) {
    name(out, "PARTIAL");
    // Writing to a Vec cannot fail.
    let _ = write!(out, "({range} ");
}

/// Some of the scores inside `RELEVANCY (..)`; `goes_on` when others were written just before (RFC 6203
/// section 4).
pub fn scores(out: &mut Vec<u8>, scores: &[u8], goes_on: bool) {
    for (i, &score) in scores.iter().enumerate() {
        if goes_on || i > 0 {
            out.push(b' ');
        }
        number(out, u64::from(score));
    }
}

/// ADDTO or REMOVEFROM of what is in mailbox order: the client knows the place itself (RFC 5267
/// sections 4.3.3 and 4.3.4).
pub fn update(out: &mut Vec<u8>, change: Update, set: &[(u32, u32)]) {
    name(out, change.name());
    out.extend_from_slice(b"(0 ");
    ranges(out, set, false);
    out.push(b')');
}

/// ADDTO or REMOVEFROM at places, from 1, each with results in their order.
pub fn update_at<'a>(out: &mut Vec<u8>, change: Update, pairs: impl IntoIterator<Item = (u32, &'a [u32])>) {
    name(out, change.name());
    for (i, (place, results)) in pairs.into_iter().enumerate() {
        out.push(if i == 0 { b'(' } else { b' ' });
        number(out, u64::from(place));
        out.push(b' ');
        ordered(out, results, false);
    }
    out.push(b')');
}

/// RFC 5267 section 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    AddTo,
    RemoveFrom,
}

impl Update {
    fn name(self) -> &'static str {
        match self {
            Self::AddTo => "ADDTO",
            Self::RemoveFrom => "REMOVEFROM",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_as_the_rfcs_show_them() {
        let mut out = Vec::new();
        begin(&mut out, Correlator { tag: "a1", mailbox: None }, false);
        value(&mut out, "MIN", 2);
        value(&mut out, "COUNT", 3);
        end(&mut out);
        begin(&mut out, Correlator { tag: "x", mailbox: Some(("f/b\u{fc}", 503)) }, true);
        partial(&mut out, PartialRange { from: 1, to: 100, from_end: true });
        out.extend_from_slice(b"NIL)");
        name(&mut out, "RELEVANCY");
        scores(&mut out, &[4, 99], false);
        scores(&mut out, &[42], true);
        end(&mut out);
        begin(&mut out, Correlator { tag: "b", mailbox: None }, true);
        update(&mut out, Update::AddTo, &[(3, 5)]);
        update_at(&mut out, Update::RemoveFrom, [(1, &[7, 8, 3][..]), (2, &[9])]);
        end(&mut out);
        let expected = "* ESEARCH (TAG \"a1\") MIN 2 COUNT 3\r\n\
            * ESEARCH (TAG \"x\" MAILBOX f/b&APw- UIDVALIDITY 503) UID PARTIAL (-1:-100 NIL) RELEVANCY 4 99 42\r\n\
            * ESEARCH (TAG \"b\") UID ADDTO (0 3:5) REMOVEFROM (1 7:8,3 2 9)\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
