//! Objects come back equal; bytes of any kind are a value that keeps the laws, or an error.

use super::pack::{pack, unpack};
use super::*;
use crate::catalog::Catalog;
use crate::codec::golden;
use crate::mailbox::chunk::{CHUNK_ROWS, Chunk};
use crate::mailbox::flags::FlagId;
use crate::mailbox::{Header, Mailbox, Pager, Row, SpecialUse};
use crate::types::{AccountId, EmailId, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, ZonedTime};
use proptest::prelude::*;
use std::sync::Arc;

fn any_time() -> impl Strategy<Value = ZonedTime> {
    (any::<i64>(), -1439i16..=1439).prop_map(|(unix_s, offset_minutes)| ZonedTime { unix_s, offset_minutes })
}

fn any_row() -> impl Strategy<Value = Row> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<u32>(), any::<i64>());
    let flags = prop::collection::vec((0u16..1008).prop_map(FlagId), 0..5);
    let prefix = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..100)];
    (numbers, any_time(), prop::option::of(any_time()), flags, prefix).prop_map(
        |(n, internal_date, sent, flags, prefix)| Row {
            uid: Uid(0),
            modseq: ModSeq(n.0),
            message: MessageNo(n.1),
            email: EmailId(n.2),
            thread: ThreadId(n.3),
            size_bytes: n.4,
            internal_date,
            save_date_s: n.5,
            sent,
            flags: flags.into_iter().collect(),
            prefix: prefix.into(),
        },
    )
}

fn any_chunk() -> impl Strategy<Value = Chunk> {
    prop::collection::vec((any_row(), 1u32..1_000_000), 1..40).prop_map(|rows| {
        let mut chunk = Chunk::default();
        let mut uid = 0;
        for (mut row, step) in rows {
            uid += step;
            row.uid = Uid(uid);
            chunk.push(row);
        }
        chunk
    })
}

fn pager() -> Arc<Pager> {
    Pager::new(Arc::new(Catalog::in_memory()), 1 << 20)
}

fn plain_row(uid: u32) -> Row {
    Row {
        uid: Uid(uid),
        modseq: ModSeq(u64::from(uid) + 10),
        message: MessageNo(u64::from(uid)),
        email: EmailId(uid),
        thread: ThreadId(7),
        size_bytes: 4096,
        internal_date: ZonedTime::utc(1_700_000_000 + i64::from(uid)),
        save_date_s: 1_700_000_000,
        sent: None,
        flags: [FlagId::SEEN].into_iter().filter(|_| uid.is_multiple_of(3)).collect(),
        prefix: b"Return-Path: <a@example.org>\r\n"[..].into(),
    }
}

