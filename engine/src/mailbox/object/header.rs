//! A mailbox without its rows as bytes: the header, and what the tree knows of each chunk.
//!
//! ```text
//! payload (varints unless said):
//!   account, mailbox, name (length, UTF-8), UIDVALIDITY, UIDNEXT, highest modseq, created modseq
//!   exists, unseen, deleted, size in bytes, recent UID, next chunk number
//!   special use u8 (0 none)
//!   keywords: how many; each: length, ASCII
//!   tombstones: floor; how many; each: first UID (signed distance), last - first, modseq (signed distance)
//!   chunks: how many; each: number, first UID (signed distance), last - first, rows, seen, deleted,
//!           size in bytes, highest modseq (signed distance)
//! ```

use super::pack::{pack, unpack};
use crate::catalog::ObjectKey;
use crate::codec::{Decoder, Delta, Encoder};
use crate::error::Result;
use crate::mailbox::Mailbox;
use crate::mailbox::chunk::CHUNK_ROWS;
use crate::mailbox::flags::{Keywords, MAX_KEYWORD_BYTES};
use crate::mailbox::header::{Counters, Header};
use crate::mailbox::names::{MAX_NAME_BYTES, SpecialUse};
use crate::mailbox::pager::{ChunkMeta, ChunkRef, Pager};
use crate::mailbox::tombstones::{Run, Tombstones};
use crate::mailbox::tree::Tree;
use crate::types::{AccountId, MailboxId, ModSeq, Uid, UidValidity};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Some 16 million messages in chunks of one row would fit.
const MAX_BYTES: usize = 256 << 20;

#[must_use]
pub fn encode_header(mailbox: &Mailbox) -> Vec<u8> {
    let h = &mailbox.header;
    let mut out = Encoder::new();
    out.uint(u64::from(h.account.0));
    out.uint(u64::from(h.id.0));
    out.str(&h.name);
    let numbers = [
        u64::from(h.uid_validity.0),
        u64::from(h.uid_next.0),
        h.highest_modseq.0,
        h.created_modseq.0,
        u64::from(h.exists),
        u64::from(h.unseen),
        u64::from(h.deleted),
        h.size_bytes,
        u64::from(h.recent_uid.0),
        u64::from(h.next_chunk_no),
    ];
    numbers.into_iter().for_each(|n| out.uint(n));
    out.u8(h.special_use.map_or(0, SpecialUse::code));
    out.uint(h.keywords.len() as u64);
    h.keywords.iter().for_each(|k| out.str(k));
    put_tombstones(&mut out, &h.tombstones);
    put_chunks(&mut out, mailbox);
    pack(out.as_bytes())
}

fn put_tombstones(out: &mut Encoder, tombstones: &Tombstones) {
    out.uint(tombstones.floor().0);
    out.uint(tombstones.len() as u64);
    let (mut first, mut modseq) = (Delta::default(), Delta::default());
    for run in tombstones.runs() {
        first.put(out, u64::from(run.first));
        out.uint(u64::from(run.last - run.first));
        modseq.put(out, run.modseq.0);
    }
}

fn put_chunks(out: &mut Encoder, mailbox: &Mailbox) {
    out.uint(mailbox.chunk_refs().count() as u64);
    let (mut first, mut modseq) = (Delta::default(), Delta::default());
    for chunk in mailbox.chunk_refs() {
        let meta = chunk.meta();
        out.uint(u64::from(chunk.number()));
        first.put(out, u64::from(meta.first_uid.0));
        out.uint(u64::from(meta.last_uid.0 - meta.first_uid.0));
        out.uint(u64::from(meta.count));
        out.uint(u64::from(meta.seen));
        out.uint(u64::from(meta.deleted));
        out.uint(meta.size_bytes);
        modseq.put(out, meta.max_modseq.0);
    }
}

/// A mailbox whose chunks lie in the pager's catalog.
pub fn decode_header(bytes: &[u8], pager: &Arc<Pager>) -> Result<Mailbox> {
    let (header, chunks) = decode(bytes)?;
    let (account, id) = (header.account, header.id);
    let stored = |(number, meta)| {
        Arc::new(ChunkRef::stored(ObjectKey::Chunk(account, id, number), meta, pager.clone()))
    };
    let tree = Tree::from_chunks(chunks.into_iter().map(stored).collect());
    Ok(Mailbox::from_tree(header, tree, pager.clone()))
}

/// The numbers of the chunks that a stored header names.
pub fn chunk_numbers(bytes: &[u8]) -> Result<Vec<u32>> {
    Ok(decode(bytes)?.1.into_iter().map(|(number, _)| number).collect())
}

