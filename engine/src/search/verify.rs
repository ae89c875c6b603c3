//! Rows that only reading decides: read, each message once, by several threads where there are many.
//!
//! Laws
//! - A row is decided by the whole key, with what the index said of its leaves; so no message is read
//!   for a leaf that is known or that does not matter any more.
//! - A message that cannot be read leaves the leaves that needed it undecided; where they decide, it is
//!   unreadable.
//! - `cancel` is looked at before each message.

use super::bits::{Bits, Rows};
use super::evaluate::Evaluation;
use super::helpers::Helpers;
use super::leaf::Leaf;
use super::plan::Node;
use super::run::{Context, Go, Halt, Messages};
use super::texts::Texts;
use crate::error::{Error, Result};
use crate::mailbox::Row;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Rows that are not worth a second thread.
const ALONE_MAX: u64 = 32;
/// Rows that a thread takes at a time.
const UNIT_ROWS: usize = 8;

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    Chunk { at: usize, row: usize },
    Ghost(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Matches,
    Unreadable,
}

/// What reading gave.
pub struct Read<T> {
    /// The rows of which there is something to say, in no order.
    pub said: Vec<(Place, T)>,
    pub messages_read: u64,
}

/// Reads rows of an evaluation.
pub struct Reader<'a> {
    pub evaluation: &'a Evaluation<'a>,
    pub messages: &'a dyn Messages,
    pub helpers: &'a Helpers,
    pub context: &'a Context<'a>,
}

/// What is asked of each row.
pub type Asked<'a, T> = &'a (dyn Fn(Place, &Row, &mut Texts<'_>) -> Result<Option<T>> + Sync);

/// Some rows of a chunk, or a ghost.
#[derive(Clone, Copy)]
enum Unit {
    Rows { at: usize, rows: Bits },
    Ghost(usize),
}

/// What the threads share.
struct Shared<'a, T> {
    units: &'a [Unit],
    next: AtomicUsize,
    asked: Asked<'a, T>,
    /// A thread has failed: the others need not go on.
    failed: AtomicBool,
    read: Mutex<Read<T>>,
}

impl Reader<'_> {
    /// The rows that match the whole key, or cannot be read.
    pub fn verify(&self, root: &Node, open: &Rows, ghosts: &[usize]) -> Go<Read<Verdict>> {
        self.each(open, ghosts, &|place, row, texts| {
            let matches =
                root.of_row(row, self.context.recent, &mut |leaf| match self.evaluation.leaves.get(leaf) {
                    Some(leaf) => answer(leaf, place, texts),
                    None => Ok(None),
                })?;
            Ok(match matches {
                Some(true) => Some(Verdict::Matches),
                Some(false) => None,
                None => Some(Verdict::Unreadable),
            })
        })
    }

    /// Asks for each of the rows; those of a chunk together.
    pub fn each<T: Send>(&self, rows: &Rows, ghosts: &[usize], asked: Asked<'_, T>) -> Go<Read<T>> {
        let units = units(rows, ghosts);
        let rows = rows.count() + ghosts.len() as u64;
        self.context.progress.expect(rows);
        let shared = Shared {
            units: &units,
            next: AtomicUsize::new(0),
            asked,
            failed: AtomicBool::new(false),
            read: Mutex::new(Read { said: Vec::new(), messages_read: 0 }),
        };
        let wanted = if rows > ALONE_MAX { units.len().saturating_sub(1) } else { 0 };
        let helpers = self.helpers.take(wanted);
        let outcome = std::thread::scope(|threads| {
            let spawned: Vec<_> = (0..helpers.count)
                .filter_map(|_| {
                    let builder = std::thread::Builder::new().name("search".to_owned());
                    // Without a thread to be had, this one does it all.
                    builder.spawn_scoped(threads, || self.work(&shared)).ok()
                })
                .collect();
            let own = self.work(&shared);
            spawned.into_iter().fold(own, |outcome, thread| {
                let of_thread = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                worse(outcome, of_thread)
            })
        });
        outcome.map(|()| shared.read.into_inner())
    }

    fn work<T>(&self, shared: &Shared<'_, T>) -> Go<()> {
        let mut own = Read { said: Vec::new(), messages_read: 0 };
        let outcome = self.work_into(shared, &mut own);
        if outcome.is_err() {
            shared.failed.store(true, Ordering::Relaxed);
        }
        let mut read = shared.read.lock();
        read.said.append(&mut own.said);
        read.messages_read += own.messages_read;
        outcome
    }

    fn work_into<T>(&self, shared: &Shared<'_, T>, own: &mut Read<T>) -> Go<()> {
        let scope = &self.evaluation.scope;
        while let Some(unit) = shared.units.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
            match *unit {
                Unit::Ghost(at) => {
                    if let Some(row) = scope.ghosts.get(at) {
                        self.take(shared, Place::Ghost(at), row, own)?;
                    }
                }
                Unit::Rows { at, rows } => {
                    let Some(slot) = scope.slot(at) else { continue };
                    for row in rows.iter() {
                        self.take(shared, Place::Chunk { at, row }, &slot.chunk()?.row(row), own)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn take<T>(&self, shared: &Shared<'_, T>, place: Place, row: &Row, own: &mut Read<T>) -> Go<()> {
        if self.context.cancel.load(Ordering::Relaxed) || shared.failed.load(Ordering::Relaxed) {
            return Err(Halt::Cancelled);
        }
        let mut texts = Texts::new(self.messages, row);
        let said = (shared.asked)(place, row, &mut texts)?;
        own.said.extend(said.map(|said| (place, said)));
        own.messages_read += u64::from(texts.was_read());
        self.context.progress.advance(1);
        Ok(())
    }
}

/// An error before the cancelling that it led to.
fn worse(a: Go<()>, b: Go<()>) -> Go<()> {
    match (&a, &b) {
        (Err(Halt::Failed(_)), _) | (_, Ok(())) => a,
        _ => b,
    }
}

/// A leaf's answer for one row: by the index, else by the text. None when it cannot be read.
fn answer(leaf: &Leaf, place: Place, texts: &mut Texts<'_>) -> Result<Option<bool>> {
    if let (Some(known), Place::Chunk { at, row }) = (&leaf.known, place) {
        if known.sure.contains(at, row) {
            return Ok(Some(true));
        }
        if !known.open.contains(at, row) {
            return Ok(Some(false));
        }
    }
    readable(texts.matches(leaf))
}

/// None of a message that cannot be read.
pub fn readable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Error::Damaged { .. } | Error::Expunged | Error::NoSuchMessage) => Ok(None),
        Err(error) => Err(error),
    }
}

fn units(open: &Rows, ghosts: &[usize]) -> Vec<Unit> {
    let mut units: Vec<Unit> = ghosts.iter().map(|at| Unit::Ghost(*at)).collect();
    for (at, bits) in open.chunks() {
        for from in (0..crate::mailbox::CHUNK_ROWS).step_by(UNIT_ROWS) {
            let mut rows = Bits::NONE;
            rows.set_run(from, from + UNIT_ROWS);
            rows &= bits;
            if !rows.is_empty() {
                units.push(Unit::Rows { at, rows });
            }
        }
    }
    units
}
