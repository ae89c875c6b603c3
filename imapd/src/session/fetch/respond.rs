//! Writes the FETCH response of one message (RFC 3501 section 7.4.2).
//!
//! Laws
//! - Items come in the order asked for; what the server adds comes after them.
//! - A literal has exactly the announced length, or the connection ends.

use super::plan::{self, Plan};
use super::source::{Source, Text, ranges};
use crate::proto::ast::FetchItem;
use crate::proto::write::{FetchResponse, Rfc822};
use crate::session::sink::{Gone, Out, Sink};
use engine::mailbox::{Row, ViewRow};
use engine::mime::{What, envelope, structure};
use engine::types::ZonedTime;
use std::ops::Range;

/// What is told beside the mailbox's columns and the message's bytes.
pub struct Marks<'a> {
    pub flags: &'a [&'a str],
    /// The command changed them: the response says so.
    pub touched: bool,
    pub condstore: bool,
    pub preview: Option<&'a str>,
}

pub fn respond(
    plan: &Plan,
    row: &ViewRow,
    marks: Marks<'_>,
    source: &Source,
    out: &mut Out,
) -> Result<(), Gone> {
    let (buffer, sink) = out.parts();
    let mut response = FetchResponse::begin(buffer, row.seq);
    for item in &plan.items {
        write_item(item, &row.row, &marks, source, &mut response, sink)?;
    }
    if marks.touched && !plan.items.contains(&FetchItem::Flags) {
        response.flags(marks.flags);
    }
    if marks.touched && marks.condstore && !plan.modseq {
        response.modseq(row.row.modseq.0);
    }
    response.end();
    Ok(())
}

fn write_item(
    item: &FetchItem,
    row: &Row,
    marks: &Marks<'_>,
    source: &Source,
    response: &mut FetchResponse<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Gone> {
    match item {
        FetchItem::Uid => response.uid(row.uid.0),
        FetchItem::Flags => response.flags(marks.flags),
        FetchItem::InternalDate => response.internal_date(row.internal_date),
        FetchItem::Rfc822Size => response.rfc822_size(u64::from(row.size_bytes)),
        FetchItem::ModSeq => response.modseq(row.modseq.0),
        FetchItem::EmailId => response.email_id(row.email),
        FetchItem::ThreadId => response.thread_id(row.thread),
        FetchItem::SaveDate => response.save_date(ZonedTime::utc(row.save_date_s)),
        FetchItem::Preview { .. } => response.preview(marks.preview),
        FetchItem::Envelope => response.envelope(&envelope::parse(&source.header())),
        FetchItem::Body => {
            if let Some((raw, tree)) = source.parts() {
                response.body(&structure::of(tree, raw));
            }
        }
        FetchItem::BodyStructure => {
            if let Some((raw, tree)) = source.parts() {
                response.body_structure(&structure::of(tree, raw));
            }
        }
        FetchItem::Rfc822Header => response.rfc822(Rfc822::Header, &source.header()),
        FetchItem::Rfc822 => return rfc822(Rfc822::Whole, What::All, source, response, sink),
        FetchItem::Rfc822Text => return rfc822(Rfc822::Text, What::Text, source, response, sink),
        FetchItem::Section(body) => match source.section(&(&body.section).into(), body.partial) {
            Text::Nil => response.section(&body.section, body.partial, None),
            Text::Bytes(bytes) => response.section(&body.section, body.partial, Some(&bytes)),
            Text::Range(range) => {
                response.section_header(&body.section, body.partial, range.end - range.start);
                return stream(source, range, response, sink);
            }
        },
    }
    Ok(())
}

fn rfc822(
    item: Rfc822,
    what: What,
    source: &Source,
    response: &mut FetchResponse<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Gone> {
    match source.section(&plan::whole(what), None) {
        Text::Nil => response.rfc822(item, b""),
        Text::Bytes(bytes) => response.rfc822(item, &bytes),
        Text::Range(range) => {
            response.rfc822_header_of(item, range.end - range.start);
            return stream(source, range, response, sink);
        }
    }
    Ok(())
}

/// Sends the bytes of an announced literal. They were read before; should they be unreadable now the
/// client cannot be told inside a literal, so the connection ends.
fn stream(
    source: &Source,
    range: Range<u64>,
    response: &mut FetchResponse<'_>,
    sink: &mut dyn Sink,
) -> Result<(), Gone> {
    let Source::Large { email, .. } = source else { return Ok(()) };
    sink.send(std::mem::take(response.out()))?;
    for part in ranges(range) {
        let bytes = email.read_range(part).map_err(|error| {
            tracing::error!(error = error.label(), "a message became unreadable while it was sent: {error}");
            Gone
        })?;
        sink.send(bytes)?;
    }
    Ok(())
}
