//! A catalog that outlives its process, as sled does, and that can be damaged.

use crate::common::Rng;
use engine::Result;
use engine::catalog::{Catalog, MemoryRows, Rows, Visit, Write};
use std::sync::Arc;

#[derive(Clone, Default)]
pub struct KeptRows(Arc<MemoryRows>);

impl KeptRows {
    pub fn catalog(&self) -> Catalog {
        Catalog::over(Box::new(self.clone()))
    }

    /// Damages one row, or takes it away.
    pub fn rot(&self, rng: &mut Rng) -> String {
        let mut rows = Vec::new();
        let collect = &mut |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(())
        };
        self.0.scan(&[], collect).unwrap();
        // The mark is looked at by the opening alone.
        rows.retain(|(key, _)| !key.ends_with(b"mark"));
        let (key, mut value) = rng.pick(&rows).unwrap().clone();
        if rng.chance(20) {
            self.0.write(vec![(key.clone(), None)]).unwrap();
            return format!("row {key:?} removed");
        }
        let at = rng.below(value.len());
        value[at] ^= 1 << rng.below(8);
        self.0.write(vec![(key.clone(), Some(value))]).unwrap();
        format!("a bit of row {key:?} at {at}")
    }
}

impl Rows for KeptRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.get(key)
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        self.0.write(batch)
    }

    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()> {
        self.0.scan(prefix, f)
    }

    fn clear(&self) -> Result<()> {
        self.0.clear()
    }

    fn flush_durable(&self) -> Result<()> {
        Ok(())
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        self.0.bytes_on_disk()
    }
}
