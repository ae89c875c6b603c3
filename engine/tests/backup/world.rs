//! A store under random work, its backups, and what a client sees of it.

use crate::common::Rng;
use crate::common::model::{Account, read_out};
use crate::common::work::{Step, in_model, on_store, random_step, stage};
use engine::backup::{Folder, How, Moment, Rate, Restore, Restored, Taken, Target, restore, take};
use engine::log::Pinned;
use engine::ops::{AppendItem, NewAccount};
use engine::sys::clock::{Clock, SimClock};
use engine::sys::disk::Disk;
use engine::sys::sim::SimDisk;
use engine::types::AccountId;
use engine::work::Work;
use engine::{Result, Store, StoreOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub const STORE: &str = "/store";
pub const DEST: &str = "/dest";
pub const BEGIN_MS: u64 = 1_700_000_000_000;
pub const HOUR_MS: u64 = 3_600_000;

pub fn options() -> StoreOptions {
    let mut options = StoreOptions::for_tests();
    options.log.segment_bytes = 64 << 10;
    options.log.body_threshold_bytes = 16 << 10;
    options.keep.retention_ms = 0;
    options.keep.grace_ms = 0;
    options
}

pub fn open(disk: &SimDisk, clock: &SimClock, dir: &str) -> Store {
    try_open(disk, clock, dir).unwrap()
}

/// A store that keeps its history for an hour.
pub fn open_with_history(disk: &SimDisk, clock: &SimClock, dir: &str) -> Store {
    let mut options = options();
    options.keep.retention_ms = HOUR_MS;
    Store::open_on(Arc::new(disk.clone()), Arc::new(clock.clone()), Path::new(dir), options).unwrap()
}

pub fn try_open(disk: &SimDisk, clock: &SimClock, dir: &str) -> Result<Store> {
    Store::open_on(Arc::new(disk.clone()), Arc::new(clock.clone()), Path::new(dir), options())
}

pub fn try_backup(disk: &SimDisk, clock: &SimClock, store: &Store) -> Result<Taken> {
    let (_held, pinned) = store.pin()?;
    take_pinned(disk, clock, &pinned)
}

pub fn take_pinned(disk: &SimDisk, clock: &SimClock, pinned: &Pinned) -> Result<Taken> {
    take_to(disk, disk, clock, STORE, pinned)
}

/// The same of the store in `dir`, into the folder on another disk.
pub fn take_to(
    dest: &SimDisk,
    disk: &SimDisk,
    clock: &SimClock,
    dir: &str,
    pinned: &Pinned,
) -> Result<Taken> {
    let shared: Arc<dyn Disk> = Arc::new(dest.clone());
    let mut folder = Folder::open(&shared, Path::new(DEST))?;
    let now_ms = clock.now_ms();
    let mut how = How { piece_bytes: 4 << 10, ..How::new(Rate::new(None)) };
    take(disk, Path::new(dir), pinned, now_ms, &mut folder, &mut how, &mut Work::quiet())
}

pub fn backup(disk: &SimDisk, clock: &SimClock, store: &Store) -> Taken {
    try_backup(disk, clock, store).unwrap()
}

pub fn folder(disk: &SimDisk) -> Folder {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Folder::read(&shared, Path::new(DEST)).unwrap()
}

pub fn try_restore(
    disk: &SimDisk,
    clock: &SimClock,
    to: &str,
    moment: Moment,
    since: bool,
) -> Result<Restored> {
    let asked = Restore { moment, nothing_since: !since, damaged_too: false };
    restore_asked(disk, clock, to, asked)
}

pub fn restore_asked(disk: &SimDisk, clock: &SimClock, to: &str, asked: Restore) -> Result<Restored> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let folder = Folder::read(&shared, Path::new(DEST))?;
    let mut rate = Rate::new(None);
    let into = Target { disk: &shared, clock: &clock, dir: Path::new(to), options: options() };
    restore(&folder, asked, into, &mut rate, &mut Work::quiet())
}

/// Everything that a client sees of a store, but for its messages' bytes, which `read_out` compares.
pub type Facts = BTreeMap<String, (u32, u32, u64, Vec<(u32, u64, String, i64)>)>;

