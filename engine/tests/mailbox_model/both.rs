//! The mailbox and the plain list it must agree with.

use engine::catalog::{Catalog, ObjectKey};
use engine::mailbox::{
    Checkpoint, Counters, FlagId, Header, Mailbox, Pager, Row, RowFlags, decode_header, diff,
};
pub use engine::sys::sim::Rng;
use engine::types::{
    AccountId, EmailId, Lsn, MailboxId, MessageNo, ModSeq, ThreadId, Uid, UidSet, UidValidity, ZonedTime,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs a test once for each seed, or for the one that was asked for, and names the one that fails.
pub fn for_seeds(how_many: u64, test: impl Fn(&mut Rng)) {
    let seeds = match std::env::var("MAILCASK_SEED") {
        Ok(seed) => vec![seed.parse().expect("MAILCASK_SEED is a number")],
        Err(_) => (1..=how_many).collect(),
    };
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| test(&mut Rng::new(seed)));
        if let Err(failure) = std::panic::catch_unwind(run) {
            eprintln!("failed with MAILCASK_SEED={seed}");
            std::panic::resume_unwind(failure);
        }
    }
}

fn some_time(rng: &mut Rng) -> ZonedTime {
    let offset_minutes = rng.below(1400) as i16 - 700;
    ZonedTime { unix_s: 1_700_000_000 + rng.below(100_000) as i64, offset_minutes }
}

fn some_flags(rng: &mut Rng, keywords: usize) -> RowFlags {
    let flag = |rng: &mut Rng| match rng.below(2) {
        0 if keywords > 0 => FlagId::keyword(rng.below(keywords as u64) as usize).unwrap(),
        _ => FlagId::SYSTEM[rng.below(5) as usize],
    };
    (0..rng.below(4)).map(|_| flag(rng)).collect()
}

fn some_row(rng: &mut Rng, uid: u32, modseq: u64, keywords: usize) -> Row {
    Row {
        uid: Uid(uid),
        modseq: ModSeq(modseq),
        message: MessageNo(rng.next_u64()),
        email: EmailId(rng.next_u64() as u32),
        thread: ThreadId(rng.next_u64()),
        size_bytes: rng.below(100_000) as u32,
        internal_date: some_time(rng),
        save_date_s: rng.below(1 << 40) as i64 - (1 << 39),
        sent: (!rng.one_in(5)).then(|| some_time(rng)),
        flags: some_flags(rng, keywords),
        prefix: vec![b'p'; (rng.below(60) * rng.below(2)) as usize].into(),
    }
}

pub type Rows = BTreeMap<u32, Row>;

pub struct Both {
    pub mailbox: Arc<Mailbox>,
    pub rows: Rows,
    pub gone: Vec<(u32, u64)>,
    pub modseq: u64,
    pub pager: Arc<Pager>,
    lsn: u64,
}

impl Both {
    pub fn new(budget_bytes: u64) -> Self {
        let pager = Pager::new(Arc::new(Catalog::in_memory()), budget_bytes);
        let header = Header::new(AccountId(3), MailboxId(7), "Work/Übung", UidValidity(99), ModSeq(1));
        let mailbox = Arc::new(Mailbox::new(header, pager.clone()));
        Self { mailbox, rows: BTreeMap::new(), gone: Vec::new(), modseq: 1, pager, lsn: 0 }
    }

    /// A working copy when somebody holds this version, this version itself otherwise.
    pub fn change(&mut self) -> &mut Mailbox {
        Arc::make_mut(&mut self.mailbox)
    }

    pub fn append(&mut self, rng: &mut Rng, count: u64) {
        for _ in 0..count {
            self.modseq += 1;
            let gap = if rng.one_in(9) { rng.below(5) as u32 } else { 0 };
            let header = &self.mailbox.header;
            let row = some_row(rng, header.uid_next.0 + gap, self.modseq, header.keywords.len());
            self.rows.insert(row.uid.0, row.clone());
            self.change().append(row).unwrap();
        }
    }

    /// Some UIDs: here and there, a run, or all; some that are not there too.
    pub fn some_uids(&self, rng: &mut Rng) -> UidSet {
        let end = u64::from(self.mailbox.header.uid_next.0) + 2;
        match rng.below(12) {
            0 => UidSet::from_range(1, end as u32),
            1..=4 => {
                let first = rng.below(end) as u32;
                UidSet::from_range(first, first + rng.below(400) as u32)
            }
            _ => (0..rng.below(30)).map(|_| rng.below(end) as u32).collect(),
        }
    }

    pub fn set_flags(&mut self, rng: &mut Rng) {
        self.modseq += 1;
        let modseq = ModSeq(self.modseq);
        let uids = self.some_uids(rng);
        if rng.one_in(3) {
            let name = format!("k{}", rng.below(12));
            let new = self.change().add_keyword(&name).unwrap();
            assert_eq!(self.mailbox.flag_id(&name.to_uppercase()), Some(new));
        }
        let keywords = self.mailbox.header.keywords.len();
        let (set, clear) = (some_flags(rng, keywords), some_flags(rng, keywords));
        self.change().set_flags(&uids, set.as_slice(), clear.as_slice(), modseq).unwrap();
        for row in self.rows.values_mut().filter(|r| uids.contains_uid(r.uid)) {
            row.flags = row.flags.iter().filter(|f| !clear.contains(*f)).chain(set.iter()).collect();
            row.modseq = modseq;
        }
    }

    pub fn expunge(&mut self, rng: &mut Rng) {
        let uids = self.some_uids(rng);
        self.expunge_these(&uids);
    }

