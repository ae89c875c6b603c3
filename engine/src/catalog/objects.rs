//! The catalog as its users see it: objects by key, each with the LSN it was true at.

use super::key::{Kind, ObjectKey};
use super::memory::MemoryRows;
use super::page;
use super::rows::{Rows, Write};
use super::sled_rows::SledRows;
use crate::error::{Error, Result};
use crate::sys::disk::Disk;
use crate::types::Lsn;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// An object as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub as_of: Lsn,
    pub bytes: Vec<u8>,
}

/// A new content for a key; `None` removes the object.
pub type Change = (ObjectKey, Lsn, Option<Vec<u8>>);

/// Up to where the catalog is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub lsn: Lsn,
    /// The store was closed in order after this mark, and the mark is durable.
    pub clean: bool,
    /// The boot of the machine the mark was made under; a crash is trusted under the same one.
    pub boot_id: String,
}

/// The one row that is no object: no kind has this number.
const MARK_KEY: &[u8] = b"\xffmark";

pub struct Catalog {
    rows: Box<dyn Rows>,
}

impl Catalog {
    /// Opens the catalog in `dir`: sled on a real disk, memory on a simulated one. A catalog that
    /// cannot be opened is deleted; it then has no mark, and the caller rebuilds it.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, cache_bytes: u64) -> Result<Self> {
        if !disk.is_real() {
            return Ok(Self::in_memory());
        }
        Ok(Self::over(Box::new(SledRows::open(disk.clone(), dir, cache_bytes)?)))
    }

    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(Box::new(MemoryRows::default()))
    }

    #[must_use]
    pub fn over(rows: Box<dyn Rows>) -> Self {
        Self { rows }
    }

    pub fn get(&self, key: &ObjectKey) -> Result<Option<Object>> {
        let name = key.to_bytes();
        let Some(first) = self.rows.get(&page::row_key(&name, 0))? else { return Ok(None) };
        let (head, begin) = page::head(key, &first)?;
        let mut bytes = begin.to_vec();
        for page in 1..page::page_count(head.length) {
            let Some(more) = self.rows.get(&page::row_key(&name, page))? else { break };
            bytes.extend_from_slice(&more);
        }
        page::prove(key, head, &bytes)?;
        Ok(Some(Object { as_of: head.as_of, bytes }))
    }

    /// Writes and removes objects in one batch: all or nothing after a kill.
    pub fn put_all(&self, changes: Vec<Change>) -> Result<()> {
        let mut batch = Vec::with_capacity(changes.len());
        for (key, as_of, object) in changes {
            self.push_change(&mut batch, &key, as_of, object.as_deref())?;
        }
        self.rows.write(batch)
    }

    fn push_change(
        &self,
        batch: &mut Vec<Write>,
        key: &ObjectKey,
        as_of: Lsn,
        object: Option<&[u8]>,
    ) -> Result<()> {
        let name = key.to_bytes();
        let pages = object.map_or(Ok(Vec::new()), |object| page::split(key, as_of, object))?;
        let new_count = u16::try_from(pages.len()).unwrap_or(u16::MAX);
        for (page, bytes) in (0..new_count).zip(pages) {
            batch.push((page::row_key(&name, page), Some(bytes)));
        }
        for page in new_count..self.old_page_count(key, &name)? {
            batch.push((page::row_key(&name, page), None));
        }
        Ok(())
    }

    /// How many pages the object has now. Of one whose head cannot be read every row is looked for.
    fn old_page_count(&self, key: &ObjectKey, name: &[u8]) -> Result<u16> {
        let Some(first) = self.rows.get(&page::row_key(name, 0))? else { return Ok(0) };
        if let Ok((head, _)) = page::head(key, &first) {
            return Ok(page::page_count(head.length));
        }
        let mut count = 0u16;
        self.rows.scan(name, &mut |_, _| {
            count = count.saturating_add(1);
            Ok(())
        })?;
        Ok(count)
    }

    /// Every object of a kind, in the order of the keys, until `f` fails.
    pub fn scan_kind(&self, kind: Kind, f: &mut dyn FnMut(ObjectKey, Object) -> Result<()>) -> Result<()> {
        self.scan_prefix(&[kind as u8], f)
    }

    fn scan_prefix(&self, prefix: &[u8], f: &mut dyn FnMut(ObjectKey, Object) -> Result<()>) -> Result<()> {
        let mut joining: Option<(ObjectKey, page::Head, Vec<u8>)> = None;
        self.rows.scan(prefix, &mut |row, value| {
            let (name, page) = row.split_last_chunk::<2>().ok_or_else(|| bad_row("its key is cut"))?;
            let key = ObjectKey::from_bytes(name)?;
            if u16::from_be_bytes(*page) == 0 {
                if let Some(done) = joining.take() {
                    hand_over(done, f)?;
                }
                let (head, begin) = page::head(&key, value)?;
                joining = Some((key, head, begin.to_vec()));
                return Ok(());
            }
            match &mut joining {
                Some((of, _, bytes)) if *of == key => bytes.extend_from_slice(value),
                _ => return Err(bad_row("a page without its first")),
            }
            Ok(())
        })?;
        joining.map_or(Ok(()), |done| hand_over(done, f))
    }

    /// Removes every row of an object that nobody `wants`, and what is no object at all. Says how many rows.
    pub fn sweep(&self, wants: &dyn Fn(&ObjectKey) -> bool) -> Result<u64> {
        let mut batch = Vec::new();
        self.rows.scan(&[], &mut |row, _| {
            let key = row.split_last_chunk::<2>().and_then(|(name, _)| ObjectKey::from_bytes(name).ok());
            if row != MARK_KEY && !key.is_some_and(|key| wants(&key)) {
                batch.push((row.to_vec(), None));
            }
            Ok(())
        })?;
        let count = batch.len() as u64;
        self.rows.write(batch)?;
        Ok(count)
    }

    /// `None` when the catalog was never marked: then nothing in it is known to be complete.
    pub fn mark(&self) -> Result<Option<Mark>> {
        let Some(bytes) = self.rows.get(MARK_KEY)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| bad_row(&format!("the mark: {e}")))
    }

    /// Sets the mark and makes it and everything before it durable. The mark goes down by itself,
    /// after the rest: it never promises what is not there.
    pub fn set_mark(&self, mark: &Mark) -> Result<()> {
        let bytes = serde_json::to_vec(mark).map_err(|e| bad_row(&format!("the mark: {e}")))?;
        self.rows.flush_durable()?;
        self.rows.write(vec![(MARK_KEY.to_vec(), Some(bytes))])?;
        self.rows.flush_durable()
    }

    /// After a write that failed: whatever was made durable is there, the rest may be. Does nothing otherwise.
    pub fn mend(&self) -> Result<()> {
        self.rows.mend()
    }

    /// Forgets everything, the mark included.
    pub fn delete_and_reopen(&self) -> Result<()> {
        self.rows.clear()
    }

    pub fn bytes_on_disk(&self) -> Result<u64> {
        self.rows.bytes_on_disk()
    }
}

fn hand_over(
    (key, head, bytes): (ObjectKey, page::Head, Vec<u8>),
    f: &mut dyn FnMut(ObjectKey, Object) -> Result<()>,
) -> Result<()> {
    page::prove(&key, head, &bytes)?;
    f(key, Object { as_of: head.as_of, bytes })
}

fn bad_row(why: &str) -> Error {
    Error::corrupt("the catalog", why)
}
