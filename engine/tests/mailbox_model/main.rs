//! A mailbox against a plain list, and a session's view against a plain client, by seed.
//!
//! Repeat one run with `MAILCASK_SEED=n cargo test -p engine --test mailbox_model`.
#![allow(clippy::unwrap_used)]

mod both;
mod client;

use both::{Both, Rng, Rows, assert_diff, assert_same, for_seeds};
use client::Client;
use engine::mailbox::{Change, Mailbox, View};
use engine::types::{Uid, UidSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn agrees_with_a_plain_list_while_chunks_come_and_go() {
    for_seeds(8, |rng| {
        // From nothing kept to a few chunks kept.
        let mut both = Both::new(rng.below(4) * 40_000);
        // Versions that readers still hold: they must not change, whatever is paged out.
        let mut held: Vec<(Arc<Mailbox>, Rows)> = Vec::new();
        for _ in 0..100 {
            both.step(rng);
            if rng.one_in(4) {
                held.push((both.mailbox.clone(), both.rows.clone()));
            }
            if held.len() > 4 {
                held.swap_remove(rng.below(5) as usize);
            }
            if rng.one_in(20) {
                held.clear();
                both.reload();
            }
            if rng.one_in(4) {
                both.assert_equal(rng);
                if let Some(old) = held.get(rng.below(4) as usize) {
                    assert_same(&old.0, &old.1);
                    assert_diff(old, &both);
                }
            }
        }
        both.reload();
        both.assert_equal(rng);
        let stats = both.pager.stats();
        assert!(stats.loads > 0 && stats.evictions > 0, "nothing was paged: {stats:?}");
    });
}

#[test]
fn a_mailbox_of_many_levels_grows_and_empties() {
    for_seeds(1, |rng| {
        let mut both = Both::new(4 << 20);
        both.append(rng, 40_000);
        both.assert_equal(rng);
        let before = (both.mailbox.clone(), both.rows.clone());
        // Every second message goes, then all but a few: leaves merge, levels go.
        for keep_one_in in [2, 997] {
            let gone: UidSet = both.rows.keys().copied().filter(|uid| uid % keep_one_in != 0).collect();
            both.expunge_these(&gone);
            both.assert_equal(rng);
        }
        assert!(both.mailbox.chunk_refs().count() <= 4, "small neighbours merge");
        assert_diff(&before, &both);
        assert_same(&before.0, &before.1);
        both.expunge_these(&UidSet::from_range(1, u32::MAX));
        both.assert_equal(rng);
        both.append(rng, 300);
        both.assert_equal(rng);
    });
}

#[test]
fn sessions_agree_with_a_client_that_believes_them() {
    for_seeds(8, |rng| {
        let mut both = Both::new(100_000);
        both.append(rng, 300);
        let mut clients: Vec<Client> = (0..3).map(|_| Client::open(&both.mailbox)).collect();
        for now_ms in 0..80 {
            both.step(rng);
            let client = &mut clients[rng.below(3) as usize];
            client.advance(&both, now_ms, rng.one_in(2));
            client.assert_agrees(&both, rng);
        }
        // At the end all are told of everything, and all agree with the mailbox.
        for client in &mut clients {
            client.advance(&both, 1000, true);
            client.assert_agrees(&both, rng);
            assert_eq!(client.list, both.rows.keys().map(|u| Uid(*u)).collect::<Vec<_>>());
            assert!(client.view.ghost_uids().is_empty());
        }
    });
}

#[test]
fn a_ghost_remembers_when_it_was_missed_first() {
    let rng = &mut Rng::new(1);
    let mut both = Both::new(0);
    both.append(rng, 10);
    let mut view = View::open(both.mailbox.clone());
    let first = *both.rows.keys().next().unwrap();
    both.expunge_these(&UidSet::from_range(first, first));
    assert!(view.advance(both.mailbox.clone(), 1_000, false).unwrap().is_empty());
    both.append(rng, 1);
    assert_eq!(view.advance(both.mailbox.clone(), 2_000, false).unwrap(), [Change::Exists(11)]);
    assert_eq!(view.row(Uid(first)).unwrap().unwrap().ghost_since_ms, Some(1_000));
    let told = view.advance(both.mailbox.clone(), 3_000, true).unwrap();
    assert_eq!(told, [Change::Expunged { seq: 1, uid: Uid(first) }]);
    assert_eq!(view.row(Uid(first)).unwrap(), None);
}

#[test]
fn readers_of_any_version_see_it_whole_while_it_is_changed_and_paged() {
    for_seeds(4, |rng| {
        let mut both = Both::new(0);
        both.append(rng, 3000);
        let published = parking_lot::RwLock::new(both.mailbox.clone());
        let done = AtomicBool::new(false);
        let read = || {
            while !done.load(Ordering::Relaxed) {
                let version = published.read().clone();
                // Twice: by the second time much of it was superseded and rewritten.
                for _ in 0..2 {
                    assert_eq!(version.recount().unwrap(), version.header.counters());
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(read);
            scope.spawn(read);
            for _ in 0..150 {
                both.step(rng);
                *published.write() = both.mailbox.clone();
            }
            done.store(true, Ordering::Relaxed);
        });
        both.assert_equal(rng);
    });
}
