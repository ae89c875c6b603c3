//! A run: several lives of one store on one disk, each ended by a loss of power, a kill or a clean stop,
//! and what was told in them held against what is found.
//!
//! Laws of what is asked
//! - What was acknowledged is there; a step whose outcome is unknown is there wholly or not at all; any
//!   other error means that nothing of it is.
//! - After a write whose outcome is unknown the life acknowledges no other one.
//! - A full disk is a clear error, and when there is room again the same life goes on.
//! - In calm weather nothing fails. In any weather no wrong byte is served.

use super::history::History;
use super::rows::KeptRows;
use super::step::{Step, Verdict, random_step, random_text};
use super::world::{Said, World, learn, read_out};
use engine::catalog::Catalog;
use engine::sys::clock::SimClock;
use engine::sys::disk::Disk;
use engine::sys::sim::{FaultCounts, Rng, SimDisk, Weather};
use engine::{Error, Store, StoreOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub const DIR: &str = "/store";
/// What a store sees of the simulated disk; a test may plant a bug here.
pub type Disguise = fn(&SimDisk) -> Arc<dyn Disk>;

pub fn plain(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// A violation, in words.
pub type Wrong = String;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    PowerCut,
    Kill,
    Clean,
}

impl End {
    fn unclean(self) -> Self {
        if self == Self::Kill { Self::Kill } else { Self::PowerCut }
    }
}

/// What a whole run did.
#[derive(Debug, Default)]
pub struct Told {
    pub faults: FaultCounts,
    pub acknowledged: u64,
    pub refused: u64,
    pub lives: u64,
}

pub struct Run {
    rng: Rng,
    disk: SimDisk,
    disguise: Disguise,
    clock: SimClock,
    options: StoreOptions,
    rows: Option<KeptRows>,
    /// What may be there: one world, or two while an outcome is unknown.
    worlds: Vec<World>,
    history: History,
    /// Every text that was ever given and acknowledged, or may have been: by its place in memory, which it keeps.
    texts: BTreeMap<usize, Arc<str>>,
    told: Told,
}

pub fn options(rng: &mut Rng) -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 8 << (10 + rng.below(4));
    options.log.body_threshold_bytes = 2 << (10 + rng.below(4));
    options.log.reserve_segments = [0, 2][rng.below(2) as usize];
    options.chunk_cache_bytes = 8 << (10 + rng.below(6));
    options.keep.retention_ms = [0, 0, 60_000][rng.below(3) as usize];
    options.keep.grace_ms = [0, 5_000][rng.below(2) as usize];
    options.keep.compact_dead_percent = [5, 20, 50][rng.below(3) as usize];
    // Nothing by the machine's clock: one seed, one run.
    options.keep.checkpoint_ms = u64::MAX / 2;
    options.keep.checkpoint_bytes = u64::MAX / 2;
    options
}

/// FORMAT with a store id that the seed gives, as `docs/format.md` draws it: a run has no other source of
/// chance than its seed.
pub fn make_format(disk: &SimDisk, seed: u64) {
    let mut bytes = [0u8; 64];
    bytes[..8].copy_from_slice(b"MAILCASK");
    bytes[24..32].copy_from_slice(&1u64.to_le_bytes());
    bytes[32..40].copy_from_slice(&seed.to_le_bytes());
    bytes[40..48].copy_from_slice(b"torture.");
    let crc32 = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc32.to_le_bytes());
    let dir = Path::new(DIR);
    disk.create_dir_all(dir).unwrap();
    let file = disk.create(&dir.join("FORMAT")).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(dir).unwrap();
}

/// Lives through the seed's lives.
pub fn run(seed: u64, disguise: Disguise) -> (Told, Result<(), Wrong>) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.next_u64());
    make_format(&disk, seed);
    let rows = rng.one_in(2).then(KeptRows::default);
    let mut run = Run {
        disguise,
        clock: SimClock::new(1_700_000_000_000),
        options: options(&mut rng),
        rows: rows.map(|rows| rows.on(&disk)),
        worlds: vec![World::default()],
        history: History::default(),
        texts: BTreeMap::new(),
        told: Told::default(),
        disk,
        rng,
    };
    let result = run.lives();
    run.told.faults = run.disk.fault_counts();
    (run.told, result)
}

