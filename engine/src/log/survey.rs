//! What a sealed segment holds: as its footer tells, or as its content does when the footer is lost.
//!
//! Laws
//! - The footer is believed when it is intact; else the content is read, and what comes of it is the same but for what
//!   cannot be read.
//! - A place that cannot be read is a place with wrong bytes in it.

use super::footer::{Builder, Footer, GroupEntry, MessageEntry};
use super::salvage::{self, Around, Before, ColdStep, salvage};
use super::segment::{HEADER_BYTES, SegmentKind};
use super::shared::Shared;
use super::walk::{self, Depth, Expect, Group, Reader, Step};
use crate::error::{Error, Result};
use crate::sys::disk::File;
use crate::sys::patient;
use crate::types::{MessageNo, SegmentId};
use std::io;
use std::sync::Arc;

/// A footer, read or made again.
pub(super) struct Survey {
    pub(super) footer: Footer,
    /// Why it had to be made again.
    pub(super) lost: Option<Error>,
}

/// Looks at a sealed log or cold segment.
pub(super) fn survey(file: Arc<dyn File>, kind: SegmentKind, expect: Expect) -> Result<Survey> {
    match Footer::read(&*file, expect.store_id, expect.segment) {
        Ok(footer) => Ok(Survey { footer, lost: None }),
        Err(Error::Io { context, source })
            if source.kind() != io::ErrorKind::UnexpectedEof && !patient::is_unreadable(&source) =>
        {
            Err(Error::Io { context, source })
        }
        Err(why) => Ok(Survey { footer: from_content(file, kind, expect)?, lost: Some(why) }),
    }
}

/// The same of a segment of an open log.
pub(super) fn of_segment(shared: &Shared, kind: SegmentKind, id: SegmentId) -> Result<Survey> {
    let expect = Expect { store_id: shared.store_id, segment: id };
    survey(shared.files.get(kind, id)?, kind, expect)
}

fn from_content(file: Arc<dyn File>, kind: SegmentKind, expect: Expect) -> Result<Footer> {
    let len = file.len_bytes().map_err(|e| Error::io("reading a segment", e))?;
    let mut reader = Reader::new(file, len);
    let mut builder = Builder::default();
    let (mut groups, mut messages): (Vec<GroupEntry>, Vec<MessageEntry>) = Default::default();
    if kind == SegmentKind::Cold {
        salvage::cold_records(&mut reader, len, None, &mut |_, step| {
            if let ColdStep::Record(item) = step {
                messages.extend(walk::message_entry(&item));
            }
            Ok(())
        })?;
    } else {
        let (mut at, mut before) = (HEADER_BYTES as u64, Before::default());
        let mut take = |group: &Group| {
            builder.add_group(&group.group_entry(), group.header.prev_lsn, group.header.time_ms);
            groups.push(group.group_entry());
            messages.extend(group.message_entries());
        };
        loop {
            match walk::step(&mut reader, expect, at, Depth::Records)? {
                Step::End => break,
                Step::Whole(group) => {
                    take(&group);
                    before = Before::of(&group.header);
                    at += group.header.whole_len();
                }
                Step::Broken { header, .. } => {
                    let next = walk::next_header(&mut reader, expect, at + 1)?.unwrap_or(len);
                    let around = Around { before, footer: None, depth: Depth::Records };
                    let rest = salvage(&mut reader, expect, at, header, next, around)?;
                    at = rest.as_ref().map_or(next, |rest| rest.end);
                    match rest.filter(|rest| rest.group.header.lsn > before.lsn) {
                        Some(rest) => {
                            take(&rest.group);
                            before = Before::of(&rest.group.header);
                        }
                        None => before.is_next_to = false,
                    }
                }
            }
        }
    }
    messages.iter().for_each(|m| builder.add_message(m));
    // No message was ever found twice in one segment; a number of 0 is a body that waits for its own.
    messages.retain(|m| m.message != MessageNo(0));
    Ok(Footer { totals: builder.totals(), content_end: len, groups, messages })
}
