//! Several runs read as one: of each key, the newest run's word.

use super::read::{Entry, RunIter, RunReader};
use crate::error::Result;
use crate::types::Lsn;

/// Takes a key, the LSN its object is as of, and the object (`None`: gone).
pub type EachObject<'f> = dyn FnMut(&[u8], Lsn, Option<&[u8]>) -> Result<()> + 'f;

/// Calls `f` once for each key of `newest_first`, in order, with what the newest run that knows the
/// key says of it. Removals are passed on: whether they still hide anything, the caller knows.
pub fn merge(newest_first: &[RunReader], f: &mut EachObject<'_>) -> Result<()> {
    let mut sources: Vec<Source<'_>> = newest_first.iter().map(Source::new).collect::<Result<_>>()?;
    while let Some(key) = sources.iter().filter_map(Source::key).min().map(<[u8]>::to_vec) {
        let mut newest = None;
        for source in sources.iter_mut().filter(|source| source.key() == Some(&key)) {
            let entry = source.take()?;
            newest = newest.or(entry);
        }
        if let Some(Entry { key, as_of, value }) = newest {
            f(&key, as_of, value.as_deref())?;
        }
    }
    Ok(())
}

/// A run and its next object.
struct Source<'r> {
    iter: RunIter<'r>,
    next: Option<Entry>,
}

impl<'r> Source<'r> {
    fn new(run: &'r RunReader) -> Result<Self> {
        let mut iter = run.iter();
        let next = iter.next().transpose()?;
        Ok(Self { iter, next })
    }

    fn key(&self) -> Option<&[u8]> {
        self.next.as_ref().map(|entry| entry.key.as_slice())
    }

    fn take(&mut self) -> Result<Option<Entry>> {
        let following = self.iter.next().transpose()?;
        Ok(std::mem::replace(&mut self.next, following))
    }
}