impl Run {
    fn lives(&mut self) -> Result<(), Wrong> {
        let lives = 2 + self.rng.below(4);
        for _ in 0..lives {
            self.told.lives += 1;
            let (end, store) = self.life()?;
            let zombie = self.disk.clone();
            self.next_disk(end);
            // What the zombie still does happens on a disk that nobody looks at.
            zombie.cut_at_operation(zombie.operations());
            drop(store.map(|store| store.close()));
        }
        if self.rng.one_in(6) {
            self.told.lives += 1;
            return self.life_of_lies();
        }
        let store = self.open().map_err(|e| format!("at the end the store does not open: {e}"))?;
        self.verify(&store)?;
        let report = store.check(true).map_err(|e| format!("the check does not run: {e}"))?;
        if !report.is_clean() {
            return Err(format!("the check finds {:?}", report.findings));
        }
        store.close().map_err(|e| format!("at the end the store does not close: {e}"))
    }

    fn open(&self) -> engine::Result<Store> {
        let (disk, clock) = ((self.disguise)(&self.disk), Arc::new(self.clock.clone()));
        let rows = self.rows.clone();
        let catalog = || Ok(rows.map_or_else(Catalog::in_memory, |rows| Catalog::over(Box::new(rows))));
        Store::open_over(disk, clock, Path::new(DIR), self.options.clone(), catalog)
    }

    fn next_disk(&mut self, end: End) {
        let is_cut = end == End::PowerCut || (end == End::Clean && self.rng.one_in(2));
        let next = if is_cut { self.disk.power_cut() } else { self.disk.kill() };
        if is_cut {
            self.clock.reboot();
        }
        self.clock.advance(self.rng.below(3_000));
        if let Some(rows) = &self.rows {
            self.rows = Some(rows.reopened(&next, is_cut.then_some(&mut self.rng)));
        }
        self.disk = next;
    }

    /// One life up to its end; the store as well, if it was not closed.
    fn life(&mut self) -> Result<(End, Option<Store>), Wrong> {
        let cut_at = self.rng.one_in(2).then(|| self.rng.below(250));
        let weather = random_weather(&mut self.rng);
        let opens_in_weather = self.rng.one_in(5);
        let end = [End::PowerCut, End::Kill, End::Clean][self.rng.below(3) as usize];
        if let Some(at) = cut_at {
            self.disk.cut_at_operation(at);
        }
        if opens_in_weather {
            // What stays unreadable while it opens is damage, and rightly said to be: see the bad sectors.
            self.disk.set_weather(Weather { reads_recover: true, ..weather });
        }
        let opened = self.open();
        self.disk.set_weather(Weather::default());
        let store = match opened {
            Ok(store) => store,
            // An error of a read that passes is none.
            Err(_) if self.disk.is_off() || (opens_in_weather && !fails_reads_alone(weather)) => {
                return Ok((end.unclean(), None));
            }
            Err(error) => return Err(format!("the store does not open: {error}")),
        };
        self.verify(&store)?;
        if self.disk.is_off() && self.worlds.len() > 1 {
            // The power went before it could be seen which world it is. This store knows, and may answer what
            // changes nothing in it; only the next one can be held to anything.
            return self.finish(store, end, weather);
        }
        self.disk.set_weather(weather);
        let lived = self.steps(&store, weather);
        self.disk.set_weather(Weather::default());
        lived?;
        self.finish(store, end, weather)
    }

    fn finish(&mut self, store: Store, end: End, weather: Weather) -> Result<(End, Option<Store>), Wrong> {
        if end != End::Clean || self.disk.is_off() {
            return Ok((end.unclean(), Some(store)));
        }
        let is_unknown = self.worlds.len() > 1;
        match store.close() {
            Ok(()) if is_unknown => Err("it closed in order with an outcome unknown".to_owned()),
            Ok(()) => Ok((End::Clean, None)),
            Err(_) if is_unknown || self.disk.is_off() || weather != Weather::default() => {
                Ok((End::PowerCut, None))
            }
            Err(error) => Err(format!("the store does not close: {error}")),
        }
    }

