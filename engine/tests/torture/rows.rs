//! A catalog that outlives the process, on the same disk as the log: what it was at its last flush is
//! there after a loss of power, and all of it after a kill.

use engine::catalog::{MemoryRows, Rows, Visit, Write};
use engine::sys::sim::{Rng, SimDisk};
use engine::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Clone, Default)]
pub struct KeptRows {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    rows: MemoryRows,
    flushed: Mutex<Vec<Write>>,
    disk: Mutex<Option<SimDisk>>,
    /// Held while a row changes: a moment at which nothing does.
    moment: Mutex<()>,
}

impl KeptRows {
    /// The rows as the next process finds them on `disk`.
    pub fn reopened(&self, disk: &SimDisk, after_power_cut: Option<&mut Rng>) -> Self {
        let left = match after_power_cut {
            None => all(&self.state.rows),
            Some(rng) => match rng.below(3) {
                0 => Vec::new(),
                1 => self.state.flushed.lock().clone(),
                _ => all(&self.state.rows),
            },
        };
        let next = Self::default();
        next.state.rows.write(left.clone()).unwrap();
        *next.state.flushed.lock() = left;
        next.on(disk)
    }

    /// Its operations count as that disk's.
    pub fn on(self, disk: &SimDisk) -> Self {
        *self.state.disk.lock() = Some(disk.clone());
        self
    }

    /// Does something while no row changes: what is found of the rows and of the disk is of one moment.
    pub fn at_one_moment<T>(&self, f: impl FnOnce() -> T) -> T {
        let _moment = self.state.moment.lock();
        f()
    }

    fn operation(&self) -> Result<()> {
        let disk = self.state.disk.lock().clone();
        disk.map_or(Ok(()), |disk| disk.operation_beside()).map_err(|e| Error::io("the catalog", e))
    }
}

fn all(rows: &MemoryRows) -> Vec<Write> {
    let mut found = Vec::new();
    rows.scan(&[], &mut |key, value| {
        found.push((key.to_vec(), Some(value.to_vec())));
        Ok(())
    })
    .unwrap();
    found
}

impl Rows for KeptRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.state.rows.get(key)
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        let _moment = self.state.moment.lock();
        self.operation()?;
        self.state.rows.write(batch)
    }

    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()> {
        self.state.rows.scan(prefix, f)
    }

    fn clear(&self) -> Result<()> {
        let _moment = self.state.moment.lock();
        self.operation()?;
        self.state.rows.clear()
    }

    fn flush_durable(&self) -> Result<()> {
        let _moment = self.state.moment.lock();
        self.operation()?;
        *self.state.flushed.lock() = all(&self.state.rows);
        Ok(())
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        self.state.rows.bytes_on_disk()
    }
}
