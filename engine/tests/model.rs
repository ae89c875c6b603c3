//! Random operations against a simple in-memory model, by seed (`MAILCASK_SEED=n` for one), with the
//! store closed and opened, killed, and its catalog deleted in between.
#![allow(clippy::unwrap_used)]

mod common;

use common::model::{Account, read_out};
use common::work::{in_model, on_store, random_step};
use common::{Rng, assert_clean, seeds};
use engine::ops::NewAccount;
use engine::types::AccountId;
use engine::{Store, StoreOptions};

const ACCOUNTS: usize = 3;
const STEPS: usize = 250;

fn options() -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    // Everything happens: rows are paged out, runs are merged, segments are compacted.
    options.chunk_cache_bytes = 64 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    options
}

fn accounts(store: &Store) -> Vec<AccountId> {
    (0..ACCOUNTS)
        .map(|n| {
            let name = format!("user{n}");
            store.create_account(&NewAccount { name: &name, ..NewAccount::default() }).unwrap()
        })
        .collect()
}

fn assert_equal(store: &Store, ids: &[AccountId], model: &[Account], when: &str) {
    for (id, expected) in ids.iter().zip(model) {
        assert_eq!(&read_out(store, *id), expected, "{when}, account {id}");
    }
}

#[test]
fn the_store_says_what_the_model_says() {
    for seed in seeds(6) {
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let mut rng = Rng::new(seed);
        let mut store = Store::open(dir.path(), options()).unwrap();
        let ids = accounts(&store);
        let mut model = vec![Account::new(); ACCOUNTS];
        for number in 0..STEPS {
            let who = rng.below(ACCOUNTS);
            let step = random_step(&mut rng, &model, who);
            let is_possible = in_model(&mut model, who, &step);
            let done = on_store(&store, &ids, who, &step);
            assert_eq!(done.is_ok(), is_possible, "seed {seed}, step {number}: {step:?}: {done:?}");
            if rng.chance(4) {
                let when = format!("seed {seed}, reopened after step {number}");
                store.close().unwrap();
                drop(store);
                if rng.chance(50) {
                    std::fs::remove_dir_all(dir.path().join("catalog")).unwrap();
                }
                store = Store::open(dir.path(), options()).unwrap();
                assert_equal(&store, &ids, &model, &when);
                if rng.chance(20) {
                    assert_clean(&store);
                }
            }
        }
        assert_equal(&store, &ids, &model, &format!("seed {seed}, at the end"));
        assert_clean(&store);
        store.close().unwrap();
    }
}