pub fn facts(store: &Store, id: AccountId) -> Facts {
    let account = store.account(id).unwrap();
    let facts = account.mailboxes().map(|mailbox| {
        let uids = mailbox.uids().unwrap();
        let rows = mailbox.rows(&uids).map(|row| {
            let row = row.unwrap();
            let mut flags: Vec<&str> = mailbox.flag_names(&row.flags);
            flags.sort_unstable();
            (row.uid.0, row.modseq.0, flags.join(" "), row.internal_date.unix_s)
        });
        let header = &mailbox.header;
        let rows: Vec<_> = rows.collect();
        (header.name.to_string(), (header.uid_validity.0, header.uid_next.0, header.highest_modseq.0, rows))
    });
    facts.collect()
}

pub struct World {
    pub disk: SimDisk,
    pub clock: SimClock,
    pub store: Store,
    pub ids: Vec<AccountId>,
    pub model: Vec<Account>,
    /// The text of every message there ever was.
    pub ever: BTreeSet<String>,
    pub rng: Rng,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let (disk, clock) = (SimDisk::new(seed), SimClock::new(BEGIN_MS));
        let store = open(&disk, &clock, STORE);
        let ids = (0..2).map(|n| {
            let name = format!("user{n}");
            store.create_account(&NewAccount { name: &name, password: Some("x"), quota_bytes: None }).unwrap()
        });
        let ids = ids.collect();
        let model = vec![Account::new(), Account::new()];
        Self { disk, clock, store, ids, model, ever: BTreeSet::new(), rng: Rng::new(seed) }
    }

    pub fn work(&mut self, steps: usize) {
        for _ in 0..steps {
            self.clock.advance(1_000 + self.rng.below(5_000) as u64);
            let who = self.rng.below(2);
            let step = random_step(&mut self.rng, &self.model, who);
            let mut next = self.model.clone();
            if in_model(&mut next, who, &step) {
                on_store(&self.store, &self.ids, who, &step).unwrap();
                self.model = next;
                let mailboxes = self.model.iter().flat_map(|account| account.mailboxes.values());
                self.ever.extend(mailboxes.flat_map(|mailbox| &mailbox.messages).map(|m| m.text.clone()));
            }
            if matches!(step, Step::Keep { compact: true, .. }) {
                self.clock.advance(1_000);
            }
        }
    }

    pub fn backup(&mut self) -> Taken {
        self.clock.advance(1_000);
        let taken = backup(&self.disk, &self.clock, &self.store);
        self.clock.advance(1_000);
        taken
    }

    pub fn read_out(&self) -> Vec<Account> {
        self.read_out_of(&self.store)
    }

    pub fn read_out_of(&self, store: &Store) -> Vec<Account> {
        self.ids.iter().map(|id| read_out(store, *id)).collect()
    }

    /// A world of its own, as after a kill.
    pub fn fork(&self) -> Self {
        let disk = self.disk.kill();
        let store = open(&disk, &self.clock, STORE);
        let (ids, model, ever) = (self.ids.clone(), self.model.clone(), self.ever.clone());
        Self { disk, clock: self.clock.clone(), store, ids, model, ever, rng: Rng::new(1) }
    }

    /// What a restored store says.
    pub fn restored(&self, to: &str, moment: Moment) -> Vec<Account> {
        try_restore(&self.disk, &self.clock, to, moment, true).unwrap();
        let store = open(&self.disk, &self.clock, to);
        let found = self.read_out_of(&store);
        store.close().unwrap();
        found
    }

    /// Stops, and starts again: in order, or like after a kill.
    pub fn restart(&mut self) {
        if self.rng.chance(50) {
            self.store.close().unwrap();
            self.disk = self.disk.kill();
        } else {
            self.disk = self.disk.kill();
        }
        self.store = open(&self.disk, &self.clock, STORE);
    }
}

/// Appends one message to a mailbox of the name INBOX, and gives its UID.
pub fn append(store: &Store, id: AccountId, text: &str) -> u32 {
    let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
    let message = stage(store, text).unwrap();
    let item = AppendItem { message, flags: Vec::new(), internal_date: None };
    store.append(id, inbox, vec![item]).unwrap().uids.first().unwrap()
}

/// The messages, by account and mailbox.
pub fn messages(of: &[Account]) -> Vec<(String, Vec<crate::common::model::Message>)> {
    let mailboxes = of.iter().flat_map(|account| &account.mailboxes);
    mailboxes.map(|(name, mailbox)| (name.clone(), mailbox.messages.clone())).collect()
}
