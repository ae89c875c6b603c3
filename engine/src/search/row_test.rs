//! The tests that a row answers by itself, over a chunk at a time or on one row taken out.
//!
//! Laws
//! - Both ways answer the same. The chunk is loaded only if what the tree knows of it leaves the
//!   answer open.
//! - Days compare as written: seconds moved by the row's zone, against the day's ends.

use super::bits::Bits;
use super::key::{DateIs, DateOf};
use super::scope::Slot;
use crate::error::Result;
use crate::mailbox::{FlagId, Row, Times};
use crate::types::{EmailId, ModSeq, ThreadId, UidSet, ZonedTime};
use std::ops::Range;

const DAY_S: i64 = 86_400;

pub enum RowTest {
    Const(bool),
    Uids(UidSet),
    Recent,
    Flag(FlagId),
    Date {
        of: DateOf,
        is: DateIs,
        day: i64,
    },
    /// INTERNALDATE at or before that second.
    NotAfter(i64),
    /// INTERNALDATE at or after it.
    NotBefore(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(ModSeq),
    EmailId(EmailId),
    ThreadId(ThreadId),
}

impl RowTest {
    /// What it costs, the cheapest first.
    pub fn cost(&self) -> u8 {
        match self {
            Self::Const(_) | Self::Uids(_) | Self::Recent => 0,
            Self::Flag(_) => 1,
            Self::EmailId(_) | Self::ThreadId(_) => 3,
            _ => 2,
        }
    }

    /// The rows of a chunk that pass. Rows outside of `within` may be there or not.
    pub fn of_chunk(&self, slot: &Slot<'_>, within: Bits, recent: &UidSet) -> Result<Bits> {
        let meta = slot.meta();
        Ok(match self {
            Self::Const(true) => within,
            Self::Const(false) => Bits::NONE,
            Self::Uids(uids) => slot.rows_of(uids)?,
            Self::Recent => slot.rows_of(recent)?,
            Self::Flag(FlagId::SEEN) if meta.seen == meta.count => within,
            Self::Flag(FlagId::SEEN) if meta.seen == 0 => Bits::NONE,
            Self::Flag(FlagId::DELETED) if meta.deleted == 0 => Bits::NONE,
            Self::Flag(flag) => Bits(slot.chunk()?.flag_bits(*flag)),
            Self::Date { of: DateOf::Saved, is, day } => {
                let seconds = seconds_of(*is, *day);
                Bits::of(slot.chunk()?.save_dates_s(), |s| holds(&seconds, s))
            }
            Self::Date { of: DateOf::Internal, is, day } => {
                local(slot.chunk()?.internal_dates(), &seconds_of(*is, *day))
            }
            Self::Date { of: DateOf::Sent, is, day } => {
                local(slot.chunk()?.sent_dates(), &seconds_of(*is, *day))
            }
            Self::NotAfter(second) => Bits::of(slot.chunk()?.internal_dates().unix_s, |s| s <= *second),
            Self::NotBefore(second) => Bits::of(slot.chunk()?.internal_dates().unix_s, |s| s >= *second),
            // No message is larger than all of them together.
            Self::Larger(bytes) if meta.size_bytes <= *bytes => Bits::NONE,
            Self::Larger(bytes) => match u32::try_from(*bytes) {
                Ok(bytes) => Bits::of(slot.chunk()?.sizes_bytes(), |size| size > bytes),
                Err(_) => Bits::NONE,
            },
            Self::Smaller(bytes) => match u32::try_from(*bytes) {
                Ok(bytes) => Bits::of(slot.chunk()?.sizes_bytes(), |size| size < bytes),
                Err(_) => within,
            },
            Self::ModSeq(modseq) if meta.max_modseq < *modseq => Bits::NONE,
            Self::ModSeq(modseq) => Bits::of(slot.chunk()?.modseqs(), |own| own >= *modseq),
            Self::EmailId(email) => Bits::of(slot.chunk()?.emails(), |own| own == *email),
            Self::ThreadId(thread) => Bits::of(slot.chunk()?.threads(), |own| own == *thread),
        })
    }

    /// The same of one row.
    pub fn of_row(&self, row: &Row, recent: &UidSet) -> bool {
        match self {
            Self::Const(value) => *value,
            Self::Uids(uids) => uids.contains_uid(row.uid),
            Self::Recent => recent.contains_uid(row.uid),
            Self::Flag(flag) => row.flags.contains(*flag),
            Self::Date { of, is, day } => {
                let time = match of {
                    DateOf::Internal => Some(row.internal_date),
                    DateOf::Sent => row.sent,
                    DateOf::Saved => Some(ZonedTime::utc(row.save_date_s)),
                };
                let seconds = seconds_of(*is, *day);
                time.is_some_and(|time| holds(&seconds, local_s(time.unix_s, time.offset_minutes)))
            }
            Self::NotAfter(second) => row.internal_date.unix_s <= *second,
            Self::NotBefore(second) => row.internal_date.unix_s >= *second,
            Self::Larger(bytes) => u64::from(row.size_bytes) > *bytes,
            Self::Smaller(bytes) => u64::from(row.size_bytes) < *bytes,
            Self::ModSeq(modseq) => row.modseq >= *modseq,
            Self::EmailId(email) => row.email == *email,
            Self::ThreadId(thread) => row.thread == *thread,
        }
    }
}

/// The seconds of local time that a date key means.
fn seconds_of(is: DateIs, day: i64) -> Range<i64> {
    let (start, end) = (day.saturating_mul(DAY_S), day.saturating_add(1).saturating_mul(DAY_S));
    match is {
        DateIs::Before => i64::MIN..start,
        DateIs::On => start..end,
        DateIs::Since => start..i64::MAX,
    }
}

/// `Range::contains`, without its branch.
fn holds(seconds: &Range<i64>, s: i64) -> bool {
    (s >= seconds.start) & (s < seconds.end)
}

/// Wraps where no calendar reaches: only damage brings such seconds.
fn local_s(unix_s: i64, offset_minutes: i16) -> i64 {
    unix_s.wrapping_add(i64::from(offset_minutes) * 60)
}

fn local(times: Times<'_>, seconds: &Range<i64>) -> Bits {
    Bits::of_both(times.unix_s, times.offset_minutes, |unix_s, offset_minutes| {
        (offset_minutes != Times::MISSING) & holds(seconds, local_s(unix_s, offset_minutes))
    })
}
