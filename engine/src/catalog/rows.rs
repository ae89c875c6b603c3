//! The small trait under the catalog: ordered keys and values, batches that are all or nothing.

use crate::error::Result;

/// A key with its new value; `None` removes it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Sees one key with its value; a failure ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Where packed rows are kept. Values are at most 4 KB: larger ones hurt sled.
pub trait Rows: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    /// One batch, all or nothing for every reader and after a kill.
    fn write(&self, batch: Vec<Write>) -> Result<()>;
    /// Every key that begins with `prefix`, ascending, until `f` fails.
    fn scan(&self, prefix: &[u8], f: &mut Visit<'_>) -> Result<()>;
    /// Forgets everything, files included, and begins anew.
    fn clear(&self) -> Result<()>;
    /// Returns when everything written before is safe from a loss of power.
    fn flush_durable(&self) -> Result<()>;
    /// After a write that failed: begins anew from what is on the disk, all that was flushed.
    fn mend(&self) -> Result<()> {
        Ok(())
    }
    fn bytes_on_disk(&self) -> Result<u64>;
}
