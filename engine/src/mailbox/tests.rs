//! The laws of this floor that the model test cannot see: what is copied, what is kept, what a
//! failure leaves behind.

use super::*;
use crate::catalog::{Catalog, MemoryRows, Rows, Visit, Write};
use crate::error::{Error, Result};
use crate::types::{
    AccountId, EmailId, Lsn, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, UidValidity, ZonedTime,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows on a disk that can be made to fail.
#[derive(Default)]
struct Failing {
    rows: MemoryRows,
    fail: Arc<AtomicBool>,
}

impl Rows for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if self.fail.load(Ordering::Relaxed) {
            return Err(Error::corrupt("the disk", "this test says so"));
        }
        self.rows.get(key)
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        self.rows.write(batch)
    }

    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()> {
        self.rows.scan(prefix, f)
    }

    fn clear(&self) -> Result<()> {
        self.rows.clear()
    }

    fn flush_durable(&self) -> Result<()> {
        self.rows.flush_durable()
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        self.rows.bytes_on_disk()
    }
}

fn row(uid: u32) -> Row {
    Row {
        uid: Uid(uid),
        modseq: ModSeq(u64::from(uid)),
        message: MessageNo(1),
        email: EmailId(1),
        thread: ThreadId(1),
        size_bytes: 10,
        internal_date: ZonedTime::utc(0),
        save_date_s: 0,
        sent: None,
        flags: RowFlags::default(),
        prefix: Arc::default(),
    }
}

fn mailbox(messages: u32, budget_bytes: u64) -> (Mailbox, Arc<AtomicBool>) {
    let rows = Failing::default();
    let fail = rows.fail.clone();
    let pager = Pager::new(Arc::new(Catalog::over(Box::new(rows))), budget_bytes);
    let header = Header::new(AccountId(1), MailboxId(1), "INBOX", UidValidity(1), ModSeq(0));
    let mut mailbox = Mailbox::new(header, pager);
    (1..=messages).for_each(|uid| mailbox.append(row(uid)).unwrap());
    (mailbox, fail)
}

fn checkpoint(mailbox: &Mailbox) {
    let Checkpoint { changes, written } = mailbox.checkpoint(Lsn(1)).unwrap();
    mailbox.pager.catalog().put_all(changes).unwrap();
    written.mark_clean();
}

fn chunks(mailbox: &Mailbox) -> Vec<*const ChunkRef> {
    mailbox.chunk_refs().map(Arc::as_ptr).collect()
}

#[test]
fn appends_of_one_group_copy_a_chunk_once() {
    let (mut working, _) = mailbox(300, 0);
    let before = chunks(&working);
    working.append(row(301)).unwrap();
    assert_eq!(chunks(&working), before, "nobody else holds it: changed in place");

    let published = Arc::new(working.clone());
    working.append(row(302)).unwrap();
    let copied = chunks(&working);
    assert_eq!(copied[0], before[0], "what is not touched is shared");
    assert_ne!(copied[1], before[1], "what a published version holds is copied");
    working.append(row(303)).unwrap();
    working.set_flags(&UidSet::from_range(300, 303), &[FlagId::SEEN], &[], ModSeq(400)).unwrap();
    assert_eq!(chunks(&working), copied, "and only once");
    assert_eq!((published.header.exists, published.recount().unwrap().unseen), (301, 301));
}

#[test]
fn a_change_that_cannot_load_leaves_everything_as_it_was() {
    let (mut m, fail) = mailbox(2000, 0);
    checkpoint(&m);
    let header = m.header.clone();
    let all = UidSet::from_range(1, 2000);
    // The first chunk is in memory and dirty, a later one cannot be had.
    m.set_flags(&UidSet::from_range(1, 1), &[FlagId::FLAGGED], &[], ModSeq(3000)).unwrap();
    let changed = m.header.clone();
    let before = chunks(&m);
    fail.store(true, Ordering::Relaxed);
    assert!(m.set_flags(&all, &[FlagId::SEEN], &[], ModSeq(3001)).is_err());
    assert!(m.expunge(&all, ModSeq(3001)).is_err());
    assert!(m.append(row(2001)).is_err());
    assert_eq!((&m.header, chunks(&m)), (&changed, before));
    fail.store(false, Ordering::Relaxed);
    assert_eq!(m.recount().unwrap(), header.counters());
    m.append(row(2001)).unwrap();
    assert_eq!(m.expunge(&all, ModSeq(3002)).unwrap().counters.exists, 2000);
    assert_eq!(m.recount().unwrap(), m.header.counters());
}

