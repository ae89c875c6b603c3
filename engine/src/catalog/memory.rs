//! Rows in memory: the catalog of a store on a simulated disk. Gone with the process, as a view may be.

use super::rows::{Rows, Visit, Write};
use crate::error::Result;
use parking_lot::RwLock;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct MemoryRows {
    rows: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Rows for MemoryRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.read().get(key).cloned())
    }

    fn write(&self, batch: Vec<Write>) -> Result<()> {
        let mut rows = self.rows.write();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()> {
        // Copied out, so that `f` may use the rows itself.
        let found: Vec<(Vec<u8>, Vec<u8>)> = self
            .rows
            .read()
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        found.iter().try_for_each(|(key, value)| f(key, value))
    }

    fn clear(&self) -> Result<()> {
        self.rows.write().clear();
        Ok(())
    }

    fn flush_durable(&self) -> Result<()> {
        Ok(())
    }

    fn bytes_on_disk(&self) -> Result<u64> {
        Ok(self.rows.read().iter().map(|(k, v)| (k.len() + v.len()) as u64).sum())
    }
}