    fn steps(&mut self, store: &Store, weather: Weather) -> Result<(), Wrong> {
        let is_full = self.rng.one_in(8);
        if is_full {
            self.disk.set_capacity_bytes(Some(self.disk.used_bytes() + self.rng.below(30_000)));
        }
        for _ in 0..4 + self.rng.below(22) {
            self.clock.advance(self.rng.below(400));
            let step = random_step(&mut self.rng, &self.worlds[0]);
            let is_calm = weather == Weather::default() && !is_full;
            self.step(store, &step, is_calm)?;
            if self.rng.one_in(12) {
                self.read_in_weather(store)?;
            }
        }
        if is_full {
            self.disk.set_capacity_bytes(None);
            self.goes_on(store, weather)?;
        }
        Ok(())
    }

    /// One step, and what its answer means.
    fn step(&mut self, store: &Store, step: &Step, is_calm: bool) -> Result<(), Wrong> {
        let is_unknown = self.worlds.len() > 1;
        let is_change = !matches!(step, Step::Keep(_));
        let mut after = self.worlds[0].clone();
        let expected = step.in_world(&mut after);
        let is_empty = matches!(step, Step::Copy { uids, .. } if uids.is_empty());
        self.remember(&after);
        match step.on_store(store) {
            Ok(_) if is_unknown && is_change && !is_empty => {
                Err(format!("{step:?} was acknowledged after an outcome was unknown"))
            }
            Ok(said) if said == expected => {
                self.told.acknowledged += u64::from(is_change);
                if !is_unknown {
                    for name in step.accounts(&self.worlds[0]) {
                        let Some(account) = after.accounts.get_mut(name) else { continue };
                        match learn(store, name, account) {
                            Ok(()) | Err(Error::Io { .. }) => {}
                            Err(e) => return Err(format!("after {step:?}: {e}")),
                        }
                    }
                    self.worlds[0] = after;
                }
                Ok(())
            }
            Ok(said) => Err(format!("{step:?} was answered {said:?}, not {expected:?}")),
            Err(_) if expected == Verdict::Refused => Ok(()),
            Err(Error::OutcomeUnknown) if is_change => {
                self.told.refused += 1;
                if !is_unknown {
                    self.worlds.push(after);
                }
                Ok(())
            }
            Err(error) if is_calm && !is_unknown && !self.disk.is_off() => {
                Err(format!("{step:?} failed in calm weather: {error}"))
            }
            Err(_) => {
                self.told.refused += 1;
                Ok(())
            }
        }
    }

    fn remember(&mut self, world: &World) {
        let mailboxes = world.accounts.values().flat_map(|account| account.mailboxes.values());
        for message in mailboxes.flat_map(|mailbox| &mailbox.messages) {
            self.texts.entry(message.text.as_ptr().addr()).or_insert_with(|| message.text.clone());
        }
    }

    /// What can be read is right, whatever else happens.
    fn read_in_weather(&mut self, store: &Store) -> Result<(), Wrong> {
        match read_out(store) {
            Ok(said) => self.worlds[0].differs_from(&said).map_or(Ok(()), Err),
            Err(Said::Nonsense(what)) => Err(what),
            Err(Said::Error(_)) => Ok(()),
        }
    }

    /// There is room again: unless it is poisoned, the same life goes on.
    fn goes_on(&mut self, store: &Store, weather: Weather) -> Result<(), Wrong> {
        self.clock.advance(2_000);
        if self.worlds.len() > 1 || self.disk.is_off() || weather != Weather::default() {
            return Ok(());
        }
        let name = format!("new{}", self.rng.below(1_000));
        let step = Step::CreateAccount { name: name.clone(), quota_bytes: None };
        self.step(store, &step, true)?;
        let text = random_text(&mut self.rng);
        self.step(store, &Step::Deliver { accounts: vec![name.clone()], detail: None, text }, true)?;
        self.step(store, &Step::DeleteAccount { name }, true)
    }