    pub fn expunge_these(&mut self, uids: &UidSet) {
        self.modseq += 1;
        let modseq = ModSeq(self.modseq);
        let totals = self.change().expunge(uids, modseq).unwrap();
        let gone: Vec<u32> = self.rows.keys().copied().filter(|uid| uids.contains(*uid)).collect();
        assert_eq!(totals.uids, gone.iter().copied().collect());
        self.rows.retain(|uid, _| !uids.contains(*uid));
        self.gone.extend(gone.iter().map(|uid| (*uid, modseq.0)));
    }

    pub fn checkpoint(&mut self) {
        self.lsn += 1;
        let Checkpoint { changes, written } = self.mailbox.checkpoint(Lsn(self.lsn)).unwrap();
        self.pager.catalog().put_all(changes).unwrap();
        written.mark_clean();
        assert_eq!(self.mailbox.dirty_chunks().count(), 0);
    }

    /// What a restart would see: the catalog alone. No older version may be held across it.
    pub fn reload(&mut self) {
        self.checkpoint();
        let header = &self.mailbox.header;
        let key = ObjectKey::Mailbox(header.account, header.id);
        let object = self.pager.catalog().get(&key).unwrap().unwrap();
        let again = decode_header(&object.bytes, &self.pager).unwrap();
        assert_eq!(again.header, *header);
        self.mailbox = Arc::new(again);
    }

    pub fn step(&mut self, rng: &mut Rng) {
        match rng.below(20) {
            0 => self.append(rng, 700),
            1..=6 => {
                let count = rng.below(40);
                self.append(rng, count);
            }
            7..=12 => self.set_flags(rng),
            13..=16 => self.expunge(rng),
            _ => self.checkpoint(),
        }
    }

    pub fn assert_equal(&self, rng: &mut Rng) {
        assert_same(&self.mailbox, &self.rows);
        self.assert_places(rng);
        self.assert_sets(rng);
        self.assert_history(rng);
    }

    fn assert_places(&self, rng: &mut Rng) {
        let m = &self.mailbox;
        let uids: Vec<u32> = self.rows.keys().copied().collect();
        for _ in 0..20 {
            let uid = Uid(rng.below(u64::from(m.header.uid_next.0) + 3) as u32);
            assert_eq!(m.by_uid(uid).unwrap().as_ref(), self.rows.get(&uid.0));
            assert_eq!(m.contains(uid).unwrap(), self.rows.contains_key(&uid.0));
            assert_eq!(m.rank(uid).unwrap() as usize, self.rows.range(..=uid.0).count(), "rank of {uid}");
            let seq = rng.below(uids.len() as u64 + 2) as u32;
            let expected = (seq as usize).checked_sub(1).and_then(|i| uids.get(i).copied());
            assert_eq!(m.uid_at(seq).unwrap(), expected.map(Uid), "UID at {seq}");
            assert_eq!(m.by_seq(seq).unwrap().map(|r| r.uid.0), expected);
        }
        let unseen = self.rows.values().position(|r| !r.flags.contains(FlagId::SEEN));
        assert_eq!(m.first_unseen_seq().unwrap(), unseen.map(|i| i as u32 + 1));
    }

    fn assert_sets(&self, rng: &mut Rng) {
        let m = &self.mailbox;
        assert_eq!(m.uids().unwrap(), self.rows.keys().copied().collect());
        let set = self.some_uids(rng);
        m.warm(&set).unwrap();
        let some: Vec<Row> = m.rows(&set).map(Result::unwrap).collect();
        let expected: Vec<Row> = self.rows.values().filter(|r| set.contains_uid(r.uid)).cloned().collect();
        assert_eq!(some, expected);
        assert_eq!(m.present(&set).unwrap(), expected.iter().map(|r| r.uid).collect());
    }

    fn assert_history(&self, rng: &mut Rng) {
        let m = &self.mailbox;
        let (since, known) = (ModSeq(rng.below(self.modseq + 1)), self.some_uids(rng));
        let changed: Vec<Uid> = self.rows.values().filter(|r| r.modseq > since).map(|r| r.uid).collect();
        assert_eq!(m.changed_since(since).unwrap(), changed);
        let gone = self.gone.iter().filter(|g| g.1 > since.0 && known.contains(g.0)).map(|g| g.0);
        assert_eq!(m.vanished_since(since, &known).unwrap(), gone.collect());
    }
}

/// Every row, and the counters of the header.
pub fn assert_same(mailbox: &Mailbox, rows: &Rows) {
    let all = UidSet::from_range(0, u32::MAX);
    let found: Vec<(u32, Row)> = mailbox.rows_with_seq(&all).map(Result::unwrap).collect();
    let expected: Vec<(u32, Row)> = (1..).zip(rows.values().cloned()).collect();
    assert!(found == expected, "the rows are not those of the model");
    let mut counters = Counters::default();
    for row in rows.values() {
        let has = |flag| row.flags.contains(flag);
        counters.add(has(FlagId::SEEN), has(FlagId::DELETED), row.size_bytes);
    }
    assert_eq!(mailbox.header.counters(), counters);
    assert_eq!(mailbox.recount().unwrap(), counters);
}

pub fn assert_diff((mailbox, rows): &(Arc<Mailbox>, Rows), new: &Both) {
    let found = diff(mailbox, &new.mailbox).unwrap();
    let added: Vec<Uid> = new.rows.keys().filter(|u| !rows.contains_key(u)).map(|u| Uid(*u)).collect();
    let removed: Vec<Row> = rows.values().filter(|r| !new.rows.contains_key(&r.uid.0)).cloned().collect();
    let is_changed = |r: &&Row| rows.get(&r.uid.0).is_some_and(|was| was.modseq != r.modseq);
    let changed: Vec<Row> = new.rows.values().filter(is_changed).cloned().collect();
    assert_eq!((found.added, found.removed, found.changed), (added, removed, changed));
}
