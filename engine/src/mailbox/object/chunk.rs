//! A chunk as bytes, column by column.
//!
//! ```text
//! payload: rows varint (1..=256), then for each row, a column at a time
//!   UID            distance from the one before (at least 1)
//!   modseq, MessageNo, EmailId     signed distance
//!   ThreadId       u64 (a hash: nothing to gain)
//!   size           varint
//!   INTERNALDATE   signed distance of seconds, then all offsets (signed minutes)
//!   SAVEDATE       signed distance of seconds
//!   sent           all offsets (-32768: none), then signed distances of the seconds there are
//!   prefix         0: that of the row before; else length + 1, bytes
//! flags: how many varint; each: FlagId varint, then ceil(rows / 8) bytes, lowest bit first
//! ```

use super::pack::{pack, unpack};
use crate::codec::{Decoder, Delta, Encoder};
use crate::error::Result;
use crate::mailbox::chunk::{CHUNK_ROWS, Chunk};
use crate::mailbox::flags::{FlagId, MAX_KEYWORDS, RowFlags};
use crate::mailbox::row::{MAX_PREFIX_BYTES, Row};
use crate::types::{EmailId, MessageNo, ModSeq, ThreadId, Uid, ZonedTime};
use std::sync::Arc;

/// Full of rows with the longest prefix there is room to spare.
const MAX_BYTES: usize = 4 << 20;
const NO_DATE: i16 = i16::MIN;

#[must_use]
pub fn encode_chunk(chunk: &Chunk) -> Vec<u8> {
    let rows = 0..chunk.len();
    let mut out = Encoder::with_capacity(64 * chunk.len());
    out.uint(chunk.len() as u64);
    let mut previous = 0;
    for uid in chunk.uids() {
        out.uint(u64::from(uid.0 - previous));
        previous = uid.0;
    }
    let mut column = |of: &dyn Fn(usize) -> u64| {
        let mut delta = Delta::default();
        rows.clone().for_each(|i| delta.put(&mut out, of(i)));
    };
    column(&|i| chunk.modseq(i).0);
    column(&|i| chunk.message(i).0);
    column(&|i| u64::from(chunk.email(i).0));
    rows.clone().for_each(|i| out.u64_le(chunk.thread(i).0));
    rows.clone().for_each(|i| out.uint(u64::from(chunk.size_bytes(i))));
    put_dates(&mut out, chunk);
    put_prefixes(&mut out, chunk);
    put_flags(&mut out, chunk);
    pack(out.as_bytes())
}

fn put_dates(out: &mut Encoder, chunk: &Chunk) {
    let rows = 0..chunk.len();
    let mut delta = Delta::default();
    rows.clone().for_each(|i| delta.put(out, chunk.internal_date(i).unix_s as u64));
    rows.clone().for_each(|i| out.int(i64::from(chunk.internal_date(i).offset_minutes)));
    let mut delta = Delta::default();
    rows.clone().for_each(|i| delta.put(out, chunk.save_date_s(i) as u64));
    let offset = |i| chunk.sent(i).map_or(NO_DATE, |t| t.offset_minutes);
    rows.clone().for_each(|i| out.int(i64::from(offset(i))));
    let mut delta = Delta::default();
    rows.filter_map(|i| chunk.sent(i)).for_each(|t| delta.put(out, t.unix_s as u64));
}

fn put_prefixes(out: &mut Encoder, chunk: &Chunk) {
    let mut previous: &[u8] = &[];
    for i in 0..chunk.len() {
        let prefix: &[u8] = chunk.prefix(i);
        if prefix == previous {
            out.uint(0);
        } else {
            out.uint(prefix.len() as u64 + 1);
            out.raw(prefix);
        }
        previous = prefix;
    }
}

fn put_flags(out: &mut Encoder, chunk: &Chunk) {
    let columns = chunk.flag_columns().iter();
    out.uint(columns.len() as u64);
    for (flag, bits) in columns {
        out.uint(u64::from(flag.0));
        let bytes = bits.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(chunk.len().div_ceil(8)).for_each(|byte| out.u8(byte));
    }
}

