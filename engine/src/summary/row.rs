//! One summary as bytes: how the tail has it.

use super::Summary;
use super::columns::TextColumn;
use crate::codec::{Decoder, Encoder};
use crate::error::Result;

/// The fewest bytes a summary takes: six empty texts, the mark of a reply, the id, no references.
pub(super) const SUMMARY_BYTES_MIN: usize = 6 + 1 + 8 + 1;

pub(super) fn put(out: &mut Encoder, summary: &Summary) {
    for column in TextColumn::ALL {
        out.str(column.of(summary));
    }
    out.u8(u8::from(summary.is_reply_or_forward));
    out.u64_le(summary.id);
    out.uint(summary.references.len() as u64);
    summary.references.iter().for_each(|id| out.u64_le(*id));
}

pub(super) fn take(from: &mut Decoder<'_>) -> Result<Summary> {
    let mut summary = Summary::default();
    for column in TextColumn::ALL {
        *column.of_mut(&mut summary) = from.str()?.to_owned();
    }
    summary.is_reply_or_forward = from.u8()? != 0;
    summary.id = from.u64_le()?;
    summary.references = (0..from.count(8)?).map(|_| from.u64_le()).collect::<Result<_>>()?;
    Ok(summary)
}