fn sample_mailbox() -> Mailbox {
    let header = Header::new(AccountId(1), MailboxId(2), "INBOX/é", crate::types::UidValidity(77), ModSeq(5));
    let mut mailbox = Mailbox::new(header, pager());
    for uid in 1..=1000 {
        mailbox.append(plain_row(uid)).unwrap();
    }
    mailbox.add_keyword("$Junk").unwrap();
    mailbox.expunge(&[3u32, 4, 5, 700].into_iter().collect(), ModSeq(2000)).unwrap();
    mailbox.expunge(&UidSet::from_range(900, 950), ModSeq(2001)).unwrap();
    mailbox.header.special_use = Some(SpecialUse::Archive);
    mailbox.header.recent_uid = Uid(12);
    mailbox
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_chunk_comes_back_equal(chunk in any_chunk()) {
        prop_assert_eq!(decode_chunk(&encode_chunk(&chunk)).unwrap(), chunk);
    }

    #[test]
    fn a_damaged_chunk_is_an_error_or_a_chunk(chunk in any_chunk(), hits in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        // Inside the packing, where no checksum stands in the way.
        let mut raw = unpack("a chunk", &encode_chunk(&chunk), 1 << 20).unwrap();
        for (at, byte) in hits {
            let at = usize::from(at) % raw.len();
            raw[at] = byte;
        }
        if let Ok(other) = decode_chunk(&pack(&raw)) {
            prop_assert!(other.len() <= CHUNK_ROWS && other.uids().is_sorted_by(|a, b| a < b));
            prop_assert_eq!(decode_chunk(&encode_chunk(&other)).unwrap(), other);
        }
    }

    #[test]
    fn a_damaged_header_is_an_error_or_a_mailbox(hits in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        let mut raw = unpack("a header", &encode_header(&sample_mailbox()), 1 << 20).unwrap();
        for (at, byte) in hits {
            let at = usize::from(at) % raw.len();
            raw[at] = byte;
        }
        if let Ok(other) = decode_header(&pack(&raw), &pager()) {
            let again = decode_header(&encode_header(&other), &pager()).unwrap();
            prop_assert_eq!(again.header, other.header);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_chunk(&bytes);
        let _ = decode_chunk(&pack(&bytes));
        let _ = decode_header(&bytes, &pager());
        let _ = decode_header(&pack(&bytes), &pager());
    }
}

#[test]
fn a_mailbox_comes_back_with_its_chunks_by_number() {
    let mailbox = sample_mailbox();
    let bytes = encode_header(&mailbox);
    let again = decode_header(&bytes, &pager()).unwrap();
    assert_eq!(again.header, mailbox.header);
    let refs = |m: &Mailbox| m.chunk_refs().map(|c| (c.number(), *c.meta())).collect::<Vec<_>>();
    assert_eq!(refs(&again), refs(&mailbox));
    assert_eq!(chunk_numbers(&bytes).unwrap(), [0, 1, 2, 3]);
}

#[test]
fn a_cut_object_is_refused_at_every_length() {
    let header = encode_header(&sample_mailbox());
    let mut chunk = Chunk::default();
    (1..=20).for_each(|uid| chunk.push(plain_row(uid)));
    let chunk = encode_chunk(&chunk);
    assert!((0..header.len()).all(|n| decode_header(&header[..n], &pager()).is_err()));
    assert!((0..chunk.len()).all(|n| decode_chunk(&chunk[..n]).is_err()));
}

#[test]
fn a_full_chunk_of_ordinary_mail_is_small() {
    let mut chunk = Chunk::default();
    (1..=256).for_each(|uid| chunk.push(plain_row(uid)));
    let bytes = encode_chunk(&chunk);
    assert!(bytes.len() < 256 * 4, "{} bytes", bytes.len());
}

/// Both rows of the drawn chunk.
fn drawn_chunk() -> Chunk {
    let first = Row {
        uid: Uid(5),
        modseq: ModSeq(10),
        message: MessageNo(1),
        email: EmailId(4),
        thread: ThreadId(1),
        size_bytes: 128,
        internal_date: ZonedTime { unix_s: 100, offset_minutes: 60 },
        save_date_s: 1,
        sent: None,
        flags: [].into_iter().collect(),
        prefix: b"hi"[..].into(),
    };
    let second = Row {
        uid: Uid(7),
        modseq: ModSeq(11),
        message: MessageNo(0),
        thread: ThreadId(2),
        size_bytes: 3,
        internal_date: ZonedTime::utc(100),
        sent: Some(ZonedTime { unix_s: 4, offset_minutes: -2 }),
        flags: [FlagId::SEEN].into_iter().collect(),
        ..first.clone()
    };
    let mut chunk = Chunk::default();
    chunk.push(first);
    chunk.push(second);
    chunk
}

#[test]
fn a_chunk_is_as_drawn() {
    let drawn = golden(include_str!("../../../tests/data/format/drawn/chunk.hex"));
    assert_eq!(encode_chunk(&drawn_chunk()), drawn);
    assert_eq!(decode_chunk(&drawn).unwrap(), drawn_chunk());
    // What a compressor makes of it may change; what was made of it is read.
    let compressed = golden(include_str!("../../../tests/data/format/drawn/chunk-zstd.hex"));
    assert_eq!(decode_chunk(&compressed).unwrap(), drawn_chunk());
}

#[test]
fn a_mailbox_is_as_drawn() {
    let drawn = golden(include_str!("../../../tests/data/format/drawn/mailbox.hex"));
    let header =
        Header::new(AccountId(1), MailboxId(2), "INBOX/é", crate::types::UidValidity(300), ModSeq(5));
    let mut mailbox = Mailbox::new(header, pager());
    for (uid, flag) in [(1, None), (2, Some(FlagId::SEEN)), (3, Some(FlagId::DELETED))] {
        let row = Row {
            modseq: ModSeq(u64::from(uid) + 5),
            size_bytes: uid * 10,
            flags: flag.into_iter().collect(),
            ..plain_row(uid)
        };
        mailbox.append(row).unwrap();
    }
    mailbox.add_keyword("$Junk").unwrap();
    mailbox.expunge(&[1u32].into_iter().collect(), ModSeq(9)).unwrap();
    mailbox.header.special_use = Some(SpecialUse::Archive);
    mailbox.header.recent_uid = Uid(2);
    assert_eq!(encode_header(&mailbox), drawn);
    let again = decode_header(&drawn, &pager()).unwrap();
    assert!(again.header.says_the_same_as(&mailbox.header));
    let chunks = |m: &Mailbox| m.chunk_refs().map(|c| (c.number(), *c.meta())).collect::<Vec<_>>();
    assert_eq!(chunks(&again), chunks(&mailbox));
}