    /// What is found after opening: one of the worlds there may be.
    fn verify(&mut self, store: &Store) -> Result<(), Wrong> {
        let said = match read_out(store) {
            Ok(said) => said,
            Err(_) if self.disk.is_off() => return Ok(()),
            Err(why) => return Err(format!("it cannot be read: {why:?}")),
        };
        let differences: Vec<String> = self.worlds.iter().filter_map(|w| w.differs_from(&said)).collect();
        if differences.len() == self.worlds.len() {
            return Err(differences.join("; or: "));
        }
        let recovery = store.recovery();
        if !recovery.damage.is_empty() || recovery.lost_up_to.is_some() {
            return Err(format!("it reports damage where there is none: {recovery:?}"));
        }
        self.history.observe(&said)?;
        // A password shows only when it is tried.
        let opens = |world: &World| {
            let mut set = world.accounts.iter().filter_map(|(name, a)| Some((name, a.password.as_ref()?)));
            set.all(|(name, password)| store.authenticate(name, password).is_ok())
        };
        let fits = |world: &World| world.differs_from(&said).is_none() && opens(world);
        let Some(found) = self.worlds.iter().position(fits) else {
            if self.disk.is_off() {
                return Ok(());
            }
            return Err("a password is not the one set".to_owned());
        };
        let mut world = self.worlds.swap_remove(found);
        world.adopt(said);
        self.remember(&world);
        self.worlds = vec![world];
        Ok(())
    }

    /// The last life: syncs lie, then the power goes. What is lost may be lost; nothing else is wrong.
    fn life_of_lies(&mut self) -> Result<(), Wrong> {
        let store = self.open().map_err(|e| format!("before the lies it does not open: {e}"))?;
        self.verify(&store)?;
        self.disk.set_weather(Weather { lie_one_in: 1 + self.rng.below(3), ..Weather::default() });
        let mut past = vec![self.worlds[0].clone()];
        for _ in 0..5 + self.rng.below(20) {
            let step = random_step(&mut self.rng, &self.worlds[0]);
            self.step(&store, &step, true)?;
            past.push(self.worlds[0].clone());
        }
        let zombie = self.disk.clone();
        self.next_disk(End::PowerCut);
        zombie.cut_at_operation(zombie.operations());
        drop(store.close());
        let store = match self.open() {
            Ok(store) => store,
            // Said plainly: there is a backup for this.
            Err(Error::Corrupt { .. }) => return Ok(()),
            Err(error) => return Err(format!("after the lies: {error}")),
        };
        // A store whose end is lost may be that of an earlier life.
        let known: BTreeSet<&str> = self.texts.values().map(|text| &**text).collect();
        let known = |text: &str| known.contains(text);
        super::lies::no_wrong_byte(&store, &known)?;
        let recovery = store.recovery();
        let is_said = !recovery.damage.is_empty()
            || recovery.lost_up_to.is_some()
            || recovery.manifest_rebuilt.is_some()
            || recovery.cut_tail_bytes > 0;
        if let (false, Ok(said)) = (is_said, read_out(&store)) {
            let is_past = past.iter().any(|world| world.differs_from(&said).is_none());
            if !is_past {
                return Err("after the lies it says what never was, and reports no loss".to_owned());
            }
        }
        drop(store.check(true));
        drop(store.close());
        Ok(())
    }
}

/// Nothing fails, or nothing but reads.
fn fails_reads_alone(weather: Weather) -> bool {
    Weather { read_eio_one_in: 0, ..weather } == Weather::default()
}

pub fn random_weather(rng: &mut Rng) -> Weather {
    let mut weather = Weather::default();
    let one_in = 10 + rng.below(60);
    match rng.below(14) {
        0 => weather.read_eio_one_in = one_in,
        1 => weather.write_eio_one_in = one_in,
        2 => weather.sync_eio_one_in = one_in,
        3 => weather.sync_dir_eio_one_in = one_in,
        4 => weather.other_eio_one_in = one_in,
        5 => weather.no_space_one_in = one_in,
        6 => {
            weather = Weather {
                read_eio_one_in: 60,
                reads_recover: false,
                write_eio_one_in: 60,
                sync_eio_one_in: 90,
                sync_dir_eio_one_in: 90,
                other_eio_one_in: 60,
                no_space_one_in: 60,
                lie_one_in: 0,
            }
        }
        _ => {}
    }
    weather
}
