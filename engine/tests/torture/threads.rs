//! A run with several threads: lives of one store in which all of them work at once, each ended by a loss of power, a
//! kill or a clean stop, often in the middle of it, and each thread's ledger held against what is found.
//!
//! Laws
//! - As for one thread (`life.rs`), for each of them.
//! - The seed gives weather, ends, and what each thread asks for as long as it is answered alike. How the threads
//!   interleave it does not give: the same seed may pass another time. So a violation prints the ledgers.
//! - Who is answered after the moment at which a life ended does not know whether it happened before.

use super::history::History;
use super::ledger::{Act, Ledger, names_of};
use super::life::{DIR, Disguise, Told, Wrong, make_format, options, random_weather};
use super::rows::KeptRows;
use super::shared::{Deed, POOL, SHARED, is_known_mailbox, owner};
use super::step::{Keep, Step, Verdict, random_text};
use super::world::{Said, World, read_out, read_out_some};
use engine::catalog::Catalog;
use engine::ops::NewAccount;
use engine::sys::clock::SimClock;
use engine::sys::sim::{Rng, SimDisk, Weather};
use engine::{Error, Store, StoreOptions};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

struct Run {
    rng: Rng,
    disk: SimDisk,
    disguise: Disguise,
    clock: SimClock,
    options: StoreOptions,
    rows: Option<KeptRows>,
    ledgers: Vec<Ledger>,
    history: Arc<Mutex<History>>,
    told: Told,
}

/// One life, as its threads see it.
struct Life<'a> {
    store: &'a Store,
    disk: SimDisk,
    clock: SimClock,
    history: Arc<Mutex<History>>,
    /// Nothing fails.
    is_calm: bool,
    /// The moment at which it ends has begun.
    over: AtomicBool,
    /// Somebody was told that an outcome is unknown.
    unknown: AtomicBool,
    /// All work is done.
    done: AtomicBool,
    steps: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    PowerCut,
    Kill,
    Clean,
}

/// Lives through the seed's lives.
pub fn run(seed: u64, threads: usize, disguise: Disguise) -> (Told, Result<(), Wrong>) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.next_u64());
    make_format(&disk, seed);
    let rows = rng.one_in(2).then(KeptRows::default);
    let mut run = Run {
        disguise,
        clock: SimClock::new(1_700_000_000_000),
        options: options(&mut rng),
        rows: rows.map(|rows| rows.on(&disk)),
        ledgers: (0..threads).map(Ledger::new).collect(),
        history: Arc::default(),
        told: Told::default(),
        disk,
        rng,
    };
    let result = run.lives().map_err(|wrong| {
        let stories: String = run.ledgers.iter().map(Ledger::story).collect();
        format!("{wrong}\n{stories}")
    });
    run.told.faults = run.disk.fault_counts();
    (run.told, result)
}

impl Run {
    fn lives(&mut self) -> Result<(), Wrong> {
        self.begin().map_err(|error| format!("it does not begin: {error}"))?;
        for _ in 0..2 + self.rng.below(3) {
            self.told.lives += 1;
            let end = self.life()?;
            let words = format!("the life ended: {end:?}");
            self.ledgers.iter_mut().for_each(|ledger| ledger.note(None, words.clone()));
        }
        let store = self.open().map_err(|e| format!("at the end the store does not open: {e}"))?;
        self.verify(&store)?;
        let report = store.check(true).map_err(|e| format!("the check does not run: {e}"))?;
        if !report.is_clean() {
            return Err(format!("the check finds {:?}", report.findings));
        }
        store.close().map_err(|e| format!("at the end the store does not close: {e}"))
    }

    fn begin(&self) -> engine::Result<()> {
        let store = self.open()?;
        let id = store.create_account(&NewAccount { name: SHARED, ..NewAccount::default() })?;
        store.create_mailbox(id, POOL, None)?;
        store.close()
    }

