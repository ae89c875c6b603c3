//! An open file of the simulated disk.

use super::names::Inode;
use super::weather::{Fault, FaultKind, Strike};
use super::{State, eio};
use crate::sys::disk::File;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

pub(super) struct SimFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) inode: Inode,
}

impl File for SimFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.powered()?;
        let struck = state.faults.read_strike == Some(state.reads);
        state.reads += 1;
        let place = (self.inode, offset);
        let recovers = state.faults.weather.reads_recover && state.faults.last_struck_read == Some(place);
        let one_in = if recovers { 0 } else { state.faults.weather.read_eio_one_in };
        if struck || state.strikes(Some(FaultKind::ReadEio), one_in, Fault::ReadEio) {
            state.faults.last_struck_read = Some(place);
            return Err(eio("read"));
        }
        let content = state.content(self.inode)?;
        if content.is_bad(&(offset..offset + buf.len() as u64)) {
            state.faults.counts.count(Fault::BadSector);
            return Err(eio("read"));
        }
        match state.content(self.inode)?.read(buf, offset) {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let strike = state.begin()?;
        if strike == Some(Strike::NoSpace) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let len = state.content(self.inode)?.len_bytes();
        let growth = (offset + bytes.len() as u64).saturating_sub(len);
        state.room_for(growth, growth > 0)?;
        let one_in = state.faults.weather.write_eio_one_in;
        if strike.is_some() || state.strikes(Some(FaultKind::WriteEio), one_in, Fault::WriteEio) {
            // A short write: by order half of it, by chance any part.
            let written =
                if one_in > 0 { state.rng.below(bytes.len() as u64) } else { bytes.len() as u64 / 2 };
            state.content(self.inode)?.write(&bytes[..written as usize], offset);
            return Err(eio("write"));
        }
        state.content(self.inode)?.write(bytes, offset);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.powered()?;
        Ok(state.content(self.inode)?.len_bytes())
    }

    fn truncate(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_plain("truncation")?;
        state.content(self.inode)?.resize(len_bytes as usize);
        Ok(())
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let len = state.content(self.inode)?.len_bytes();
        state.begin_growing("allocation", len_bytes.saturating_sub(len))?;
        if len < len_bytes {
            state.content(self.inode)?.resize(len_bytes as usize);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let struck = state.sync_point()?.is_some();
        let one_in = state.faults.weather.sync_eio_one_in;
        if struck || state.strikes(Some(FaultKind::SyncEio), one_in, Fault::SyncEio) {
            state.content(self.inode)?.sync_failed();
            return Err(eio("sync"));
        }
        if !state.lies() {
            state.content(self.inode)?.sync();
        }
        Ok(())
    }
}