fn decode(bytes: &[u8]) -> Result<(Header, Vec<(u32, ChunkMeta)>)> {
    let what = "a mailbox header";
    let raw = unpack(what, bytes, MAX_BYTES)?;
    let reader = &mut Decoder::new(&raw, what);
    let account = AccountId(reader.u32()?);
    let id = MailboxId(reader.u32()?);
    let name = take_text(reader, MAX_NAME_BYTES)?.to_owned();
    let uid_validity = UidValidity(reader.u32()?);
    let mut header = Header::new(account, id, &name, uid_validity, ModSeq(0));
    header.uid_next = Uid(reader.u32()?);
    header.highest_modseq = ModSeq(reader.uint()?);
    header.created_modseq = ModSeq(reader.uint()?);
    header.exists = reader.u32()?;
    header.unseen = reader.u32()?;
    header.deleted = reader.u32()?;
    header.size_bytes = reader.uint()?;
    header.recent_uid = Uid(reader.u32()?);
    header.next_chunk_no = reader.u32()?;
    let code = reader.u8()?;
    header.special_use = SpecialUse::from_code(code);
    if code != 0 && header.special_use.is_none() {
        return Err(reader.bad("its special use is unknown"));
    }
    header.keywords = take_keywords(reader)?;
    header.tombstones = take_tombstones(reader)?;
    let chunks = take_chunks(reader, &header)?;
    reader.finish()?;
    Ok((header, chunks))
}

fn take_text<'a>(reader: &mut Decoder<'a>, max_bytes: usize) -> Result<&'a str> {
    let text = reader.str()?;
    if text.len() > max_bytes {
        return Err(reader.bad("a text is too long"));
    }
    Ok(text)
}

fn take_keywords(reader: &mut Decoder<'_>) -> Result<Keywords> {
    let mut keywords = Keywords::default();
    for _ in 0..reader.count(2)? {
        let known = keywords.len();
        let keyword = take_text(reader, MAX_KEYWORD_BYTES)?;
        // One that is no keyword, or there twice, would shift the numbers of those after it.
        if keywords.add(keyword).is_none() || keywords.len() == known {
            return Err(reader.bad("a keyword cannot be one"));
        }
    }
    Ok(keywords)
}

fn take_tombstones(reader: &mut Decoder<'_>) -> Result<Tombstones> {
    let floor = ModSeq(reader.uint()?);
    let count = reader.count(3)?;
    let (mut first, mut modseq) = (Delta::default(), Delta::default());
    let mut runs = Vec::with_capacity(count);
    for _ in 0..count {
        let first = first.take_u32(reader)?;
        let last = take_last(reader, first)?;
        runs.push(Run { first, last, modseq: ModSeq(modseq.take(reader)?) });
    }
    Ok(Tombstones::from_runs(runs, floor))
}

fn take_last(reader: &mut Decoder<'_>, first: u32) -> Result<u32> {
    let more = reader.u32()?;
    first.checked_add(more).ok_or_else(|| reader.bad("a run of UIDs has no end"))
}

fn take_chunks(reader: &mut Decoder<'_>, header: &Header) -> Result<Vec<(u32, ChunkMeta)>> {
    let count = reader.count(8)?;
    let (mut first, mut modseq) = (Delta::default(), Delta::default());
    let mut chunks = Vec::with_capacity(count);
    let mut numbers = BTreeSet::new();
    let mut sums = Counters::default();
    let mut last_uid = Uid(0);
    for _ in 0..count {
        let number = reader.u32()?;
        let first_uid = Uid(first.take_u32(reader)?);
        let meta = ChunkMeta {
            first_uid,
            last_uid: Uid(take_last(reader, first_uid.0)?),
            count: reader.u32()?,
            seen: reader.u32()?,
            deleted: reader.u32()?,
            size_bytes: reader.uint()?,
            max_modseq: ModSeq(modseq.take(reader)?),
        };
        let is_possible = first_uid > last_uid
            && (1..=CHUNK_ROWS as u32).contains(&meta.count)
            && meta.count - 1 <= meta.last_uid.0 - first_uid.0
            && meta.seen.max(meta.deleted) <= meta.count
            && number < header.next_chunk_no
            && numbers.insert(number);
        if !is_possible {
            return Err(reader.bad("a chunk of it is impossible"));
        }
        last_uid = meta.last_uid;
        add(&mut sums, &meta).ok_or_else(|| reader.bad("its sums overflow"))?;
        chunks.push((number, meta));
    }
    if sums != header.counters() || last_uid >= header.uid_next.max(Uid(1)) {
        return Err(reader.bad("its counters are not those of its chunks"));
    }
    Ok(chunks)
}

fn add(sums: &mut Counters, meta: &ChunkMeta) -> Option<()> {
    sums.exists = sums.exists.checked_add(meta.count)?;
    sums.unseen += meta.count - meta.seen;
    sums.deleted += meta.deleted;
    sums.size_bytes = sums.size_bytes.checked_add(meta.size_bytes)?;
    Some(())
}