    fn open(&self) -> engine::Result<Store> {
        let (disk, clock) = ((self.disguise)(&self.disk), Arc::new(self.clock.clone()));
        let rows = self.rows.clone();
        let catalog = || Ok(rows.map_or_else(Catalog::in_memory, |rows| Catalog::over(Box::new(rows))));
        Store::open_over(disk, clock, Path::new(DIR), self.options.clone(), catalog)
    }

    /// The disk as the next process finds it; as it is at this very moment, if a life still goes on.
    fn end(&mut self, end: End, life: Option<&Life<'_>>) {
        let is_cut = end == End::PowerCut || (end == End::Clean && self.rng.one_in(2));
        let rng = &mut self.rng;
        let moment = self.rows.clone().unwrap_or_default();
        let (next, rows) = moment.at_one_moment(|| {
            life.iter().for_each(|life| life.over.store(true, Ordering::SeqCst));
            let next = if is_cut { self.disk.power_cut() } else { self.disk.kill() };
            let rows = self.rows.as_ref().map(|rows| rows.reopened(&next, is_cut.then_some(rng)));
            (next, rows)
        });
        // What the zombie still does happens on a disk that nobody looks at.
        self.disk.cut_at_operation(self.disk.operations());
        if is_cut {
            self.clock.reboot();
        }
        self.clock.advance(self.rng.below(3_000));
        (self.disk, self.rows) = (next, rows);
    }

    fn life(&mut self) -> Result<End, Wrong> {
        let end = [End::PowerCut, End::Kill, End::Clean][self.rng.below(3) as usize];
        let unclean = if end == End::Kill { End::Kill } else { End::PowerCut };
        let weather = random_weather(&mut self.rng);
        if self.rng.one_in(3) {
            self.disk.cut_at_operation(self.rng.below(400));
        }
        let store = match self.open() {
            Ok(store) => store,
            Err(_) if self.disk.is_off() => {
                self.end(unclean, None);
                return Ok(unclean);
            }
            Err(error) => return Err(format!("the store does not open: {error}")),
        };
        match self.verify(&store) {
            Err(wrong) if !self.disk.is_off() => return Err(wrong),
            _ => {}
        }
        let is_full = self.rng.one_in(8);
        if is_full {
            self.disk.set_capacity_bytes(Some(self.disk.used_bytes() + self.rng.below(40_000)));
        }
        self.disk.set_weather(weather);
        let calm = weather == Weather::default();
        let threads = self.ledgers.len() as u64;
        let midst = (end != End::Clean && self.rng.one_in(2)).then(|| (end, self.rng.below(threads * 20)));
        self.work(&store, midst, calm && !is_full)?;
        if midst.is_some() {
            self.disk.set_capacity_bytes(None);
            drop(store.close());
            return Ok(end);
        }
        self.disk.set_weather(Weather::default());
        self.disk.set_capacity_bytes(None);
        let is_unknown = self.ledgers.iter().any(Ledger::is_unknown);
        if is_full && calm && !is_unknown && !self.disk.is_off() {
            self.goes_on(&store)?;
        }
        let ended = if end == End::Clean && !self.disk.is_off() {
            match store.close() {
                Ok(()) if is_unknown => return Err("it closed in order with an outcome unknown".to_owned()),
                Ok(()) => End::Clean,
                Err(_) if is_unknown || self.disk.is_off() || !calm => End::PowerCut,
                Err(error) => return Err(format!("the store does not close: {error}")),
            }
        } else {
            unclean
        };
        self.end(ended, None);
        drop(store.close());
        Ok(ended)
    }

