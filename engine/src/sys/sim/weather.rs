//! What strikes the simulated disk: by order, at one operation, or by chance.
//!
//! Laws
//! - Every fault that struck is counted by its kind: a run can say what it has survived.
//! - Chances are drawn from the disk's own seed, and only for kinds that are on.

use super::names::Inode;
use super::rng::Rng;
use std::collections::BTreeMap;
use std::fmt;

/// Which operations a scripted fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A write, allocation or new file finds no space.
    NoSpace,
    /// A sync of a file fails; its pages are lost at a power cut though readers see them.
    SyncEio,
    /// A write fails after half of its bytes.
    WriteEio,
    /// A read fails.
    ReadEio,
}

/// What happens to one chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// The power goes off right before it; it and everything later fails.
    PowerOff,
    /// It alone fails with an I/O error; a write leaves a part, a sync loses its pages.
    Eio,
    /// It finds no space, if it is one that takes some; else it fails with an I/O error.
    NoSpace,
}

/// Chances of failure, each once in so many operations of its kind; 0 = never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weather {
    pub read_eio_one_in: u64,
    /// What could not be read can be, tried again at once.
    pub reads_recover: bool,
    /// A random part of the bytes is written all the same.
    pub write_eio_one_in: u64,
    pub sync_eio_one_in: u64,
    pub sync_dir_eio_one_in: u64,
    /// A new, renamed or removed name, an allocation or a truncation fails and changes nothing.
    pub other_eio_one_in: u64,
    pub no_space_one_in: u64,
    /// A sync of a file or folder answers that all is durable, and nothing is.
    pub lie_one_in: u64,
}

/// What struck, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    ReadEio,
    BadSector,
    WriteEio,
    SyncEio,
    SyncDirEio,
    OtherEio,
    NoSpace,
    Lie,
    PowerOff,
    Kill,
    LostName,
    LostPage,
    TornPage,
}

/// How often each fault struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultCounts(BTreeMap<Fault, u64>);

impl FaultCounts {
    pub fn count(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    pub(super) fn add(&mut self, fault: Fault, times: u64) {
        if times > 0 {
            *self.0.entry(fault).or_default() += times;
        }
    }

    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }

    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(fault, times)| self.add(*fault, *times));
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |(fault, times): (&Fault, &u64)| format!("{fault:?} {times}");
        write!(f, "{}", self.0.iter().map(words).collect::<Vec<_>>().join(", "))
    }
}

/// Everything that may strike.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// Successful operations left before the fault strikes, and how often in a row.
    scripted: BTreeMap<FaultKind, (u64, u64)>,
    pub(super) weather: Weather,
    pub(super) counts: FaultCounts,
    /// What strikes the operation of that number.
    pub(super) strike: Option<(u64, Strike)>,
    /// The read of that number fails.
    pub(super) read_strike: Option<u64>,
    /// The file and offset of the read that failed last.
    pub(super) last_struck_read: Option<(Inode, u64)>,
}

impl Faults {
    /// Nothing strikes; what did stays counted.
    pub(super) fn calm(counts: FaultCounts) -> Self {
        Self { counts, ..Self::default() }
    }

    pub(super) fn script(&mut self, kind: FaultKind, successes: u64, times: u64) {
        self.scripted.insert(kind, (successes, times));
    }

    /// Whether the scripted fault, or this chance, strikes. Counts it.
    pub(super) fn strikes(
        &mut self,
        kind: Option<FaultKind>,
        one_in: u64,
        fault: Fault,
        rng: &mut Rng,
    ) -> bool {
        let struck =
            kind.is_some_and(|kind| self.scripted_strikes(kind)) || (one_in > 0 && rng.one_in(one_in));
        if struck {
            self.counts.count(fault);
        }
        struck
    }

    fn scripted_strikes(&mut self, kind: FaultKind) -> bool {
        match self.scripted.get_mut(&kind) {
            Some((0, times)) => {
                *times -= 1;
                if *times == 0 {
                    self.scripted.remove(&kind);
                }
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}
