//! What an IMAP client knows: a list it changes only as it is told.

use crate::both::{Both, Rng};
use engine::mailbox::{Change, Mailbox, View};
use engine::types::{ModSeq, Uid, UidSet};
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct Client {
    pub view: View,
    pub list: Vec<Uid>,
    modseqs: BTreeMap<Uid, ModSeq>,
}

impl Client {
    pub fn open(mailbox: &Arc<Mailbox>) -> Self {
        let view = View::open(mailbox.clone());
        let mut client = Self { view, list: Vec::new(), modseqs: BTreeMap::new() };
        client.learn(mailbox.header.exists);
        client
    }

    /// `n EXISTS`: asks for what it does not know, by sequence number.
    fn learn(&mut self, exists: u32) {
        for seq in self.list.len() as u32 + 1..=exists {
            let uid = self.view.uid_at(seq).unwrap().expect("a message that was announced");
            let row = self.view.row(uid).unwrap().expect("a message that was announced").row;
            self.modseqs.insert(uid, row.modseq);
            self.list.push(uid);
        }
    }

    pub fn advance(&mut self, both: &Both, now_ms: u64, allow_expunge: bool) {
        for change in self.view.advance(both.mailbox.clone(), now_ms, allow_expunge).unwrap() {
            match change {
                Change::Expunged { seq, uid } => {
                    assert!(allow_expunge);
                    assert_eq!(self.list.remove(seq as usize - 1), uid);
                    assert!(!both.rows.contains_key(&uid.0));
                }
                Change::Exists(exists) => {
                    assert!(exists as usize > self.list.len());
                    self.learn(exists);
                }
                Change::Flags { seq, row } => {
                    assert_eq!(self.list[seq as usize - 1], row.uid);
                    self.modseqs.insert(row.uid, row.modseq);
                }
            }
        }
    }

    /// Right after an advance: view, client and mailbox say the same.
    pub fn assert_agrees(&self, both: &Both, rng: &mut Rng) {
        let view = &self.view;
        assert_eq!(view.exists() as usize, self.list.len());
        assert_eq!(view.uids().unwrap(), self.list.iter().copied().collect());
        assert_eq!(view.last_uid(), self.list.last().copied());
        for (seq, uid) in (1..).zip(&self.list).filter(|_| rng.one_in(8)) {
            assert_eq!(view.uid_at(seq).unwrap(), Some(*uid));
            assert_eq!(view.seq_of(*uid).unwrap(), Some(seq));
            let found = view.row(*uid).unwrap().unwrap();
            assert_eq!((found.seq, found.row.uid), (seq, *uid));
            assert_eq!(found.row.modseq, self.modseqs[uid], "also a ghost is as it was last seen");
            assert_eq!(both.rows.get(&uid.0), Some(&found.row).filter(|_| !found.is_ghost()));
        }
        assert_eq!(view.uid_at(0).unwrap(), None);
        assert_eq!(view.uid_at(self.list.len() as u32 + 1).unwrap(), None);
        self.assert_sets(both, rng);
    }

    fn assert_sets(&self, both: &Both, rng: &mut Rng) {
        let end = self.list.len() as u64 + 3;
        let some = |rng: &mut Rng| rng.below(end) as u32;
        let ranges: Vec<(u32, u32)> = (0..3).map(|_| (some(rng), some(rng))).collect();
        let named = |seq: u32| ranges.iter().any(|r| (r.0.min(r.1)..=r.0.max(r.1)).contains(&seq));
        let numbered = (1u32..).zip(self.list.iter().copied());
        let expected: UidSet = numbered.clone().filter(|(seq, _)| named(*seq)).map(|(_, uid)| uid).collect();
        assert_eq!(self.view.resolve(&ranges).unwrap(), expected, "{ranges:?}");
        let set = both.some_uids(rng);
        let rows: Vec<(u32, Uid)> =
            self.view.rows(&set).map(|found| found.map(|r| (r.seq, r.row.uid)).unwrap()).collect();
        let expected: Vec<(u32, Uid)> = numbered.filter(|(_, uid)| set.contains_uid(*uid)).collect();
        assert_eq!(rows, expected);
        assert_eq!(self.view.seqs_of(&set).unwrap(), rows.iter().map(|r| r.0).collect());
        let all = UidSet::from_range(0, u32::MAX);
        assert_eq!(self.view.seqs_of(&all).unwrap(), (1..=self.view.exists()).collect());
        assert_eq!(self.view.present(&set).unwrap(), rows.iter().map(|r| r.1).collect());
    }
}
