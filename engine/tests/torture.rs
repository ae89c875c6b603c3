//! Many lives of a store by seed, with power lost, kills, failing reads, writes and syncs, full and lying
//! disks (`MAILCASK_SEED=n` for one). More of them: the example `torture`.
#![allow(clippy::unwrap_used)]

#[path = "torture/mod.rs"]
mod torture;

use std::time::Duration;
use torture::life::plain;
use torture::many::{many, one};

const SEEDS: u64 = 2_000;
/// Not a measurement: on a machine with little to spare fewer seeds are tried.
const AT_MOST: Duration = Duration::from_secs(150);

#[test]
fn nothing_acknowledged_is_lost_in_any_weather() {
    if let Some(seed) = std::env::var("MAILCASK_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let (told, result) = one(seed, plain);
        println!("seed {seed}: {told:?}");
        return result.unwrap();
    }
    let summary = many(0, SEEDS, AT_MOST, plain, &|_| {});
    println!("{}", summary.table());
    for (seed, wrong) in &summary.wrong {
        println!("MAILCASK_SEED={seed}: {wrong}");
    }
    assert!(summary.wrong.is_empty(), "{} violations", summary.wrong.len());
}
