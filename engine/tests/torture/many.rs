//! Many seeds on all cores, and what they found.

use super::life::{Disguise, Told, Wrong, run};
use engine::sys::sim::FaultCounts;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Panics of any thread: those of a store's own threads would show only as failed writes.
static PANICS: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
pub struct Summary {
    pub seeds: u64,
    pub lives: u64,
    pub acknowledged: u64,
    pub refused: u64,
    pub faults: FaultCounts,
    pub wrong: Vec<(u64, Wrong)>,
}

impl Summary {
    fn add(&mut self, seed: u64, told: &Told, result: Result<(), Wrong>) {
        self.seeds += 1;
        self.lives += told.lives;
        self.acknowledged += told.acknowledged;
        self.refused += told.refused;
        self.faults.merge(&told.faults);
        if let Err(wrong) = result {
            // At once: a long run may be cut off.
            eprintln!("\nseed {seed}: {wrong}");
            self.wrong.push((seed, wrong));
        }
    }

    pub fn table(&self) -> String {
        format!(
            "{} seeds, {} lives, {} changes acknowledged, {} refused or unknown, {} violations\nfaults: {}",
            self.seeds,
            self.lives,
            self.acknowledged,
            self.refused,
            self.wrong.len(),
            self.faults
        )
    }
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
    });
}

/// One seed; a panic is a violation like any other.
pub fn one(seed: u64, disguise: Disguise) -> (Told, Result<(), Wrong>) {
    one_of(seed, &|seed| run(seed, disguise))
}

/// All lives of a seed.
pub type Lives<'a> = &'a (dyn Fn(u64) -> (Told, Result<(), Wrong>) + Sync);

/// The same of any kind of lives.
pub fn one_of(seed: u64, lives: Lives<'_>) -> (Told, Result<(), Wrong>) {
    count_panics();
    let before = PANICS.load(Ordering::SeqCst);
    let (told, result) = catch_unwind(AssertUnwindSafe(|| lives(seed)))
        .unwrap_or_else(|_| (Told::default(), Err("it panicked".to_owned())));
    let panicked = PANICS.load(Ordering::SeqCst) > before;
    let result = if panicked { result.and(Err("a thread of the store panicked".to_owned())) } else { result };
    (told, result)
}

/// Runs the seeds `from..from + count` until `at_most` is over; `progress` hears of each.
pub fn many(
    from: u64,
    count: u64,
    at_most: Duration,
    disguise: Disguise,
    progress: &(dyn Fn(&Summary) + Sync),
) -> Summary {
    many_of(from, count, at_most, &|seed| run(seed, disguise), progress)
}

/// The same of any kind of lives.
pub fn many_of(
    from: u64,
    count: u64,
    at_most: Duration,
    lives: Lives<'_>,
    progress: &(dyn Fn(&Summary) + Sync),
) -> Summary {
    let (next, begun) = (AtomicU64::new(from), Instant::now());
    let summary = Mutex::new(Summary::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while begun.elapsed() < at_most {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= from + count {
                        return;
                    }
                    let (told, result) = one_of(seed, lives);
                    let mut summary = summary.lock().unwrap();
                    summary.add(seed, &told, result);
                    progress(&summary);
                }
            });
        }
    });
    summary.into_inner().unwrap()
}
