//! Power lost at every sync point of a seeded run, on the simulated disk. What was acknowledged is
//! there once; the step that was under way is wholly there or wholly not.
#![allow(clippy::unwrap_used)]

mod common;

use common::model::{Account, read_out};
use common::work::{Step, in_model, on_store, random_step};
use common::{Rng, assert_clean, seeds};
use engine::ops::NewAccount;
use engine::sys::clock::SimClock;
use engine::sys::sim::SimDisk;
use engine::types::AccountId;
use engine::{Store, StoreOptions};
use std::path::Path;
use std::sync::Arc;

const STEPS: usize = 40;
const DIR: &str = "/store";

fn options() -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 128 << 10;
    options.log.body_threshold_bytes = 32 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    options
}

fn open(disk: &SimDisk) -> engine::Result<Store> {
    Store::open_on(
        Arc::new(disk.clone()),
        Arc::new(SimClock::new(1_700_000_000_000)),
        Path::new(DIR),
        options(),
    )
}

/// What a run was told before the power went.
struct Told {
    ids: Vec<AccountId>,
    model: Vec<Account>,
    /// Its outcome is unknown.
    under_way: Option<Step>,
}

/// Works until the power goes or the work is done.
fn work(disk: &SimDisk, seed: u64) -> Told {
    let mut rng = Rng::new(seed);
    let mut told = Told { ids: Vec::new(), model: Vec::new(), under_way: None };
    let Ok(store) = open(disk) else { return told };
    let Ok(id) = store.create_account(&NewAccount { name: "user0", ..NewAccount::default() }) else {
        return told;
    };
    told.ids.push(id);
    told.model.push(Account::new());
    for _ in 0..STEPS {
        let step = random_step(&mut rng, &told.model, 0);
        let mut after = told.model.clone();
        let is_possible = in_model(&mut after, 0, &step);
        match on_store(&store, &told.ids, 0, &step) {
            Ok(()) => told.model = after,
            Err(_) if !is_possible => {}
            Err(_) => {
                told.under_way = Some(step);
                break;
            }
        }
    }
    drop(store.close());
    told
}

fn assert_kept(disk: &SimDisk, told: &Told, when: &str) {
    let store = open(disk).unwrap_or_else(|e| panic!("{when}: the store does not open: {e}"));
    let recovery = store.recovery();
    assert!(recovery.damage.is_empty(), "{when}: {:?}", recovery.damage);
    if let Some(id) = told.ids.first() {
        let said = read_out(&store, *id);
        let mut after = told.model.clone();
        if let Some(step) = &told.under_way {
            in_model(&mut after, 0, step);
        }
        if said != told.model[0] {
            assert_eq!(said, after[0], "{when}: neither before nor after {:?}", told.under_way);
        }
    }
    assert_clean(&store);
    store.close().unwrap();
}

#[test]
fn power_lost_at_every_sync_point_loses_nothing_acknowledged() {
    for seed in seeds(3) {
        let whole = SimDisk::new(seed);
        work(&whole, seed);
        let points = whole.sync_points();
        assert!(points > 20, "the run syncs: {points}");
        for point in 0..points {
            let disk = SimDisk::new(seed);
            disk.cut_at_sync_point(point);
            let told = work(&disk, seed);
            let when = format!("seed {seed}, power lost at sync point {point}");
            assert_kept(&disk.power_cut(), &told, &when);
        }
        println!("seed {seed}: {points} sync points");
    }
}

#[test]
fn a_kill_at_every_sync_point_loses_nothing_acknowledged() {
    for seed in seeds(1) {
        let whole = SimDisk::new(seed);
        work(&whole, seed);
        for point in (0..whole.sync_points()).step_by(3) {
            let disk = SimDisk::new(seed);
            disk.cut_at_sync_point(point);
            let told = work(&disk, seed);
            assert_kept(&disk.kill(), &told, &format!("seed {seed}, killed at sync point {point}"));
        }
    }
}