pub fn decode_chunk(bytes: &[u8]) -> Result<Chunk> {
    let what = "a chunk";
    let raw = unpack(what, bytes, MAX_BYTES)?;
    let reader = &mut Decoder::new(&raw, what);
    let rows = reader.count(1)?;
    if rows == 0 || rows > CHUNK_ROWS {
        return Err(reader.bad("it has no rows or too many"));
    }
    let uids = take_uids(reader, rows)?;
    let modseqs = take_deltas(reader, rows)?;
    let messages = take_deltas(reader, rows)?;
    let emails = take_deltas(reader, rows)?;
    let threads = take_each(rows, || reader.u64_le())?;
    let sizes_bytes = take_each(rows, || reader.u32())?;
    let internal_s = take_deltas(reader, rows)?;
    let internal_offsets = take_each(rows, || reader.i16())?;
    let save_dates_s = take_deltas(reader, rows)?;
    let sent = take_sent(reader, rows)?;
    let prefixes = take_prefixes(reader, rows)?;
    let flags = take_flags(reader, rows)?;
    reader.finish()?;

    let mut chunk = Chunk::with_capacity(rows);
    let numbers = uids.into_iter().zip(modseqs).zip(messages).zip(emails).zip(threads).zip(sizes_bytes);
    let dates = internal_s.into_iter().zip(internal_offsets).zip(save_dates_s).zip(sent);
    for ((numbers, dates), (prefix, flags)) in numbers.zip(dates).zip(prefixes.into_iter().zip(flags)) {
        let (((((uid, modseq), message), email), thread), size_bytes) = numbers;
        let (((unix_s, offset_minutes), save_date_s), sent) = dates;
        let email = u32::try_from(email).map_err(|_| reader.bad("an EmailId is too large"))?;
        chunk.push(Row {
            uid: Uid(uid),
            modseq: ModSeq(modseq),
            message: MessageNo(message),
            email: EmailId(email),
            thread: ThreadId(thread),
            size_bytes,
            internal_date: zoned(reader, unix_s, offset_minutes)?,
            save_date_s: save_date_s as i64,
            sent,
            flags,
            prefix,
        });
    }
    Ok(chunk)
}

fn take_each<T>(rows: usize, take: impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    std::iter::repeat_with(take).take(rows).collect()
}

fn take_deltas(reader: &mut Decoder<'_>, rows: usize) -> Result<Vec<u64>> {
    let mut delta = Delta::default();
    take_each(rows, || delta.take(reader))
}

fn take_uids(reader: &mut Decoder<'_>, rows: usize) -> Result<Vec<u32>> {
    let mut previous = 0u32;
    take_each(rows, || {
        let step = reader.u32()?;
        previous = previous
            .checked_add(step)
            .filter(|_| step > 0)
            .ok_or_else(|| reader.bad("its UIDs do not ascend"))?;
        Ok(previous)
    })
}

fn zoned(reader: &Decoder<'_>, unix_s: u64, offset_minutes: i16) -> Result<ZonedTime> {
    if offset_minutes.unsigned_abs() >= 24 * 60 {
        return Err(reader.bad("a zone is impossible"));
    }
    Ok(ZonedTime { unix_s: unix_s as i64, offset_minutes })
}

fn take_sent(reader: &mut Decoder<'_>, rows: usize) -> Result<Vec<Option<ZonedTime>>> {
    let offsets = take_each(rows, || reader.i16())?;
    let mut delta = Delta::default();
    let mut sent = |offset: i16| {
        if offset == NO_DATE {
            return Ok(None);
        }
        let unix_s = delta.take(reader)?;
        zoned(reader, unix_s, offset).map(Some)
    };
    offsets.into_iter().map(&mut sent).collect()
}

fn take_prefixes(reader: &mut Decoder<'_>, rows: usize) -> Result<Vec<Arc<[u8]>>> {
    let mut previous: Arc<[u8]> = Arc::default();
    take_each(rows, || {
        let code = reader.len()?;
        if let Some(length) = code.checked_sub(1) {
            if length > MAX_PREFIX_BYTES {
                return Err(reader.bad("a prefix is too long"));
            }
            previous = reader.raw(length)?.into();
        }
        Ok(previous.clone())
    })
}

fn take_flags(reader: &mut Decoder<'_>, rows: usize) -> Result<Vec<RowFlags>> {
    let mut flags = vec![RowFlags::default(); rows];
    for _ in 0..reader.count(2)? {
        let flag = u16::try_from(reader.uint()?).ok().map(FlagId);
        let flag = flag.filter(|f| f.keyword_index().is_none_or(|i| i < MAX_KEYWORDS));
        let flag = flag.ok_or_else(|| reader.bad("a flag is unknown"))?;
        let bits = reader.raw(rows.div_ceil(8))?;
        let is_set = |i: usize| bits.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
        if (rows..bits.len() * 8).any(is_set) {
            return Err(reader.bad("a flag stands past the last row"));
        }
        for (_, row) in flags.iter_mut().enumerate().filter(|(i, _)| is_set(*i)) {
            row.insert(flag);
        }
    }
    Ok(flags)
}