    /// All threads at once, up to their end or that of the life.
    fn work(&mut self, store: &Store, midst: Option<(End, u64)>, is_calm: bool) -> Result<(), Wrong> {
        let life = Life::new(self, store, is_calm);
        let count = 5 + self.rng.below(25);
        let seeds: Vec<u64> = (0..=self.ledgers.len()).map(|_| self.rng.next_u64()).collect();
        let ledgers = std::mem::take(&mut self.ledgers);
        let mut results = Vec::new();
        thread::scope(|scope| {
            let (life, keeping) = (&life, seeds[0]);
            let keeper = scope.spawn(move || life.keep_house(&mut Rng::new(keeping)));
            let spawn = |(mut ledger, seed): (Ledger, u64)| {
                scope.spawn(move || {
                    let result = life.works(&mut ledger, &mut Rng::new(seed), count);
                    (ledger, result)
                })
            };
            let workers: Vec<_> = ledgers.into_iter().zip(seeds[1..].iter().copied()).map(spawn).collect();
            if let Some((end, at)) = midst {
                let works = || workers.iter().any(|worker| !worker.is_finished());
                while life.steps.load(Ordering::SeqCst) < at && works() {
                    thread::sleep(Duration::from_micros(50));
                }
                self.end(end, Some(life));
            }
            for worker in workers {
                let (ledger, result) = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
                self.ledgers.push(ledger);
                results.push(result);
            }
            life.done.store(true, Ordering::SeqCst);
            results.push(keeper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        });
        self.told.acknowledged += life.acknowledged.into_inner();
        self.told.refused += life.refused.into_inner();
        results.into_iter().collect()
    }

    /// There is room again: the same life goes on.
    fn goes_on(&mut self, store: &Store) -> Result<(), Wrong> {
        self.clock.advance(2_000);
        let life = Life::new(self, store, true);
        let text = format!("X-Of: 0\r\n{}", random_text(&mut self.rng)).into();
        let deed = Deed::Deliver { own: Vec::new(), into: POOL.to_owned(), text };
        life.act(&mut self.ledgers[0], Act::Shared(deed)).map(drop)
    }

    /// What is found after opening: of each thread, one of the worlds there may be; and nobody else's.
    fn verify(&mut self, store: &Store) -> Result<(), Wrong> {
        let said = read_out(store).map_err(|why| format!("it cannot be read: {why:?}"))?;
        let recovery = store.recovery();
        if !recovery.damage.is_empty() || recovery.lost_up_to.is_some() {
            return Err(format!("it reports damage where there is none: {recovery:?}"));
        }
        let threads = self.ledgers.len();
        if let Some(what) = nobodys(&said, threads) {
            return Err(format!("this is nobody's: {what}"));
        }
        self.history.lock().unwrap().observe(&said)?;
        self.ledgers.iter_mut().try_for_each(|ledger| {
            let thread = ledger.thread;
            ledger.verify(store, &said).map_err(|why| format!("thread {thread}: {why}"))
        })
    }
}

/// Something that no thread's ledger speaks of.
fn nobodys(said: &World, threads: usize) -> Option<String> {
    let known: Vec<String> = (0..threads).flat_map(names_of).collect();
    if let Some(name) = said.accounts.keys().find(|name| *name != SHARED && !known.contains(name)) {
        return Some(format!("account {name}"));
    }
    let Some(shared) = said.accounts.get(SHARED) else {
        return Some("the shared account is gone".to_owned());
    };
    if !shared.mailboxes.contains_key(POOL) {
        return Some(format!("{POOL} is gone"));
    }
    let of_nobody = |text: &str| owner(text).is_none_or(|thread| thread >= threads);
    shared.mailboxes.iter().find_map(|(name, mailbox)| {
        if !is_known_mailbox(name, threads) {
            return Some(format!("mailbox {name}"));
        }
        let message = mailbox.messages.iter().find(|message| of_nobody(&message.text));
        message.map(|message| format!("in {name}: {message:?}"))
    })
}

impl<'a> Life<'a> {
    fn new(run: &Run, store: &'a Store, is_calm: bool) -> Self {
        Self {
            store,
            disk: run.disk.clone(),
            clock: run.clock.clone(),
            history: run.history.clone(),
            is_calm,
            over: AtomicBool::new(false),
            unknown: AtomicBool::new(false),
            done: AtomicBool::new(false),
            steps: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Nothing may fail now.
    fn has_to_work(&self) -> bool {
        self.is_calm && !self.unknown.load(Ordering::SeqCst) && !self.disk.is_off() && !self.is_over()
    }

    fn works(&self, ledger: &mut Ledger, rng: &mut Rng, count: u64) -> Result<(), Wrong> {
        for _ in 0..count {
            self.clock.advance(rng.below(200));
            let act = Act::random(rng, ledger.thread, &ledger.may_be[0]);
            if !self.act(ledger, act)? {
                return Ok(());
            }
            self.steps.fetch_add(1, Ordering::SeqCst);
            if rng.one_in(12) {
                self.read(ledger)?;
            }
        }
        Ok(())
    }

    /// One step, and what its answer means. `false`: the life is over.
    fn act(&self, ledger: &mut Ledger, act: Act) -> Result<bool, Wrong> {
        let mut after = ledger.may_be[0].clone();
        let expected = act.in_known(&mut after);
        // Of anybody, before this one was asked for.
        let was_unknown = self.unknown.load(Ordering::SeqCst);
        let said = act.on_store(self.store);
        ledger.note(Some(act.clone()), format!("{said:?}"));
        if self.is_over() {
            if act.is_change() && !was_unknown {
                ledger.unknown(after);
            }
            return Ok(false);
        }
        match said {
            Ok(_) if was_unknown && act.is_change() && !act.is_empty() => {
                return Err(format!("{act:?} was acknowledged after an outcome was unknown"));
            }
            Ok((verdict, uids)) if verdict == expected => {
                self.acknowledged.fetch_add(u64::from(act.is_change()), Ordering::SeqCst);
                if !ledger.is_unknown() {
                    ledger.acknowledged(&act, &uids, after, (self.store, &self.history))?;
                }
            }
            Ok(said) => return Err(format!("{act:?} was answered {said:?}, not {expected:?}")),
            Err(_) if expected == Verdict::Refused => {}
            Err(Error::OutcomeUnknown) if act.is_change() => {
                self.unknown.store(true, Ordering::SeqCst);
                self.refused.fetch_add(1, Ordering::SeqCst);
                ledger.unknown(after);
            }
            Err(error) if self.has_to_work() => {
                return Err(format!("{act:?} failed in calm weather: {error}"));
            }
            Err(_) => {
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(true)
    }

    /// What can be read of its own is right, whatever the others do.
    fn read(&self, ledger: &Ledger) -> Result<(), Wrong> {
        let [ann, bob] = names_of(ledger.thread);
        match read_out_some(self.store, &[ann.as_str(), &bob, SHARED]) {
            Ok(mut said) => {
                let known = &ledger.may_be[0];
                let shared = said.accounts.remove(SHARED).ok_or("the shared account is not there")?;
                let differs = known.world.differs_from(&said).or_else(|| known.part.differs_from(&shared));
                differs.map_or(Ok(()), Err)
            }
            Err(Said::Nonsense(what)) => Err(what),
            Err(Said::Error(_)) => Ok(()),
        }
    }

    /// Views are written, segments compacted, everything checked, beside those who work.
    fn keep_house(&self, rng: &mut Rng) -> Result<(), Wrong> {
        let mut next = 0;
        while !self.done.load(Ordering::SeqCst) && !self.is_over() && !self.disk.is_off() {
            if self.steps.load(Ordering::SeqCst) < next {
                thread::sleep(Duration::from_micros(50));
                continue;
            }
            next += rng.below(16);
            let keep = match rng.below(12) {
                0..4 => Keep::Checkpoint,
                4..7 => Keep::Snapshot,
                7..10 => Keep::Compact,
                10 => Keep::Index,
                _ => {
                    self.check(rng.one_in(2))?;
                    continue;
                }
            };
            match Step::Keep(keep).on_store(self.store) {
                // It was deleted while it was indexed.
                Ok(_) | Err(Error::NoSuchAccount) => {}
                Err(error) if self.has_to_work() => {
                    return Err(format!("{keep:?} failed in calm weather: {error}"));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn check(&self, deep: bool) -> Result<(), Wrong> {
        if !self.has_to_work() {
            return Ok(());
        }
        match self.store.check(deep) {
            Ok(report) if report.is_clean() => Ok(()),
            said if self.has_to_work() => Err(format!("the check beside the others finds {said:?}")),
            _ => Ok(()),
        }
    }
}