#[test]
fn what_an_older_version_holds_is_not_read_from_a_newer_object() {
    let (mut m, fail) = mailbox(500, 0);
    checkpoint(&m);
    let old = m.clone();
    m.set_flags(&UidSet::from_range(1, 500), &[FlagId::SEEN], &[], ModSeq(900)).unwrap();
    checkpoint(&m);
    // Superseded chunks are in memory for good: no disk is needed, and none may be asked.
    fail.store(true, Ordering::Relaxed);
    assert_eq!(old.recount().unwrap().unseen, 500);
    assert!(m.recount().is_err(), "the newer ones were paged out");
    fail.store(false, Ordering::Relaxed);
    assert_eq!(m.recount().unwrap().unseen, 0);
}

#[test]
fn a_group_that_failed_is_left_and_the_published_version_goes_on() {
    let (mut published, _) = mailbox(300, 0);
    let mut head = published.clone();
    head.expunge(&UidSet::from_range(1, 256), ModSeq(400)).unwrap();
    head.append(row(301)).unwrap();
    drop(head);
    checkpoint(&published);
    published.append(row(301)).unwrap();
    published.expunge(&UidSet::from_range(1, 2), ModSeq(401)).unwrap();
    checkpoint(&published);
    assert_eq!(published.recount().unwrap().exists, 299);
    assert_eq!(published.dirty_chunks().count(), 0);
}

#[test]
fn a_checkpoint_takes_chunks_away_that_are_no_more() {
    let (mut m, _) = mailbox(1024, 1 << 20);
    checkpoint(&m);
    m.expunge(&UidSet::from_range(1, 900), ModSeq(2000)).unwrap();
    checkpoint(&m);
    let mut left = Vec::new();
    let keep = &mut |key: crate::catalog::ObjectKey, _| {
        left.push(key);
        Ok(())
    };
    m.pager.catalog().scan_kind(crate::catalog::Kind::Chunk, keep).unwrap();
    let live: Vec<_> = m.chunk_refs().map(|c| c.key()).collect();
    assert_eq!(left, live);
}

#[test]
fn the_budget_is_kept_by_paging_out_what_was_not_used() {
    let (m, _) = mailbox(256 * 40, 200_000);
    assert_eq!(m.pager.stats().evictable_bytes, 0, "dirty chunks do not count, nor go");
    checkpoint(&m);
    m.recount().unwrap();
    let stats = m.pager.stats();
    assert!(stats.evictable_bytes <= 200_000 && stats.evictions > 0, "{stats:?}");
    drop(m.clone());
    let pager = m.pager.clone();
    drop(m);
    assert_eq!(pager.stats().evictable_bytes, 0, "a mailbox that goes gives its room back");
}

#[test]
fn a_version_of_a_chunk_that_its_mailbox_does_not_name_is_refused() {
    let (m, _) = mailbox(10, 0);
    checkpoint(&m);
    let (other, _) = mailbox(9, 0);
    let bytes = encode_chunk(&other.chunk_refs().next().unwrap().load().unwrap());
    let key = m.chunk_refs().next().unwrap().key();
    m.pager.catalog().put_all(vec![(key, Lsn(9), Some(bytes))]).unwrap();
    assert!(matches!(m.by_seq(1), Err(Error::Corrupt { .. })));
    assert_eq!(m.header.exists, 10, "the header needs no chunk");
}

#[test]
fn changes_from_a_damaged_record_are_refused() {
    let (mut m, _) = mailbox(3, 0);
    let unknown = FlagId(8);
    let with = |change: &dyn Fn(&mut Row)| {
        let mut r = row(4);
        change(&mut r);
        r
    };
    for bad in [
        with(&|r| r.uid = Uid(3)),
        with(&|r| r.uid = Uid(u32::MAX)),
        with(&|r| r.flags = [unknown].into_iter().collect()),
        with(&|r| r.prefix = vec![0; MAX_PREFIX_BYTES + 1].into()),
        with(&|r| r.internal_date.offset_minutes = 1440),
    ] {
        assert!(matches!(m.append(bad), Err(Error::Corrupt { .. })));
    }
    assert!(m.set_flags(&UidSet::from_range(1, 3), &[unknown], &[], ModSeq(9)).is_err());
    assert_eq!((m.header.exists, m.header.highest_modseq), (3, ModSeq(3)));
}

#[test]
fn vanished_below_the_floor_is_all_that_is_not_here() {
    let (mut m, _) = mailbox(5, 0);
    m.expunge(&UidSet::from_range(2, 3), ModSeq(10)).unwrap();
    m.header.tombstones = Tombstones::from_runs([], ModSeq(10));
    let known = UidSet::from_range(1, u32::MAX);
    assert_eq!(m.vanished_since(ModSeq(4), &known).unwrap().to_string(), "2:3");
    assert_eq!(m.vanished_since(ModSeq(10), &known).unwrap().to_string(), "");
}
