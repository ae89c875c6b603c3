//! A step of the store struck at each of its disk operations in turn: power lost, killed, an I/O error,
//! no space. All of them are tried, and what is found afterwards is verified.

use super::life::{DIR, make_format, options};
use super::rows::KeptRows;
use super::step::{Step, random_step};
use super::world::{World, learn, read_out};
use engine::catalog::Catalog;
use engine::sys::clock::SimClock;
use engine::sys::sim::{Rng, SimDisk, Strike};
use engine::{Store, StoreOptions};
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

/// How the operation is struck, and how the process ends afterwards.
const WAYS: [(Strike, bool); 5] = [
    (Strike::PowerOff, true),
    (Strike::PowerOff, false),
    (Strike::Eio, true),
    (Strike::Eio, false),
    (Strike::NoSpace, false),
];

/// Strikes every operation of `step` in every way. `begin` is not struck; `step` has to end what `begin`
/// began; `verify` is given the disk as it is found afterwards, whether that was after a loss of power, and
/// words for what happened. Returns how many operations there were.
pub fn each_operation<S>(
    what: &str,
    base: &SimDisk,
    begin: impl Fn(&SimDisk) -> S,
    step: impl Fn(S),
    verify: impl Fn(&SimDisk, bool, &str),
) -> u64 {
    let mut most = 0;
    for (strike, is_cut) in WAYS {
        for n in 0.. {
            let disk = base.kill();
            let begun = begin(&disk);
            let at = disk.operations() + n;
            disk.strike_operation(at, strike);
            step(begun);
            if !disk.is_off() && disk.operations() <= at {
                most = most.max(n);
                break;
            }
            let after = if is_cut { disk.power_cut() } else { disk.kill() };
            let end = if is_cut { "power cut" } else { "kill" };
            verify(&after, is_cut, &format!("{what}, operation {n}: {strike:?}, then {end}"));
        }
    }
    println!("{what}: {most} operations, each struck in {} ways", WAYS.len());
    most
}

/// A store on a disk that is not running, and what it has to say.
pub struct Prepared {
    pub disk: SimDisk,
    pub rows: KeptRows,
    pub clock: SimClock,
    pub options: StoreOptions,
    pub world: World,
    /// The catalog of the store that was opened last.
    pub last: RefCell<KeptRows>,
}

/// How the prepared store ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Closed,
    Killed,
    /// And its catalog is not to be trusted.
    PowerCut,
}

impl Prepared {
    /// A store that went through random steps.
    pub fn new(seed: u64, steps: usize, ended: Ended) -> Self {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new(seed);
        make_format(&disk, seed);
        let mut options = options(&mut rng);
        (options.keep.retention_ms, options.keep.grace_ms) = (0, 0);
        let mut this = Self {
            rows: KeptRows::default().on(&disk),
            disk,
            clock: SimClock::new(1_700_000_000_000),
            options,
            world: World::default(),
            last: RefCell::default(),
        };
        let rows = this.rows.clone();
        let store = this.open_with(&this.disk.clone(), rows).unwrap();
        for _ in 0..steps {
            let step = random_step(&mut rng, &this.world);
            this.step(&store, &step);
        }
        match ended {
            Ended::Closed => {
                store.close().unwrap();
                this.disk = this.disk.kill();
            }
            Ended::Killed | Ended::PowerCut => {
                let zombie = this.disk.clone();
                let is_cut = ended == Ended::PowerCut;
                this.disk = if is_cut { zombie.power_cut() } else { zombie.kill() };
                zombie.cut_at_operation(zombie.operations());
                drop(store.close());
                if is_cut {
                    this.clock.reboot();
                }
            }
        }
        this.rows = this.rows.reopened(&this.disk, None);
        this
    }

    fn step(&mut self, store: &Store, step: &Step) {
        let expected = step.in_world(&mut self.world);
        if let Ok(said) = step.on_store(store) {
            assert_eq!(said, expected, "{step:?}");
        }
        for name in step.accounts(&self.world.clone()) {
            if let Some(account) = self.world.accounts.get_mut(name) {
                learn(store, name, account).unwrap();
            }
        }
    }

    /// The catalog after some more steps and a checkpoint, on a copy of the disk that is then lost.
    pub fn lived_on(&self, steps: usize) -> KeptRows {
        let disk = self.disk.kill();
        let rows = self.rows.reopened(&disk, None);
        let store = self.open_with(&disk, rows.clone()).unwrap();
        let (mut rng, mut world) = (Rng::new(7), self.world.clone());
        for _ in 0..steps {
            let step = random_step(&mut rng, &world);
            step.in_world(&mut world);
            drop(step.on_store(&store));
        }
        store.checkpoint().unwrap();
        let rows = rows.reopened(&disk.kill(), None);
        drop(store.close());
        rows
    }

