//! Several threads at once on one store, by seed, in weather, with the power lost and the process killed in the middle
//! of their work (`MAILCASK_SEED=n` for one seed; how the threads interleave it does not give, so it may pass another
//! time: what is printed is the ledger of each thread). More of them: the example `torture` with `--threads N`.
#![allow(clippy::unwrap_used)]

#[path = "torture/mod.rs"]
mod torture;

use std::time::Duration;
use torture::life::{Disguise, plain};
use torture::many::{many_of, one_of};
use torture::planted::{Bug, plant};
use torture::threads::run;

const THREADS: usize = 4;
const SEEDS: u64 = 400;
/// Not a measurement: on a machine with little to spare fewer seeds are tried.
const AT_MOST: Duration = Duration::from_secs(25);

#[test]
fn nothing_that_any_thread_was_told_is_lost() {
    let lives = |seed| run(seed, THREADS, plain);
    if let Some(seed) = std::env::var("MAILCASK_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let (told, result) = one_of(seed, &lives);
        println!("seed {seed}: {told:?}");
        return result.unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    let summary = many_of(0, SEEDS, AT_MOST, &lives, &|_| {});
    println!("{}", summary.table());
    for (seed, wrong) in &summary.wrong {
        println!("MAILCASK_SEED={seed}: {wrong}");
    }
    assert!(summary.wrong.is_empty(), "{} violations", summary.wrong.len());
}

fn assert_caught(what: &str, disguise: Disguise) {
    let lives = |seed| run(seed, THREADS, disguise);
    let mut tried = 0;
    while tried < 400 {
        let summary = many_of(tried, 8, Duration::from_secs(60), &lives, &|_| {});
        tried += 8;
        if let Some((seed, wrong)) = summary.wrong.first() {
            let wrong: String = wrong.chars().take(200).collect();
            println!("{what}: seed {seed}: {wrong}");
            return;
        }
    }
    panic!("{what} was not caught by {tried} seeds");
}

/// What only several threads can show: a sync that finds another one under way, and takes it for its own.
#[test]
fn a_sync_taken_for_that_of_another_thread_is_caught() {
    assert_caught("a sync that another one stands for", |disk| plant(disk, Bug::SyncOfAnother));
}

#[test]
fn a_sync_that_is_left_out_now_and_then_is_caught() {
    assert_caught("one sync in twelve left out", |disk| plant(disk, Bug::OneSyncInTwelve));
}