    pub fn open_with(&self, disk: &SimDisk, rows: KeptRows) -> engine::Result<Store> {
        let catalog = || Ok(Catalog::over(Box::new(rows)));
        let clock = Arc::new(self.clock.clone());
        Store::open_over(Arc::new(disk.clone()), clock, Path::new(DIR), self.options.clone(), catalog)
    }

    /// Opens it on a copy of the disk.
    pub fn open(&self, disk: &SimDisk) -> engine::Result<Store> {
        self.open_with(disk, self.rows.reopened(disk, None))
    }

    /// A step on the running store; then it is closed as far as that is possible.
    pub fn each_operation_of(&self, what: &str, step: impl Fn(&Store), after: &[World]) -> u64 {
        let rows = std::cell::RefCell::new(self.rows.clone());
        each_operation(
            what,
            &self.disk,
            |disk| {
                *rows.borrow_mut() = self.rows.reopened(disk, None);
                let opened = self.open_with(disk, rows.borrow().clone());
                opened.unwrap_or_else(|e| panic!("{what}: it does not open: {e}"))
            },
            |store| {
                step(&store);
                drop(store.close());
            },
            |disk, is_cut, when| self.verify(disk, &rows.borrow(), is_cut, after, when),
        )
    }

    /// The opening itself, and the clean stop right after it.
    pub fn each_operation_of_opening(&self, what: &str) -> u64 {
        let rows = std::cell::RefCell::new(self.rows.clone());
        each_operation(
            what,
            &self.disk,
            |disk| {
                *rows.borrow_mut() = self.rows.reopened(disk, None);
                disk.clone()
            },
            |disk| {
                if let Ok(store) = self.open_with(&disk, rows.borrow().clone()) {
                    drop(store.close());
                }
            },
            |disk, is_cut, when| self.verify(disk, &rows.borrow(), is_cut, &[], when),
        )
    }

    /// Each read of the opening fails once: nothing is lost, and no damage is listed.
    pub fn each_read_of_opening(&self, what: &str) {
        for n in 0.. {
            let disk = self.disk.kill();
            disk.strike_read(n);
            let when = format!("{what}, read {n}");
            let store = self.open(&disk).unwrap_or_else(|e| panic!("{when}: it does not open: {e}"));
            if disk.reads() <= n {
                println!("{what}: {n} reads");
                return;
            }
            self.is_all_there(&store, &[], &when);
            store.close().unwrap_or_else(|e| panic!("{when}: it does not close: {e}"));
            self.verify(&disk.kill(), &self.rows, false, &[], &format!("{when}, opened again"));
        }
    }

    fn verify(&self, disk: &SimDisk, rows: &KeptRows, is_cut: bool, after: &[World], when: &str) {
        let mut rng = Rng::new(disk.operations());
        let rows = rows.reopened(disk, is_cut.then_some(&mut rng));
        let clock = self.clock.clone();
        if is_cut {
            clock.reboot();
        }
        let store = self.open_with(disk, rows).unwrap_or_else(|e| panic!("{when}: it does not open: {e}"));
        self.is_all_there(&store, after, when);
        store.close().unwrap_or_else(|e| panic!("{when}: it does not close: {e}"));
    }

    fn is_all_there(&self, store: &Store, after: &[World], when: &str) {
        let said = read_out(store).unwrap_or_else(|e| panic!("{when}: it cannot be read: {e:?}"));
        let worlds = std::iter::once(&self.world).chain(after);
        let differences: Vec<String> = worlds.filter_map(|world| world.differs_from(&said)).collect();
        assert!(differences.len() <= after.len(), "{when}: {}", differences.join("; or: "));
        let recovery = store.recovery();
        assert!(recovery.damage.is_empty() && recovery.lost_up_to.is_none(), "{when}: {recovery:?}");
        let report = store.check(true).unwrap_or_else(|e| panic!("{when}: the check: {e}"));
        assert!(report.is_clean(), "{when}: {:?}", report.findings);
    }

    /// The worlds after these steps, the first only, then both, and so on.
    pub fn worlds_after(&self, steps: &[Step]) -> Vec<World> {
        let mut world = self.world.clone();
        let after = |step: &Step| {
            step.in_world(&mut world);
            world.clone()
        };
        steps.iter().map(after).collect()
    }
}
